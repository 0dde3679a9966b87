//! SHA-256 of a whole personalised volume, for `Repr-Digest` and `launch confirm`.

use std::collections::HashMap;
use std::sync::Arc;

use bootsplice_content::{Chunk, Digest, Hasher};
use parking_lot::Mutex;

use crate::disk::ZEROS;
use crate::reader::VolumeReader;
use crate::{Result, SinkError};

/// Hashers stopped where the first archive starts. All launches of one base at one size share the bytes before it, and so the work.
#[derive(Default)]
pub struct Midstates {
    known: Mutex<HashMap<Key, Midstate>>,
}

/// Base volume, size of the launch.
type Key = (Digest, u64);

#[derive(Clone)]
struct Midstate {
    blocks: u64,
    hasher: Hasher,
}

/// A midstate is 112 bytes; beyond this many the table starts over.
const MOST: usize = 1024;

/// Blocks that are hashed in one go, off the runtime's threads, while the next ones are read.
const AT_ONCE: u64 = 16;

// === impl Midstates ===

impl Midstates {
    /// The digest of all bytes of the volume. Waits for the archives; costs one hash of everything from the first archive on, and of all before it once per base and size.
    pub async fn digest(&self, reader: &Arc<VolumeReader>) -> Result<Digest> {
        let geometry = reader.geometry();
        let key = (reader.base_id(), geometry.size);
        let shared = reader.first_archive_block();
        let known = self.known.lock().get(&key).cloned();
        let hasher = match known {
            Some(known) if known.blocks == shared => known.hasher,
            _ => {
                let hasher = hash(reader, Hasher::new(), 0..shared).await?;
                let mut known = self.known.lock();
                if known.len() >= MOST {
                    known.clear();
                }
                let midstate = Midstate {
                    blocks: shared,
                    hasher: hasher.clone(),
                };
                known.insert(key, midstate);
                hasher
            }
        };
        let hasher = hash(reader, hasher, shared..geometry.blocks()).await?;
        Ok(hasher.finish())
    }
}

async fn hash(
    reader: &VolumeReader,
    mut hasher: Hasher,
    blocks: std::ops::Range<u64>,
) -> Result<Hasher> {
    let geometry = reader.geometry();
    let mut at = blocks.start;
    let mut chunks = read(reader, at..(at + AT_ONCE).min(blocks.end)).await?;
    while at < blocks.end {
        let end = (at + AT_ONCE).min(blocks.end);
        let mut left = geometry.bytes(&(at..end));
        let hashing = tokio::task::spawn_blocking(move || {
            for chunk in &chunks {
                let bytes = chunk.as_ref().map_or(&ZEROS[..], |chunk| chunk.bytes());
                let length = ((left.end - left.start) as usize).min(bytes.len());
                hasher.update(&bytes[..length]);
                left.start += length as u64;
            }
            hasher
        });
        let next = read(reader, end..(end + AT_ONCE).min(blocks.end)).await;
        hasher = hashing.await.map_err(|error| SinkError::Io {
            target: "volume".into(),
            action: "hash",
            source: std::io::Error::other(error),
        })?;
        chunks = next?;
        at = end;
    }
    Ok(hasher)
}

async fn read(reader: &VolumeReader, blocks: std::ops::Range<u64>) -> Result<Vec<Option<Chunk>>> {
    let mut chunks = Vec::with_capacity((blocks.end - blocks.start) as usize);
    for block in blocks {
        chunks.push(reader.block(block).await?);
    }
    Ok(chunks)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ArchiveSlot;
    use crate::testing::{Memory, layout, naive, reader};

    #[tokio::test]
    async fn the_digest_is_that_of_all_bytes_and_the_shared_part_is_hashed_once() {
        let midstates = Midstates::default();
        let base: Vec<u8> = (0..30).map(|n| n % 3).collect();
        let layout = layout(&[(20, None), (4, Some(0)), (6, None)], 512);
        for (archive, broken) in [(vec![7, 0, 8, 9], None), (vec![1, 2, 3, 4], Some(3))] {
            let expected = Digest::of(&naive(&layout, &base, std::slice::from_ref(&archive)));
            let slot = ArchiveSlot::filled("p0", Arc::new(Memory::of(&archive)));
            // The second time the shared blocks cannot be read at all: they are not asked for.
            let base = Memory {
                broken,
                ..Memory::of(&base)
            };
            let reader = reader(layout.clone(), base, vec![slot]);
            assert_eq!(midstates.digest(&reader).await.unwrap(), expected);
        }
    }
}
