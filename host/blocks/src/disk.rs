//! The cache directory: blocks as plain files named by their digest, so `sha256sum` proves them.
//!
//! `sha256/<2 hex>/<64 hex>`, written to `tmp/`, then renamed. A crash leaves either the whole file or none under its name; what power loss
//! does to an unsynced file is found when the block is promoted, since every promotion verifies. Nothing here is worth failing a
//! read for: on faults the directory stops helping and the origin serves.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use bootsplice_content::{BLOCK, Chunk, Digest};
use parking_lot::Mutex;

use crate::counters::add;
use crate::fifo::Fifo;
use crate::pool::Pool;
use crate::{BlocksError, Counters, Result};

/// A directory that keeps verified blocks across restarts.
#[derive(Clone, Debug)]
pub struct DiskConfig {
    /// Made when missing. One process at a time.
    pub directory: PathBuf,
    /// Bytes of blocks it may hold.
    pub bytes: u64,
    /// Sync each file before its rename. Without, power loss costs cached blocks, never correctness.
    pub sync: bool,
}

#[derive(Debug)]
pub(crate) struct Disk {
    config: DiskConfig,
    index: Mutex<Fifo<Digest, ()>>,
    temporary: AtomicU64,
}

// === impl Disk ===

impl Disk {
    /// Opens the directory and takes in what it holds. Blocking.
    pub(crate) fn open(config: DiskConfig) -> Result<Self> {
        let failed =
            |error| BlocksError::io(format!("cache directory {:?}", config.directory), error);
        let temporary = config.directory.join("tmp");
        fs::create_dir_all(&temporary).map_err(failed)?;
        for entry in fs::read_dir(&temporary).map_err(failed)? {
            fs::remove_file(entry.map_err(failed)?.path()).map_err(failed)?;
        }
        let root = config.directory.join("sha256");
        fs::create_dir_all(&root).map_err(failed)?;
        let mut index = Fifo::new(config.bytes);
        for (digest, length) in Self::list(&root).map_err(failed)? {
            for (surplus, ()) in index.insert(digest, (), length) {
                fs::remove_file(path_of(&config.directory, &surplus)).map_err(failed)?;
            }
        }
        Ok(Self {
            config,
            index: Mutex::new(index),
            temporary: AtomicU64::new(0),
        })
    }

    pub(crate) fn contains(&self, digest: &Digest) -> bool {
        self.index.lock().contains(digest)
    }

    /// The verified chunk, or `None` when it is not here or no longer whole; a damaged file is removed and counted. Blocking.
    pub(crate) fn load(&self, digest: Digest, pool: &Pool, counters: &Counters) -> Option<Chunk> {
        self.index.lock().get(&digest)?;
        let path = path_of(&self.config.directory, &digest);
        let read = || -> io::Result<_> {
            let mut file = File::open(&path)?;
            let length = usize::try_from(file.metadata()?.len()).unwrap_or(usize::MAX);
            if length > BLOCK {
                return Err(io::Error::other("longer than a block"));
            }
            let mut buffer = pool.take();
            file.read_exact(&mut buffer.bytes_mut()[..length])?;
            Ok(buffer.freeze(length))
        };
        let reason = match read() {
            Ok(bytes) => match Chunk::verify(digest, bytes) {
                Ok(chunk) => {
                    add(&counters.disk_hits, 1);
                    add(&counters.verified_blocks, 1);
                    return Some(chunk);
                }
                Err(refused) => {
                    add(&counters.refused_blocks, 1);
                    refused.to_string()
                }
            },
            Err(error) => error.to_string(),
        };
        tracing::warn!(%digest, reason, "removed a damaged file from the cache directory");
        add(&counters.disk_faults, 1);
        self.index.lock().remove(&digest);
        let _ = fs::remove_file(path);
        None
    }

    /// Keeps a chunk, as far as the directory lets it. Blocking.
    pub(crate) fn store(&self, chunk: &Chunk, counters: &Counters) {
        if self.contains(&chunk.digest()) {
            return;
        }
        if let Err(error) = self.write(chunk) {
            add(&counters.disk_faults, 1);
            tracing::warn!(digest = %chunk.digest(), %error, "a block was not kept in the cache directory");
        }
    }

    fn write(&self, chunk: &Chunk) -> io::Result<()> {
        let number = self.temporary.fetch_add(1, Relaxed);
        let temporary = self.config.directory.join("tmp").join(number.to_string());
        let path = path_of(&self.config.directory, &chunk.digest());
        let written = (|| {
            let mut file = File::create_new(&temporary)?;
            file.write_all(chunk.bytes())?;
            if self.config.sync {
                file.sync_data()?;
            }
            if let Some(parent) = path.parent() {
                fs::create_dir_all(parent)?;
            }
            fs::rename(&temporary, &path)
        })();
        if written.is_err() {
            let _ = fs::remove_file(&temporary);
            return written;
        }
        let left = self
            .index
            .lock()
            .insert(chunk.digest(), (), chunk.bytes().len() as u64);
        for (digest, ()) in left {
            fs::remove_file(path_of(&self.config.directory, &digest))?;
        }
        Ok(())
    }

    /// Every block file, oldest first. What is not one of ours is left alone.
    fn list(root: &Path) -> io::Result<Vec<(Digest, u64)>> {
        let mut found = Vec::new();
        for folder in fs::read_dir(root)? {
            let folder = folder?;
            if !folder.file_type()?.is_dir() {
                continue;
            }
            for file in fs::read_dir(folder.path())? {
                let file = file?;
                let name = file.file_name();
                let digest = name
                    .to_str()
                    .and_then(|hex| format!("sha256:{hex}").parse::<Digest>().ok());
                if let Some(digest) = digest {
                    let metadata = file.metadata()?;
                    found.push((metadata.modified()?, digest, metadata.len()));
                }
            }
        }
        found.sort_by_key(|&(modified, digest, _)| (modified, digest));
        Ok(found
            .into_iter()
            .map(|(_, digest, length)| (digest, length))
            .collect())
    }
}

fn path_of(directory: &Path, digest: &Digest) -> PathBuf {
    let hex = digest.hex();
    directory.join("sha256").join(&hex[..2]).join(hex)
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;

    struct Bench {
        root: tempfile::TempDir,
        pool: Pool,
        counters: Counters,
    }

    impl Bench {
        fn new() -> Self {
            Self {
                root: tempfile::tempdir().unwrap(),
                pool: Pool::new(BLOCK, 4),
                counters: Counters::default(),
            }
        }

        fn disk(&self, bytes: u64) -> Disk {
            Disk::open(DiskConfig {
                directory: self.root.path().into(),
                bytes,
                sync: true,
            })
            .unwrap()
        }

        fn load(&self, disk: &Disk, chunk: &Chunk) -> Option<Chunk> {
            disk.load(chunk.digest(), &self.pool, &self.counters)
        }
    }

    fn chunk(seed: u8) -> Chunk {
        Chunk::of(Bytes::from(vec![seed; 1000]))
    }

    #[test]
    fn blocks_survive_a_restart_and_are_proven_again() {
        let bench = Bench::new();
        bench.disk(10_000).store(&chunk(1), &bench.counters);
        fs::write(bench.root.path().join("tmp/left-by-a-crash"), b"half").unwrap();
        let disk = bench.disk(10_000);
        assert_eq!(
            bench.load(&disk, &chunk(1)).unwrap().bytes(),
            chunk(1).bytes()
        );
        assert_eq!(bench.counters.snapshot().verified_blocks, 1);
        assert!(!bench.root.path().join("tmp/left-by-a-crash").exists());
    }

    #[test]
    fn a_flipped_bit_or_a_short_file_is_removed_not_served() {
        let bench = Bench::new();
        let disk = bench.disk(10_000);
        for (seed, damaged) in [
            (1, vec![0; 1000]),
            (2, vec![2; 999]),
            (3, vec![3; BLOCK + 1]),
        ] {
            disk.store(&chunk(seed), &bench.counters);
            let path = path_of(bench.root.path(), &chunk(seed).digest());
            fs::write(&path, damaged).unwrap();
            assert!(bench.load(&disk, &chunk(seed)).is_none());
            assert!(!path.exists() && !disk.contains(&chunk(seed).digest()));
        }
        assert_eq!(bench.counters.snapshot().disk_faults, 3);
    }

    #[test]
    fn the_directory_stays_within_its_budget_across_restarts() {
        let bench = Bench::new();
        let files = || Disk::list(&bench.root.path().join("sha256")).unwrap().len();
        let disk = bench.disk(5_000);
        for seed in 0..20 {
            disk.store(&chunk(seed), &bench.counters);
        }
        assert_eq!(files(), 5);
        drop(disk);
        bench.disk(2_000);
        assert_eq!(files(), 2);
    }

    #[test]
    fn a_directory_that_cannot_be_written_is_counted_and_nothing_fails() {
        let bench = Bench::new();
        let disk = bench.disk(10_000);
        fs::remove_dir_all(bench.root.path().join("tmp")).unwrap();
        disk.store(&chunk(1), &bench.counters);
        assert!(!disk.contains(&chunk(1).digest()));
        assert_eq!(bench.counters.snapshot().disk_faults, 1);
    }
}
