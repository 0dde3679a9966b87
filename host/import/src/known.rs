//! Blocks that need no storing because they are stored already: in the volume that had the name before, or earlier in this image.

use std::collections::HashMap;
use std::sync::Mutex;

use bootsplice_content::Digest;
use bootsplice_volume::{Location, Pack};

/// Entries of [`Known`]: about 24 MiB. Later blocks are stored again, which costs room and nothing else.
const MOST: usize = 1 << 18;

/// Digests that this import has placed, by all workers.
#[derive(Default)]
pub(crate) struct Known(Mutex<HashMap<Digest, Location>>);

/// The blocks of one page of the volume that had the name before.
pub(crate) type Earlier = HashMap<Digest, (Pack, Location)>;

// === impl Known ===

impl Known {
    pub(crate) fn get(&self, digest: &Digest) -> Option<Location> {
        self.lock().get(digest).copied()
    }

    pub(crate) fn insert(&self, digest: Digest, location: Location) {
        let mut known = self.lock();
        if known.len() < MOST {
            known.insert(digest, location);
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<Digest, Location>> {
        // A map of plain values is whole after any panic.
        self.0
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}
