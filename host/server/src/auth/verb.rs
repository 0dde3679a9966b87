//! What a token may allow.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// One permission, `<resource>:<action>`. Every route but the open ones needs one.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(try_from = "String", into = "&'static str")]
pub enum Verb {
    /// Everything, and the tokens of every tenant.
    Admin,
    ProfilesRead,
    ProfilesWrite,
    VolumesRead,
    PluginsRead,
    PluginsWrite,
    LaunchesRead,
    LaunchesWrite,
    SecretsRead,
    SecretsWrite,
    MetricsRead,
}

/// A text is no verb.
#[derive(Clone, Debug, thiserror::Error)]
#[error("`{text}` is not a verb: expected one of {}", Verb::ALL.map(Verb::as_str).join(", "))]
pub struct VerbError {
    text: String,
}

// === impl Verb ===

impl Verb {
    pub const ALL: [Self; 11] = [
        Self::Admin,
        Self::ProfilesRead,
        Self::ProfilesWrite,
        Self::VolumesRead,
        Self::PluginsRead,
        Self::PluginsWrite,
        Self::LaunchesRead,
        Self::LaunchesWrite,
        Self::SecretsRead,
        Self::SecretsWrite,
        Self::MetricsRead,
    ];

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Admin => "admin",
            Self::ProfilesRead => "profiles:read",
            Self::ProfilesWrite => "profiles:write",
            Self::VolumesRead => "volumes:read",
            Self::PluginsRead => "plugins:read",
            Self::PluginsWrite => "plugins:write",
            Self::LaunchesRead => "launches:read",
            Self::LaunchesWrite => "launches:write",
            Self::SecretsRead => "secrets:read",
            Self::SecretsWrite => "secrets:write",
            Self::MetricsRead => "metrics:read",
        }
    }
}

impl FromStr for Verb {
    type Err = VerbError;

    fn from_str(text: &str) -> Result<Self, VerbError> {
        let found = Self::ALL.into_iter().find(|verb| verb.as_str() == text);
        found.ok_or_else(|| VerbError {
            text: text.chars().take(80).collect(),
        })
    }
}

impl TryFrom<String> for Verb {
    type Error = VerbError;

    fn try_from(text: String) -> Result<Self, VerbError> {
        text.parse()
    }
}

impl From<Verb> for &'static str {
    fn from(verb: Verb) -> Self {
        verb.as_str()
    }
}

impl fmt::Display for Verb {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
