//! Artefacts from URLs: fetched once in `resolve`, pinned by digest and size, opened by digest in `generate`.

use serde::de::Error as _;
use serde::{Deserialize, Deserializer};

use crate::bindings::bootsplice::generator::blobs::Blob;
use crate::bindings::bootsplice::generator::fetch::{self, Request};
use crate::bindings::bootsplice::generator::types::{Diagnostic, Error, Failure};
use crate::bindings::exports::bootsplice::generator::generator::{Locked, Pin};
use crate::pointer::Pointer;

/// Largest artefact, in bytes (4 GiB: all that a step may fetch).
pub const MAX_SIZE: u64 = 4 << 30;

/// The attribute of a pin that names the secret it is fetched with.
const CREDENTIAL: &str = "credential";

/// A SHA-256 digest in a configuration: 64 hex digits, with or without `sha256:` before them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sha256(String);

/// Where one artefact comes from, as configurations write it.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Source {
    pub url: String,
    /// Without it the digest is pinned when the step is resolved.
    #[serde(default)]
    pub sha256: Option<Sha256>,
    /// Name of the secret that the host authenticates with.
    #[serde(default)]
    pub credential: Option<String>,
}

/// An artefact in `resolve`: its pin for the lock file, and its bytes.
pub struct Pinned {
    pub pin: Pin,
    pub content: Blob,
}

// === impl Sha256 ===

impl Sha256 {
    /// `sha256:` and 64 lower-case hex digits.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl<'de> Deserialize<'de> for Sha256 {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let digits = text.strip_prefix("sha256:").unwrap_or(&text);
        if digits.len() == 64 && digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            Ok(Self(format!("sha256:{}", digits.to_ascii_lowercase())))
        } else {
            Err(D::Error::custom(format!(
                "{text:?} is not a SHA-256 digest of 64 hex digits"
            )))
        }
    }
}

// === impl Source ===

impl Source {
    /// Findings about the source at `at`.
    pub fn check(&self, at: &Pointer, found: &mut Vec<Diagnostic>) {
        if let Err((reason, hint)) = check_url(&self.url) {
            found.push(
                Diagnostic::error(
                    at.key("url"),
                    "invalid-url",
                    format!("`{}`: {reason}", self.url),
                )
                .with_hint(hint),
            );
        }
    }

    /// What people are told about a source that names no digest.
    pub fn note(&self) -> Option<String> {
        self.sha256
            .is_none()
            .then(|| format!("{} is pinned by the digest it had when the step was resolved; the profile names none", self.url))
    }
}

/// Says what is wrong with a URL, and what to do.
pub fn check_url(url: &str) -> Result<(), (&'static str, &'static str)> {
    let Some((scheme, rest)) = url.split_once("://") else {
        return Err((
            "it has no scheme",
            "write it like `https://example.com/docs.tar.zst`, `file:///srv/docs.tar` or `s3://bucket/key`",
        ));
    };
    if !matches!(scheme, "https" | "http" | "file" | "s3" | "gs" | "az") {
        return Err(("its scheme is not fetched", "use https, file, s3, gs or az"));
    }
    if url.len() > 4096
        || url
            .chars()
            .any(|character| character.is_control() || character == ' ')
    {
        return Err((
            "it is longer than 4096 bytes, or holds a space or control character",
            "percent-encode what is not allowed in a URL",
        ));
    }
    let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
    if authority.contains('@') {
        return Err((
            "it holds a user name or password",
            "put the value in a secret and name that as `credential`",
        ));
    }
    if scheme == "file" && !authority.is_empty() {
        return Err((
            "a file URL names no host",
            "write three slashes: `file:///srv/docs.tar`",
        ));
    }
    if scheme != "file" && authority.is_empty() {
        return Err((
            "it names no host or bucket",
            "write it like `https://example.com/docs.tar.zst` or `s3://bucket/key`",
        ));
    }
    let path = path.split(['?', '#']).next().unwrap_or(path);
    if path.is_empty() || path.ends_with('/') {
        return Err((
            "it names a directory, and directories cannot be listed",
            "pack the tree into one file, `tar --zstd -cf docs.tar.zst -C docs .`, and unpack that",
        ));
    }
    Ok(())
}

/// The last segment of a URL's path.
pub fn file_name(url: &str) -> &str {
    let path = url.split(['?', '#']).next().unwrap_or(url);
    path.rsplit('/').next().unwrap_or(path)
}

/// Fetches all sources in parallel and pins them under their names. Only in `resolve`.
pub fn pin_all<'a>(
    sources: impl IntoIterator<Item = (String, &'a Source)>,
) -> Result<Vec<Pinned>, Error> {
    let sources: Vec<_> = sources.into_iter().collect();
    let requests: Vec<_> = sources.iter().map(|(_, source)| request(source)).collect();
    let answers = fetch::get_all(&requests);
    if answers.len() != sources.len() {
        return Err(Error::Fault(format!(
            "{} answers for {} requests",
            answers.len(),
            sources.len()
        )));
    }
    let pinned = sources
        .into_iter()
        .zip(answers)
        .map(|((name, source), answer)| {
            let content = answer.map_err(|error| named(error, &source.url))?.content;
            Ok(Pinned {
                pin: Pin {
                    name,
                    version: String::new(),
                    urls: vec![source.url.clone()],
                    digest: content.digest(),
                    size: content.size(),
                    attributes: source
                        .credential
                        .iter()
                        .map(|secret| (CREDENTIAL.to_owned(), secret.clone()))
                        .collect(),
                },
                content,
            })
        });
    pinned.collect()
}

/// The bytes of the pin called `name`.
pub fn open(locked: &Locked, name: &str) -> Result<Blob, Error> {
    let pin = find(locked, name)?;
    let answer = fetch::get(&Request {
        urls: pin.urls.clone(),
        digest: Some(pin.digest.clone()),
        size: Some(pin.size),
        max_size: pin.size,
        credential: attribute(pin, CREDENTIAL).map(str::to_owned),
        max_age: None,
    });
    answer
        .map(|response| response.content)
        .map_err(|error| match pin.urls.first() {
            Some(url) => named(error, url),
            None => error,
        })
}

/// The pin called `name`.
pub fn find<'a>(locked: &'a Locked, name: &str) -> Result<&'a Pin, Error> {
    locked
        .pins
        .iter()
        .find(|pin| pin.name == name)
        .ok_or_else(|| Error::NotFound(format!("the lock file has no pin `{name}`: it was made for another configuration; resolve again")))
}

/// What a pin says under `key`.
pub fn attribute<'a>(pin: &'a Pin, key: &str) -> Option<&'a str> {
    pin.attributes
        .iter()
        .find(|(known, _)| known == key)
        .map(|(_, value)| value.as_str())
}

fn request(source: &Source) -> Request {
    Request {
        urls: vec![source.url.clone()],
        digest: source
            .sha256
            .as_ref()
            .map(|digest| digest.as_str().to_owned()),
        size: None,
        max_size: MAX_SIZE,
        credential: source.credential.clone(),
        max_age: None,
    }
}

/// The same error, saying which URL it is about.
fn named(error: Error, url: &str) -> Error {
    let with = |message: String| {
        if message.contains(url) {
            message
        } else {
            format!("{url}: {message}")
        }
    };
    match error {
        Error::NotFound(message) => Error::NotFound(with(message)),
        Error::Denied(message) => Error::Denied(with(message)),
        Error::Unsupported(message) => Error::Unsupported(with(message)),
        Error::Upstream(failure) => Error::Upstream(Failure {
            message: with(failure.message),
            retry_after_ms: failure.retry_after_ms,
        }),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_that_cannot_be_fetched_is_refused_with_a_hint() {
        for good in [
            "https://a.example/x.tar?y=/",
            "file:///srv/x",
            "s3://team/ada/docs.tar.zst",
            "gs://b/k",
            "az://c/k",
        ] {
            assert_eq!(check_url(good), Ok(()), "{good}");
        }
        for bad in [
            "",
            "/srv/x",
            "ftp://a/x",
            "https://",
            "https://a",
            "https://u:p@a/x",
            "file://srv/x",
            "s3:///x",
            "https://a/b c",
            "data:x",
        ] {
            assert!(check_url(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_directory_is_refused_with_the_way_to_pack_it() {
        for tree in ["file:///srv/docs/", "s3://team/ada/"] {
            let (_, hint) = check_url(tree).unwrap_err();
            assert!(hint.contains("tar --zstd"));
        }
    }

    #[test]
    fn a_digest_is_sixty_four_hex_digits() {
        let digits = "AB".repeat(32);
        let digest: Sha256 = serde_json::from_value(digits.clone().into()).unwrap();
        assert_eq!(digest.as_str(), format!("sha256:{}", "ab".repeat(32)));
        assert!(serde_json::from_value::<Sha256>(format!("sha256:{digits}").into()).is_ok());
        assert!(serde_json::from_value::<Sha256>("abc".into()).is_err());
        assert!(serde_json::from_value::<Sha256>("é".repeat(32).into()).is_err());
    }

    #[test]
    fn a_failed_fetch_names_its_url() {
        let Error::NotFound(message) = named(Error::NotFound("404".into()), "https://a/x") else {
            panic!("another kind");
        };
        assert_eq!(message, "https://a/x: 404");
    }

    #[test]
    fn a_missing_pin_says_to_resolve_again() {
        let locked = Locked {
            pins: vec![],
            state: None,
        };
        assert!(
            matches!(find(&locked, "x"), Err(Error::NotFound(message)) if message.contains("resolve again"))
        );
    }
}
