//! From an origin's bytes to verified chunks: one ranged read, many frames.

use std::ops::Range;
use std::sync::Arc;

use bootsplice_content::BLOCK;
use tokio::task::spawn_blocking;

use crate::cache::{Cache, READ, READ_BLOCKS};
use crate::flight::Claim;
use crate::origin::{Object, Origin};
use crate::pool::{Buffer, Pool};
use crate::{BlocksError, Result};

/// The most bytes a frame of one block may take: what zstd needs for incompressible content, with room to spare.
pub(crate) const MOST_FRAME: usize = BLOCK + BLOCK / 64;

/// One block to be read: its place in a pack and the duty to read it.
#[derive(Debug)]
pub(crate) struct Frame {
    pub(crate) claim: Claim,
    pub(crate) block: u64,
    pub(crate) offset: u64,
    pub(crate) length: usize,
}

/// Adjacent frames of one pack, read by one request.
#[derive(Debug)]
pub(crate) struct Batch {
    pub(crate) pack: Arc<Object>,
    frames: Vec<Frame>,
}

// === impl Batch ===

impl Batch {
    pub(crate) fn new(pack: Arc<Object>, frame: Frame) -> Self {
        Self {
            pack,
            frames: vec![frame],
        }
    }

    /// Where the next frame must start to be read by the same request.
    pub(crate) fn end(&self) -> u64 {
        self.frames.last().map_or(0, Frame::end)
    }

    pub(crate) fn has_room(&self, length: usize) -> bool {
        let bytes = self.end() - self.range().start;
        self.frames.len() < READ_BLOCKS && bytes as usize + length <= READ
    }

    pub(crate) fn push(&mut self, frame: Frame) {
        self.frames.push(frame);
    }

    fn range(&self) -> Range<u64> {
        let start = self.frames.first().map_or(0, |frame| frame.offset);
        start..self.end()
    }

    /// Reads, decodes and verifies every frame, and lands each as soon as it is proven. A frame that is wrong is read once more on its own.
    pub(crate) async fn run(self, origin: Arc<Origin>, cache: Arc<Cache>) {
        let Self { pack, frames } = self;
        let mut wanted = Vec::with_capacity(frames.len());
        for frame in frames {
            if let Some(frame) = promote(frame, &cache).await {
                wanted.push(frame);
            }
        }
        let batch = Self {
            pack: pack.clone(),
            frames: wanted,
        };
        if batch.frames.is_empty() {
            return;
        }
        let again = match batch.read(&origin, &cache).await {
            Ok(refused) => refused,
            Err((frames, error)) => {
                let damaged = matches!(error, BlocksError::Corrupt { .. });
                if !damaged || frames.len() == 1 {
                    for frame in frames {
                        let error = frame.located(error.clone());
                        frame.claim.fail(error);
                    }
                    return;
                }
                // Only some frames lie in the damaged part: the others are still good.
                frames
                    .into_iter()
                    .map(|frame| (frame, String::new()))
                    .collect()
            }
        };
        for (frame, _) in again {
            let single = Self::new(pack.clone(), frame);
            match single.read(&origin, &cache).await {
                Ok(refused) => {
                    for (frame, reason) in refused {
                        let error = BlocksError::corrupt(&pack.path, Some(frame.block), reason);
                        tracing::error!(%error, "a stored block is damaged");
                        frame.claim.fail(error);
                    }
                }
                Err((frames, error)) => {
                    for frame in frames {
                        let error = frame.located(error.clone());
                        frame.claim.fail(error);
                    }
                }
            }
        }
    }

    /// One request. Gives back the frames whose bytes were refused, with the reasons; or all of them when the request failed.
    async fn read(
        self,
        origin: &Origin,
        cache: &Arc<Cache>,
    ) -> Result<Vec<(Frame, String)>, (Vec<Frame>, BlocksError)> {
        let range = self.range();
        let start = range.start;
        let length = (range.end - range.start) as usize;
        let room = cache.room(length + self.frames.len() * BLOCK).await;
        let frames = self.frames;
        let bytes = match origin
            .range(&self.pack, range, &cache.reads, &cache.counters)
            .await
        {
            Ok(bytes) => bytes,
            Err(error) => return Err((frames, error)),
        };
        let decoding = cache.clone();
        let decoded = spawn_blocking(move || {
            let _room = room;
            let mut refused = Vec::new();
            for frame in frames {
                let from = (frame.offset - start) as usize;
                let compressed = &bytes.bytes()[from..from + frame.length];
                if let Err(pair) = frame.admit(compressed, &decoding) {
                    refused.push(pair);
                }
            }
            refused
        });
        // A panic in there drops the claims, and the waiters take over.
        Ok(decoded.await.unwrap_or_default())
    }
}

/// Lands a frame from the cache directory; gives it back when it is not there.
async fn promote(frame: Frame, cache: &Arc<Cache>) -> Option<Frame> {
    if !cache.has_on_disk(&frame.claim.digest()) {
        return Some(frame);
    }
    let room = cache.room(BLOCK).await;
    let cache = cache.clone();
    spawn_blocking(move || {
        let _room = room;
        match cache.promote(frame.claim.digest()) {
            Some(chunk) => {
                frame.claim.land(chunk);
                None
            }
            None => Some(frame),
        }
    })
    .await
    .ok()
    .flatten()
}

// === impl Frame ===

impl Frame {
    fn end(&self) -> u64 {
        self.offset + self.length as u64
    }

    fn admit(self, compressed: &[u8], cache: &Cache) -> Result<(), (Self, String)> {
        let Self {
            claim,
            block,
            offset,
            length,
        } = self;
        let again = |(claim, reason)| {
            let frame = Self {
                claim,
                block,
                offset,
                length,
            };
            (frame, reason)
        };
        match decode(compressed, &cache.blocks) {
            Ok(buffer) => cache
                .admit(claim, buffer.freeze(BLOCK))
                .map(drop)
                .map_err(again),
            Err(reason) => Err(again((claim, reason))),
        }
    }

    fn located(&self, mut error: BlocksError) -> BlocksError {
        if let BlocksError::Corrupt { block, .. } = &mut error {
            *block = Some(self.block);
        }
        error
    }
}

/// A frame's content, which is exactly one block. zstd writes into a buffer of one block and refuses to go beyond it, so a bomb costs nothing.
fn decode(compressed: &[u8], pool: &Pool) -> Result<Buffer, String> {
    thread_local! {
        static DECODER: std::cell::RefCell<Option<zstd::bulk::Decompressor<'static>>> =
            const { std::cell::RefCell::new(None) };
    }
    let mut buffer = pool.take();
    let length = DECODER.with_borrow_mut(|decoder| {
        let decoder = match decoder {
            Some(decoder) => decoder,
            None => decoder.insert(zstd::bulk::Decompressor::new()?),
        };
        decoder.decompress_to_buffer(compressed, buffer.bytes_mut())
    });
    match length {
        Ok(BLOCK) => Ok(buffer),
        Ok(length) => Err(format!(
            "the frame holds {length} bytes, a block has {BLOCK}"
        )),
        Err(error) => Err(format!(
            "the frame cannot be decoded into one block: {error}"
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_decodes_to_exactly_one_block_or_is_refused() {
        let pool = Pool::new(BLOCK, 2);
        let frame = |length| zstd::bulk::compress(&vec![1; length], 3).unwrap();
        assert!(decode(&frame(BLOCK), &pool).is_ok());
        assert!(decode(&frame(BLOCK - 1), &pool).is_err());
        assert!(decode(&frame(BLOCK + 1), &pool).is_err());
        assert!(decode(&frame(1 << 30), &pool).is_err(), "a bomb");
        assert!(decode(&[], &pool).is_err());
        assert!(decode(b"not a frame at all", &pool).is_err());
        let two = [frame(BLOCK), frame(BLOCK)].concat();
        assert!(decode(&two, &pool).is_err(), "two frames in one place");
    }
}
