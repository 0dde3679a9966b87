//! Packs: zstd seekable files of one frame per block, spooled to a scratch file and uploaded in parts.

use std::fs::File;
use std::io::Write;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::sync::Arc;

use bootsplice_content::{BLOCK, Digest, Hasher};
use bootsplice_volume::{Location, Pack, paths};
use object_store::path::Path;
use object_store::{MultipartUpload, ObjectStore, ObjectStoreExt, PutPayload};
use tokio::runtime::Handle;
use tokio::task::JoinHandle;

use crate::{ImportError, Result, publish};

/// A pack is closed when it has this many bytes.
const PACK: u64 = 64 << 20;
/// Bytes of a part of an upload.
const PART: usize = 8 << 20;

/// Magic of the skippable frame that holds the seek table, and of its footer (zstd seekable format 0.1.0).
const SEEK_FRAME: u32 = 0x184D_2A5E;
const SEEK_MAGIC: u32 = 0x8F92_EAB1;

/// All packs of a placement in the making; at most one upload is under way.
pub(crate) struct Packs {
    store: Arc<dyn ObjectStore>,
    handle: Handle,
    scratch: PathBuf,
    packs: Vec<Pack>,
    open: Option<Open>,
    upload: Option<JoinHandle<Result<u64>>>,
    /// Bytes sent.
    pub(crate) sent: u64,
}

struct Open {
    index: u32,
    spool: File,
    hasher: Hasher,
    size: u64,
    frames: Vec<u32>,
}

// === impl Packs ===

impl Packs {
    pub(crate) fn new(store: Arc<dyn ObjectStore>, handle: Handle, scratch: PathBuf) -> Self {
        Self {
            store,
            handle,
            scratch,
            packs: Vec::new(),
            open: None,
            upload: None,
            sent: 0,
        }
    }

    /// Stores a frame and tells where.
    pub(crate) fn append(&mut self, frame: &[u8]) -> Result<Location> {
        if self.open.is_none() {
            let spool =
                tempfile::tempfile_in(&self.scratch).map_err(ImportError::file(&self.scratch))?;
            let index = self.packs.len() as u32;
            // Its place in the list; digest and path come when it is closed.
            self.packs.push(Pack {
                path: String::new(),
                size: 0,
                digest: Digest::of(b""),
                etag: None,
            });
            self.open = Some(Open {
                index,
                spool,
                hasher: Hasher::new(),
                size: 0,
                frames: Vec::new(),
            });
        }
        let open = self.open.as_mut().expect("it was opened above");
        let location = Location {
            pack: open.index,
            length: frame.len() as u32,
            offset: open.size,
        };
        open.write(frame)
            .map_err(ImportError::file(&self.scratch))?;
        open.frames.push(frame.len() as u32);
        if open.size >= PACK {
            self.close()?;
        }
        Ok(location)
    }

    /// A location in a pack of an earlier volume, in this placement's numbers.
    pub(crate) fn adopt(&mut self, pack: &Pack, location: Location) -> Location {
        let index = self
            .packs
            .iter()
            .position(|known| known.path == pack.path)
            .unwrap_or_else(|| {
                self.packs.push(pack.clone());
                self.packs.len() - 1
            });
        Location {
            pack: index as u32,
            ..location
        }
    }

    /// Closes the last pack and waits until all are stored.
    pub(crate) fn finish(mut self) -> Result<(Vec<Pack>, u64)> {
        self.close()?;
        self.settle()?;
        Ok((std::mem::take(&mut self.packs), self.sent))
    }

    fn close(&mut self) -> Result<()> {
        let Some(mut open) = self.open.take() else {
            return Ok(());
        };
        let table = seek_table(&open.frames);
        open.write(&table)
            .map_err(ImportError::file(&self.scratch))?;
        let digest = open.hasher.finish();
        let path = paths::pack(&digest);
        let size = open.size;
        self.packs[open.index as usize] = Pack {
            path: path.clone(),
            size,
            digest,
            etag: None,
        };
        self.settle()?;
        let upload = upload(self.store.clone(), path, open.spool, size);
        self.upload = Some(self.handle.spawn(upload));
        Ok(())
    }

    fn settle(&mut self) -> Result<()> {
        if let Some(upload) = self.upload.take() {
            let done = self
                .handle
                .block_on(upload)
                .map_err(|_| ImportError::Cancelled)?;
            self.sent += done?;
        }
        Ok(())
    }
}

impl Drop for Packs {
    fn drop(&mut self) {
        if let Some(upload) = self.upload.take() {
            upload.abort();
        }
    }
}

// === impl Open ===

impl Open {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        self.spool.write_all(bytes)?;
        self.hasher.update(bytes);
        self.size += bytes.len() as u64;
        Ok(())
    }
}

/// The seek table: per frame its compressed and its decompressed length, then count, descriptor and magic.
fn seek_table(frames: &[u32]) -> Vec<u8> {
    let mut table = Vec::with_capacity(frames.len() * 8 + 17);
    table.extend(SEEK_FRAME.to_le_bytes());
    table.extend((frames.len() as u32 * 8 + 9).to_le_bytes());
    for length in frames {
        table.extend(length.to_le_bytes());
        table.extend((BLOCK as u32).to_le_bytes());
    }
    table.extend((frames.len() as u32).to_le_bytes());
    table.push(0);
    table.extend(SEEK_MAGIC.to_le_bytes());
    table
}

async fn upload(store: Arc<dyn ObjectStore>, path: String, spool: File, size: u64) -> Result<u64> {
    if publish::has(&store, &path, size).await? {
        return Ok(0);
    }
    let spool = Arc::new(spool);
    let part = |offset: u64| {
        let spool = spool.clone();
        let length = (size - offset).min(PART as u64) as usize;
        let path = path.clone();
        async move {
            let read = tokio::task::spawn_blocking(move || {
                let mut bytes = vec![0; length];
                spool.read_exact_at(&mut bytes, offset).map(|()| bytes)
            });
            let bytes = read.await.map_err(|_| ImportError::Cancelled)?;
            bytes
                .map(PutPayload::from)
                .map_err(ImportError::file(path.as_ref()))
        }
    };
    let at = Path::from(path.as_str());
    if size <= PART as u64 {
        store
            .put(&at, part(0).await?)
            .await
            .map_err(ImportError::store(&path))?;
        return Ok(size);
    }
    let mut upload = store
        .put_multipart(&at)
        .await
        .map_err(ImportError::store(&path))?;
    let sent = async {
        for offset in (0..size).step_by(PART) {
            upload
                .put_part(part(offset).await?)
                .await
                .map_err(ImportError::store(&path))?;
        }
        upload.complete().await.map_err(ImportError::store(&path))
    };
    if let Err(error) = sent.await {
        // Parts of a failed upload cost room; that they could not be dropped adds nothing to the cause.
        let _ = upload.abort().await;
        return Err(error);
    }
    Ok(size)
}
