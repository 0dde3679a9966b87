//! The operator's proxy, and who is reached without it.

use url::Url;

/// Where HTTP goes through.
#[derive(Clone, Debug)]
pub struct Proxy {
    /// `http://proxy.example:3128`, with a name and password where it asks for them.
    pub url: Url,
    /// Hosts that are reached directly; `.example.org` means all below it.
    pub direct: Vec<String>,
}

// === impl Proxy ===

impl Proxy {
    /// Whether the host of `url` is reached through the proxy.
    pub fn carries(&self, url: &Url) -> bool {
        let host = url.host_str().unwrap_or_default();
        !self
            .direct
            .iter()
            .any(|known| match known.strip_prefix('.') {
                Some(parent) => {
                    host == parent
                        || host
                            .strip_suffix(parent)
                            .is_some_and(|rest| rest.ends_with('.'))
                }
                None => host == known,
            })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_and_all_below_a_name_go_directly() {
        let proxy = Proxy {
            url: Url::parse("http://proxy.example:3128").unwrap(),
            direct: vec!["mirror".into(), ".corp.example".into()],
        };
        let carries = |url: &str| proxy.carries(&Url::parse(url).unwrap());
        assert!(carries("https://deb.debian.org/debian"));
        assert!(carries("https://notcorp.example/"));
        assert!(!carries("http://mirror/debian"));
        assert!(!carries("https://apt.corp.example/"));
        assert!(!carries("https://corp.example/"));
    }
}
