//! Values that must not be seen: they leave memory with their owner and print as nothing.

use std::fmt;
use std::sync::Arc;

use zeroize::Zeroizing;

/// The value of a secret. Never logged, never serialised; wiped when dropped.
#[derive(Clone)]
pub struct Secret(Zeroizing<String>);

/// Where values of secrets come from, by name: the caller's store, already narrowed to one tenant.
pub type Secrets = Arc<dyn Fn(&str) -> Option<Secret> + Send + Sync>;

// === impl Secret ===

impl Secret {
    pub fn new(value: impl Into<String>) -> Self {
        Self(Zeroizing::new(value.into()))
    }

    /// The value itself. For headers and the instance layer, nothing else.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// A source that has no secrets.
pub fn no_secrets() -> Secrets {
    Arc::new(|_| None)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_prints_as_nothing() {
        assert_eq!(format!("{:?}", Secret::new("hunter2")), "Secret(…)");
    }
}
