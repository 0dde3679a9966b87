//! References to generators: what stands behind a step's `use:`.
//!
//! `config`, `config@0.1`, `acme/hello@1.2.0`, `acme/hello@stable`, `acme/hello@sha256:…`. Without a namespace a built-in generator is meant and nothing
//! else, with one a pushed plugin of that namespace and nothing else: no push can put itself in the place of either (dependency confusion).

use std::fmt;
use std::str::FromStr;

use bootsplice_content::Digest;
use semver::Version;
use serde::{Deserialize, Serialize};

use super::document::{NameError, refused, valid_name};
use crate::auth::Namespace;

/// A generator, and which release of it.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct PluginRef {
    pub name: PluginName,
    pub version: Versioned,
}

/// A generator whatever its release: `config`, or `acme/hello`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct PluginName {
    /// None: it came with the host.
    pub namespace: Option<Namespace>,
    /// `[a-z0-9-]{1,40}`: the id in its descriptor.
    pub id: String,
}

/// Which release of a generator.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Versioned {
    /// The newest; a pre-release only where nothing else is.
    Latest,
    /// The newest whose version starts with these numbers.
    Prefix(Vec<u64>),
    /// A version in full, `1.2.0-rc.1`, or a tag of the registry, `stable`.
    Named(String),
    Digest(Digest),
}

const PLUGIN_REF: &str = "a generator: expected `name`, `name@1.2`, `namespace/name@1.2.0` or `name@sha256:…`, each name of 1 to 40 of a-z, 0-9 and `-`";

// === impl PluginName ===

impl PluginName {
    pub fn built_in(id: &str) -> Self {
        Self {
            namespace: None,
            id: id.to_owned(),
        }
    }
}

impl FromStr for PluginName {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        let wrong = || refused(text, PLUGIN_REF);
        let (namespace, id) = match text.split_once('/') {
            None => (None, text),
            Some((namespace, id)) => (Some(namespace.parse().map_err(|_| wrong())?), id),
        };
        if !valid_name(id, 40) {
            return Err(wrong());
        }
        Ok(Self {
            namespace,
            id: id.to_owned(),
        })
    }
}

impl TryFrom<String> for PluginName {
    type Error = NameError;

    fn try_from(text: String) -> Result<Self, NameError> {
        text.parse()
    }
}

impl From<PluginName> for String {
    fn from(name: PluginName) -> Self {
        name.to_string()
    }
}

impl fmt::Display for PluginName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(namespace) = &self.namespace {
            write!(f, "{namespace}/")?;
        }
        f.write_str(&self.id)
    }
}

// === impl PluginRef ===

impl FromStr for PluginRef {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        let wrong = || refused(text, PLUGIN_REF);
        let (name, version) = match text.split_once('@') {
            None => (text, None),
            Some((name, version)) => (name, Some(version)),
        };
        let name: PluginName = name.parse().map_err(|_| wrong())?;
        let version = match version {
            None => Versioned::Latest,
            Some(version) => Versioned::read(version, &name).ok_or_else(wrong)?,
        };
        Ok(Self { name, version })
    }
}

impl TryFrom<String> for PluginRef {
    type Error = NameError;

    fn try_from(text: String) -> Result<Self, NameError> {
        text.parse()
    }
}

impl From<PluginRef> for String {
    fn from(reference: PluginRef) -> Self {
        reference.to_string()
    }
}

impl fmt::Display for PluginRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.name.fmt(f)?;
        match &self.version {
            Versioned::Latest => Ok(()),
            Versioned::Digest(digest) => write!(f, "@{digest}"),
            Versioned::Named(name) => write!(f, "@{name}"),
            Versioned::Prefix(parts) => {
                let parts: Vec<_> = parts.iter().map(u64::to_string).collect();
                write!(f, "@{}", parts.join("."))
            }
        }
    }
}

// === impl Versioned ===

impl Versioned {
    fn read(text: &str, name: &PluginName) -> Option<Self> {
        if text.starts_with("sha256:") {
            return text.parse().ok().map(Self::Digest);
        }
        if text.split('.').all(is_number) {
            let parts: Option<Vec<u64>> = text.split('.').map(|part| part.parse().ok()).collect();
            return parts.filter(|parts| parts.len() <= 3).map(Self::Prefix);
        }
        let named = Version::parse(text).is_ok() && text.len() <= 64;
        // Only the registry has tags.
        let named = named || (name.namespace.is_some() && is_tag(text));
        named.then(|| Self::Named(text.to_owned()))
    }

    /// Whether a release with this version, digest and tags is meant.
    pub fn matches<'t>(
        &self,
        version: &str,
        digest: Digest,
        tags: impl IntoIterator<Item = &'t str>,
    ) -> bool {
        match self {
            Self::Latest => true,
            Self::Digest(wanted) => *wanted == digest,
            Self::Named(wanted) => version == wanted || tags.into_iter().any(|tag| tag == wanted),
            Self::Prefix(wanted) => {
                let core = version.split(['-', '+']).next().unwrap_or(version);
                // Named in full, a version is itself and not what comes before it.
                if wanted.len() == 3 && version.contains('-') {
                    return false;
                }
                let numbers = core.split('.').map(|part| part.parse::<u64>().ok());
                wanted
                    .iter()
                    .map(|part| Some(*part))
                    .eq(numbers.take(wanted.len()))
            }
        }
    }
}

fn is_number(part: &str) -> bool {
    !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit())
}

/// A tag of a registry that nobody takes for a version: it begins with a letter.
pub fn is_tag(text: &str) -> bool {
    let good = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'-');
    text.len() <= 128
        && text.starts_with(|first: char| first.is_ascii_alphabetic())
        && text.bytes().all(good)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_are_read_and_written_back() {
        let digest = Digest::of(b"x");
        for text in [
            "apt",
            "apt@1",
            "apt@1.2.3",
            "apt@1.2.3-rc.1",
            &format!("apt@{digest}"),
            "acme/hello",
            "acme/hello@1.2.0",
            "acme/hello@stable",
            &format!("acme/hello@{digest}"),
        ] {
            let reference: PluginRef = text.parse().unwrap();
            assert_eq!(reference.to_string(), text);
        }
        for wrong in [
            "",
            "Apt",
            "apt@",
            "apt@1.",
            "apt@1.2.3.4",
            "apt@v1",
            "apt@stable",
            "apt@sha256:0",
            "a@b@c",
            "/hello",
            "acme/",
            "acme/tools/hello",
            "-acme/hello",
            "Acme/hello",
            "acme/hello@1.2.3.4",
            "acme/hello@.x",
            "acme/hello@a b",
        ] {
            assert!(wrong.parse::<PluginRef>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_version_prefix_matches_whole_numbers() {
        let digest = Digest::of(b"x");
        let matches = |text: &str, version: &str| {
            let reference: PluginRef = text.parse().unwrap();
            reference.version.matches(version, digest, ["stable"])
        };
        assert!(matches("apt", "9.9.9"));
        assert!(matches("apt@1.2", "1.2.7"));
        assert!(matches("apt@1.2.7", "1.2.7+build"));
        assert!(!matches("apt@1.2", "1.20.0"));
        assert!(!matches("apt@1.2.0", "1.2"));
        assert!(!matches("apt@1.2.0", "1.2.0-rc.1"));
        assert!(matches("apt@1.2.0-rc.1", "1.2.0-rc.1"));
        assert!(matches("acme/apt@stable", "1.0.0"));
        assert!(!matches("acme/apt@edge", "1.0.0"));
        assert!(matches(&format!("apt@{digest}"), "0.0.1"));
    }
}
