//! Objects put into the store: those named by their content once, a name last and only over the record that was there.

use std::sync::Arc;

use bootsplice_volume::{NameRecord, paths};
use bytes::Bytes;
use object_store::path::Path;
use object_store::{Error, ObjectStore, ObjectStoreExt, PutMode, PutOptions, UpdateVersion};

use crate::{ImportError, Result};

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
            PutMode::Update(self.version)
        };
        let at = Path::from(path.as_str());
        let payload = Bytes::from(bytes);
        let put = store
            .put_opts(&at, payload.clone().into(), PutOptions::from(mode))
            .await;
        match put {
            Ok(_) => Ok(size),
            Err(Error::AlreadyExists { .. } | Error::Precondition { .. }) => {
                Err(ImportError::Conflict(name.into()))
            }
            // Local directories cannot replace by condition; the look just before leaves a window of one rename.
            Err(Error::NotImplemented { .. }) => {
                let now = store.get(&at).await.map_err(ImportError::store(&path))?;
                if now.bytes().await.map_err(ImportError::store(&path))? != self.bytes {
                    return Err(ImportError::Conflict(name.into()));
                }
                store
                    .put(&at, payload.into())
                    .await
                    .map_err(ImportError::store(&path))?;
                Ok(size)
            }
            Err(error) => Err(ImportError::store(&path)(error)),
        }
    }
}
