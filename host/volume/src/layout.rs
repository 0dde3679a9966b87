//! The layout of a launched volume: which block comes from where. A pure function of the base's manifest and the size.

use bootsplice_content::point_frame::FRAME_BLOCKS;
use bootsplice_content::{BLOCK_U64, Chunk};
use bytes::Bytes;

use crate::gpt::Table;
use crate::{ContentManifest, MAX_SIZE, Point, VolumeError};

/// Where every block of a launched volume comes from.
#[derive(Clone, Debug)]
pub struct Layout {
    /// Bytes.
    pub size: u64,
    pub sector: u32,
    /// By address, without gaps, from block 0 to the last.
    pub segments: Vec<Segment>,
    /// The base's points at the addresses they have in this volume.
    pub points: Vec<Point>,
    /// Blocks that the layout makes itself: none, or the two with partition tables.
    pub patches: Vec<Chunk>,
}

/// A run of blocks with one kind of source.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Segment {
    /// First block in the launched volume.
    pub at: u64,
    pub count: u64,
    pub kind: Kind,
}

/// What fills a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Blocks of the base, from this one on.
    Base {
        from: u64,
    },
    Zero,
    /// A block of [`Layout::patches`].
    Patch(usize),
    /// The archive for the point with this index in [`Layout::points`]: block *i* of the segment is block *i* of the archive.
    Point(usize),
}

// === impl Layout ===

impl Layout {
    /// The layout of a launch of `base` with `size` bytes, or the base's own size. A larger size needs `head`, the base's block 0: the points move to the new tail, and
    /// only the two blocks with partition tables change.
    pub fn new(
        base: &ContentManifest,
        size: Option<u64>,
        head: Option<&[u8]>,
    ) -> Result<Self, VolumeError> {
        match size {
            None => Ok(Self::of_base(base)),
            Some(size) if size == base.size => Ok(Self::of_base(base)),
            Some(size) => Self::grown(base, size, head.unwrap_or_default()),
        }
    }

    pub fn blocks(&self) -> u64 {
        bootsplice_content::blocks_for(self.size)
    }

    /// The segment that holds `block`.
    pub fn segment(&self, block: u64) -> Option<&Segment> {
        let after = self.segments.partition_point(|segment| segment.at <= block);
        let segment = self.segments.get(after.checked_sub(1)?)?;
        (block < segment.at + segment.count).then_some(segment)
    }

    fn of_base(base: &ContentManifest) -> Self {
        let mut layout = Self {
            size: base.size,
            sector: base.sector,
            segments: Vec::new(),
            points: base.points.clone(),
            patches: Vec::new(),
        };
        let mut at = 0;
        for (index, point) in base.points.iter().enumerate() {
            layout.base(at, at, point.first - at);
            layout.point(index, point.first);
            at = point.end();
        }
        layout.base(at, at, base.blocks() - at);
        layout
    }

    fn grown(base: &ContentManifest, size: u64, head: &[u8]) -> Result<Self, VolumeError> {
        if size < base.size || size > MAX_SIZE || !size.is_multiple_of(BLOCK_U64) {
            return Err(VolumeError::DoesNotFit {
                what: "the size of the launch",
                found: format!("{size} bytes"),
                expected: format!(
                    "a multiple of 512 KiB, at least the base's {} bytes and at most 64 TiB",
                    base.size
                ),
            });
        }
        if !base.size.is_multiple_of(BLOCK_U64) {
            return Err(VolumeError::DoesNotFit {
                what: "the size of the launch",
                found: format!("{size} bytes"),
                expected: format!(
                    "exactly the base's {} bytes: it is not made of whole blocks",
                    base.size
                ),
            });
        }
        let (old_blocks, blocks) = (base.blocks(), size / BLOCK_U64);
        let delta = blocks - old_blocks;
        // Points that reach up to the last block move with it; one that an image brought along elsewhere stays.
        let mut first_moved = base.points.len();
        let mut start = old_blocks - 1;
        while first_moved > 0 && base.points[first_moved - 1].end() == start {
            first_moved -= 1;
            start = base.points[first_moved].first;
        }
        let mut table = Table::read(head, base.size)?;
        let mut layout = Self {
            size,
            sector: base.sector,
            segments: Vec::new(),
            points: base.points.clone(),
            patches: Vec::new(),
        };
        layout.push(0, 1, Kind::Patch(0));
        let mut at = 1;
        for index in 0..first_moved {
            let first = base.points[index].first;
            layout.base(at, at, first - at);
            layout.point(index, first);
            at = base.points[index].end();
        }
        layout.base(at, at, start - at);
        layout.push(start, delta, Kind::Zero);
        for index in first_moved..base.points.len() {
            let moved = base.points[index].first + delta;
            table.move_point(&base.points[index], moved)?;
            layout.points[index].first = moved;
            layout.point(index, base.points[index].first);
        }
        layout.push(blocks - 1, 1, Kind::Patch(1));
        let mut head = head.to_vec();
        let tail = table.write(&mut head, size);
        layout.patches = vec![Chunk::of(Bytes::from(head)), Chunk::of(Bytes::from(tail))];
        Ok(layout)
    }

    /// The frames of a point come from the base, where the point was at `old`; what lies between is the archive's.
    fn point(&mut self, index: usize, old: u64) {
        let point = self.points[index].clone();
        self.base(point.first, old, FRAME_BLOCKS);
        self.push(
            point.first + FRAME_BLOCKS,
            point.capacity_blocks(),
            Kind::Point(index),
        );
        self.base(
            point.end() - FRAME_BLOCKS,
            old + point.blocks - FRAME_BLOCKS,
            FRAME_BLOCKS,
        );
    }

    fn base(&mut self, at: u64, from: u64, count: u64) {
        self.push(at, count, Kind::Base { from });
    }

    fn push(&mut self, at: u64, count: u64, kind: Kind) {
        if count == 0 {
            return;
        }
        if let (Some(last), Kind::Base { from }) = (self.segments.last_mut(), kind)
            && let Kind::Base { from: before } = last.kind
            && before + last.count == from
        {
            last.count += count;
            return;
        }
        self.segments.push(Segment { at, count, kind });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gpt::NewPoint;
    use crate::gpt::tests::head;
    use crate::{MANIFEST_SCHEMA, Stage};
    use bootsplice_content::Digest;
    use proptest::prelude::*;

    /// A base with a partition of `root` blocks, `free` blocks and points, and its block 0.
    fn base(root: u64, free: u64, points: &[u64]) -> (ContentManifest, Vec<u8>) {
        let size = (2 + root + free + points.iter().sum::<u64>() + 1) * BLOCK_U64;
        let mut head = head(size, 2, root);
        let mut table = Table::read(&head, size).unwrap();
        let new: Vec<_> = points
            .iter()
            .enumerate()
            .map(|(index, blocks)| NewPoint {
                name: format!("p{index}").parse().unwrap(),
                blocks: *blocks,
                stage: Stage::Files,
            })
            .collect();
        let points = table.append_points(&new, size).unwrap();
        table.write(&mut head, size);
        let manifest = ContentManifest {
            schema: MANIFEST_SCHEMA.into(),
            size,
            sector: 512,
            disk: table.disk(),
            points,
            inventory: Digest::of(b""),
            pages: vec![None; (size / BLOCK_U64).div_ceil(4096) as usize],
        };
        (manifest, head)
    }

    /// What a naive splicer says of one block: its base block, or where it belongs.
    fn naive(base: &ContentManifest, blocks: u64, block: u64) -> Kind {
        let delta = blocks - base.blocks();
        if delta > 0 && block == 0 {
            return Kind::Patch(0);
        }
        if delta > 0 && block == blocks - 1 {
            return Kind::Patch(1);
        }
        for (index, point) in base.points.iter().enumerate() {
            let first = point.first + delta;
            if (first..first + point.blocks).contains(&block) {
                let inner = block - first;
                return if inner < 2 || inner >= point.blocks - 2 {
                    Kind::Base {
                        from: point.first + inner,
                    }
                } else {
                    Kind::Point(index)
                };
            }
        }
        let tail = base
            .points
            .first()
            .map_or(base.blocks() - 1, |point| point.first);
        if delta > 0 && block >= tail {
            return Kind::Zero;
        }
        Kind::Base { from: block }
    }

    proptest! {
        #[test]
        fn every_block_is_where_a_naive_splicer_puts_it(
            root in 1u64..20, free in 0u64..9, points in prop::collection::vec(8u64..14, 0..4), delta in 0u64..60,
        ) {
            let (base, head) = base(root, free, &points);
            let size = base.size + delta * BLOCK_U64;
            let layout = Layout::new(&base, Some(size), Some(&head)).unwrap();
            let mut at = 0;
            for segment in &layout.segments {
                prop_assert_eq!(segment.at, at);
                at += segment.count;
            }
            prop_assert_eq!(at, layout.blocks());
            for block in 0..layout.blocks() {
                let segment = layout.segment(block).unwrap();
                let kind = match segment.kind {
                    Kind::Base { from } => Kind::Base { from: from + block - segment.at },
                    other => other,
                };
                prop_assert_eq!(kind, naive(&base, layout.blocks(), block), "block {}", block);
            }
            if delta > 0 {
                let table = Table::read(layout.patches[0].bytes(), size).unwrap();
                prop_assert_eq!(table.points().unwrap(), layout.points);
            }
        }
    }

    #[test]
    fn the_same_size_changes_no_table_and_a_smaller_one_is_refused() {
        let (base, head) = base(10, 2, &[8, 9]);
        let layout = Layout::new(&base, Some(base.size), Some(&head)).unwrap();
        assert!(layout.patches.is_empty());
        for size in [base.size - BLOCK_U64, base.size + 512, u64::MAX] {
            assert!(
                Layout::new(&base, Some(size), Some(&head)).is_err(),
                "{size}"
            );
        }
    }
}
