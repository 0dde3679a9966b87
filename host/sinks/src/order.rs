//! In which order a personalised volume is written: the base's load order, carried over to the plan.

use std::collections::BTreeMap;
use std::ops::Range;

use crate::reader::{Kind, Piece, VolumeReader};

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
    pub fn new(reader: &VolumeReader, base: &[(u64, u64)]) -> Self {
        let mut by_base: Vec<&Piece> = reader
            .pieces()
            .iter()
            .filter(|piece| matches!(piece.kind, Kind::Base { .. }))
            .collect();
        let from_of = |piece: &Piece| match piece.kind {
            Kind::Base { from } => from,
            _ => u64::MAX,
        };
        by_base.sort_by_key(|piece| from_of(piece));
        let mut taken = Taken::default();
        let mut order = Vec::new();
        for &(first, count) in base {
            let end = first.saturating_add(count);
            let start = by_base.partition_point(|piece| from_of(piece) + piece.count <= first);
            for piece in &by_base[start..] {
                let from = from_of(piece);
                if from >= end {
                    break;
                }
                let run = from.max(first)..end.min(from + piece.count);
                let moved = run.start - from + piece.at..run.end - from + piece.at;
                taken.take(moved, &mut order);
            }
        }
        taken.take(0..reader.geometry().blocks(), &mut order);
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
