//! What can go wrong, by what the caller does next.

use std::time::Duration;

use bootsplice_content::Digest;
use serde::{Deserialize, Serialize};

use crate::contract::{Diagnostic, Quota};
use crate::trust::Rejection;

/// Why the engine itself could not serve. None of these is the fault of a generator's run.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// The upload is not a plugin. Tell the uploader; trying again does not help.
    #[error("the component was refused: {0}")]
    Refused(String),
    /// No plugin with this digest was installed here. Install it.
    #[error("no plugin {0} is installed")]
    NotInstalled(Digest),
    /// The compiled form is missing, damaged, or was not written by this host. Install the plugin anew from its component.
    #[error(
        "the compiled form of plugin {plugin} cannot be used: {reason}; install the plugin again"
    )]
    Artefact { plugin: Digest, reason: String },
    /// The compiler could not be run or ended without an answer. The operator must look.
    #[error("the compiler failed: {0}")]
    Compiler(String),
    /// The configuration of the engine is wrong. The operator must mend it.
    #[error("the engine cannot start: {0}")]
    Setup(String),
    /// The state directory failed: full, read-only, damaged.
    #[error("{doing}: {source}")]
    Io {
        doing: String,
        #[source]
        source: std::io::Error,
    },
    /// A generator failed while the engine asked it about itself (`describe`).
    #[error("the plugin could not describe itself: {0}")]
    Describe(#[source] Box<GeneratorError>),
}

/// Why one run of a generator ended without a result. The engine and all other runs are untouched.
#[derive(Clone, Debug, PartialEq, thiserror::Error, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum GeneratorError {
    /// The configuration is at fault. Show it to the profile's author.
    #[error("the configuration is not valid: {}", summary(.0))]
    InvalidConfig(Vec<Diagnostic>),
    /// The wishes contradict each other. Show it to the profile's author.
    #[error("the wishes cannot be met together: {0}")]
    Unsatisfiable(String),
    #[error("not found: {0}")]
    NotFound(String),
    /// A grant, a secret, a path or a phase. The operator or the author may change it.
    #[error("denied: {0}")]
    Denied(String),
    /// Bytes are not what was promised. Make a new lock, or ask the source's owner.
    #[error("{url} gave {actual}, but {expected} was promised")]
    Integrity {
        expected: Digest,
        actual: Digest,
        url: String,
    },
    /// Bytes are not signed as they must be. Ask the source's owner, or change which keys are trusted.
    #[error("not trusted: {0}")]
    Untrusted(#[from] Rejection),
    /// A limit of the run was reached. Ask for less, or have the limit raised.
    #[error("the limit on {quota} was reached: {detail}")]
    Quota { quota: Quota, detail: String },
    /// The network or a repository failed. Try again after the time named, if one is.
    #[error("upstream failed: {message}")]
    Upstream {
        message: String,
        retry_after: Option<Duration>,
    },
    #[error("not supported: {0}")]
    Unsupported(String),
    #[error("cancelled")]
    Cancelled,
    /// The generator says that it is at fault itself.
    #[error("the generator is at fault: {0}")]
    Fault(String),
    /// The generator broke down: unreachable code, a bad access, a contract broken.
    #[error("the generator trapped: {message}")]
    #[serde(skip)]
    Trap { message: String },
    /// The generator used up its processor time or its wall-clock time.
    #[error("the generator ran past its {what} of {} s", .limit.as_secs_f64())]
    #[serde(skip)]
    Timeout {
        #[serde(skip)]
        what: &'static str,
        limit: Duration,
    },
    /// The generator asked for more memory than it may have.
    #[error("the generator needs more than {limit} bytes of memory")]
    #[serde(skip)]
    MemoryLimit { limit: u64 },
    /// The host failed while serving the generator: disk full, for instance. The operator must look; a retry may help.
    #[error("the host failed: {0}")]
    #[serde(skip)]
    Host(String),
    /// A replay asked something else than what was recorded: the generator, its configuration or the recording was changed. Record anew.
    #[error(
        "call {number} of the recording is {}, but the generator asked {got}",
        .expected.as_deref().unwrap_or("not there: it ends before")
    )]
    #[serde(skip)]
    Replay {
        number: u64,
        /// As JSON; none when the recording ends there.
        expected: Option<String>,
        got: String,
    },
}

// === impl EngineError ===

impl EngineError {
    pub(crate) fn io(doing: impl Into<String>) -> impl FnOnce(std::io::Error) -> Self {
        let doing = doing.into();
        move |source| Self::Io { doing, source }
    }
}

// === impl GeneratorError ===

impl GeneratorError {
    /// Stable, kebab-case: what records, metrics and problem documents carry.
    pub fn code(&self) -> &'static str {
        match self {
            Self::InvalidConfig(_) => "invalid-config",
            Self::Unsatisfiable(_) => "unsatisfiable",
            Self::NotFound(_) => "not-found",
            Self::Denied(_) => "denied",
            Self::Integrity { .. } => "integrity",
            Self::Untrusted(rejection) => rejection.reason.code(),
            Self::Quota { .. } => "quota-exceeded",
            Self::Upstream { .. } => "upstream",
            Self::Unsupported(_) => "unsupported",
            Self::Cancelled => "cancelled",
            Self::Fault(_) => "generator-fault",
            Self::Trap { .. } => "generator-trap",
            Self::Timeout { .. } => "generator-timeout",
            Self::MemoryLimit { .. } => "generator-memory",
            Self::Host(_) => "host",
            Self::Replay { .. } => "replay-mismatch",
        }
    }

    /// Whether the same request may succeed later without anyone changing anything.
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Upstream { retry_after, .. } => retry_after.is_some(),
            Self::Host(_) => true,
            _ => false,
        }
    }

    /// Whether it is no answer to a guest: the run ends with it.
    pub(crate) fn ends_run(&self) -> bool {
        matches!(
            self,
            Self::Trap { .. }
                | Self::Timeout { .. }
                | Self::MemoryLimit { .. }
                | Self::Host(_)
                | Self::Replay { .. }
        )
    }

    pub(crate) fn quota(quota: Quota, detail: impl Into<String>) -> Self {
        Self::Quota {
            quota,
            detail: detail.into(),
        }
    }

    pub(crate) fn upstream(message: impl Into<String>) -> Self {
        Self::Upstream {
            message: message.into(),
            retry_after: None,
        }
    }

    pub(crate) fn host(doing: &str) -> impl FnOnce(std::io::Error) -> Self + '_ {
        move |error| Self::Host(format!("{doing}: {error}"))
    }
}

fn summary(diagnostics: &[Diagnostic]) -> String {
    let lines: Vec<String> = diagnostics
        .iter()
        .map(|found| format!("{}: {}", found.pointer, found.message))
        .collect();
    lines.join("; ")
}
