//! Objects put into the store: those named by their content once, a name last and only over the record that was there.

use std::sync::Arc;
use std::time::Duration;

use bootsplice_volume::{NameRecord, paths};
use bytes::Bytes;
use object_store::path::Path;
use object_store::{Error, ObjectStore, ObjectStoreExt, PutMode, PutOptions, UpdateVersion};

use crate::{ImportError, Result};

/// Where a name that is being replaced is claimed, in stores without conditional writes.
const CLAIMS: &str = "claims";
/// How often a claim of somebody else is waited for: in all five seconds, for work of milliseconds.
const CLAIM_ATTEMPTS: u32 = 50;
const CLAIM_PAUSE: Duration = Duration::from_millis(100);

/// Puts an object whose path is a digest of its content, unless it is there. Gives the bytes sent.
pub(crate) async fn put_once(
    store: &Arc<dyn ObjectStore>,
    path: &str,
    bytes: Vec<u8>,
) -> Result<u64> {
    if has(store, path, bytes.len() as u64).await? {
        return Ok(0);
    }
    let size = bytes.len() as u64;
    let put = store
        .put(&Path::from(path), Bytes::from(bytes).into())
        .await;
    put.map_err(ImportError::store(path))?;
    Ok(size)
}

/// True when an object of this size is there.
pub(crate) async fn has(store: &Arc<dyn ObjectStore>, path: &str, size: u64) -> Result<bool> {
    match store.head(&Path::from(path)).await {
        Ok(meta) => Ok(meta.size == size),
        Err(Error::NotFound { .. }) => Ok(false),
        Err(error) => Err(ImportError::store(path)(error)),
    }
}

/// What a name was when an import began.
pub(crate) struct Before {
    pub(crate) record: Option<NameRecord>,
    bytes: Bytes,
    version: UpdateVersion,
}

// === impl Before ===

impl Before {
    pub(crate) async fn read(store: &Arc<dyn ObjectStore>, name: &str) -> Result<Self> {
        let path = paths::name(name);
        let found = match store.get(&Path::from(path.as_str())).await {
            Ok(found) => found,
            Err(Error::NotFound { .. }) => {
                let version = UpdateVersion {
                    e_tag: None,
                    version: None,
                };
                return Ok(Self {
                    record: None,
                    bytes: Bytes::new(),
                    version,
                });
            }
            Err(error) => return Err(ImportError::store(&path)(error)),
        };
        let version = UpdateVersion {
            e_tag: found.meta.e_tag.clone(),
            version: found.meta.version.clone(),
        };
        let bytes = found.bytes().await.map_err(ImportError::store(&path))?;
        let record =
            serde_json::from_slice(&bytes).map_err(|error| ImportError::damaged(&path, error))?;
        Ok(Self {
            record: Some(record),
            bytes,
            version,
        })
    }

    /// Points the name to `record`, if nobody changed it since. Gives the bytes sent.
    pub(crate) async fn replace(
        self,
        store: &Arc<dyn ObjectStore>,
        name: &str,
        record: &NameRecord,
    ) -> Result<u64> {
        if self.record.as_ref() == Some(record) {
            return Ok(0);
        }
        let path = paths::name(name);
        let bytes =
            serde_json::to_vec(record).map_err(|error| ImportError::damaged(&path, error))?;
        let size = bytes.len() as u64;
        let mode = if self.record.is_none() {
            PutMode::Create
        } else {
            PutMode::Update(self.version.clone())
        };
        let at = Path::from(path.as_str());
        let payload = Bytes::from(bytes);
        let put = store
            .put_opts(&at, payload.clone().into(), PutOptions::from(mode))
            .await;
        match put {
            Ok(_) => Ok(size),
            Err(Error::AlreadyExists { .. } | Error::Precondition { .. }) => {
                // Another import of the same image is no conflict: the name says what this one would.
                let now = Self::read(store, name).await?;
                if now.record.as_ref() == Some(record) {
                    return Ok(0);
                }
                Err(ImportError::Conflict(name.into()))
            }
            Err(Error::NotImplemented { .. }) => self.claim(store, name, record, payload).await,
            Err(error) => Err(ImportError::store(&path)(error)),
        }
    }

    /// Replaces a name in a store that cannot do so by condition, such as a local directory: who creates the claim is the only one that looks and writes.
    async fn claim(
        self,
        store: &Arc<dyn ObjectStore>,
        name: &str,
        record: &NameRecord,
        payload: Bytes,
    ) -> Result<u64> {
        let path = format!("{CLAIMS}/{name}");
        let claim = Path::from(path.as_str());
        for _ in 0..CLAIM_ATTEMPTS {
            let options = PutOptions::from(PutMode::Create);
            match store.put_opts(&claim, Bytes::new().into(), options).await {
                Ok(_) => {
                    let (store, name, record) = (store.clone(), name.to_owned(), record.clone());
                    // A task of its own: a caller that goes away must not leave its claim behind.
                    let held = tokio::spawn(async move {
                        let replaced = self.compare_and_put(&store, &name, &record, payload).await;
                        let dropped = store.delete(&claim).await;
                        let sent = replaced?;
                        dropped.map_err(ImportError::store(&path))?;
                        Ok(sent)
                    });
                    return held.await.map_err(|_| ImportError::Cancelled)?;
                }
                Err(Error::AlreadyExists { .. }) => {
                    tokio::time::sleep(CLAIM_PAUSE).await;
                }
                Err(error) => return Err(ImportError::store(&path)(error)),
            }
        }
        Err(ImportError::Claimed {
            name: name.to_owned(),
            object: path,
        })
    }

    async fn compare_and_put(
        &self,
        store: &Arc<dyn ObjectStore>,
        name: &str,
        record: &NameRecord,
        payload: Bytes,
    ) -> Result<u64> {
        let now = Self::read(store, name).await?;
        if now.record.as_ref() == Some(record) {
            return Ok(0);
        }
        if now.bytes != self.bytes {
            return Err(ImportError::Conflict(name.into()));
        }
        let (path, size) = (paths::name(name), payload.len() as u64);
        let put = store.put(&Path::from(path.as_str()), payload.into()).await;
        put.map_err(ImportError::store(&path))?;
        Ok(size)
    }
}
