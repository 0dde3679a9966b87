//! What the author of a generator does with it, on the own machine and without a host.
//!
//! | room | what is in it |
//! |---|---|
//! | [`project`], [`subject`] | `bootsplice-plugin.toml`; a project or a component |
//! | [`case`], [`workshop`] | the inputs of a run; the run |
//! | [`record`], [`meter`] | a run recorded; what its calls use |
//! | [`bench`], [`baseline`] | cases measured; what became worse |
//! | [`listener`] | what a generator says meanwhile |
//! | [`new`] | a project from a template, with the SDK |
//! | [`build`] | the component, made by the language's tools |
//! | [`cases`], [`test`], [`expected`] | a project's cases; what they should make |
//! | [`watch`] | whether sources changed |
//! | [`check`] | what a host would say about the component when it is pushed |

pub mod baseline;
pub mod bench;
pub mod build;
pub mod case;
pub mod cases;
pub mod check;
pub mod expected;
pub mod listener;
pub mod meter;
pub mod new;
pub mod project;
pub mod record;
pub mod subject;
pub mod test;
pub mod watch;
pub mod workshop;

use std::path::Path;

use bootsplice_engine::EngineError;

use self::meter::MeterError;
use self::project::ProjectError;
use crate::problem::Problem;
use crate::recording::RecordingError;

/// Why an author's command did not do what it should.
#[derive(Debug, thiserror::Error)]
pub enum AuthorError {
    /// Something that was named is not there. The message says how to get it.
    #[error("{0}")]
    NotFound(String),
    /// Something is there already, and stays.
    #[error("{0}")]
    Exists(String),
    /// What was given cannot be used. The message says what was expected.
    #[error("{0}")]
    Invalid(String),
    /// A program that the language needs is missing or failed.
    #[error("{0}")]
    Tool(String),
    /// The generator or the profile is at fault: told as a launch's problem tells it.
    #[error("{}", .0.detail)]
    Problem(Box<Problem>),
    /// Files on this machine failed.
    #[error("{doing}: {source}")]
    Io {
        doing: String,
        #[source]
        source: std::io::Error,
    },
    /// The sandbox on this machine could not be used.
    #[error("{0}")]
    Machine(String),
}

// === impl AuthorError ===

impl AuthorError {
    pub(crate) fn io(doing: &str, path: &Path) -> impl FnOnce(std::io::Error) -> Self {
        let doing = format!("cannot {doing} `{}`", path.display());
        move |source| Self::Io { doing, source }
    }
}

impl From<ProjectError> for AuthorError {
    fn from(error: ProjectError) -> Self {
        let message = error.to_string();
        match error {
            ProjectError::NotThere(_) | ProjectError::NotBuilt(_) => Self::NotFound(message),
            ProjectError::Document { .. } | ProjectError::Component { .. } => {
                Self::Invalid(message)
            }
        }
    }
}

impl From<RecordingError> for AuthorError {
    fn from(error: RecordingError) -> Self {
        let message = error.to_string();
        match error {
            RecordingError::Exists(_) => Self::Exists(message),
            RecordingError::NotThere(_) => Self::NotFound(message),
            RecordingError::Damaged { .. } | RecordingError::Tape(_) => Self::Invalid(message),
            RecordingError::Io { path, source } => {
                let doing = format!("`{}`", path.display());
                Self::Io { doing, source }
            }
        }
    }
}

impl From<MeterError> for AuthorError {
    fn from(error: MeterError) -> Self {
        match error {
            MeterError::Recording(error) => error.into(),
            failed @ MeterError::Failed { .. } => Self::Invalid(failed.to_string()),
        }
    }
}

impl From<Problem> for AuthorError {
    fn from(problem: Problem) -> Self {
        Self::Problem(Box::new(problem))
    }
}

impl From<EngineError> for AuthorError {
    fn from(error: EngineError) -> Self {
        Self::Machine(error.to_string())
    }
}

impl From<anyhow::Error> for AuthorError {
    fn from(error: anyhow::Error) -> Self {
        Self::Machine(format!("{error:#}"))
    }
}
