//! Bytes that a plugin keeps between runs of `resolve`, private to (tenant, plugin digest).

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bootsplice_content::Digest;
use serde::{Deserialize, Serialize};

use crate::blobs::{Blob, BlobStore, Scope, private_dir, scope_key};
use crate::clock::Clock;
use crate::contract::Quota;
use crate::error::GeneratorError;

const MAX_KEY: usize = 256;
/// Keys of one plugin and tenant.
const MAX_KEYS: usize = 4096;

/// The caches of all plugins; [`PluginCache::of`] narrows it to one.
#[derive(Clone)]
pub struct PluginCache {
    store: BlobStore,
    root: Arc<Path>,
    scope: Scope,
    clock: Clock,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Record {
    digest: Digest,
    expires: Option<SystemTime>,
    /// Of everything that the run had fetched when it put the value.
    scope: Scope,
}

// === impl PluginCache ===

impl PluginCache {
    pub fn open(state: &Path, store: BlobStore, clock: Clock) -> io::Result<Self> {
        let root = state.join("cache");
        private_dir(&root)?;
        Ok(Self {
            store,
            root: root.into(),
            scope: Scope::private("", "cache"),
            clock,
        })
    }

    pub fn of(&self, tenant: &str, plugin: &Digest) -> Self {
        Self {
            scope: Scope::private(tenant, format!("cache:{plugin}")),
            ..self.clone()
        }
    }

    /// The value, unless it has expired or was swept. A cache that cannot be read is an empty cache.
    pub fn get(&self, key: &str) -> Option<(Blob, Scope)> {
        let record: Record = serde_json::from_slice(&fs::read(self.path(key)).ok()?).ok()?;
        if record.expires.is_some_and(|end| (self.clock)() >= end) {
            return None;
        }
        let (blob, _) = self.store.admitted([&self.scope], &record.digest).ok()??;
        Some((blob, record.scope))
    }

    pub fn put(
        &self,
        key: &str,
        value: &Blob,
        ttl: Option<u32>,
        scope: &Scope,
    ) -> Result<(), GeneratorError> {
        if key.is_empty() || key.len() > MAX_KEY {
            return Err(GeneratorError::Unsupported(format!(
                "a cache key has 1 to {MAX_KEY} bytes"
            )));
        }
        let directory = self.directory();
        let path = self.path(key);
        let put = || -> io::Result<bool> {
            private_dir(&directory)?;
            if !path.exists() && fs::read_dir(&directory)?.count() >= MAX_KEYS {
                return Ok(false);
            }
            let digest = self.store.keep_blob(value, &self.scope)?;
            let expires = ttl.map(|seconds| (self.clock)() + Duration::from_secs(seconds.into()));
            let mut aside = self.store.aside()?;
            aside.write_all(&serde_json::to_vec(&Record {
                digest,
                expires,
                scope: scope.clone(),
            })?)?;
            aside.persist(&path)?;
            Ok(true)
        };
        if put().map_err(GeneratorError::host("writing a plugin's cache"))? {
            Ok(())
        } else {
            Err(GeneratorError::quota(
                Quota::CacheBytes,
                format!("a cache has at most {MAX_KEYS} keys"),
            ))
        }
    }

    fn directory(&self) -> PathBuf {
        self.root.join(scope_key(&self.scope))
    }

    fn path(&self, key: &str) -> PathBuf {
        self.directory().join(Digest::of(key.as_bytes()).hex())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};

    use super::*;

    #[test]
    fn a_value_is_private_to_its_tenant_and_plugin_and_expires() {
        let dir = tempfile::tempdir().unwrap();
        let now = Arc::new(AtomicU64::new(1000));
        let ticking = now.clone();
        let clock: Clock = Arc::new(move || {
            SystemTime::UNIX_EPOCH + Duration::from_secs(ticking.load(Ordering::Relaxed))
        });
        let store = BlobStore::open(dir.path()).unwrap();
        let caches = PluginCache::open(dir.path(), store, clock).unwrap();
        let plugin = Digest::of(b"plugin");
        let mine = caches.of("acme", &plugin);
        mine.put(
            "index",
            &Blob::from_bytes(&b"v"[..]),
            Some(60),
            &Scope::Public,
        )
        .unwrap();
        assert_eq!(&mine.get("index").unwrap().0.to_bytes().unwrap()[..], b"v");
        assert!(caches.of("evil", &plugin).get("index").is_none());
        assert!(
            caches
                .of("acme", &Digest::of(b"other"))
                .get("index")
                .is_none()
        );
        now.store(1060, Ordering::Relaxed);
        assert!(mine.get("index").is_none());
        assert!(
            mine.put(
                &"k".repeat(300),
                &Blob::from_bytes(&b"v"[..]),
                None,
                &Scope::Public
            )
            .is_err()
        );
    }
}
