//! Volumes in memory, the naive way to splice them, and a sink that keeps everything.

use std::ops::Range;
use std::sync::Arc;

use async_trait::async_trait;
use bootsplice_blocks::{BlockSource, BlocksError};
use bootsplice_content::{BLOCK, BLOCK_U64, Chunk, Digest};
use bootsplice_volume::{Kind, Layout, Point, Segment, Stage};
use bytes::Bytes;
use parking_lot::Mutex;

use crate::sink::{Caps, Coverage, Geometry, Sink};
use crate::{ArchiveSlot, Result, VolumeReader};

/// Blocks in memory. Block `broken` cannot be read.
#[derive(Default)]
pub(crate) struct Memory {
    pub(crate) blocks: Vec<Option<Chunk>>,
    pub(crate) broken: Option<u64>,
    /// Never answers without waiting.
    pub(crate) slow: bool,
}

/// A sink that keeps what it is given, and what was called.
pub(crate) struct MemorySink {
    geometry: Geometry,
    received: Mutex<(Vec<u8>, Coverage)>,
    pub(crate) state: Mutex<&'static str>,
}

// === impl Memory ===

impl Memory {
    /// Zero blocks where `pattern` is 0, else blocks full of it.
    pub(crate) fn of(pattern: &[u8]) -> Self {
        let block = |&seed: &u8| (seed != 0).then(|| filled(seed));
        Self {
            blocks: pattern.iter().map(block).collect(),
            ..Self::default()
        }
    }

    fn get(&self, block: u64) -> Option<Chunk> {
        self.blocks[block as usize].clone()
    }
}

#[async_trait]
impl BlockSource for Memory {
    fn len_blocks(&self) -> u64 {
        self.blocks.len() as u64
    }

    async fn block(&self, block: u64) -> Result<Option<Chunk>, BlocksError> {
        tokio::task::yield_now().await;
        if self.broken == Some(block) {
            return Err(BlocksError::Corrupt {
                object: "packs/x".into(),
                block: Some(block),
                reason: "a flipped bit".into(),
            });
        }
        Ok(self.get(block))
    }

    fn ready(&self, block: u64) -> Option<Option<Chunk>> {
        (!self.slow && self.broken != Some(block)).then(|| self.get(block))
    }
}

pub(crate) fn filled(seed: u8) -> Chunk {
    Chunk::of(Bytes::from(vec![seed; BLOCK]))
}

/// A volume `[base blocks] [archive…] [base blocks]` for each archive, cut short by `short` bytes.
pub(crate) fn layout(parts: &[(u64, Option<usize>)], short: u64) -> Layout {
    let (mut at, mut points) = (0, Vec::new());
    let segments: Vec<Segment> = parts
        .iter()
        .map(|&(count, point)| {
            let kind = match point {
                None => Kind::Base { from: at },
                Some(index) => {
                    points.push(Point {
                        name: format!("p{index}").parse().unwrap(),
                        partition: uuid::Uuid::from_u128(index as u128),
                        first: at,
                        blocks: count,
                        stage: Stage::Files,
                    });
                    Kind::Point(index)
                }
            };
            let segment = Segment { at, count, kind };
            at += count;
            segment
        })
        .collect();
    Layout {
        size: at * BLOCK_U64 - short,
        sector: 512,
        segments,
        points,
        patches: Vec::new(),
    }
}

pub(crate) fn reader(layout: Layout, base: Memory, slots: Vec<ArchiveSlot>) -> Arc<VolumeReader> {
    Arc::new(VolumeReader::new(layout, Digest::of(b"base"), Arc::new(base), slots).unwrap())
}

/// What the volume's bytes should be.
pub(crate) fn naive(layout: &Layout, base: &[u8], archives: &[Vec<u8>]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for segment in &layout.segments {
        for within in 0..segment.count as usize {
            let seed = match segment.kind {
                Kind::Base { from } => base[from as usize + within],
                Kind::Point(index) => archives[index][within],
                Kind::Zero | Kind::Patch(_) => 0,
            };
            bytes.resize(bytes.len() + BLOCK, seed);
        }
    }
    bytes.truncate(layout.size as usize);
    bytes
}

// === impl MemorySink ===

impl MemorySink {
    pub(crate) fn new(geometry: Geometry) -> Self {
        Self {
            geometry,
            received: Mutex::new((vec![0xFF; geometry.size as usize], Coverage::new(geometry))),
            state: Mutex::new("open"),
        }
    }

    /// Everything, when every block came.
    pub(crate) fn whole(&self) -> Option<Vec<u8>> {
        let received = self.received.lock();
        received.1.complete().ok().map(|()| received.0.clone())
    }

    pub(crate) fn is_untouched(&self) -> bool {
        self.received.lock().0.iter().all(|&byte| byte == 0xFF)
    }

    fn fill(&self, blocks: Range<u64>, chunk: Option<&Chunk>) {
        let range = self.geometry.bytes(&blocks);
        let (bytes, coverage) = &mut *self.received.lock();
        coverage.mark(blocks).unwrap();
        let target = &mut bytes[range.start as usize..range.end as usize];
        match chunk {
            Some(chunk) => target.copy_from_slice(&chunk.bytes()[..target.len()]),
            None => target.fill(0),
        }
    }
}

#[async_trait]
impl Sink for MemorySink {
    fn caps(&self) -> Caps {
        Caps {
            geometry: self.geometry,
            max_in_flight: 3,
        }
    }

    async fn put(&self, block: u64, chunk: Chunk) -> Result<()> {
        tokio::task::yield_now().await;
        self.fill(block..block + 1, Some(&chunk));
        Ok(())
    }

    async fn zero(&self, blocks: Range<u64>) -> Result<()> {
        self.fill(blocks, None);
        Ok(())
    }

    async fn commit(&self) -> Result<()> {
        *self.state.lock() = "committed";
        Ok(())
    }

    async fn abort(&self) {
        *self.state.lock() = "aborted";
    }
}
