//! Which end-point a path means. Names of repositories hold slashes and may look like anything, so paths are read from the right.

use crate::digest::ContentDigest;
use crate::error::{RegistryError, Result};
use crate::name::{Reference, Repository};

/// An end-point of the specification and what its path names.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Endpoint {
    /// end-1
    Base,
    /// end-2, end-10
    Blob(Repository, ContentDigest),
    /// end-4, end-11
    Uploads(Repository),
    /// end-5, end-6, end-13, end-14
    Upload(Repository, String),
    /// end-3, end-7, end-9
    Manifest(Repository, Reference),
    /// end-8
    Tags(Repository),
    /// end-12
    Referrers(Repository, ContentDigest),
}

impl Endpoint {
    /// Reads what follows `/v2/`, still percent-encoded.
    pub(crate) fn parse(encoded: &str) -> Result<Self> {
        if encoded.is_empty() {
            return Ok(Self::Base);
        }
        let path = decode(encoded)
            .ok_or_else(|| RegistryError::Unsupported("the path is no UTF-8".to_owned()))?;
        let mut parts = path.rsplitn(4, '/');
        let last = parts.next().unwrap_or_default();
        let second = parts.next().unwrap_or_default();
        let third = parts.next();
        let rest = parts.next();
        // `NAME/blobs/uploads/` and the same without its slash, `NAME/blobs/uploads/ID`.
        if let Some(name) = path.strip_suffix("/blobs/uploads") {
            return Ok(Self::Uploads(name.parse()?));
        }
        if let (Some("blobs"), "uploads", Some(name)) = (third, second, rest) {
            let name = name.parse()?;
            return Ok(match last {
                "" => Self::Uploads(name),
                id => Self::Upload(name, id.to_owned()),
            });
        }
        let name = || {
            let end = path.len() - last.len() - second.len() - 2;
            path.get(..end).unwrap_or_default().parse::<Repository>()
        };
        match (second, last) {
            _ if third.is_none() => Err(unknown()),
            ("blobs", digest) => Ok(Self::Blob(name()?, digest.parse()?)),
            ("manifests", reference) => Ok(Self::Manifest(name()?, reference.parse()?)),
            ("referrers", digest) => Ok(Self::Referrers(name()?, digest.parse()?)),
            ("tags", "list") => Ok(Self::Tags(name()?)),
            _ => Err(unknown()),
        }
    }

    pub(crate) fn repository(&self) -> Option<&Repository> {
        match self {
            Self::Base => None,
            Self::Blob(name, _)
            | Self::Uploads(name)
            | Self::Upload(name, _)
            | Self::Manifest(name, _)
            | Self::Tags(name)
            | Self::Referrers(name, _) => Some(name),
        }
    }
}

/// A query's fields. Unlike in forms `+` is itself: media types have one.
pub(crate) struct Query(Vec<(String, String)>);

impl Query {
    pub(crate) fn parse(query: Option<&str>) -> Self {
        let pairs = query.unwrap_or_default().split('&').filter_map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            Some((decode(name)?, decode(value)?))
        });
        Self(pairs.collect())
    }

    /// The first field of that name.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        let found = self.0.iter().find(|(own, _)| own == name)?;
        Some(&found.1)
    }

    pub(crate) fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        let named = self.0.iter().filter(move |(own, _)| own == name);
        named.map(|(_, value)| &**value)
    }
}

/// Percent-decodes (RFC 3986). None: it is no UTF-8.
fn decode(text: &str) -> Option<String> {
    let bytes = text.as_bytes();
    let mut plain = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let pair = bytes.get(at + 1..at + 3).filter(|_| bytes[at] == b'%');
        let mut byte = [0];
        match pair {
            Some(pair) if hex::decode_to_slice(pair, &mut byte).is_ok() => {
                plain.push(byte[0]);
                at += 3;
            }
            _ => {
                plain.push(bytes[at]);
                at += 1;
            }
        }
    }
    String::from_utf8(plain).ok()
}

fn unknown() -> RegistryError {
    RegistryError::Unsupported("the registry has no such path".to_owned())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const DIGEST: &str = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

    /// Names that look like end-points are the hard ones.
    fn repository() -> impl Strategy<Value = String> {
        let component = prop_oneof![
            Just("blobs".to_owned()),
            Just("uploads".to_owned()),
            Just("manifests".to_owned()),
            Just("tags".to_owned()),
            Just("list".to_owned()),
            Just("referrers".to_owned()),
            "[a-z0-9]{1,6}([._-][a-z0-9]{1,6}){0,2}",
        ];
        proptest::collection::vec(component, 1..6).prop_map(|parts| parts.join("/"))
    }

    proptest! {
        #[test]
        fn every_name_is_found_again_in_every_end_point(name in repository(), id in "[0-9A-Z]{26}", tag in "[a-zA-Z0-9_][a-zA-Z0-9._-]{0,20}") {
            let repository: Repository = name.parse().unwrap();
            let digest: ContentDigest = DIGEST.parse().unwrap();
            let parse = |path: String| Endpoint::parse(&path).unwrap();
            prop_assert_eq!(parse(format!("{name}/blobs/{DIGEST}")), Endpoint::Blob(repository.clone(), digest.clone()));
            prop_assert_eq!(parse(format!("{name}/blobs/{}", DIGEST.replace(':', "%3A"))), Endpoint::Blob(repository.clone(), digest.clone()));
            prop_assert_eq!(parse(format!("{name}/manifests/{DIGEST}")), Endpoint::Manifest(repository.clone(), Reference::Digest(digest.clone())));
            prop_assert_eq!(parse(format!("{name}/manifests/{tag}")), Endpoint::Manifest(repository.clone(), Reference::Tag(tag.parse().unwrap())));
            prop_assert_eq!(parse(format!("{name}/referrers/{DIGEST}")), Endpoint::Referrers(repository.clone(), digest));
            prop_assert_eq!(parse(format!("{name}/tags/list")), Endpoint::Tags(repository.clone()));
            prop_assert_eq!(parse(format!("{name}/blobs/uploads/")), Endpoint::Uploads(repository.clone()));
            prop_assert_eq!(parse(format!("{name}/blobs/uploads")), Endpoint::Uploads(repository.clone()));
            prop_assert_eq!(parse(format!("{name}/blobs/uploads/{id}")), Endpoint::Upload(repository, id));
        }

        #[test]
        fn no_path_panics_and_what_is_read_has_valid_names(path in "(?s).{0,80}") {
            if let Ok(endpoint) = Endpoint::parse(&path)
                && let Some(repository) = endpoint.repository()
            {
                prop_assert!(repository.as_str().parse::<Repository>().is_ok());
            }
        }
    }

    #[test]
    fn hostile_paths_are_refused() {
        for path in [
            "_catalog",
            "x",
            "/",
            "//",
            "blobs/sha256:0",
            "../manifests/latest",
            "a/../manifests/latest",
            "a%2f..%2fb/manifests/latest",
            "A/manifests/latest",
            "a/manifests/",
            "a/manifests/%00",
            "a/manifests/..",
            "a/blobs/latest",
            "a/tags/other",
            "a/blobs/sha256:%2e%2e",
            "/blobs/uploads/",
            "blobs/uploads/",
            "a/manifests/%ff",
        ] {
            assert!(Endpoint::parse(path).is_err(), "{path}");
        }
    }

    #[test]
    fn a_plus_in_a_query_is_a_plus() {
        let query = Query::parse(Some("artifactType=a/b+json&tag=1&tag=2&x=%2B%3a"));
        assert_eq!(query.get("artifactType"), Some("a/b+json"));
        assert_eq!(query.all("tag").collect::<Vec<_>>(), ["1", "2"]);
        assert_eq!(query.get("x"), Some("+:"));
        assert_eq!(query.get("n"), None);
    }
}
