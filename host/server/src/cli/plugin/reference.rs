//! How commands name a release.

use std::fmt;
use std::str::FromStr;

use crate::cli::wire::segment;
use crate::profile::{PluginRef, Versioned};

/// `NAME[@VERSION]` or `NAMESPACE/NAME[@VERSION]`; a colon before the version, as registries write it, will do.
#[derive(Clone, Debug)]
pub struct Release(PluginRef);

// === impl Release ===

impl Release {
    /// Its path in the API.
    pub fn path(&self) -> String {
        let Self(PluginRef { name, version }) = self;
        let namespace = name.namespace.as_ref().map_or("-", |one| one.as_str());
        let version = match version {
            Versioned::Latest => "-".to_owned(),
            Versioned::Digest(digest) => digest.to_string(),
            Versioned::Named(named) => named.clone(),
            Versioned::Prefix(numbers) => {
                let numbers: Vec<_> = numbers.iter().map(u64::to_string).collect();
                numbers.join(".")
            }
        };
        format!("/v1/plugins/{namespace}/{}/{}", name.id, segment(&version))
    }
}

impl FromStr for Release {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let text = match text.split_once(':') {
            Some((name, version)) if !text.contains('@') => format!("{name}@{version}"),
            _ => text.to_owned(),
        };
        text.parse().map(Self).map_err(|error| format!("{error}"))
    }
}

impl fmt::Display for Release {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_release_is_named_as_profiles_or_as_registries_name_it() {
        for (text, path) in [
            ("config", "/v1/plugins/-/config/-"),
            ("config@0.1", "/v1/plugins/-/config/0.1"),
            ("acme/hello@1.2.0", "/v1/plugins/acme/hello/1.2.0"),
            ("acme/hello:1.2.0", "/v1/plugins/acme/hello/1.2.0"),
            ("acme/hello:stable", "/v1/plugins/acme/hello/stable"),
        ] {
            assert_eq!(text.parse::<Release>().unwrap().path(), path);
        }
        assert!("acme/".parse::<Release>().is_err());
    }
}
