//! What the engine counts, for metrics and for tests that promise "zero guest instructions".

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

#[derive(Debug, Default)]
pub(crate) struct Counters {
    pub instantiations: AtomicU64,
    pub describes: AtomicU64,
    pub validates: AtomicU64,
    pub resolves: AtomicU64,
    pub shared_generates: AtomicU64,
    pub instance_generates: AtomicU64,
    pub guest_nanos: AtomicU64,
    pub memory_peak: AtomicU64,
}

/// A look at the counters. They only rise.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counted {
    /// Stores made: calls of any kind.
    pub instantiations: u64,
    pub describes: u64,
    pub validates: u64,
    pub resolves: u64,
    /// Runs of `generate` whose content is shared between launches.
    pub shared_generates: u64,
    /// Runs of `generate` for one instance.
    pub instance_generates: u64,
    /// Time spent in guests and in the host functions they called.
    pub guest_time: Duration,
    /// The most linear memory that one run had, in bytes.
    pub memory_peak: u64,
}

// === impl Counters ===

impl Counters {
    pub fn look(&self) -> Counted {
        let of = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Counted {
            instantiations: of(&self.instantiations),
            describes: of(&self.describes),
            validates: of(&self.validates),
            resolves: of(&self.resolves),
            shared_generates: of(&self.shared_generates),
            instance_generates: of(&self.instance_generates),
            guest_time: Duration::from_nanos(of(&self.guest_nanos)),
            memory_peak: of(&self.memory_peak),
        }
    }
}
