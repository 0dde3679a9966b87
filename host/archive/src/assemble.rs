//! Lays an archive out in its point: header, layers, end block, padding. Pure: what a block holds, never where it is kept.

use std::sync::{Arc, OnceLock};

use bootsplice_content::point_frame::{FRAME_BLOCKS, SKIPPABLE};
use bootsplice_content::{BLOCK, Chunk, Digest};
use bytes::Bytes;
use ed25519_dalek::SigningKey;

use crate::header::{HeaderLayer, LayerScope, Payload, sign};
use crate::layer::LayerRecord;
use crate::{ArchiveError, LEVEL};

/// Blocks in one padding frame, at most: 1 GiB.
const PADDING_FRAME: u64 = 2048;

/// A layer of an archive.
#[derive(Clone, Debug)]
pub struct ArchiveLayer {
    pub record: Arc<LayerRecord>,
    pub steps: Vec<String>,
    pub scope: LayerScope,
}

/// An archive: its blocks by number, from the point's block 2 on.
#[derive(Clone, Debug)]
pub struct Archive {
    pub payload: Payload,
    pub layers: Vec<ArchiveLayer>,
    header: Vec<Chunk>,
    /// First block of each layer, and of the end block.
    starts: Vec<u64>,
    capacity: u64,
}

/// What one block of an archive holds.
#[derive(Clone, Debug)]
pub enum ArchiveBlock {
    /// Made here: header, end, padding.
    Inline(Chunk),
    /// Block `index` of layer `layer`.
    Layer {
        layer: usize,
        index: usize,
        digest: Digest,
    },
    Zero,
}

/// Blocks that an archive with these layers needs, with a header of one block: for checks before anything is made.
pub fn blocks_needed(layer_blocks: impl IntoIterator<Item = u64>) -> u64 {
    layer_blocks.into_iter().fold(2, u64::saturating_add)
}

// === impl Archive ===

impl Archive {
    /// Signs `payload`, with its `layers` and `length` filled in, and lays the archive out in a point of `payload.blocks` blocks.
    pub fn assemble(
        mut payload: Payload,
        layers: Vec<ArchiveLayer>,
        signing: &[SigningKey],
    ) -> Result<Self, ArchiveError> {
        let capacity = payload.blocks.saturating_sub(2 * FRAME_BLOCKS);
        payload.layers = layers
            .iter()
            .map(|layer| HeaderLayer {
                digest: layer.record.digest,
                blocks: layer.record.blocks.len() as u64,
                steps: layer.steps.clone(),
                scope: layer.scope,
            })
            .collect();
        let content = payload
            .layers
            .iter()
            .fold(1u64, |sum, layer| sum.saturating_add(layer.blocks));
        // The header's own length stands in the header: at most two rounds settle it.
        let mut header_blocks = 1;
        let header = loop {
            payload.length = content.saturating_add(header_blocks);
            let header = sign(&payload, signing)?;
            let blocks = (header.len() / BLOCK) as u64;
            if blocks == header_blocks {
                break header;
            }
            header_blocks = blocks;
        };
        if payload.length > capacity {
            return Err(ArchiveError::Capacity {
                needed: payload.length,
                capacity,
            });
        }
        let mut starts = vec![header_blocks];
        for layer in &payload.layers {
            starts.push(starts[starts.len() - 1] + layer.blocks);
        }
        let header = Bytes::from(header);
        let header = (0..header.len())
            .step_by(BLOCK)
            .map(|at| Chunk::of(header.slice(at..at + BLOCK)))
            .collect();
        Ok(Self {
            payload,
            layers,
            header,
            starts,
            capacity,
        })
    }

    /// Blocks between the point's frames.
    pub fn len_blocks(&self) -> u64 {
        self.capacity
    }

    /// Block `index`, counted from the end of the point's first frame.
    ///
    /// # Panics
    /// When `index` is not below [`Archive::len_blocks`].
    pub fn block(&self, index: u64) -> ArchiveBlock {
        assert!(index < self.capacity, "block {index} of {}", self.capacity);
        if let Some(chunk) = self.header.get(index as usize) {
            return ArchiveBlock::Inline(chunk.clone());
        }
        let end = self.starts[self.starts.len() - 1];
        if index < end {
            let layer = self.starts.partition_point(|start| *start <= index) - 1;
            let inner = (index - self.starts[layer]) as usize;
            return match self.layers[layer].record.blocks[inner] {
                Some(digest) => ArchiveBlock::Layer {
                    layer,
                    index: inner,
                    digest,
                },
                None => ArchiveBlock::Zero,
            };
        }
        if index == end {
            return ArchiveBlock::Inline(end_block().clone());
        }
        let padding = index - end - 1;
        if padding.is_multiple_of(PADDING_FRAME) {
            let left = self.capacity - index;
            return ArchiveBlock::Inline(padding_block(left.min(PADDING_FRAME)));
        }
        ArchiveBlock::Zero
    }

    /// Digest of each block, in order: what the archive's own digest is made of.
    pub fn digests(&self) -> impl Iterator<Item = Option<Digest>> + '_ {
        (0..self.capacity).map(|index| match self.block(index) {
            ArchiveBlock::Inline(chunk) => Some(chunk.digest()),
            ArchiveBlock::Layer { digest, .. } => Some(digest),
            ArchiveBlock::Zero => None,
        })
    }
}

/// tar's end-of-archive records in a zstd frame, padded to a block.
pub fn end_block() -> &'static Chunk {
    static END: OnceLock<Chunk> = OnceLock::new();
    END.get_or_init(|| {
        let mut block = zstd::bulk::compress(&[0; 1024], LEVEL).expect("1 KiB of zeros compresses");
        let gap = BLOCK - block.len();
        block.extend_from_slice(&SKIPPABLE.to_le_bytes());
        block.extend_from_slice(&((gap - 8) as u32).to_le_bytes());
        block.resize(BLOCK, 0);
        Chunk::of(Bytes::from(block))
    })
}

/// The first block of a skippable frame over `blocks` blocks; the others are zero.
fn padding_block(blocks: u64) -> Chunk {
    let mut block = vec![0; BLOCK];
    block[..4].copy_from_slice(&SKIPPABLE.to_le_bytes());
    block[4..8].copy_from_slice(&((blocks * BLOCK as u64 - 8) as u32).to_le_bytes());
    Chunk::of(Bytes::from(block))
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::header::tests::payload;
    use crate::layer::tests::sample;
    use bootsplice_content::point_frame;

    pub(crate) fn key() -> SigningKey {
        SigningKey::from_bytes(&[1; 32])
    }

    /// A whole point as bytes, and its archive.
    pub(crate) fn point(blocks: u64, sizes: &[usize]) -> (Vec<u8>, Archive) {
        let made: Vec<_> = sizes
            .iter()
            .enumerate()
            .map(|(index, size)| sample(index as u8, *size))
            .collect();
        let layers = made
            .iter()
            .enumerate()
            .map(|(index, (_, record))| ArchiveLayer {
                record: Arc::new(record.clone()),
                steps: vec![format!("s{index}")],
                scope: LayerScope::Shared,
            })
            .collect();
        let archive = Archive::assemble(
            Payload {
                blocks,
                ..payload()
            },
            layers,
            &[key()],
        )
        .unwrap();
        let mut frame = point_frame::first_block().bytes().to_vec();
        frame.resize(2 * BLOCK, 0);
        let mut bytes = frame.clone();
        for index in 0..archive.len_blocks() {
            match archive.block(index) {
                ArchiveBlock::Inline(chunk) => bytes.extend_from_slice(chunk.bytes()),
                ArchiveBlock::Layer {
                    layer,
                    index,
                    digest,
                } => {
                    let block = &made[layer].0[index * BLOCK..(index + 1) * BLOCK];
                    assert_eq!(Digest::of(block), digest);
                    bytes.extend_from_slice(block);
                }
                ArchiveBlock::Zero => bytes.resize(bytes.len() + BLOCK, 0),
            }
        }
        bytes.extend_from_slice(&frame);
        assert_eq!(bytes.len() as u64, blocks * BLOCK as u64);
        (bytes, archive)
    }

    /// What `zstd -dc < file | tar -t` of the system says.
    pub(crate) fn stock_listing(path: &std::path::Path) -> Vec<String> {
        let script = format!("set -o pipefail; zstd -dc < '{}' | tar -t", path.display());
        let output = std::process::Command::new("bash")
            .args(["-c", &script])
            .output()
            .unwrap();
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
        assert!(
            output.stderr.is_empty(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
        String::from_utf8(output.stdout)
            .unwrap()
            .lines()
            .map(str::to_owned)
            .collect()
    }

    #[test]
    fn stock_zstd_and_tar_list_the_entries_of_every_layer() {
        let (bytes, archive) = point(24, &[10, 600_000, 1_200_000]);
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), &bytes).unwrap();
        let listing = stock_listing(file.path());
        let entries: u64 = archive
            .layers
            .iter()
            .map(|layer| layer.record.entries)
            .sum();
        assert_eq!(listing.len() as u64, entries);
        for layer in 0..3 {
            assert!(
                listing.contains(&format!("bootsplice/s{layer}/step.json")),
                "{listing:?}"
            );
        }
    }

    #[test]
    fn padding_over_several_gibibytes_is_read_by_stock_tools() {
        use std::io::{Seek as _, SeekFrom, Write as _};
        let blocks = 4 * PADDING_FRAME + 600;
        let made = sample(0, 10);
        let layer = ArchiveLayer {
            record: Arc::new(made.1),
            steps: vec![],
            scope: LayerScope::Shared,
        };
        let archive = Archive::assemble(
            Payload {
                blocks,
                ..payload()
            },
            vec![layer],
            &[key()],
        )
        .unwrap();
        let mut file = tempfile::NamedTempFile::new().unwrap();
        for index in 0..archive.len_blocks() {
            file.seek(SeekFrom::Start(index * BLOCK as u64)).unwrap();
            match archive.block(index) {
                ArchiveBlock::Inline(chunk) => file.write_all(chunk.bytes()).unwrap(),
                ArchiveBlock::Layer { index, .. } => {
                    file.write_all(&made.0[index * BLOCK..][..BLOCK]).unwrap()
                }
                ArchiveBlock::Zero => {}
            }
        }
        file.as_file()
            .set_len(archive.len_blocks() * BLOCK as u64)
            .unwrap();
        assert_eq!(stock_listing(file.path()).len(), 4);
    }

    #[test]
    fn an_archive_that_does_not_fit_is_refused_with_both_numbers() {
        let (_, record) = sample(0, 3_000_000);
        let layer = ArchiveLayer {
            record: Arc::new(record),
            steps: vec![],
            scope: LayerScope::Shared,
        };
        let refused = Archive::assemble(
            Payload {
                blocks: 8,
                ..payload()
            },
            vec![layer],
            &[key()],
        )
        .unwrap_err();
        assert!(
            matches!(
                refused,
                ArchiveError::Capacity {
                    needed: 8,
                    capacity: 4
                }
            ),
            "{refused}"
        );
    }

    #[test]
    fn a_smallest_point_holds_an_archive() {
        let (bytes, _) = point(8, &[10]);
        assert_eq!(bytes.len(), 8 * BLOCK);
    }
}
