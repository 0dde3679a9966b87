//! The constant first and last 1 MiB of every insertion point (RFC 0002): one zstd skippable frame over two blocks.
//!
//! Boot loaders and udev probe both ends of every partition; these blocks are there from import on and never wait for an archive. Readers of zstd skip them.

use bytes::Bytes;

use crate::{BLOCK, Chunk};

/// Blocks in the frame at each end of a point.
pub const FRAME_BLOCKS: u64 = 2;

/// Magic of the skippable frames that only take up room (RFC 8878 section 3.1.2).
pub const SKIPPABLE: u32 = 0x184D_2A50;

/// The fewest blocks a point can have: both frames, a header, one layer, the end block and some padding.
pub const LEAST_POINT_BLOCKS: u64 = 8;

const TEXT: &[u8] = b"bootsplice insertion point. The archive lies between this frame and its twin at the end: zstd -dc < DEVICE | tar -t\n";

/// The first block of the frame. The second is all zeros.
pub fn first_block() -> Chunk {
    let mut block = vec![0; BLOCK];
    let content = (FRAME_BLOCKS as usize * BLOCK - 8) as u32;
    block[..4].copy_from_slice(&SKIPPABLE.to_le_bytes());
    block[4..8].copy_from_slice(&content.to_le_bytes());
    block[8..8 + TEXT.len()].copy_from_slice(TEXT);
    Chunk::of(Bytes::from(block))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_frame_is_fixed_for_ever() {
        assert_eq!(
            first_block().digest().to_string(),
            "sha256:d052fad21f285108f7aae8eab5c15fee00ffc1e64278fbac134d28225bccef82"
        );
    }
}
