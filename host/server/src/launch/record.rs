//! The launch record: what is durable about one launch, and the states it goes through (RFC 0005).

use std::collections::BTreeMap;

use bootsplice_content::Digest;
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

use super::content::StepProgress;
use super::request::LaunchRequest;

/// One launch, as it is stored. Changed only by compare-and-set.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Launch {
    /// A ULID: sorts by the time of acceptance.
    pub id: String,
    pub tenant: String,
    pub request: LaunchRequest,
    pub profile_version: u32,
    pub base: Base,
    /// Bytes of the volume to make.
    pub size: u64,
    /// Rises with each launch of (tenant, instance); the agent refuses an archive with a lower one.
    pub sequence: u64,
    /// Where the idempotency record lies, so that it can be released.
    pub idempotency_key: String,
    /// Digest of each point's lock, chosen before any byte flows.
    pub locks: BTreeMap<String, Digest>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub made: Option<Made>,
    /// How each step's content was had, once all is made.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub steps: Vec<StepProgress>,
    pub state: State,
    #[serde(with = "time::serde::rfc3339")]
    pub created: OffsetDateTime,
    #[serde(with = "time::serde::rfc3339")]
    pub deadline: OffsetDateTime,
    /// Every change of state and track, oldest first.
    pub timeline: Vec<Moment>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub report: Option<serde_json::Value>,
}

/// The base volume of a launch, pinned at admission.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Base {
    pub name: String,
    pub volume: Digest,
    pub placement: u32,
}

/// What the content track made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Made {
    /// Archive digest of each point.
    pub archives: BTreeMap<String, Digest>,
    /// Digest of the launch manifest: the volume's strong ETag.
    pub manifest: Digest,
}

/// Where a launch stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "kebab-case", deny_unknown_fields)]
pub enum State {
    /// Recorded; no worker has taken it yet.
    Accepted,
    Running {
        content: Content,
        stream: Stream,
    },
    /// The sink acknowledged the last byte, or a client confirmed the volume's digest.
    Committed {
        /// SHA-256 of the volume, where it is known.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        sha256: Option<Digest>,
    },
    Failed {
        reason: Reason,
        detail: String,
        /// A new launch of the same request can succeed.
        retryable: bool,
    },
    Cancelled,
}

/// The content track of a running launch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Content {
    Resolving,
    Generating,
    Ready,
}

/// The stream track of a running launch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Stream {
    Waiting,
    Flowing,
    HeldAtMark,
    Sealed,
}

/// Why a launch failed. The word is stable; the detail beside it is for people.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, utoipa::ToSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum Reason {
    /// A generator refused, trapped or passed a limit.
    Generator,
    /// The archive does not fit its point.
    Capacity,
    /// The object store could not be read in time.
    Source,
    /// Stored bytes are not what their name says.
    Corrupt,
    /// A stored object changed under the launch.
    Changed,
    /// The sink refused or failed.
    Sink,
    /// The sink has no room left.
    NoSpace,
    /// The deadline passed.
    Deadline,
    /// No client confirmed the volume before the deadline.
    Unconfirmed,
    /// No active signing key is trusted by the base, or a key is gone.
    Keys,
    /// The host was restarted and what the launch needs is gone.
    Restart,
}

/// One entry of a timeline.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Moment {
    #[serde(with = "time::serde::rfc3339")]
    #[schema(value_type = String, format = DateTime)]
    pub at: OffsetDateTime,
    /// `accepted`, `warned`, `generating`, `content-ready`, `flowing`, `held-at-mark`, `released`, `sealed`, `committed`, `failed`, `cancelled`, `resumed`, `reported`.
    pub event: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
}

// === impl Launch ===

impl Launch {
    pub fn is_final(&self) -> bool {
        self.state.is_final()
    }

    /// When it became final.
    pub fn ended(&self) -> Option<OffsetDateTime> {
        let word = self.state.word();
        let end = self.timeline.iter().rfind(|moment| moment.event == word);
        self.is_final()
            .then(|| end.map_or(self.deadline, |moment| moment.at))
    }

    /// What it was told of when it was made.
    pub fn warnings(&self) -> Vec<String> {
        let warned = self.timeline.iter().filter(|one| one.event == "warned");
        warned.filter_map(|one| one.detail.clone()).collect()
    }

    /// Adds to the timeline.
    pub fn note(&mut self, at: OffsetDateTime, event: &str, detail: Option<String>) {
        self.timeline.push(Moment {
            at,
            event: event.to_owned(),
            detail,
        });
    }
}

// === impl State ===

impl State {
    pub fn is_final(&self) -> bool {
        matches!(
            self,
            Self::Committed { .. } | Self::Failed { .. } | Self::Cancelled
        )
    }

    /// The state's word in answers, events and metrics.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Accepted => "accepted",
            Self::Running { .. } => "running",
            Self::Committed { .. } => "committed",
            Self::Failed { .. } => "failed",
            Self::Cancelled => "cancelled",
        }
    }
}

// === impl Reason ===

impl Reason {
    pub fn word(self) -> &'static str {
        match self {
            Self::Generator => "generator",
            Self::Capacity => "capacity",
            Self::Source => "source",
            Self::Corrupt => "corrupt",
            Self::Changed => "changed",
            Self::Sink => "sink",
            Self::NoSpace => "no-space",
            Self::Deadline => "deadline",
            Self::Unconfirmed => "unconfirmed",
            Self::Keys => "keys",
            Self::Restart => "restart",
        }
    }
}
