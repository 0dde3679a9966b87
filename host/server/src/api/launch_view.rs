//! A launch as it is told.

use std::collections::BTreeMap;
use std::sync::Arc;

use bootsplice_content::{Digest, cbor};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use time::OffsetDateTime;
use utoipa::{IntoParams, ToSchema};

use crate::launch::Launches;
use crate::launch::content::StepProgress;
use crate::launch::live::Live;
use crate::launch::record::{Launch, State as LaunchState};
use crate::launch::request::{Instance, NamedTarget};
use crate::launch::work::progress_json;

/// Which of a launch's steps.
#[derive(Clone, Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct StepOf {
    /// Only this step of the profile. All when absent.
    pub step: Option<String>,
}

/// A launch as it is told.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct LaunchView {
    pub id: String,
    /// `accepted`, `running`, `committed`, `failed` or `cancelled`.
    pub state: String,
    /// Of a failed launch: a stable word.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retryable: Option<bool>,
    pub content: ContentView,
    pub stream: StreamView,
    /// `name@version`.
    pub profile: String,
    /// The base volume's name.
    pub volume: String,
    #[schema(value_type = String)]
    pub base: Digest,
    pub size: u64,
    pub instance: Instance,
    /// The number of this launch among its instance's.
    pub sequence: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sink: Option<NamedTarget>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// Digest over the locks of all points.
    #[schema(value_type = String)]
    pub lock: Digest,
    /// Digest of the launch manifest, the volume's ETag, once the content is made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub manifest: Option<Digest>,
    /// SHA-256 of the volume, where it is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub sha256: Option<Digest>,
    /// What works and should be changed: a step whose generator was yanked.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<String>,
    /// The guest's last report.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    pub report: Option<Value>,
    #[serde(with = "time::serde::rfc3339")]
    #[schema(value_type = String, format = DateTime)]
    pub created: OffsetDateTime,
    #[serde(with = "time::serde::rfc3339")]
    #[schema(value_type = String, format = DateTime)]
    pub deadline: OffsetDateTime,
}

#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct ContentView {
    /// `resolving`, `generating`, `ready` or `failed`.
    pub state: String,
    pub steps: Vec<StepProgress>,
}

#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct StreamView {
    /// `waiting`, `flowing`, `held-at-mark`, `sealing`, `sealed` or `failed`.
    pub state: String,
    pub bytes: u64,
    pub total: u64,
    /// The point at whose mark the stream waits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub point: Option<String>,
}

#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct LaunchList {
    pub launches: Vec<LaunchView>,
    /// More follow: ask again with `before` set to this.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}

/// What is told of `launch` now: its record, and what its worker knows better.
pub(super) fn view(launches: &Launches, launch: &Launch) -> LaunchView {
    let live: Option<Arc<Live>> = launches.at_work(&launch.id);
    let steps = match &live {
        Some(live) => live.steps.look(),
        None => launch.steps.clone(),
    };
    let (content, stream) = match &launch.state {
        LaunchState::Running { content, stream } => (json!(content), json!(stream)),
        LaunchState::Accepted => (json!("resolving"), json!("waiting")),
        LaunchState::Committed { .. } => (json!("ready"), json!("sealed")),
        LaunchState::Failed { .. } | LaunchState::Cancelled => (
            json!(if launch.made.is_some() {
                "ready"
            } else {
                "failed"
            }),
            json!("failed"),
        ),
    };
    let told = live
        .as_ref()
        .filter(|_| !launch.is_final())
        .map(|live| progress_json(&live.readers.progress().borrow()));
    let bytes = match (&told, &launch.state) {
        (Some(told), _) => told["bytes"].as_u64().unwrap_or(0),
        (None, LaunchState::Committed { .. }) => launch.size,
        _ => 0,
    };
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let (reason, detail, retryable) = match &launch.state {
        LaunchState::Failed {
            reason,
            detail,
            retryable,
        } => (
            Some(reason.word().to_owned()),
            Some(detail.clone()),
            Some(*retryable),
        ),
        _ => (None, None, None),
    };
    LaunchView {
        id: launch.id.clone(),
        state: launch.state.word().to_owned(),
        reason,
        detail,
        retryable,
        content: ContentView {
            state: text(&content),
            steps,
        },
        stream: StreamView {
            state: told
                .as_ref()
                .map_or_else(|| text(&stream), |told| text(&told["state"])),
            bytes,
            total: launch.size,
            point: told
                .as_ref()
                .and_then(|told| told["point"].as_str().map(str::to_owned)),
        },
        profile: format!("{}@{}", launch.request.profile, launch.profile_version),
        volume: launch.base.name.clone(),
        base: launch.base.volume,
        size: launch.size,
        instance: launch.request.instance.clone(),
        sequence: launch.sequence,
        sink: launch.request.sink.clone(),
        labels: launch.request.labels.clone(),
        lock: lock_digest(launch),
        manifest: launch.made.as_ref().map(|made| made.manifest),
        sha256: match &launch.state {
            LaunchState::Committed { sha256 } => *sha256,
            _ => None,
        },
        warnings: launch.warnings(),
        report: launch.report.clone(),
        created: launch.created,
        deadline: launch.deadline,
    }
}

/// One digest for the locks of all points.
pub(super) fn lock_digest(launch: &Launch) -> Digest {
    Digest::of(&cbor::encode(&launch.locks))
}
