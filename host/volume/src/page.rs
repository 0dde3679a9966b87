//! Pages: the digests of up to 4,096 consecutive blocks.

use bootsplice_content::{Digest, cbor};
use serde::de::{Error, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::VolumeError;

/// Blocks that a page covers; the last page of a volume may cover fewer.
pub const PAGE_BLOCKS: usize = 4096;

/// Digest of each block; none for a zero block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page(Vec<Option<Digest>>);

/// Collects blocks in order and gives a page whenever 4,096 are there.
#[derive(Debug, Default)]
pub struct PageBuilder(Vec<Option<Digest>>);

/// A page on the wire: runs of zero blocks and runs of digests, alternating, each as long as can be.
enum Run {
    Zero(u64),
    Data(Vec<u8>),
}

// === impl Page ===

impl Page {
    /// Largest encoding that is read.
    pub const MAX_BYTES: usize = PAGE_BLOCKS * (32 + 4) + 16;

    /// A page of at most [`PAGE_BLOCKS`] blocks.
    pub fn new(blocks: Vec<Option<Digest>>) -> Result<Self, VolumeError> {
        if blocks.is_empty() || blocks.len() > PAGE_BLOCKS {
            let reason = format!("{} blocks: expected 1 to {PAGE_BLOCKS}", blocks.len());
            return Err(VolumeError::document("page", reason));
        }
        Ok(Self(blocks))
    }

    pub fn encode(&self) -> Vec<u8> {
        cbor::encode(self)
    }

    /// Reads a page that must cover exactly `blocks` blocks.
    pub fn decode(bytes: &[u8], blocks: usize) -> Result<Self, VolumeError> {
        let wrong = |reason: String| VolumeError::document("page", reason);
        if bytes.len() > Self::MAX_BYTES {
            return Err(wrong(format!("{} bytes are too many", bytes.len())));
        }
        let page: Self = cbor::decode(bytes).map_err(|error| wrong(error.to_string()))?;
        if page.0.len() != blocks {
            return Err(wrong(format!("{} blocks, expected {blocks}", page.0.len())));
        }
        Ok(page)
    }

    /// The page's name, or none when all its blocks are zero: such a page is not stored.
    pub fn digest(&self) -> Option<Digest> {
        self.0
            .iter()
            .any(Option::is_some)
            .then(|| Digest::of(&self.encode()))
    }

    pub fn blocks(&self) -> &[Option<Digest>] {
        &self.0
    }

    /// How many of the blocks have data.
    pub fn data_blocks(&self) -> usize {
        self.0.iter().flatten().count()
    }
}

impl Serialize for Page {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let runs = self
            .0
            .chunk_by(|a, b| a.is_some() == b.is_some())
            .map(|run| {
                if run[0].is_none() {
                    Run::Zero(run.len() as u64)
                } else {
                    Run::Data(
                        run.iter()
                            .flatten()
                            .flat_map(|digest| *digest.as_bytes())
                            .collect(),
                    )
                }
            });
        serializer.collect_seq(runs.collect::<Vec<_>>())
    }
}

impl<'de> Deserialize<'de> for Page {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Runs;
        impl<'de> Visitor<'de> for Runs {
            type Value = Page;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("runs of zero blocks and of digests")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut runs: A) -> Result<Page, A::Error> {
                let mut blocks = Vec::new();
                while let Some(run) = runs.next_element::<Run>()? {
                    let more = match &run {
                        Run::Zero(count) => *count,
                        Run::Data(bytes) => bytes.len() as u64 / 32,
                    };
                    if more == 0 || more > (PAGE_BLOCKS - blocks.len()) as u64 {
                        return Err(A::Error::custom(format!("a run of {more} blocks")));
                    }
                    match run {
                        Run::Zero(count) => blocks.extend((0..count).map(|_| None)),
                        Run::Data(bytes) => {
                            let (digests, rest) = bytes.as_chunks::<32>();
                            if !rest.is_empty() {
                                return Err(A::Error::custom("a broken digest"));
                            }
                            blocks.extend(
                                digests.iter().map(|bytes| Some(Digest::from_bytes(*bytes))),
                            );
                        }
                    }
                }
                Ok(Page(blocks))
            }
        }
        deserializer.deserialize_seq(Runs)
    }
}

// === impl PageBuilder ===

impl PageBuilder {
    /// Adds the next block of the volume.
    pub fn push(&mut self, block: Option<Digest>) -> Option<Page> {
        self.0.push(block);
        (self.0.len() == PAGE_BLOCKS).then(|| Page(std::mem::take(&mut self.0)))
    }

    /// The last page, when blocks are left.
    pub fn finish(self) -> Option<Page> {
        (!self.0.is_empty()).then_some(Page(self.0))
    }
}

// === impl Run ===

impl Serialize for Run {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Zero(count) => serializer.serialize_u64(*count),
            Self::Data(bytes) => serializer.serialize_bytes(bytes),
        }
    }
}

impl<'de> Deserialize<'de> for Run {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Either;
        impl Visitor<'_> for Either {
            type Value = Run;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a count or digests")
            }

            fn visit_u64<E: Error>(self, count: u64) -> Result<Run, E> {
                Ok(Run::Zero(count))
            }

            fn visit_bytes<E: Error>(self, bytes: &[u8]) -> Result<Run, E> {
                Ok(Run::Data(bytes.to_vec()))
            }

            fn visit_byte_buf<E: Error>(self, bytes: Vec<u8>) -> Result<Run, E> {
                Ok(Run::Data(bytes))
            }
        }
        deserializer.deserialize_any(Either)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn any_page_is_read_back(pattern in prop::collection::vec(prop::option::of(any::<u8>()), 1..300)) {
            let blocks: Vec<_> = pattern.iter().map(|byte| byte.map(|byte| Digest::of(&[byte]))).collect();
            let page = Page::new(blocks).unwrap();
            prop_assert_eq!(Page::decode(&page.encode(), pattern.len()).unwrap(), page);
        }

        #[test]
        fn no_bytes_make_the_decoder_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = Page::decode(&bytes, 16);
        }
    }

    #[test]
    fn a_full_page_stays_within_its_bound() {
        let page = Page::new(
            (0..PAGE_BLOCKS)
                .map(|n| (n % 2 == 0).then(|| Digest::of(&[0])))
                .collect(),
        )
        .unwrap();
        assert!(page.encode().len() <= Page::MAX_BYTES);
        assert_eq!(page.data_blocks(), PAGE_BLOCKS / 2);
    }

    #[test]
    fn a_split_run_or_a_broken_digest_is_refused() {
        let split = cbor::encode(&(1u64, 1u64));
        assert!(Page::decode(&split, 2).is_err());
        let broken = cbor::encode(&[serde_bytes::Bytes::new(&[0; 33])]);
        assert!(Page::decode(&broken, 1).is_err());
        let huge = cbor::encode(&[u64::MAX]);
        assert!(Page::decode(&huge, 1).is_err());
        let empty = Page::new(vec![None; 3]).unwrap();
        assert_eq!(empty.digest(), None);
    }
}
