//! Bytes named by their digest: [`Digest`], blocks and verified [`Chunk`]s, canonical CBOR.
//!
//! The words of RFC 0001. Everything here is pure; nothing reads a clock, a disk or a network.

#![forbid(unsafe_code)]

pub mod cbor;
mod chunk;
mod digest;
pub mod point_frame;

pub use chunk::{Chunk, Corrupt};
pub use digest::{Digest, DigestError, Hasher};

/// Bytes in a block: the unit of naming, caching and sending (524,288).
pub const BLOCK: usize = 512 * 1024;

/// [`BLOCK`] as the integer that offsets and sizes are counted in.
pub const BLOCK_U64: u64 = BLOCK as u64;

/// How many blocks hold `bytes`, the last one possibly short.
pub const fn blocks_for(bytes: u64) -> u64 {
    bytes.div_ceil(BLOCK_U64)
}

/// True when every byte is zero. Such a block is never stored, sent or named.
pub fn is_zero(bytes: &[u8]) -> bool {
    // Wide strides first: the compiler turns the inner loop into vector code.
    let mut strides = bytes.chunks_exact(64);
    strides
        .by_ref()
        .all(|stride| stride.iter().fold(0, |all, byte| all | byte) == 0)
        && strides.remainder().iter().all(|&byte| byte == 0)
}
