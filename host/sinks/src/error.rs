//! Why a volume did not arrive, by what the caller does next.

use std::io;

use bootsplice_blocks::BlocksError;

/// What ends a stream. After any of these the sink holds nothing that boots.
#[derive(Debug, thiserror::Error)]
pub enum SinkError {
    /// The target has no room. Free some, or take a larger one; a retry alone does not help.
    #[error("no space left on `{target}`")]
    NoSpace { target: String },
    /// The target is not one that this volume may go to. Correct the request or the operator's configuration.
    #[error("target `{target}` is refused: {found}; expected {expected}")]
    Refused {
        target: String,
        found: String,
        expected: String,
    },
    /// Somebody else uses the target: it is mounted, or open for another stream. Wait, or choose another.
    #[error("target `{target}` is in use")]
    Busy { target: String },
    /// A caller broke the order of calls. A defect of ours; nothing was called done.
    #[error("{call} of `{target}`: {reason}")]
    Misuse {
        target: String,
        call: &'static str,
        reason: String,
    },
    /// The target failed. Look at the machine that holds it.
    #[error("{action} `{target}`: {source}")]
    Io {
        target: String,
        action: &'static str,
        source: io::Error,
    },
    /// The base volume or a layer could not be read. What to do is in the cause.
    #[error(transparent)]
    Source(#[from] BlocksError),
    /// The archive of a point was never made. The launch's own record says why.
    #[error("point `{point}` has no archive: {reason}")]
    Archive { point: String, reason: String },
    /// Somebody asked to stop.
    #[error("cancelled")]
    Cancelled,
}

/// The result of everything here.
pub type Result<T, E = SinkError> = std::result::Result<T, E>;

// === impl SinkError ===

impl SinkError {
    pub(crate) fn io(target: &str, action: &'static str, source: io::Error) -> Self {
        let target = target.to_owned();
        match source
            .raw_os_error()
            .map(rustix::io::Errno::from_raw_os_error)
        {
            Some(rustix::io::Errno::NOSPC | rustix::io::Errno::DQUOT) => Self::NoSpace { target },
            Some(rustix::io::Errno::BUSY) => Self::Busy { target },
            _ => Self::Io {
                target,
                action,
                source,
            },
        }
    }

    pub(crate) fn refused(
        target: &str,
        found: impl Into<String>,
        expected: impl Into<String>,
    ) -> Self {
        Self::Refused {
            target: target.to_owned(),
            found: found.into(),
            expected: expected.into(),
        }
    }

    /// True when the same launch may succeed later without anybody mending anything.
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Source(error) => error.is_retryable(),
            Self::Busy { .. } => true,
            _ => false,
        }
    }
}
