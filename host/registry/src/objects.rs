//! The bytes of blobs and manifests: objects named by digest, each stored once however many repositories hold it.
//!
//! An object is written whole or not at all, and only after its digest was checked. What is read back is checked for length (blobs, which clients check
//! by digest) or digest (manifests and components, which the host acts on).

use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use futures::stream::{self, BoxStream};
use futures::{StreamExt as _, TryStreamExt as _};
use object_store::path::Path;
use object_store::{GetOptions, ObjectStore, ObjectStoreExt as _, PutPayload, WriteMultipart};
use parking_lot::Mutex;
use tokio::io::{AsyncRead, AsyncReadExt as _};
use tokio::sync::OwnedMutexGuard;

use crate::digest::ContentDigest;
use crate::error::{RegistryError, Result};

const PREFIX: &str = "blobs";
/// One part of an object that is sent in parts; at most two are under way.
const PART: usize = 8 << 20;
/// Pieces without a byte in a row, after which an object counts as shrunk.
const MOST_EMPTY: u32 = 16;

#[derive(Debug)]
pub(crate) struct Objects {
    store: Arc<dyn ObjectStore>,
    /// Who writes or deletes an object holds its lock.
    locks: Mutex<HashMap<ContentDigest, Arc<tokio::sync::Mutex<()>>>>,
}

/// An object that nobody else writes or deletes meanwhile. Record who holds it before letting go.
#[derive(Debug)]
pub(crate) struct Held(#[expect(dead_code, reason = "held, not read")] OwnedMutexGuard<()>);

/// An object in a listing.
#[derive(Debug)]
pub(crate) struct Listed {
    pub(crate) digest: ContentDigest,
    pub(crate) size: u64,
    pub(crate) modified: time::OffsetDateTime,
}

// === impl Objects ===

impl Objects {
    pub(crate) fn new(store: Arc<dyn ObjectStore>) -> Self {
        let locks = Mutex::default();
        Self { store, locks }
    }

    pub(crate) async fn hold(&self, digest: &ContentDigest) -> Held {
        let lock = {
            let mut locks = self.locks.lock();
            // Locks that nobody waits for are swept here, so the table stays as small as the work under way.
            if locks.len() >= 1024 {
                locks.retain(|_, lock| Arc::strong_count(lock) > 1);
            }
            locks.entry(digest.clone()).or_default().clone()
        };
        Held(lock.lock_owned().await)
    }

    /// Stores `size` bytes whose digest was checked. One that is there already is left as it is.
    pub(crate) async fn put(
        &self,
        _held: &Held,
        digest: &ContentDigest,
        size: u64,
        mut bytes: impl AsyncRead + Unpin,
    ) -> Result<()> {
        let path = path(digest);
        match self.store.head(&path).await {
            Ok(meta) if meta.size == size => return Ok(()),
            Ok(_) | Err(object_store::Error::NotFound { .. }) => {}
            Err(error) => return Err(error.into()),
        }
        if size <= PART as u64 {
            let mut whole = Vec::with_capacity(usize::try_from(size).unwrap_or(PART));
            bytes.read_to_end(&mut whole).await?;
            self.store.put(&path, PutPayload::from(whole)).await?;
            return Ok(());
        }
        let mut writer =
            WriteMultipart::new_with_chunk_size(self.store.put_multipart(&path).await?, PART);
        let copied = async {
            let mut piece = BytesMut::with_capacity(1 << 20);
            while bytes.read_buf(&mut piece).await? > 0 {
                writer.wait_for_capacity(1).await?;
                writer.put(piece.split().freeze());
                piece.reserve(1 << 20);
            }
            Ok(())
        };
        match copied.await {
            Ok(()) => {
                writer.finish().await?;
                Ok(())
            }
            Err(error) => {
                let _ = writer.abort().await;
                Err(error)
            }
        }
    }

    /// A part of an object, as exactly so many bytes or a stream that ends in an error.
    pub(crate) async fn stream(
        &self,
        digest: &ContentDigest,
        range: Range<u64>,
    ) -> Result<BoxStream<'static, Result<Bytes>>> {
        if range.is_empty() {
            return Ok(stream::empty().boxed());
        }
        let expected = range.end - range.start;
        let options = GetOptions::new().with_range(Some(range));
        let answer = self.store.get_opts(&path(digest), options).await?;
        let pieces = answer.into_stream().map_err(RegistryError::from);
        let state = (pieces, expected, digest.clone());
        // A file that shrinks while it is read yields empty pieces for ever.
        let exact = stream::try_unfold(state, |(mut pieces, left, digest)| async move {
            if left == 0 {
                return Ok(None);
            }
            for _ in 0..MOST_EMPTY {
                let Some(mut piece) = pieces.try_next().await? else {
                    break;
                };
                if !piece.is_empty() {
                    let most = usize::try_from(left).unwrap_or(usize::MAX);
                    piece.truncate(most);
                    let left = left - piece.len() as u64;
                    return Ok(Some((piece, (pieces, left, digest))));
                }
            }
            Err(RegistryError::Damaged(digest))
        });
        Ok(exact.boxed())
    }

    /// A whole object of known size, in memory, checked against its digest.
    pub(crate) async fn whole(&self, digest: &ContentDigest, size: u64) -> Result<Bytes> {
        let mut pieces = self.stream(digest, 0..size).await?;
        let mut bytes = BytesMut::with_capacity(usize::try_from(size).unwrap_or(0));
        while let Some(piece) = pieces.try_next().await? {
            bytes.extend_from_slice(&piece);
        }
        if ContentDigest::of(digest.algorithm(), &bytes) != *digest {
            return Err(RegistryError::Damaged(digest.clone()));
        }
        Ok(bytes.freeze())
    }

    pub(crate) async fn delete(&self, _held: &Held, digest: &ContentDigest) -> Result<()> {
        match self.store.delete(&path(digest)).await {
            Ok(()) | Err(object_store::Error::NotFound { .. }) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// Every object. Names that are not ours are passed over.
    pub(crate) fn list(&self) -> BoxStream<'static, Result<Listed>> {
        let prefix = Path::from(PREFIX);
        let found = self.store.list(Some(&prefix)).map_err(RegistryError::from);
        found
            .try_filter_map(|meta| async move {
                let parts: Vec<_> = meta.location.parts().collect();
                let [_, algorithm, _, hex] = &*parts else {
                    return Ok(None);
                };
                let text = format!("{}:{}", algorithm.as_ref(), hex.as_ref());
                let seconds = meta.last_modified.timestamp();
                let modified = time::OffsetDateTime::from_unix_timestamp(seconds);
                Ok(text
                    .parse()
                    .ok()
                    .zip(modified.ok())
                    .map(|(digest, modified)| Listed {
                        digest,
                        size: meta.size,
                        modified,
                    }))
            })
            .boxed()
    }
}

/// `blobs/sha256/e3/e3b0…`
fn path(digest: &ContentDigest) -> Path {
    let hex = digest.hex();
    Path::from_iter([PREFIX, digest.algorithm().as_str(), &hex[..2], hex])
}
