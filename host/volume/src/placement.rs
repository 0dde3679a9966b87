//! The placement: where a volume's blocks lie and in which order they are streamed. Never part of its id.

use bootsplice_content::{Digest, cbor};
use serde::{Deserialize, Serialize};

use crate::{PAGE_BLOCKS, VolumeError};

pub const PLACEMENT_SCHEMA: &str = "bootsplice/placement/v1";

/// One version of where things are.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Placement {
    pub schema: String,
    pub volume: Digest,
    /// From 1.
    pub version: u32,
    pub packs: Vec<Pack>,
    /// For each content page the digest of its placement page.
    pub pages: Vec<Option<Digest>>,
    /// Runs of blocks in load order, `[first, count]`; blocks that it does not name follow by address.
    pub order: Vec<(u64, u64)>,
}

/// An object with compressed blocks.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pack {
    /// Path in the store.
    pub path: String,
    pub size: u64,
    pub digest: Digest,
    /// What the store named this version of the object, where it names versions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub etag: Option<String>,
}

/// Where one block lies: `length` bytes of one zstd frame at `offset` of pack number `pack`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Location {
    pub pack: u32,
    pub length: u32,
    pub offset: u64,
}

/// Locations of a content page's data blocks, in block order.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct PlacementPage(pub Vec<Location>);

/// Bytes of one location: pack, length, offset, little-endian.
const RECORD: usize = 16;
/// A frame of 512 KiB of noise is a little longer than its content.
const LONGEST_FRAME: u32 = 1 << 20;

// === impl Placement ===

impl Placement {
    /// Largest encoding that is read.
    pub const MAX_BYTES: usize = 64 << 20;

    pub fn encode(&self) -> Vec<u8> {
        cbor::encode(self)
    }

    pub fn decode(bytes: &[u8]) -> Result<Self, VolumeError> {
        let wrong = |reason: String| VolumeError::document("placement", reason);
        if bytes.len() > Self::MAX_BYTES {
            return Err(wrong(format!("{} bytes are too many", bytes.len())));
        }
        let placement: Self = cbor::decode(bytes).map_err(|error| wrong(error.to_string()))?;
        if placement.schema != PLACEMENT_SCHEMA {
            return Err(wrong(format!(
                "schema `{}`: this release reads `{PLACEMENT_SCHEMA}`",
                placement.schema
            )));
        }
        Ok(placement)
    }
}

// === impl PlacementPage ===

impl PlacementPage {
    pub const MAX_BYTES: usize = PAGE_BLOCKS * RECORD;

    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(self.0.len() * RECORD);
        for location in &self.0 {
            bytes.extend_from_slice(&location.pack.to_le_bytes());
            bytes.extend_from_slice(&location.length.to_le_bytes());
            bytes.extend_from_slice(&location.offset.to_le_bytes());
        }
        bytes
    }

    /// Reads the locations of exactly `blocks` data blocks, each within one of `packs`.
    pub fn decode(bytes: &[u8], blocks: usize, packs: &[Pack]) -> Result<Self, VolumeError> {
        let wrong = |reason: String| VolumeError::document("placement page", reason);
        let (records, rest) = bytes.as_chunks::<RECORD>();
        if !rest.is_empty() || records.len() != blocks || blocks > PAGE_BLOCKS {
            return Err(wrong(format!("{} bytes for {blocks} blocks", bytes.len())));
        }
        let mut locations = Vec::with_capacity(blocks);
        for record in records {
            let (words, _) = record.as_chunks::<4>();
            let location = Location {
                pack: u32::from_le_bytes(words[0]),
                length: u32::from_le_bytes(words[1]),
                offset: u64::from(u32::from_le_bytes(words[2]))
                    | u64::from(u32::from_le_bytes(words[3])) << 32,
            };
            let end = location.offset.checked_add(u64::from(location.length));
            let fits = packs
                .get(location.pack as usize)
                .zip(end)
                .is_some_and(|(pack, end)| end <= pack.size);
            if !fits || location.length == 0 || location.length > LONGEST_FRAME {
                return Err(wrong(format!("{location:?} lies in no pack")));
            }
            locations.push(location);
        }
        Ok(Self(locations))
    }

    pub fn digest(&self) -> Option<Digest> {
        (!self.0.is_empty()).then(|| Digest::of(&self.encode()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn pack() -> Pack {
        Pack {
            path: "packs/sha256/00.zst".into(),
            size: 1000,
            digest: Digest::of(b"pack"),
            etag: Some("\"1\"".into()),
        }
    }

    #[test]
    fn a_placement_is_read_back_and_a_foreign_schema_refused() {
        let mut placement = Placement {
            schema: PLACEMENT_SCHEMA.into(),
            volume: Digest::of(b"v"),
            version: 1,
            packs: vec![pack()],
            pages: vec![None, Some(Digest::of(b"p"))],
            order: vec![(4, 2)],
        };
        assert_eq!(Placement::decode(&placement.encode()).unwrap(), placement);
        placement.schema = "bootsplice/placement/v9".into();
        assert!(Placement::decode(&placement.encode()).is_err());
    }

    #[test]
    fn a_location_outside_its_pack_is_refused() {
        let good = Location {
            pack: 0,
            length: 10,
            offset: 990,
        };
        let page = PlacementPage(vec![good]);
        assert_eq!(
            PlacementPage::decode(&page.encode(), 1, &[pack()]).unwrap(),
            page
        );
        for bad in [
            Location { pack: 1, ..good },
            Location {
                offset: 991,
                ..good
            },
            Location {
                offset: u64::MAX,
                ..good
            },
            Location { length: 0, ..good },
        ] {
            let page = PlacementPage(vec![bad]);
            assert!(
                PlacementPage::decode(&page.encode(), 1, &[pack()]).is_err(),
                "{bad:?}"
            );
        }
    }

    proptest! {
        #[test]
        fn no_bytes_make_the_decoders_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = Placement::decode(&bytes);
            let _ = PlacementPage::decode(&bytes, bytes.len() / RECORD, &[pack()]);
        }
    }
}
