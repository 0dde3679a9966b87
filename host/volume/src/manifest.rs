//! The content manifest: what a volume holds. Its digest is the volume's id.

use bootsplice_content::{BLOCK_U64, Digest, blocks_for, cbor};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::{MAX_SIZE, PAGE_BLOCKS, Point, VolumeError};

pub const MANIFEST_SCHEMA: &str = "bootsplice/volume/v1";

/// Everything that identifies a base volume, and nothing about where it is stored.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ContentManifest {
    pub schema: String,
    /// Bytes; a multiple of `sector`, and of 512 KiB where the volume has points.
    pub size: u64,
    /// Bytes of a logical sector: 512 or 4,096.
    pub sector: u32,
    /// GPT disk GUID.
    #[serde(with = "guid")]
    pub disk: Uuid,
    /// By ascending first block; they do not overlap.
    pub points: Vec<Point>,
    /// Digest of the inventory document.
    pub inventory: Digest,
    /// For each 4,096 blocks the digest of their page; none when all are zero.
    pub pages: Vec<Option<Digest>>,
}

// === impl ContentManifest ===

impl ContentManifest {
    /// Largest encoding that is read: 64 TiB have 32,768 pages.
    pub const MAX_BYTES: usize = 2 << 20;

    pub fn encode(&self) -> Vec<u8> {
        cbor::encode(self)
    }

    /// Reads and checks an encoding; what passes has sizes, points and pages that agree with each other.
    pub fn decode(bytes: &[u8]) -> Result<Self, VolumeError> {
        let wrong = |reason: String| VolumeError::document("content manifest", reason);
        if bytes.len() > Self::MAX_BYTES {
            return Err(wrong(format!("{} bytes are too many", bytes.len())));
        }
        let manifest: Self = cbor::decode(bytes).map_err(|error| wrong(error.to_string()))?;
        manifest.check().map_err(wrong)?;
        Ok(manifest)
    }

    /// The volume's id.
    pub fn id(&self) -> Digest {
        Digest::of(&self.encode())
    }

    pub fn blocks(&self) -> u64 {
        blocks_for(self.size)
    }

    pub fn point(&self, name: &str) -> Option<&Point> {
        self.points.iter().find(|point| point.name.as_str() == name)
    }

    /// Blocks of page `page`: all pages but the last have 4,096.
    pub fn page_blocks(&self, page: usize) -> usize {
        let before = page as u64 * PAGE_BLOCKS as u64;
        (self.blocks().saturating_sub(before)).min(PAGE_BLOCKS as u64) as usize
    }

    fn check(&self) -> Result<(), String> {
        if self.schema != MANIFEST_SCHEMA {
            return Err(format!(
                "schema `{}`: this release reads `{MANIFEST_SCHEMA}`",
                self.schema
            ));
        }
        if !matches!(self.sector, 512 | 4096) {
            return Err(format!("sector size {}: expected 512 or 4096", self.sector));
        }
        if self.size == 0
            || self.size > MAX_SIZE
            || !self.size.is_multiple_of(u64::from(self.sector))
        {
            return Err(format!(
                "size {}: expected whole sectors, at most 64 TiB",
                self.size
            ));
        }
        let pages = self.blocks().div_ceil(PAGE_BLOCKS as u64);
        if self.pages.len() as u64 != pages {
            return Err(format!("{} pages for {pages}", self.pages.len()));
        }
        if !self.points.is_empty() && !self.size.is_multiple_of(BLOCK_U64) {
            return Err(format!(
                "size {} with points: expected whole blocks",
                self.size
            ));
        }
        let mut free = 1;
        for point in &self.points {
            let end = point
                .first
                .checked_add(point.blocks)
                .ok_or("a point past the end of numbers")?;
            if point.first < free || point.blocks < Point::LEAST || end >= self.blocks() {
                return Err(format!(
                    "point `{}` at {}+{} does not fit",
                    point.name, point.first, point.blocks
                ));
            }
            free = end;
        }
        for (index, point) in self.points.iter().enumerate() {
            if self.points[..index]
                .iter()
                .any(|other| other.name == point.name)
            {
                return Err(format!("two points are named `{}`", point.name));
            }
        }
        Ok(())
    }
}

/// GUIDs as CBOR byte strings of 16.
pub(crate) mod guid {
    use serde::{Deserialize, Deserializer, Serialize, Serializer};
    use uuid::Uuid;

    pub fn serialize<S: Serializer>(guid: &Uuid, serializer: S) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() {
            guid.serialize(serializer)
        } else {
            serializer.serialize_bytes(guid.as_bytes())
        }
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Uuid, D::Error> {
        if deserializer.is_human_readable() {
            Uuid::deserialize(deserializer)
        } else {
            let bytes = serde_bytes::ByteArray::<16>::deserialize(deserializer)?;
            Ok(Uuid::from_bytes(bytes.into_array()))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Stage;

    pub(crate) fn manifest() -> ContentManifest {
        ContentManifest {
            schema: MANIFEST_SCHEMA.into(),
            size: 5000 * BLOCK_U64,
            sector: 512,
            disk: Uuid::from_u128(1),
            points: vec![Point {
                name: "base".parse().unwrap(),
                partition: Uuid::from_u128(2),
                first: 4000,
                blocks: 900,
                stage: Stage::Files,
            }],
            inventory: Digest::of(b"inventory"),
            pages: vec![Some(Digest::of(b"page")), None],
        }
    }

    #[test]
    fn a_manifest_is_read_back_and_its_id_is_fixed_for_ever() {
        let manifest = manifest();
        assert_eq!(
            ContentManifest::decode(&manifest.encode()).unwrap(),
            manifest
        );
        assert_eq!(
            manifest.id().to_string(),
            "sha256:65b8bbad4d59cdac59de6689e1784ac48eeb5395fd19d0bf263edb547d198d3f"
        );
    }

    #[test]
    fn what_does_not_agree_with_itself_is_refused() {
        let wrong: [fn(&mut ContentManifest); 9] = [
            |m| m.schema = "bootsplice/volume/v2".into(),
            |m| m.sector = 1024,
            |m| m.size += 1,
            |m| m.size = 0,
            |m| m.pages.push(None),
            |m| m.points[0].first = 0,
            |m| m.points[0].blocks = 7,
            |m| m.points[0].first = u64::MAX,
            |m| m.points.push(m.points[0].clone()),
        ];
        for (index, change) in wrong.into_iter().enumerate() {
            let mut manifest = manifest();
            change(&mut manifest);
            assert!(
                ContentManifest::decode(&manifest.encode()).is_err(),
                "case {index}"
            );
        }
    }

    #[test]
    fn sixteen_tebibytes_have_a_manifest_under_300_kib() {
        let mut manifest = manifest();
        manifest.size = 16 << 40;
        manifest.pages = vec![Some(Digest::of(b"page")); 8192];
        assert!(manifest.encode().len() < 300 * 1024);
        ContentManifest::decode(&manifest.encode()).unwrap();
    }
}
