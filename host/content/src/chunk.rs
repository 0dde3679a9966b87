//! Verified, shared bytes.

use bytes::Bytes;

use crate::Digest;

/// Bytes whose digest was checked. [`Chunk::verify`] is the only way to make one, so bytes that nobody checked cannot reach a sink by type.
#[derive(Clone, Debug)]
pub struct Chunk {
    digest: Digest,
    bytes: Bytes,
}

/// Bytes are not what their name says. Read them again from another place; if that fails too, the stored object is damaged.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected bytes with digest {expected}, found {length} bytes with digest {actual}")]
pub struct Corrupt {
    pub expected: Digest,
    pub actual: Digest,
    pub length: usize,
}

// === impl Chunk ===

impl Chunk {
    /// Hashes `bytes` and compares.
    pub fn verify(digest: Digest, bytes: Bytes) -> Result<Self, Corrupt> {
        let actual = Digest::of(&bytes);
        if actual != digest {
            return Err(Corrupt {
                expected: digest,
                actual,
                length: bytes.len(),
            });
        }
        Ok(Self { digest, bytes })
    }

    /// Names bytes that this process made itself.
    pub fn of(bytes: Bytes) -> Self {
        Self {
            digest: Digest::of(&bytes),
            bytes,
        }
    }

    pub fn digest(&self) -> Digest {
        self.digest
    }

    pub fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    pub fn into_bytes(self) -> Bytes {
        self.bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_flipped_bit_is_refused() {
        let good = Bytes::from(vec![7; 4096]);
        let digest = Digest::of(&good);
        assert!(Chunk::verify(digest, good.clone()).is_ok());
        let mut bad = good.to_vec();
        bad[4095] ^= 1;
        let refused = Chunk::verify(digest, bad.into()).unwrap_err();
        assert_eq!(refused.expected, digest);
    }
}
