//! What the data path did since the process started.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// Counters that only rise. Shared by every volume of one [`Cache`](crate::Cache).
#[derive(Debug, Default)]
pub struct Counters {
    pub(crate) origin_requests: AtomicU64,
    pub(crate) origin_bytes: AtomicU64,
    pub(crate) retries: AtomicU64,
    pub(crate) cache_hits: AtomicU64,
    pub(crate) disk_hits: AtomicU64,
    pub(crate) disk_faults: AtomicU64,
    pub(crate) verified_blocks: AtomicU64,
    pub(crate) refused_blocks: AtomicU64,
}

/// The [`Counters`] at one moment; each value on its own, not one consistent cut.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CounterSnapshot {
    /// Requests sent to object stores, repeated ones included.
    pub origin_requests: u64,
    /// Body bytes received from object stores.
    pub origin_bytes: u64,
    /// Requests sent again after a failure.
    pub retries: u64,
    /// Blocks and pages answered from RAM, or from a read that another reader had begun.
    pub cache_hits: u64,
    /// Blocks and pages promoted from the cache directory.
    pub disk_hits: u64,
    /// Files of the cache directory that were damaged and removed, or could not be written.
    pub disk_faults: u64,
    /// Blocks and pages whose digest was checked and found right.
    pub verified_blocks: u64,
    /// Blocks and pages whose bytes were not what their digest says.
    pub refused_blocks: u64,
}

// === impl Counters ===

impl Counters {
    pub fn snapshot(&self) -> CounterSnapshot {
        CounterSnapshot {
            origin_requests: self.origin_requests.load(Relaxed),
            origin_bytes: self.origin_bytes.load(Relaxed),
            retries: self.retries.load(Relaxed),
            cache_hits: self.cache_hits.load(Relaxed),
            disk_hits: self.disk_hits.load(Relaxed),
            disk_faults: self.disk_faults.load(Relaxed),
            verified_blocks: self.verified_blocks.load(Relaxed),
            refused_blocks: self.refused_blocks.load(Relaxed),
        }
    }
}

pub(crate) fn add(counter: &AtomicU64, amount: u64) {
    counter.fetch_add(amount, Relaxed);
}
