//! One page of a volume, ready to be asked: which block, which digest, where it lies.

use bootsplice_content::Digest;

/// Up to 4,096 consecutive blocks: a content page joined with its placement page.
#[derive(Debug)]
pub(crate) struct Index {
    /// For each block the place in `entries`, or [`ZERO`].
    slots: Vec<u16>,
    entries: Vec<Located>,
}

/// A block with data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Located {
    pub(crate) digest: Digest,
    pub(crate) pack: u32,
    pub(crate) length: u32,
    pub(crate) offset: u64,
}

const ZERO: u16 = u16::MAX;

// === impl Index ===

impl Index {
    /// Joins blocks (at most 4,096) with the places of those that are not zero, in order.
    pub(crate) fn new(blocks: impl IntoIterator<Item = Option<Located>>) -> Self {
        let mut entries = Vec::new();
        let slots = blocks
            .into_iter()
            .map(|block| match block {
                None => ZERO,
                Some(located) => {
                    entries.push(located);
                    (entries.len() - 1) as u16
                }
            })
            .collect();
        Self { slots, entries }
    }

    /// A page without data.
    pub(crate) fn zero(blocks: usize) -> Self {
        Self {
            slots: vec![ZERO; blocks],
            entries: Vec::new(),
        }
    }

    pub(crate) fn get(&self, block: usize) -> Option<&Located> {
        match self.slots.get(block) {
            None | Some(&ZERO) => None,
            Some(&slot) => self.entries.get(usize::from(slot)),
        }
    }

    /// How many blocks from `block` on are zero, within this page.
    pub(crate) fn zeros(&self, block: usize) -> usize {
        let rest = self.slots.get(block..).unwrap_or_default();
        rest.iter().take_while(|&&slot| slot == ZERO).count()
    }

    /// Bytes of memory.
    pub(crate) fn weight(&self) -> u64 {
        (size_of::<Self>() + self.slots.len() * 2 + self.entries.len() * size_of::<Located>())
            as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zero_runs_and_places_are_found() {
        let located = |n: u64| Located {
            digest: Digest::of(&n.to_le_bytes()),
            pack: 0,
            length: 1,
            offset: n,
        };
        let index = Index::new([None, None, Some(located(1)), None, Some(located(2))]);
        assert_eq!(
            (0..6).map(|n| index.zeros(n)).collect::<Vec<_>>(),
            [2, 1, 0, 1, 0, 0]
        );
        assert_eq!(index.get(4), Some(&located(2)));
        assert_eq!(index.get(0), None);
        assert_eq!(index.get(99), None);
    }
}
