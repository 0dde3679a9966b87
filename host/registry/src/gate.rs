//! Who may do what: the registry asks, its host answers.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::name::Repository;

/// Knows callers. The registry itself knows no tokens.
#[async_trait]
pub trait Gate: Send + Sync + fmt::Debug {
    /// Who sends this `Authorization` header. An API token is the password of `Basic` (whatever the user name) or a `Bearer` (rule 25).
    async fn authenticate(&self, authorization: Option<&str>)
    -> Result<Arc<dyn Caller>, GateError>;
}

/// Someone known to the [`Gate`].
#[async_trait]
pub trait Caller: Send + Sync + fmt::Debug {
    /// Who owns what is pushed; also whose share of upload sessions is used.
    fn tenant(&self) -> &str;

    /// The id of the token, for logs and records. No secret.
    fn token(&self) -> &str;

    /// Whether the caller may do this there.
    async fn allow(&self, repository: &Repository, action: Action) -> Result<Decision, GateError>;
}

/// What is done to a repository. Reading lists counts as pulling.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Action {
    Pull,
    Push,
    Delete,
}

/// The answer for one caller, repository and action.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Decision {
    Allow,
    /// 403, with the reason in words.
    Deny(String),
    /// 404: the caller must not learn that it exists.
    Hide,
}

/// Why there is no caller or no decision.
#[derive(Clone, Debug, thiserror::Error)]
pub enum GateError {
    /// No credentials, or none that are known: 401. The text says what to send.
    #[error("{0}")]
    Unauthenticated(String),
    /// The host cannot tell now: 503.
    #[error("{0}")]
    Unavailable(String),
}

// === impl Action ===

impl Action {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pull => "pull",
            Self::Push => "push",
            Self::Delete => "delete",
        }
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The token in an `Authorization` header: the password of `Basic` (RFC 7617), or a `Bearer` (RFC 6750).
pub fn token_of(header: &str) -> Option<String> {
    let (scheme, credentials) = header.split_once(' ')?;
    let credentials = credentials.trim();
    if scheme.eq_ignore_ascii_case("bearer") {
        return Some(credentials.to_owned());
    }
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let pair = String::from_utf8(STANDARD.decode(credentials).ok()?).ok()?;
    pair.split_once(':')
        .map(|(_, password)| password.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_the_password_or_the_bearer_and_nothing_else() {
        let basic = |pair: &str| format!("Basic {}", STANDARD.encode(pair));
        let cases = [
            (basic("anyone:bst_x"), Some("bst_x")),
            (basic(":bst_x:y"), Some("bst_x:y")),
            (basic("bst_x"), None),
            ("bearer  bst_x".to_owned(), Some("bst_x")),
            ("Basic ???".to_owned(), None),
            ("Digest bst_x".to_owned(), None),
            ("bst_x".to_owned(), None),
            (String::new(), None),
        ];
        for (header, expected) in cases {
            assert_eq!(token_of(&header).as_deref(), expected, "{header}");
        }
    }
}
