//! Which releases there are, in memory: a start reads their records and nothing else.

use std::collections::BTreeMap;

use bootsplice_content::Digest;
use bootsplice_engine::Plugin;
use bootsplice_store::{Document, MAX_PAGE, Store, StoreError};
use serde::{Deserialize, Serialize};

use super::release::Release;
use crate::profile::{PluginName, PluginRef, Versioned};

const TAGS: &str = "plugin-tag/";

/// Releases by name and digest, tags, and the plugins that were used since the start.
#[derive(Default)]
pub struct Shelf {
    releases: BTreeMap<PluginName, BTreeMap<Digest, Release>>,
    tags: BTreeMap<PluginName, BTreeMap<String, Digest>>,
    loaded: BTreeMap<Digest, Plugin>,
}

/// Where a tag points: to a component, not to its manifest.
#[derive(Serialize, Deserialize)]
pub struct Tag {
    pub plugin: PluginName,
    pub tag: String,
    pub digest: Digest,
}

// === impl Tag ===

impl Document for Tag {
    const KIND: &'static str = "tag of a plugin";
}

impl Tag {
    pub fn key(&self) -> String {
        tag_key(&self.plugin, &self.tag)
    }
}

pub fn tag_key(plugin: &PluginName, tag: &str) -> String {
    format!("{TAGS}{plugin}/{tag}")
}

// === impl Shelf ===

impl Shelf {
    /// Everything that is recorded.
    pub async fn read(store: &dyn Store) -> Result<Self, StoreError> {
        let mut shelf = Self::default();
        for record in every(store, "plugin/").await? {
            shelf.put(Release::decode(&record)?);
        }
        for record in every(store, TAGS).await? {
            shelf.tag(Tag::decode(&record)?);
        }
        Ok(shelf)
    }

    pub fn get(&self, plugin: &PluginName, digest: &Digest) -> Option<&Release> {
        self.releases.get(plugin)?.get(digest)
    }

    /// The release that `reference` means: the newest that fits and is not yanked, else the newest that fits.
    pub fn find(&self, reference: &PluginRef) -> Option<&Release> {
        let fits = |release: &&Release| {
            let tags = self.tags_of(&reference.name, &release.digest);
            reference
                .version
                .matches(&release.version, release.digest, tags)
        };
        let releases = self.releases.get(&reference.name)?.values().filter(fits);
        releases.max_by_key(|release| (release.yanked.is_none(), release.rank()))
    }

    /// As [`Self::find`] for one release that is spoken of whatever its state: its exact version, tag or digest, and the newest else.
    pub fn named(&self, reference: &PluginRef) -> Option<&Release> {
        let Versioned::Prefix(numbers) = &reference.version else {
            return self.find(reference);
        };
        let exact: Vec<_> = numbers.iter().map(u64::to_string).collect();
        let exact = exact.join(".");
        let releases = self.releases.get(&reference.name)?.values();
        releases
            .filter(|release| release.version == exact)
            .max_by_key(|release| release.rank())
            .or_else(|| self.find(reference))
    }

    /// Releases of one generator.
    pub fn of<'s>(&'s self, plugin: &PluginName) -> impl Iterator<Item = &'s Release> + use<'s> {
        self.releases
            .get(plugin)
            .into_iter()
            .flat_map(|of| of.values())
    }

    /// All releases, by name; of one name the newest first.
    pub fn all(&self) -> Vec<&Release> {
        let mut all: Vec<&Release> = self.releases.values().flat_map(|of| of.values()).collect();
        all.sort_by_cached_key(|release| (release.plugin(), std::cmp::Reverse(release.rank())));
        all
    }

    pub fn tags_of<'s>(
        &'s self,
        plugin: &PluginName,
        digest: &Digest,
    ) -> impl Iterator<Item = &'s str> + use<'s> {
        let digest = *digest;
        let tags = self.tags.get(plugin).into_iter().flatten();
        tags.filter(move |(_, at)| **at == digest)
            .map(|(tag, _)| tag.as_str())
    }

    /// Whether some release has these bytes.
    pub fn holds(&self, digest: &Digest) -> bool {
        self.releases.values().any(|of| of.contains_key(digest))
    }

    pub fn put(&mut self, release: Release) {
        let of = self.releases.entry(release.plugin()).or_default();
        of.insert(release.digest, release);
    }

    pub fn tag(&mut self, tag: Tag) {
        let of = self.tags.entry(tag.plugin).or_default();
        of.insert(tag.tag, tag.digest);
    }

    pub fn untag(&mut self, plugin: &PluginName, tag: &str) {
        if let Some(of) = self.tags.get_mut(plugin) {
            of.remove(tag);
        }
    }

    /// Takes a release away, with its tags. Loaded plugins stay where they run.
    pub fn remove(&mut self, plugin: &PluginName, digest: &Digest) {
        if let Some(of) = self.releases.get_mut(plugin) {
            of.remove(digest);
        }
        if let Some(of) = self.tags.get_mut(plugin) {
            of.retain(|_, at| at != digest);
        }
        if !self.holds(digest) {
            self.loaded.remove(digest);
        }
    }

    pub fn loaded(&self, digest: &Digest) -> Option<Plugin> {
        self.loaded.get(digest).cloned()
    }

    /// Keeps a loaded plugin, when it is on the shelf.
    pub fn keep(&mut self, plugin: Plugin) {
        if self.holds(plugin.digest()) {
            self.loaded.insert(*plugin.digest(), plugin);
        }
    }
}

/// All records below `prefix`.
pub async fn every(
    store: &dyn Store,
    prefix: &str,
) -> Result<Vec<bootsplice_store::Record>, StoreError> {
    let mut found: Vec<bootsplice_store::Record> = Vec::new();
    loop {
        let after = found.last().map(|record| record.key.clone());
        let page = store.list(prefix, after.as_deref(), MAX_PAGE).await?;
        found.extend(page.records);
        if !page.more {
            return Ok(found);
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn release(name: &str, version: &str, yanked: bool) -> Release {
        let name: PluginName = name.parse().unwrap();
        serde_json::from_value(json!({
            "namespace": name.namespace, "name": name.id, "version": version,
            "digest": Digest::of(format!("{name}@{version}").as_bytes()),
            "title": "", "summary": "", "stage": "files", "config_schema": {}, "secrets": [], "installed": "2026-01-02T03:04:05Z",
            "yanked": yanked.then(|| json!({"at": "2026-01-02T03:04:05Z", "by": {"tenant": "acme", "token": "0"}, "reason": "bad"})),
        }))
        .unwrap()
    }

    #[test]
    fn a_reference_means_the_newest_that_fits_in_its_own_namespace_and_nothing_else() {
        let mut shelf = Shelf::default();
        for (name, version, yanked) in [
            ("config", "0.1.0", false),
            ("acme/config", "9.0.0", false),
            ("evil/hello", "9.9.9", false),
            ("acme/hello", "1.2.0", false),
            ("acme/hello", "1.10.0", false),
            ("acme/hello", "1.11.0", true),
            ("acme/hello", "2.0.0-rc.1", false),
        ] {
            shelf.put(release(name, version, yanked));
        }
        let stable = Tag {
            plugin: "acme/hello".parse().unwrap(),
            tag: "stable".into(),
            digest: Digest::of(b"acme/hello@1.2.0"),
        };
        shelf.tag(stable);
        let found = |text: &str| {
            let found = shelf.find(&text.parse().unwrap());
            found.map(|release| release.reference())
        };
        let some = |text: &str| Some(text.to_owned());
        assert_eq!(found("config"), some("config@0.1.0"), "never a pushed one");
        assert_eq!(found("hello"), None, "a pushed one has its namespace");
        assert_eq!(found("acme/hello"), some("acme/hello@1.10.0"));
        assert_eq!(found("acme/hello@1"), some("acme/hello@1.10.0"));
        assert_eq!(found("acme/hello@2"), some("acme/hello@2.0.0-rc.1"));
        assert_eq!(
            found("acme/hello@1.11"),
            some("acme/hello@1.11.0"),
            "told as yanked"
        );
        assert_eq!(found("acme/hello@stable"), some("acme/hello@1.2.0"));
        let other = Digest::of(b"evil/hello@9.9.9");
        assert_eq!(found(&format!("acme/hello@{other}")), None);
    }
}
