//! Why the agent stopped, by what the operator does next. Each kind is an exit code of the program.

use std::io;

/// By what the operator does next.
#[derive(Debug, thiserror::Error)]
pub enum AgentError {
    /// An archive, or the lack of one, was refused; nothing was changed. Launch again, or look at how the volume was made.
    #[error("point `{point}` is refused: {reason}")]
    Refused { point: String, reason: String },
    /// A step failed and its policy says to stop. Look at its output, mend the profile or the image.
    #[error("step `{step}` failed: {reason}")]
    Step { step: String, reason: String },
    /// The agent's own settings or arguments are wrong. Correct them.
    #[error("{0}")]
    Usage(String),
    /// The system refused an operation. Look at the disk.
    #[error("{what}: {source}")]
    System {
        what: String,
        #[source]
        source: io::Error,
    },
}

// === impl AgentError ===

impl AgentError {
    pub fn refused(point: &str, reason: impl ToString) -> Self {
        Self::Refused {
            point: point.to_owned(),
            reason: reason.to_string(),
        }
    }

    pub fn system(what: impl Into<String>, source: impl Into<io::Error>) -> Self {
        Self::System {
            what: what.into(),
            source: source.into(),
        }
    }

    /// Exit code of the program, as `--help` documents it.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::System { .. } => 1,
            Self::Usage(_) => 2,
            Self::Refused { .. } => 3,
            Self::Step { .. } => 4,
        }
    }
}
