//! Finished layers on disk, by their keys: made once however many launches ask at once.

use std::fs::{self, File};
use std::future::Future;
use std::io::{self, BufWriter, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use bootsplice_archive::layer::LayerRecord;
use bootsplice_content::Digest;
use bootsplice_engine::layer::TemplatePart;
use serde::{Deserialize, Serialize};

use super::keyed::KeyedLocks;
use crate::clock::Clock;

/// A directory of layers. Names are keys, so what is there is right for ever; whole files may be deleted while the host is down.
#[derive(Debug)]
pub struct LayerCache {
    directory: PathBuf,
    clock: Arc<dyn Clock>,
    making: KeyedLocks<Digest>,
}

/// A layer that is there.
#[derive(Clone, Debug)]
pub struct StoredLayer {
    pub key: Digest,
    pub facts: Arc<LayerFacts>,
    pub file: Arc<File>,
}

/// What is known of a layer without reading it.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LayerFacts {
    pub record: Arc<LayerRecord>,
    /// What the host fills per launch.
    pub templates: TemplatePart,
    /// Names that must exist in the guest before the step runs.
    pub users: std::collections::BTreeSet<String>,
    pub groups: std::collections::BTreeSet<String>,
    /// Users whose homes or managers the step addresses: such a step waits for users.
    pub addressed: std::collections::BTreeSet<String>,
    pub reboot_required: bool,
}

/// How a layer was had.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Had {
    Cached,
    Made,
}

// === impl LayerCache ===

impl LayerCache {
    /// Opens the directory and removes what an interrupted host left half-written.
    pub fn open(directory: PathBuf, clock: Arc<dyn Clock>) -> io::Result<Self> {
        fs::create_dir_all(&directory)?;
        for entry in fs::read_dir(&directory)? {
            let path = entry?.path();
            if path
                .extension()
                .is_some_and(|extension| extension == "partial")
            {
                fs::remove_file(path)?;
            }
        }
        Ok(Self {
            directory,
            clock,
            making: KeyedLocks::default(),
        })
    }

    /// The layer under `key`, made by `make` when it is not there. `make` writes the padded bytes to the file it is given. Of many callers one makes; when it fails or goes away the next tries.
    pub async fn get_or_make<F, E>(
        &self,
        key: Digest,
        make: impl FnOnce(BufWriter<File>) -> F,
    ) -> Result<(StoredLayer, Had), E>
    where
        F: Future<Output = Result<(BufWriter<File>, LayerFacts), E>>,
        E: From<io::Error>,
    {
        if let Some(layer) = self.get(key)? {
            return Ok((layer, Had::Cached));
        }
        let _making = self.making.lock(key).await;
        if let Some(layer) = self.get(key)? {
            return Ok((layer, Had::Cached));
        }
        let partial = self.path(key, "partial");
        let (writer, facts) =
            make(BufWriter::with_capacity(1 << 20, File::create(&partial)?)).await?;
        let file = writer
            .into_inner()
            .map_err(io::IntoInnerError::into_error)?;
        let body = serde_json::to_vec(&facts).map_err(io::Error::other)?;
        let (bytes, facts_path) = (self.path(key, "layer"), self.path(key, "json"));
        tokio::task::spawn_blocking(move || {
            file.sync_all()?;
            fs::rename(&partial, bytes)?;
            write_whole(&facts_path, &body)
        })
        .await
        .map_err(io::Error::other)??;
        let layer = self
            .get(key)?
            .ok_or_else(|| io::Error::other("a layer that was just written is gone"))?;
        Ok((layer, Had::Made))
    }

    fn get(&self, key: Digest) -> io::Result<Option<StoredLayer>> {
        let facts = match fs::read(self.path(key, "json")) {
            Ok(facts) => facts,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        // Facts that do not read belong to another release or are damaged: the layer is made again.
        let Ok(facts) = serde_json::from_slice(&facts) else {
            return Ok(None);
        };
        match File::open(self.path(key, "layer")) {
            Ok(file) => {
                // Its time is its last use; failing to note that loses nothing but age.
                let _ = File::open(self.path(key, "json"))
                    .and_then(|facts| facts.set_modified(self.clock.now().into()));
                Ok(Some(StoredLayer {
                    key,
                    facts: Arc::new(facts),
                    file: Arc::new(file),
                }))
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Deletes layers unused since `before`. Gives how many.
    pub fn sweep(&self, before: SystemTime) -> io::Result<usize> {
        let mut swept = 0;
        for entry in fs::read_dir(&self.directory)? {
            let path = entry?.path();
            if path.extension().is_none_or(|extension| extension != "json")
                || fs::metadata(&path)?.modified()? >= before
            {
                continue;
            }
            // Who has it open reads on.
            fs::remove_file(&path)?;
            fs::remove_file(path.with_extension("layer"))?;
            swept += 1;
        }
        Ok(swept)
    }

    /// Forgets a layer whose bytes turned out to be damaged; it is made again when next asked for.
    pub fn evict(&self, key: Digest) {
        // The record first: without it the bytes are nobody's.
        let _ = fs::remove_file(self.path(key, "json"));
        let _ = fs::remove_file(self.path(key, "layer"));
    }

    fn path(&self, key: Digest, extension: &str) -> PathBuf {
        self.directory.join(key.hex()).with_extension(extension)
    }
}

/// Whole and durable, or not at all.
fn write_whole(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let partial = path.with_extension("json.partial");
    let mut file = File::create(&partial)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(&partial, path)?;
    match path.parent() {
        Some(directory) => File::open(directory)?.sync_all(),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::SystemClock;
    use bootsplice_archive::layer::LayerWriter;
    use std::sync::atomic::{AtomicU32, Ordering};

    async fn make(out: BufWriter<File>) -> io::Result<(BufWriter<File>, LayerFacts)> {
        let mut writer = LayerWriter::new(out, 0).map_err(io::Error::other)?;
        writer
            .file("bootsplice/x/step.json", 0o644, 2, &b"{}"[..])
            .map_err(io::Error::other)?;
        let (out, record) = writer.finish().map_err(io::Error::other)?;
        let facts = LayerFacts {
            record: Arc::new(record),
            templates: TemplatePart::default(),
            users: Default::default(),
            groups: Default::default(),
            addressed: Default::default(),
            reboot_required: false,
        };
        Ok((out, facts))
    }

    #[tokio::test]
    async fn a_layer_is_made_once_however_many_ask_and_a_failed_maker_is_followed_by_another() {
        let scratch = tempfile::tempdir().unwrap();
        let cache =
            Arc::new(LayerCache::open(scratch.path().into(), Arc::new(SystemClock)).unwrap());
        let key = Digest::of(b"key");
        let runs = Arc::new(AtomicU32::new(0));
        let tasks: Vec<_> = (0..32)
            .map(|_| {
                let (cache, runs) = (cache.clone(), runs.clone());
                tokio::spawn(async move {
                    cache
                        .get_or_make(key, async |out| {
                            if runs.fetch_add(1, Ordering::SeqCst) == 0 {
                                return Err(io::Error::other("the first one fails"));
                            }
                            make(out).await
                        })
                        .await
                        .map(|(layer, _)| layer.facts.record.digest)
                })
            })
            .collect();
        let mut digests = std::collections::BTreeSet::new();
        let mut failed = 0;
        for task in tasks {
            match task.await.unwrap() {
                Ok(digest) => drop(digests.insert(digest)),
                Err(_) => failed += 1,
            }
        }
        assert_eq!(
            (digests.len(), failed, runs.load(Ordering::SeqCst)),
            (1, 1, 2)
        );
        assert_eq!(cache.sweep(SystemTime::UNIX_EPOCH).unwrap(), 0);
        assert_eq!(cache.sweep(SystemClock.now().into()).unwrap(), 1);
        let (_, had) = cache.get_or_make::<_, io::Error>(key, make).await.unwrap();
        assert_eq!(had, Had::Made, "what was swept is made again");
        cache.evict(key);
        let (_, had) = cache.get_or_make::<_, io::Error>(key, make).await.unwrap();
        assert_eq!(had, Had::Made);
    }
}
