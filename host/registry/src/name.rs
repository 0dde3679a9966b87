//! Names of repositories, tags and manifests, as the distribution specification writes them.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::digest::ContentDigest;

/// Longest name of a repository, in bytes: with a host name before it, clients stop at 255.
pub const MAX_REPOSITORY: usize = 200;
/// Longest tag, in bytes (the specification's limit).
pub const MAX_TAG: usize = 128;

/// The name of a repository: path components of `[a-z0-9]`, joined inside by `.`, `_`, `__` or dashes; `acme/hello`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Repository(String);

/// A tag: `[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Tag(String);

/// What names a manifest in its repository.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum Reference {
    Tag(Tag),
    Digest(ContentDigest),
}

/// A text is no such name. Mend the text.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is no {}", kind.expected())]
pub struct NameError {
    text: String,
    kind: NameKind,
}

/// What a text was to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NameKind {
    Repository,
    Tag,
    Digest,
    Algorithm,
}

// === impl NameError ===

impl NameError {
    pub(crate) fn new(text: &str, kind: NameKind) -> Self {
        let text = text.chars().take(80).collect();
        Self { text, kind }
    }

    pub(crate) fn kind(&self) -> NameKind {
        self.kind
    }
}

impl NameKind {
    fn expected(self) -> &'static str {
        match self {
            Self::Repository => {
                "name of a repository: expected components of a-z and 0-9, joined inside by `.`, `_`, `__` or `-`, 200 bytes at most"
            }
            Self::Tag => {
                "tag: expected 1 to 128 of a-z, A-Z, 0-9, `_`, `.` and `-`, neither `.` nor `-` first"
            }
            Self::Digest => {
                "digest: expected `sha256:` and 64 or `sha512:` and 128 lower-case hex digits"
            }
            Self::Algorithm => "digest algorithm: expected `sha256` or `sha512`",
        }
    }
}

// === impl Repository ===

impl Repository {
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The first path component: whose it is.
    pub fn namespace(&self) -> &str {
        self.0
            .split_once('/')
            .map_or(&*self.0, |(namespace, _)| namespace)
    }

    /// What follows the namespace. None: the repository has one component only.
    pub fn name(&self) -> Option<&str> {
        self.0.split_once('/').map(|(_, name)| name)
    }
}

impl FromStr for Repository {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        if text.len() <= MAX_REPOSITORY && text.split('/').all(is_component) {
            Ok(Self(text.to_owned()))
        } else {
            Err(NameError::new(text, NameKind::Repository))
        }
    }
}

/// `[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*`
fn is_component(text: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let bytes = text.as_bytes();
    let mut at = 0;
    loop {
        let run = bytes[at..].iter().take_while(|byte| plain(**byte)).count();
        if run == 0 {
            return false;
        }
        at += run;
        if at == bytes.len() {
            return true;
        }
        let joint = bytes[at..].iter().take_while(|byte| !plain(**byte)).count();
        let joined = match &bytes[at..at + joint] {
            b"." | b"_" | b"__" => true,
            dashes => dashes.iter().all(|byte| *byte == b'-'),
        };
        if !joined {
            return false;
        }
        at += joint;
    }
}

// === impl Tag ===

impl Tag {
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether it is a semantic version (semver.org 2.0.0), which names the same manifest for ever. Others, `latest`, move.
    pub fn is_version(&self) -> bool {
        semver::Version::parse(&self.0).is_ok()
    }
}

impl FromStr for Tag {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        let good = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'-');
        let start = !text.starts_with(['.', '-']);
        if (1..=MAX_TAG).contains(&text.len()) && start && text.bytes().all(good) {
            Ok(Self(text.to_owned()))
        } else {
            Err(NameError::new(text, NameKind::Tag))
        }
    }
}

// === impl Reference ===

impl FromStr for Reference {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        // No tag has a colon and every digest has one.
        if text.contains(':') {
            text.parse().map(Self::Digest)
        } else {
            text.parse().map(Self::Tag)
        }
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tag(tag) => tag.fmt(f),
            Self::Digest(digest) => digest.fmt(f),
        }
    }
}

// === texts of both ===

macro_rules! text {
    ($($name:ident),*) => {$(
        impl TryFrom<String> for $name {
            type Error = NameError;

            fn try_from(text: String) -> Result<Self, NameError> {
                text.parse()
            }
        }

        impl From<$name> for String {
            fn from(name: $name) -> Self {
                name.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    )*};
}

text!(Repository, Tag);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_of_the_specification() {
        for good in [
            "a",
            "acme/hello",
            "a/b/c/d",
            "a.b",
            "a_b",
            "a__b",
            "a---b/0",
        ] {
            assert!(good.parse::<Repository>().is_ok(), "{good}");
        }
        for bad in [
            "", "/", "a/", "/a", "a//b", "A", "a/B", ".a", "a.", "a..b", "a___b", "a-", "a._b",
            "ä", "a/../b", "a%2fb", "a b", "a\0", "a@b", "a:b",
        ] {
            assert!(bad.parse::<Repository>().is_err(), "{bad}");
        }
        assert!("a".repeat(200).parse::<Repository>().is_ok());
        assert!("a".repeat(201).parse::<Repository>().is_err());
    }

    #[test]
    fn tags_are_those_of_the_specification_and_versions_are_told_apart() {
        for good in ["latest", "_x", "1.0.0", "A-b.c_d", "sha256-abc.sig"] {
            assert!(good.parse::<Tag>().is_ok(), "{good}");
        }
        let long = "t".repeat(129);
        for bad in ["", ".x", "-x", "a/b", "a+b", "a b", "ä", &*long] {
            assert!(bad.parse::<Tag>().is_err(), "{bad}");
        }
        let versions = [
            ("1.2.0", true),
            ("1.2.0-rc.1", true),
            ("1.2", false),
            ("v1.2.0", false),
            ("latest", false),
            ("01.2.3", false),
        ];
        for (text, expected) in versions {
            assert_eq!(
                text.parse::<Tag>().unwrap().is_version(),
                expected,
                "{text}"
            );
        }
    }

    #[test]
    fn a_repository_is_a_namespace_and_a_name() {
        let parts = |text: &str| {
            let repository: Repository = text.parse().unwrap();
            let name = repository.name().map(str::to_owned);
            (repository.namespace().to_owned(), name)
        };
        assert_eq!(parts("acme/hello"), ("acme".into(), Some("hello".into())));
        assert_eq!(parts("a/b/c"), ("a".into(), Some("b/c".into())));
        assert_eq!(parts("alone"), ("alone".into(), None));
    }
}
