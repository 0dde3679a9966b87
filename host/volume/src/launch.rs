//! The launch manifest: which volume a launch makes. Its digest is the volume's strong ETag.

use bootsplice_content::{Digest, Hasher, cbor};
use serde::{Deserialize, Serialize};

use crate::{PointName, VolumeError};

pub const LAUNCH_SCHEMA: &str = "bootsplice/launch/v1";

/// A base, a size, and an archive for each point that gets one: together they determine every byte.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LaunchManifest {
    pub schema: String,
    pub base: Digest,
    pub size: u64,
    /// By point name.
    pub archives: Vec<(PointName, Digest)>,
}

// === impl LaunchManifest ===

impl LaunchManifest {
    pub fn new(base: Digest, size: u64, mut archives: Vec<(PointName, Digest)>) -> Self {
        archives.sort();
        Self {
            schema: LAUNCH_SCHEMA.to_owned(),
            base,
            size,
            archives,
        }
    }

    pub fn encode(&self) -> Vec<u8> {
        cbor::encode(self)
    }

    pub fn decode(bytes: &[u8]) -> Result<Self, VolumeError> {
        cbor::decode(bytes).map_err(|error| VolumeError::document("launch manifest", error))
    }

    pub fn digest(&self) -> Digest {
        Digest::of(&self.encode())
    }
}

/// The digest of an archive: SHA-256 over its blocks' digests in order, 32 zero bytes standing for a zero block.
pub fn archive_digest(blocks: impl IntoIterator<Item = Option<Digest>>) -> Digest {
    let mut hasher = Hasher::new();
    for block in blocks {
        hasher.update(block.as_ref().map_or(&[0; 32], Digest::as_bytes).as_slice());
    }
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_order_in_which_archives_were_ready_does_not_matter() {
        let archives = vec![
            ("users".parse().unwrap(), Digest::of(b"u")),
            ("base".parse().unwrap(), Digest::of(b"b")),
        ];
        let reversed = archives.iter().rev().cloned().collect();
        let base = Digest::of(b"v");
        let manifest = LaunchManifest::new(base, 1, archives);
        assert_eq!(
            manifest.digest(),
            LaunchManifest::new(base, 1, reversed).digest()
        );
        assert_eq!(
            LaunchManifest::decode(&manifest.encode()).unwrap(),
            manifest
        );
    }

    #[test]
    fn an_archive_is_named_by_its_blocks_and_their_places() {
        let block = Some(Digest::of(b"x"));
        assert_ne!(archive_digest([block, None]), archive_digest([None, block]));
    }
}
