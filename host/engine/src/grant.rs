//! Who may fetch what: the caller's decision for one step, as URL prefixes and names of secrets.

use std::fmt;

use serde::{Deserialize, Serialize};
use url::Url;

/// Longest URL that is looked at, in bytes.
const MAX_URL: usize = 4096;

/// What one step may reach. Part of the layer's key.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Grants {
    pub fetch: Vec<UrlPrefix>,
    /// Names of secrets that a fetch of this step may use as `credential`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub credentials: Vec<String>,
}

/// `scheme://host[:port]/path/`: everything below it. Schemes: `https`, `http` (only where granted so), `file`, `s3`, `gs`, `az`.
/// A prefix matches whole path segments: `https://a/b` covers `https://a/b` and `https://a/b/c`, not `https://a/bc`.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct UrlPrefix(Url);

/// Why a text is not a URL that bootsplice fetches. Mend the text.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{url}` cannot be fetched: {reason}")]
pub struct UrlRefused {
    pub url: String,
    pub reason: String,
}

// === impl Grants ===

impl Grants {
    /// True when some prefix covers `url`.
    pub fn allow(&self, url: &Url) -> bool {
        self.fetch.iter().any(|prefix| prefix.covers(url))
    }

    pub fn allow_credential(&self, name: &str) -> bool {
        self.credentials.iter().any(|granted| granted == name)
    }
}

// === impl UrlPrefix ===

impl UrlPrefix {
    pub fn parse(text: &str) -> Result<Self, UrlRefused> {
        parse(text).map(Self)
    }

    pub fn url(&self) -> &Url {
        &self.0
    }

    /// What of this grant a generator's wish asks for. A wish is a prefix, or `https://*/`: whatever is granted in that scheme.
    pub fn meet(&self, wish: &str) -> Option<Self> {
        if let Some(scheme) = wish.strip_suffix("://*/") {
            return (self.0.scheme() == scheme).then(|| self.clone());
        }
        let wish = Self::parse(wish).ok()?;
        if self.covers(wish.url()) {
            Some(wish)
        } else {
            wish.covers(self.url()).then(|| self.clone())
        }
    }

    pub fn covers(&self, url: &Url) -> bool {
        let prefix = self.0.path().trim_end_matches('/');
        self.0.scheme() == url.scheme()
            && self.0.host_str() == url.host_str()
            && self.0.port_or_known_default() == url.port_or_known_default()
            && url
                .path()
                .strip_prefix(prefix)
                .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    }
}

impl fmt::Display for UrlPrefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Debug for UrlPrefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl TryFrom<String> for UrlPrefix {
    type Error = UrlRefused;

    fn try_from(text: String) -> Result<Self, UrlRefused> {
        Self::parse(&text)
    }
}

impl From<UrlPrefix> for String {
    fn from(prefix: UrlPrefix) -> Self {
        prefix.0.into()
    }
}

/// A URL in the one form that grants are compared in.
pub fn parse(text: &str) -> Result<Url, UrlRefused> {
    let refused = |reason: &str| UrlRefused {
        url: text.chars().take(200).collect(),
        reason: reason.to_owned(),
    };
    if text.len() > MAX_URL {
        return Err(refused("longer than 4096 bytes"));
    }
    let mut url = Url::parse(text).map_err(|error| refused(&error.to_string()))?;
    match url.scheme() {
        "https" | "http" | "s3" | "gs" | "az" if url.host_str().is_none_or(str::is_empty) => {
            return Err(refused("it names no host"));
        }
        "https" | "http" | "s3" | "gs" | "az" => {}
        "file" if url.host_str().is_some_and(|host| !host.is_empty()) => {
            return Err(refused("a file: URL names no host"));
        }
        "file" => {}
        _ => return Err(refused("use https:, file:, s3:, gs: or az:")),
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(refused("credentials do not belong in a URL; name a secret"));
    }
    let path = url.path().to_ascii_lowercase();
    if path.contains("%2f") || path.contains("%5c") || path.contains("%00") {
        return Err(refused("an encoded `/`, `\\` or NUL in the path"));
    }
    if path.split('/').any(|segment| matches!(segment, "." | "..")) {
        return Err(refused("a `.` or `..` segment in the path"));
    }
    url.set_fragment(None);
    Ok(url)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn covers(prefix: &str, url: &str) -> bool {
        UrlPrefix::parse(prefix)
            .unwrap()
            .covers(&parse(url).unwrap())
    }

    #[test]
    fn a_prefix_covers_whole_segments_of_the_same_origin() {
        assert!(covers("https://a.example/x", "https://a.example/x"));
        assert!(covers("https://a.example/x/", "https://a.example/x/y?z=1"));
        assert!(covers("https://a.example", "https://a.example:443/deep/er"));
        assert!(covers("s3://team/ada/", "s3://team/ada/docs.tar.zst"));
        assert!(!covers("https://a.example/x", "https://a.example/xy"));
        assert!(!covers("https://a.example/x", "https://a.example.evil/x"));
        assert!(!covers("https://a.example/", "http://a.example/"));
        assert!(!covers("https://a.example/", "https://a.example:8443/"));
        assert!(!covers("file:///srv/a", "file:///srv/ab"));
    }

    #[test]
    fn dot_segments_cannot_climb_out_of_a_prefix() {
        assert!(!covers(
            "https://a.example/x/",
            "https://a.example/x/../secret"
        ));
        assert!(!covers(
            "https://a.example/x/",
            "https://a.example/x/%2e%2e/secret"
        ));
        assert!(!covers("s3://team/ada/", "s3://team/ada/../bob/key"));
        assert!(parse("https://a.example/x%2f..%2fsecret").is_err());
    }

    #[test]
    fn what_is_no_url_of_ours_is_refused_with_its_reason() {
        for wrong in [
            "ftp://a/x",
            "https://user:pw@a/x",
            "file://host/x",
            "data:text/plain,x",
            "/etc/passwd",
            "https://",
        ] {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_wish_gets_no_more_than_is_granted() {
        let granted = UrlPrefix::parse("https://a.example/debian/").unwrap();
        let meet = |wish: &str| granted.meet(wish).map(String::from);
        let all = Some("https://a.example/debian/".to_owned());
        assert_eq!(meet("https://*/"), all);
        assert_eq!(meet("https://a.example/"), all);
        assert_eq!(
            meet("https://a.example/debian/pool/x.deb").as_deref(),
            Some("https://a.example/debian/pool/x.deb")
        );
        for other in [
            "http://*/",
            "file://*/",
            "https://a.example/other/",
            "https://*",
            "nonsense",
        ] {
            assert_eq!(meet(other), None, "{other}");
        }
    }
}
