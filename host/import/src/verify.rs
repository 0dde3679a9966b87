//! Every byte of a stored volume, read and hashed again.

use std::sync::Arc;

use bootsplice_content::{Digest, Hasher};
use bootsplice_volume::{Pack, paths};
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt};
use serde::Serialize;

use crate::stored::{Batch, Stored, verified};
use crate::{ImportError, Progress, Result};

const READ: u64 = 8 << 20;
const MOST_FILE: usize = 64 << 20;

/// What `volume verify` found.
#[derive(Clone, Debug, Serialize)]
pub struct Verification {
    pub name: String,
    /// Objects whose digests hold.
    pub objects: u64,
    /// Blocks whose digests hold.
    pub blocks: u64,
    /// Bytes read from packs.
    pub bytes: u64,
    /// The first fault; none when every stored byte is right.
    pub fault: Option<Fault>,
}

/// Where stored bytes are not what they should be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Fault {
    /// Path in the store.
    pub object: String,
    pub reason: String,
}

/// Hashes every stored byte of the volume `name` again, up to the first fault. An error means that the store did not answer or there is no such volume.
pub async fn verify(
    store: &Arc<dyn ObjectStore>,
    name: &str,
    mut progress: impl FnMut(Progress),
) -> Result<Verification> {
    let mut found = Verification {
        name: name.to_owned(),
        objects: 0,
        blocks: 0,
        bytes: 0,
        fault: None,
    };
    match found.walk(store, &mut progress).await {
        Ok(()) => {}
        Err(ImportError::Damaged { object, reason }) => {
            found.fault = Some(Fault { object, reason })
        }
        Err(ImportError::Store {
            object,
            source: object_store::Error::NotFound { .. },
        }) => {
            found.fault = Some(Fault {
                object,
                reason: "it is missing".into(),
            });
        }
        Err(error) => return Err(error),
    }
    Ok(found)
}

// === impl Verification ===

impl Verification {
    async fn walk(
        &mut self,
        store: &Arc<dyn ObjectStore>,
        progress: &mut impl FnMut(Progress),
    ) -> Result<()> {
        let stored = Stored::open(store.clone(), &self.name).await?;
        self.objects += 3;
        let inventory = stored.inventory().await?;
        self.objects += 1;
        for file in inventory.files.values() {
            verified(
                store,
                &paths::inventory_file(&file.digest),
                file.digest,
                MOST_FILE,
            )
            .await?;
            self.objects += 1;
        }
        let total = stored.placement.packs.iter().map(|pack| pack.size).sum();
        for pack in &stored.placement.packs {
            hash_pack(store, pack, |bytes| {
                self.bytes += bytes;
                progress(Progress {
                    done: self.bytes,
                    total,
                });
            })
            .await?;
            self.objects += 1;
        }
        for index in 0..stored.manifest.pages.len() {
            let Some((page, places)) = stored.page(index).await? else {
                continue;
            };
            self.objects += 2;
            for batch in stored.batches(index, &page, &places) {
                let bytes = batch.read(store).await?;
                let checked = tokio::task::spawn_blocking(move || check(&batch, &bytes));
                self.blocks += checked.await.map_err(|_| ImportError::Cancelled)??;
            }
        }
        Ok(())
    }
}

fn check(batch: &Batch, bytes: &[u8]) -> Result<u64> {
    batch
        .open(bytes)
        .try_fold(0, |count, (_, content)| content.map(|_| count + 1))
}

async fn hash_pack(
    store: &Arc<dyn ObjectStore>,
    pack: &Pack,
    mut read: impl FnMut(u64),
) -> Result<()> {
    let at = Path::from(pack.path.as_str());
    let meta = store
        .head(&at)
        .await
        .map_err(ImportError::store(&pack.path))?;
    if meta.size != pack.size {
        let reason = format!("{} bytes, expected {}", meta.size, pack.size);
        return Err(ImportError::damaged(&pack.path, reason));
    }
    let mut hasher = Hasher::new();
    let mut offset = 0;
    while offset < pack.size {
        let end = (offset + READ).min(pack.size);
        let bytes = store
            .get_range(&at, offset..end)
            .await
            .map_err(ImportError::store(&pack.path))?;
        if bytes.len() as u64 != end - offset {
            return Err(ImportError::damaged(&pack.path, "it is cut short"));
        }
        hasher = tokio::task::spawn_blocking(move || {
            hasher.update(&bytes);
            hasher
        })
        .await
        .map_err(|_| ImportError::Cancelled)?;
        read(end - offset);
        offset = end;
    }
    let actual: Digest = hasher.finish();
    if actual != pack.digest {
        let reason = format!("expected digest {}, found {actual}", pack.digest);
        return Err(ImportError::damaged(&pack.path, reason));
    }
    Ok(())
}
