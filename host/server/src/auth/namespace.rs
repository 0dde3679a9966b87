//! The names under which plugins are pushed.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// The first half of `acme/hello`: 1 to 40 of `a-z`, `0-9` and `-`, a letter or digit at both ends. A repository of the registry begins with it, so it is
/// a path component of the OCI distribution specification too. Built-in generators have none, so nothing that is pushed can bear their names.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize, ToSchema)]
#[serde(try_from = "String", into = "String")]
#[schema(value_type = String, pattern = "^[a-z0-9]([a-z0-9-]{0,38}[a-z0-9])?$")]
pub struct Namespace(String);

/// A text is no namespace.
#[derive(Clone, Debug, thiserror::Error)]
#[error(
    "`{0}` is not a namespace: expected 1 to 40 of a-z, 0-9 and `-`, a letter or digit at both ends"
)]
pub struct NamespaceError(String);

// === impl Namespace ===

impl Namespace {
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Namespace {
    type Err = NamespaceError;

    fn from_str(text: &str) -> Result<Self, NamespaceError> {
        let good = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        let ends = !text.starts_with('-') && !text.ends_with('-');
        if (1..=40).contains(&text.len()) && ends && text.bytes().all(good) {
            Ok(Self(text.to_owned()))
        } else {
            Err(NamespaceError(text.chars().take(80).collect()))
        }
    }
}

impl TryFrom<String> for Namespace {
    type Error = NamespaceError;

    fn try_from(text: String) -> Result<Self, NamespaceError> {
        text.parse()
    }
}

impl From<Namespace> for String {
    fn from(namespace: Namespace) -> Self {
        namespace.0
    }
}

impl fmt::Display for Namespace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
