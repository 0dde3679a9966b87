//! What every sink promises.

use std::ops::Range;

use async_trait::async_trait;
use bootsplice_content::{BLOCK_U64, Chunk, blocks_for};

use crate::Result;

/// The shape of the volume that a sink receives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Geometry {
    /// Bytes; a multiple of `sector`.
    pub size: u64,
    /// Bytes of a logical sector: 512 or 4,096.
    pub sector: u32,
}

/// What a sink can do; the driver is one loop, and sinks differ only here.
#[derive(Clone, Copy, Debug)]
pub struct Caps {
    pub geometry: Geometry,
    /// Calls of `put` and `zero` that may run at a time.
    pub max_in_flight: usize,
}

/// A place for one volume: **what stood there before cannot boot once the sink is open, what arrives cannot boot until `commit` returned
/// `Ok`, and after that every byte is the volume's own.**
///
/// Each block is given exactly once, by `put` or within a `zero` range, in any order and up to [`Caps::max_in_flight`] at a time. `commit` and
/// `abort` come last, once, after all other calls returned. A sink that is dropped without either is aborted as far as can be done without waiting.
/// After an error only `abort` is of use.
#[async_trait]
pub trait Sink: Send + Sync {
    fn caps(&self) -> Caps;

    /// Writes one block; of the last block only the bytes within the volume's size.
    async fn put(&self, block: u64, chunk: Chunk) -> Result<()>;

    /// Makes a run of blocks read as zeros, whatever the target held.
    async fn zero(&self, blocks: Range<u64>) -> Result<()>;

    /// Makes the volume durable and bootable. Refused when a block is missing. After `Ok` the volume is whole, also after power loss.
    async fn commit(&self) -> Result<()>;

    /// Leaves nothing that boots, waits for writes under way, and frees the target.
    async fn abort(&self);
}

/// Which blocks arrived: one bit each, so that a volume with a hole is never called whole.
#[derive(Debug)]
pub(crate) struct Coverage {
    arrived: Vec<u64>,
    blocks: u64,
    missing: u64,
}

// === impl Geometry ===

impl Geometry {
    pub fn blocks(&self) -> u64 {
        blocks_for(self.size)
    }

    /// The bytes of `blocks`, cut at the volume's end.
    pub fn bytes(&self, blocks: &Range<u64>) -> Range<u64> {
        let cut = |block: u64| (block * BLOCK_U64).min(self.size);
        cut(blocks.start)..cut(blocks.end)
    }
}

// === impl Coverage ===

impl Coverage {
    pub(crate) fn new(geometry: Geometry) -> Self {
        let blocks = geometry.blocks();
        Self {
            arrived: vec![0; blocks.div_ceil(64) as usize],
            blocks,
            missing: blocks,
        }
    }

    /// Marks `range`; the reason when it lies outside the volume or came before.
    pub(crate) fn mark(&mut self, range: Range<u64>) -> Result<(), String> {
        if range.start >= range.end || range.end > self.blocks {
            return Err(format!("blocks {range:?} of a volume of {}", self.blocks));
        }
        for block in range {
            let word = &mut self.arrived[(block / 64) as usize];
            let bit = 1 << (block % 64);
            if *word & bit != 0 {
                return Err(format!("block {block} was given twice"));
            }
            *word |= bit;
            self.missing -= 1;
        }
        Ok(())
    }

    pub(crate) fn complete(&self) -> Result<(), String> {
        if self.missing == 0 {
            return Ok(());
        }
        let first = (0..self.blocks)
            .find(|block| self.arrived[(block / 64) as usize] & (1 << (block % 64)) == 0);
        Err(format!(
            "{} blocks never came, the first is {}",
            self.missing,
            first.unwrap_or_default()
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hole_or_a_block_given_twice_is_named() {
        let mut coverage = Coverage::new(Geometry {
            size: 200 * BLOCK_U64 - 512,
            sector: 512,
        });
        coverage.mark(0..70).unwrap();
        coverage.mark(71..200).unwrap();
        assert!(coverage.complete().unwrap_err().contains("first is 70"));
        assert!(coverage.mark(69..71).is_err());
        assert!(coverage.mark(200..201).is_err());
        assert!(coverage.mark(70..70).is_err());
        coverage.mark(70..71).unwrap();
        coverage.complete().unwrap();
    }
}
