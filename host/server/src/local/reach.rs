//! What generators may fetch on this machine: the web addresses that the profile and the image's own apt name, and what the user grants besides.

use std::collections::BTreeSet;

use bootsplice_engine::Plugin;
use bootsplice_engine::fetch::FetchPolicy;
use bootsplice_engine::grant::UrlPrefix;
use serde_json::Value;
use url::Url;

use super::base::Base;

/// The rules of one command.
#[derive(Clone)]
pub struct Reach {
    pub policy: FetchPolicy,
    /// What the user grants: also `file:` and buckets, which nothing else grants.
    pub granted: Vec<UrlPrefix>,
    /// Whether a generator has every web address that it asks for: for its author, who grants to nobody else.
    pub wishes: bool,
}

// === impl Reach ===

impl Reach {
    /// What a step gets of what its generator asks for.
    pub fn granted(&self, plugin: &Plugin, config: &Value, base: &Base) -> Vec<UrlPrefix> {
        let mut origins = BTreeSet::new();
        named(config, &mut origins);
        for text in base.sources() {
            in_text(&text, &mut origins);
        }
        let own = origins
            .iter()
            .filter_map(|origin| UrlPrefix::parse(origin).ok());
        let offered: Vec<UrlPrefix> = own.chain(self.granted.iter().cloned()).collect();
        let mut granted: Vec<UrlPrefix> = Vec::new();
        for wish in plugin.fetch_in(config) {
            if self.wishes && wish.starts_with("http") {
                granted.extend(UrlPrefix::parse(&wish).ok());
            }
            granted.extend(offered.iter().filter_map(|prefix| prefix.meet(&wish)));
        }
        granted.sort_by(|a, b| a.url().as_str().cmp(b.url().as_str()));
        granted.dedup_by(|a, b| a.url() == b.url());
        granted
    }
}

/// The origins in any text of a configuration.
fn named(value: &Value, origins: &mut BTreeSet<String>) {
    match value {
        Value::String(text) => in_text(text, origins),
        Value::Array(items) => items.iter().for_each(|item| named(item, origins)),
        Value::Object(members) => {
            for (key, value) in members {
                in_text(key, origins);
                named(value, origins);
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

/// The origins of the web addresses in a text, comments left out.
fn in_text(text: &str, origins: &mut BTreeSet<String>) {
    for line in text.lines() {
        if line.trim_start().starts_with('#') {
            continue;
        }
        let words = line.split(|c: char| c.is_whitespace() || "\"'<>[]{}".contains(c));
        for word in words {
            if !(word.starts_with("https://") || word.starts_with("http://")) {
                continue;
            }
            if let Ok(url) = Url::parse(word)
                && url.host_str().is_some()
            {
                origins.insert(format!("{}/", url.origin().ascii_serialization()));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_origins_that_a_profile_and_its_sources_name_are_found_and_comments_are_not() {
        let mut origins = BTreeSet::new();
        named(
            &json!({
                "packages": [{"url": "https://vendor.example/a/b.deb"}, "nginx"],
                "sources": ["Types: deb\nURIs: http://deb.example.org/debian http://two.example:8080/x\n# https://no.example/\n"],
                "snapshot_servers": {"http://deb.example.org/debian": "https://snap.example/@SNAPSHOTID@/"},
                "text": "file:///etc/shadow ftp://x.example/",
            }),
            &mut origins,
        );
        let found: Vec<&str> = origins.iter().map(String::as_str).collect();
        assert_eq!(
            found,
            [
                "http://deb.example.org/",
                "http://two.example:8080/",
                "https://snap.example/",
                "https://vendor.example/",
            ]
        );
    }
}
