//! `[HOST/]NAMESPACE/NAME:VERSION`: where a component lies in a registry, as `wkg oci`, `oras` and `skopeo` write it.

use std::fmt;
use std::str::FromStr;

use bootsplice_content::Digest;

/// A manifest in a registry. Without `host` the host of `--url` is meant.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Reference {
    /// `registry.example:5000`.
    pub host: Option<String>,
    /// `acme/hello`: lower-case segments, two to eight of them.
    pub repository: String,
    pub version: Version,
}

/// Which manifest of a repository.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Version {
    Tag(String),
    Digest(Digest),
}

/// A text is no reference.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error(
    "`{text}` is not where a component lies: {why}; expected `[HOST/]NAMESPACE/NAME:VERSION`, such as `acme/hello:1.2.0`"
)]
pub struct ReferenceError {
    text: String,
    why: String,
}

/// Most bytes of a reference.
const MAX: usize = 512;

// === impl Reference ===

impl FromStr for Reference {
    type Err = ReferenceError;

    fn from_str(text: &str) -> Result<Self, ReferenceError> {
        let wrong = |why: &str| ReferenceError {
            text: text.chars().take(80).collect(),
            why: why.to_owned(),
        };
        if text.len() > MAX {
            return Err(wrong("it has more than 512 bytes"));
        }
        let (host, rest) = match text.split_once('/') {
            // As Docker tells them apart: a name of a namespace has no dot and no port.
            Some((first, rest)) if is_host(first) => (Some(first.to_owned()), rest),
            _ => (None, text),
        };
        let (repository, version) = if let Some((repository, digest)) = rest.split_once('@') {
            let digest = digest
                .parse()
                .map_err(|_| wrong("behind `@` stands `sha256:` and 64 hex digits"))?;
            (repository, Version::Digest(digest))
        } else {
            let (repository, tag) = rest
                .rsplit_once(':')
                .ok_or_else(|| wrong("it names no version"))?;
            if !is_tag(tag) {
                return Err(wrong(
                    "a version has 1 to 128 of A-Z, a-z, 0-9, `_`, `.` and `-`, and begins with none of the last two",
                ));
            }
            (repository, Version::Tag(tag.to_owned()))
        };
        let segments: Vec<&str> = repository.split('/').collect();
        if segments.len() < 2 {
            return Err(wrong("it names no namespace"));
        }
        if segments.len() > 8 || !segments.iter().all(|segment| is_segment(segment)) {
            return Err(wrong(
                "namespace and name consist of a-z, 0-9, `-`, `_` and `.` between them",
            ));
        }
        Ok(Self {
            host,
            repository: repository.to_owned(),
            version,
        })
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(host) = &self.host {
            write!(f, "{host}/")?;
        }
        match &self.version {
            Version::Tag(tag) => write!(f, "{}:{tag}", self.repository),
            Version::Digest(digest) => write!(f, "{}@{digest}", self.repository),
        }
    }
}

fn is_host(text: &str) -> bool {
    text == "localhost" || text.contains(['.', ':'])
}

fn is_tag(text: &str) -> bool {
    let word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    (1..=128).contains(&text.len())
        && text.bytes().next().is_some_and(word)
        && text
            .bytes()
            .all(|byte| word(byte) || matches!(byte, b'.' | b'-'))
}

fn is_segment(text: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let ends =
        text.bytes().next().is_some_and(plain) && text.bytes().next_back().is_some_and(plain);
    ends && text
        .bytes()
        .all(|byte| plain(byte) || matches!(byte, b'-' | b'_' | b'.'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_come_back_as_they_were_written() {
        let digest = Digest::of(b"manifest");
        for text in [
            "acme/hello:1.2.0",
            "registry.example/acme/hello:1.2.0-rc.1",
            "localhost:5000/acme/tools/hello:latest",
            "localhost/acme/hello:1",
            &format!("acme/hello@{digest}"),
        ] {
            let reference: Reference = text.parse().unwrap();
            assert_eq!(reference.to_string(), text);
        }
        let with_host: Reference = "127.0.0.1:8080/acme/hello:1.0.0".parse().unwrap();
        assert_eq!(with_host.host.as_deref(), Some("127.0.0.1:8080"));
        assert_eq!(with_host.repository, "acme/hello");
    }

    #[test]
    fn what_is_missing_or_wrong_is_named() {
        for (text, part) in [
            ("hello:1.0.0", "namespace"),
            ("acme/hello", "version"),
            ("acme/hello:", "version"),
            ("acme/hello:-x", "version"),
            ("Acme/hello:1.0.0", "a-z"),
            ("acme//hello:1.0.0", "a-z"),
            ("acme/../hello:1.0.0", "a-z"),
            ("acme/hello@sha256:12", "64 hex digits"),
        ] {
            let told = text.parse::<Reference>().unwrap_err().to_string();
            assert!(told.contains(part), "{text}: {told}");
        }
    }
}
