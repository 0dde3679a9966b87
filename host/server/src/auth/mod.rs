//! Who calls, and what they may do.
//!
//! A [`Tenant`] owns things; a [`token`](Token) belongs to one tenant and allows some [`Verb`]s there until it expires. Handlers get a [`Caller`] and look
//! for things only under the caller's tenant, so another tenant's object does not exist for them.

mod caller;
mod namespace;
mod token;
mod verb;

pub use caller::{Caller, authorise};
pub use namespace::Namespace;
pub use token::{NewToken, Secret, Token, Tokens};
pub use verb::Verb;

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// The name of whoever owns profiles, launches, secrets and tokens: `[a-z0-9-]{1,40}`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize, ToSchema)]
#[serde(try_from = "String", into = "String")]
#[schema(value_type = String, pattern = "^[a-z0-9-]{1,40}$")]
pub struct Tenant(String);

/// A text is no name of a tenant.
#[derive(Clone, Debug, thiserror::Error)]
#[error("`{0}` is not the name of a tenant: expected 1 to 40 of a-z, 0-9 and `-`")]
pub struct TenantError(String);

// === impl Tenant ===

impl Tenant {
    /// Owner of the first token of a host.
    pub const DEFAULT: &str = "default";

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Tenant {
    type Err = TenantError;

    fn from_str(text: &str) -> Result<Self, TenantError> {
        Self::try_from(text.to_owned())
    }
}

impl TryFrom<String> for Tenant {
    type Error = TenantError;

    fn try_from(text: String) -> Result<Self, TenantError> {
        let good = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        if (1..=40).contains(&text.len()) && text.bytes().all(good) {
            Ok(Self(text))
        } else {
            Err(TenantError(text.chars().take(80).collect()))
        }
    }
}

impl From<Tenant> for String {
    fn from(tenant: Tenant) -> Self {
        tenant.0
    }
}

impl fmt::Display for Tenant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
