//! What unpinned URLs gave and when, per scope: the answer to `max-age`, kept over restarts.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bootsplice_content::Digest;
use serde::{Deserialize, Serialize};

use crate::blobs::{BlobStore, Scope};

/// One answer of a URL.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Memory {
    pub digest: Digest,
    pub final_url: String,
    pub etag: Option<String>,
    /// Milliseconds since 1970, by the host's clock.
    pub fetched: u64,
}

/// A small file for each (scope, URL).
#[derive(Clone, Debug)]
pub struct Remembered {
    root: Arc<Path>,
}

// === impl Remembered ===

impl Remembered {
    pub fn open(state: &Path) -> io::Result<Self> {
        let root = state.join("urls");
        crate::blobs::private_dir(&root)?;
        Ok(Self { root: root.into() })
    }

    pub fn get(&self, scope: &Scope, url: &str) -> Option<Memory> {
        let bytes = fs::read(self.path(scope, url)).ok()?;
        // What cannot be read any more was written by another version: fetch again.
        serde_json::from_slice(&bytes).ok()
    }

    pub fn put(
        &self,
        store: &BlobStore,
        scope: &Scope,
        url: &str,
        memory: &Memory,
    ) -> io::Result<()> {
        let bytes = serde_json::to_vec(memory)?;
        let mut aside = store.aside()?;
        io::Write::write_all(&mut aside, &bytes)?;
        aside.persist(self.path(scope, url))?;
        Ok(())
    }

    fn path(&self, scope: &Scope, url: &str) -> PathBuf {
        let key = format!("{}\n{url}", crate::blobs::scope_key(scope));
        self.root.join(Digest::of(key.as_bytes()).hex())
    }
}

// === impl Memory ===

impl Memory {
    /// True when the answer was fetched at `oldest` or later.
    pub fn is_since(&self, oldest: SystemTime) -> bool {
        UNIX_EPOCH + Duration::from_millis(self.fetched) >= oldest
    }
}

/// A time as [`Memory::fetched`] writes it.
pub fn millis(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH).map_or(0, |since| {
        u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
    })
}
