//! Within which circle bytes may be shared.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Who may be served a blob, a lock or a layer (RFC 0004, rule 19).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Scope {
    /// Fetched over the public network without credentials: anyone's.
    Public,
    /// Of one tenant, reached by one means.
    Private {
        tenant: String,
        /// The secret's name (`secret:NAME`), the operator's source (`file:///srv/team`, `s3://team`), or `network:HOST` for a host
        /// that only the operator's network reaches.
        credential: String,
    },
}

// === impl Scope ===

impl Scope {
    pub fn private(tenant: impl Into<String>, credential: impl Into<String>) -> Self {
        Self::Private {
            tenant: tenant.into(),
            credential: credential.into(),
        }
    }

    /// The narrower of two scopes: what may be shared of a thing made from both. Two different private scopes of one tenant give
    /// one that only this combination reaches.
    #[must_use]
    pub fn and(self, other: &Self) -> Self {
        match (self, other) {
            (Self::Public, other) => other.clone(),
            (this, Self::Public) => this,
            (this, other) if this == *other => this,
            (
                Self::Private { tenant, credential },
                Self::Private {
                    credential: second, ..
                },
            ) => {
                let mut parts: Vec<&str> =
                    credential.split(" + ").chain(second.split(" + ")).collect();
                parts.sort_unstable();
                parts.dedup();
                Self::Private {
                    tenant,
                    credential: parts.join(" + "),
                }
            }
        }
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Public => f.write_str("public"),
            Self::Private { tenant, credential } => write!(f, "{tenant}/{credential}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thing_made_of_two_is_as_private_as_both() {
        let a = Scope::private("t", "secret:a");
        let b = Scope::private("t", "secret:b");
        assert_eq!(Scope::Public.and(&a), a);
        assert_eq!(a.clone().and(&Scope::Public), a);
        assert_eq!(a.clone().and(&b), b.and(&a));
    }
}
