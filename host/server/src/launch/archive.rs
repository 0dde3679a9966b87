//! The archive of one point as a source of blocks: layers from the cache, the instance layer from memory.

use std::fs::File;
use std::os::unix::fs::FileExt as _;
use std::sync::Arc;

use async_trait::async_trait;
use bootsplice_archive::assemble::{Archive, ArchiveBlock};
use bootsplice_blocks::{BlockSource, BlocksError, Cache};
use bootsplice_content::{BLOCK, BLOCK_U64, Chunk, Digest};
use bytes::{Bytes, BytesMut};

use super::layers::LayerCache;

/// An archive that can be read.
pub struct PointArchive {
    archive: Archive,
    layers: Vec<LayerBytes>,
    cache: Arc<Cache>,
    store: Arc<LayerCache>,
}

/// Where a layer's bytes are.
#[derive(Clone, Debug)]
pub enum LayerBytes {
    /// Shared: read once, then from the cache of verified blocks.
    Stored { key: Digest, file: Arc<File> },
    /// Of one launch: in memory and never in a shared cache, for it may hold secrets.
    Memory(Bytes),
}

// === impl PointArchive ===

impl PointArchive {
    /// `layers` stand in the order of the archive's own.
    pub fn new(
        archive: Archive,
        layers: Vec<LayerBytes>,
        cache: Arc<Cache>,
        store: Arc<LayerCache>,
    ) -> Self {
        Self {
            archive,
            layers,
            cache,
            store,
        }
    }

    pub fn archive(&self) -> &Archive {
        &self.archive
    }

    fn memory(&self, bytes: &Bytes, index: usize, digest: Digest) -> Result<Chunk, BlocksError> {
        let block = bytes.slice(index * BLOCK..(index + 1) * BLOCK);
        Chunk::verify(digest, block).map_err(|refused| BlocksError::Corrupt {
            object: "the instance layer".into(),
            block: None,
            reason: refused.to_string(),
        })
    }
}

#[async_trait]
impl BlockSource for PointArchive {
    fn len_blocks(&self) -> u64 {
        self.archive.len_blocks()
    }

    async fn block(&self, block: u64) -> Result<Option<Chunk>, BlocksError> {
        let (layer, index, digest) = match self.archive.block(block) {
            ArchiveBlock::Inline(chunk) => return Ok(Some(chunk)),
            ArchiveBlock::Zero => return Ok(None),
            ArchiveBlock::Layer {
                layer,
                index,
                digest,
            } => (layer, index, digest),
        };
        match &self.layers[layer] {
            LayerBytes::Memory(bytes) => self.memory(bytes, index, digest).map(Some),
            LayerBytes::Stored { key, file } => {
                if let Some(chunk) = self.cache.get(&digest) {
                    return Ok(Some(chunk));
                }
                let (file, key) = (file.clone(), *key);
                let read = tokio::task::spawn_blocking(move || {
                    let mut bytes = BytesMut::zeroed(BLOCK);
                    file.read_exact_at(&mut bytes, index as u64 * BLOCK_U64)?;
                    Ok::<_, std::io::Error>(Chunk::verify(digest, bytes.freeze()))
                })
                .await
                .map_err(std::io::Error::other)
                .and_then(|read| read)
                .map_err(|error| BlocksError::io(format!("reading layer {key}"), error))?;
                match read {
                    Ok(chunk) => {
                        self.cache.insert(chunk.clone());
                        Ok(Some(chunk))
                    }
                    Err(refused) => {
                        self.store.evict(key);
                        Err(BlocksError::Corrupt {
                            object: format!("layer {key} in the state directory"),
                            block: Some(index as u64),
                            reason: format!(
                                "{refused}; it was dropped and the next launch makes it again"
                            ),
                        })
                    }
                }
            }
        }
    }

    fn ready(&self, block: u64) -> Option<Option<Chunk>> {
        match self.archive.block(block) {
            ArchiveBlock::Inline(chunk) => Some(Some(chunk)),
            ArchiveBlock::Zero => Some(None),
            ArchiveBlock::Layer {
                layer,
                index,
                digest,
            } => match &self.layers[layer] {
                LayerBytes::Memory(bytes) => self.memory(bytes, index, digest).ok().map(Some),
                LayerBytes::Stored { .. } => self.cache.get(&digest).map(Some),
            },
        }
    }

    async fn zeros(&self, block: u64, limit: u64) -> Result<u64, BlocksError> {
        let end = self.len_blocks().min(block.saturating_add(limit));
        let zero = |index: &u64| matches!(self.archive.block(*index), ArchiveBlock::Zero);
        Ok((block..end).take_while(zero).count() as u64)
    }
}
