//! How a command ends when it does not succeed.

use std::process::ExitCode;

use crate::author::AuthorError;
use crate::client::ClientError;
use crate::keys::KeyError;
use crate::problem::ProblemBody;
use crate::recording::RecordingError;

/// What a script can decide by: the process's exit code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Code {
    Failure = 1,
    /// As clap's own.
    Usage = 2,
    NotFound = 3,
    NotAllowed = 4,
    Conflict = 5,
    Unavailable = 6,
    Invalid = 7,
    /// Something else is made now than was kept: a lock, a replay, what a bench counts.
    Differs = 8,
    /// `lock --fail-on`: a package is known to be vulnerable.
    Vulnerable = 9,
}

/// A command's end without success.
#[derive(Debug)]
pub struct Failure {
    pub code: Code,
    pub message: String,
    /// The host's own words, for `--output json`.
    pub problem: Option<Box<ProblemBody>>,
}

// === impl Code ===

impl From<Code> for ExitCode {
    fn from(code: Code) -> Self {
        Self::from(code as u8)
    }
}

// === impl Failure ===

impl Failure {
    pub fn new(code: Code, message: impl Into<String>) -> Self {
        Self {
            code,
            message: message.into(),
            problem: None,
        }
    }

    pub fn usage(message: impl Into<String>) -> Self {
        Self::new(Code::Usage, message)
    }
}

impl From<ProblemBody> for Failure {
    fn from(body: ProblemBody) -> Self {
        Self::from(ClientError::Problem(Box::new(body)))
    }
}

impl From<ClientError> for Failure {
    fn from(error: ClientError) -> Self {
        let message = error.to_string();
        let (code, problem) = match error {
            ClientError::Problem(body) => {
                let code = match body.status {
                    401 | 403 => Code::NotAllowed,
                    404 => Code::NotFound,
                    409 | 412 => Code::Conflict,
                    400 | 413 | 415 | 422 => Code::Invalid,
                    429 | 502 | 503 | 504 => Code::Unavailable,
                    _ => Code::Failure,
                };
                (code, Some(body))
            }
            ClientError::Unreachable { .. } => (Code::Unavailable, None),
            ClientError::Foreign { .. } => (Code::Failure, None),
            ClientError::Setup(_) => (Code::Usage, None),
        };
        Self {
            code,
            message,
            problem,
        }
    }
}

impl From<AuthorError> for Failure {
    fn from(error: AuthorError) -> Self {
        let code = match &error {
            AuthorError::NotFound(_) => Code::NotFound,
            AuthorError::Exists(_) => Code::Conflict,
            AuthorError::Invalid(_) => Code::Invalid,
            AuthorError::Tool(_) | AuthorError::Io { .. } | AuthorError::Machine(_) => {
                Code::Failure
            }
            AuthorError::Problem(problem) => return Self::from(problem.body("")),
        };
        Self::new(code, error.to_string())
    }
}

impl From<RecordingError> for Failure {
    fn from(error: RecordingError) -> Self {
        let code = match &error {
            RecordingError::Exists(_) => Code::Conflict,
            RecordingError::NotThere(_) => Code::NotFound,
            RecordingError::Damaged { .. } | RecordingError::Tape(_) => Code::Invalid,
            RecordingError::Io { .. } => Code::Failure,
        };
        Self::new(code, error.to_string())
    }
}

impl From<KeyError> for Failure {
    fn from(error: KeyError) -> Self {
        let code = match &error {
            KeyError::Unknown(_) => Code::NotFound,
            KeyError::LastActive(_) | KeyError::StillTrusted { .. } => Code::Conflict,
            KeyError::Damaged { .. } | KeyError::Io { .. } => Code::Failure,
        };
        Self::new(code, error.to_string())
    }
}

impl From<anyhow::Error> for Failure {
    fn from(error: anyhow::Error) -> Self {
        Self::new(Code::Failure, format!("{error:#}"))
    }
}
