//! Anything that blocks can be read from.

use async_trait::async_trait;
use bootsplice_content::Chunk;

use crate::Result;

/// Blocks by number: a base volume, an archive. Reading a block twice gives the same bytes, and every byte it gives was verified.
#[async_trait]
pub trait BlockSource: Send + Sync {
    /// Blocks from 0 that can be asked for.
    fn len_blocks(&self) -> u64;

    /// The block, or `None` when all its bytes are zero. A chunk is a whole block (524,288 bytes).
    async fn block(&self, block: u64) -> Result<Option<Chunk>>;

    /// The block when it can be had without waiting. For the warm path, where a future for every block would cost more than the block.
    fn ready(&self, _block: u64) -> Option<Option<Chunk>> {
        None
    }

    /// How many blocks from `block` on, at most `limit`, are surely zero. May be fewer than there are; 0 when `block` has data.
    async fn zeros(&self, block: u64, _limit: u64) -> Result<u64> {
        Ok(u64::from(self.block(block).await?.is_none()))
    }

    /// A hint that `block` and those after it in load order will be read soon. Never waits; may do nothing.
    fn expect(&self, _block: u64) {}
}
