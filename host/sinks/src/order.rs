//! In which order a personalised volume is written: the base's load order, carried over to the plan.

use std::collections::BTreeMap;
use std::ops::Range;

use bootsplice_volume::{Kind, Layout, Segment};

/// Runs of blocks that together hold each block of the volume exactly once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LoadOrder(Vec<Range<u64>>);

/// Blocks taken so far, as disjoint runs.
#[derive(Default)]
struct Taken(BTreeMap<u64, u64>);

// === impl LoadOrder ===

impl LoadOrder {
    /// Carries `base` (runs `(first, blocks)` of the base volume, from its placement) over to the blocks they became. What the base's order does not name
    /// follows by address: the archives among it, which lie at the tail, so a stream waits for them only after all else has gone.
    /// Runs beyond the base or named twice are passed over, since a placement is a hint.
    pub fn new(layout: &Layout, base: &[(u64, u64)]) -> Self {
        let mut by_base: Vec<&Segment> = layout
            .segments
            .iter()
            .filter(|segment| matches!(segment.kind, Kind::Base { .. }))
            .collect();
        let from_of = |segment: &Segment| match segment.kind {
            Kind::Base { from } => from,
            _ => u64::MAX,
        };
        by_base.sort_by_key(|segment| from_of(segment));
        let mut taken = Taken::default();
        let mut order = Vec::new();
        for &(first, count) in base {
            let end = first.saturating_add(count);
            let start =
                by_base.partition_point(|segment| from_of(segment) + segment.count <= first);
            for segment in &by_base[start..] {
                let from = from_of(segment);
                if from >= end {
                    break;
                }
                let run = from.max(first)..end.min(from + segment.count);
                let moved = run.start - from + segment.at..run.end - from + segment.at;
                taken.take(moved, &mut order);
            }
        }
        taken.take(0..layout.blocks(), &mut order);
        Self(order)
    }

    pub fn runs(&self) -> &[Range<u64>] {
        &self.0
    }
}

// === impl Taken ===

impl Taken {
    /// Adds to `order` what of `run` is still free, and takes it.
    fn take(&mut self, run: Range<u64>, order: &mut Vec<Range<u64>>) {
        let mut at = run.start;
        if let Some((_, &end)) = self.0.range(..=at).next_back() {
            at = at.max(end);
        }
        let mut found = Vec::new();
        for (&start, &end) in self.0.range(run.start..run.end) {
            if at < start {
                found.push(at..start);
            }
            at = at.max(end);
        }
        if at < run.end {
            found.push(at..run.end);
        }
        for free in &found {
            self.0.insert(free.start, free.end);
        }
        order.extend(found);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn layout(segments: &[(u64, Kind)]) -> Layout {
        let mut at = 0;
        let segments: Vec<Segment> = segments
            .iter()
            .map(|&(count, kind)| {
                let segment = Segment { at, count, kind };
                at += count;
                segment
            })
            .collect();
        Layout {
            size: at * bootsplice_content::BLOCK_U64,
            sector: 512,
            segments,
            points: Vec::new(),
            patches: Vec::new(),
        }
    }

    #[test]
    fn a_recorded_order_follows_blocks_to_where_they_moved() {
        // A grown volume: tables rewritten, eight blocks of free space before a point that moved.
        let layout = layout(&[
            (1, Kind::Patch(0)),
            (9, Kind::Base { from: 1 }),
            (8, Kind::Zero),
            (2, Kind::Base { from: 10 }),
            (4, Kind::Point(0)),
            (2, Kind::Base { from: 16 }),
            (1, Kind::Patch(1)),
        ]);
        let order = LoadOrder::new(&layout, &[(8, 4), (0, 3), (8, 1), (17, 100)]);
        let expected = [
            8..10,
            18..20,
            1..3,
            25..26,
            0..1,
            3..8,
            10..18,
            20..25,
            26..27,
        ];
        assert_eq!(order.runs(), expected);
        assert_eq!(LoadOrder::new(&layout, &[]).runs().first(), Some(&(0..27)));
    }

    proptest! {
        #[test]
        fn each_block_comes_exactly_once_whatever_the_placement_says(
            lengths in prop::collection::vec(1u64..20, 1..12),
            order in prop::collection::vec((0u64..120, prop_oneof![0u64..40, Just(u64::MAX)]), 0..30),
        ) {
            let mut from = 0;
            let segments: Vec<_> = lengths.iter().enumerate().map(|(index, &count)| {
                let kind = if index % 3 == 2 { Kind::Point(0) } else { Kind::Base { from } };
                from += count;
                (count, kind)
            }).collect();
            let layout = layout(&segments);
            let order = LoadOrder::new(&layout, &order);
            let mut seen = vec![0; layout.blocks() as usize];
            order.runs().iter().cloned().flatten().for_each(|block| seen[block as usize] += 1);
            prop_assert!(seen.iter().all(|&times| times == 1), "{seen:?}");
        }
    }
}
