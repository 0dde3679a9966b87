//! Counts what one run fetches. A cached answer counts like a fetched one, so that a cache changes no result.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::contract::Quota;
use crate::error::GeneratorError;

/// Fetches and bytes that a run has left.
#[derive(Debug)]
pub struct Meter {
    fetches: AtomicU64,
    bytes: AtomicU64,
    limits: (u64, u64),
}

// === impl Meter ===

impl Meter {
    pub fn new(fetches: u64, bytes: u64) -> Self {
        Self {
            fetches: AtomicU64::new(fetches),
            bytes: AtomicU64::new(bytes),
            limits: (fetches, bytes),
        }
    }

    /// Counts one fetch.
    pub fn fetch(&self) -> Result<(), GeneratorError> {
        take(&self.fetches, 1)
            .then_some(())
            .ok_or_else(|| GeneratorError::quota(Quota::FetchCount, "no more fetches in this run"))
    }

    /// Counts bytes before they are taken.
    pub fn bytes(&self, count: u64) -> Result<(), GeneratorError> {
        take(&self.bytes, count).then_some(()).ok_or_else(|| {
            GeneratorError::quota(
                Quota::FetchBytes,
                "no more bytes may be fetched in this run",
            )
        })
    }

    /// Gives back what a try took that failed.
    pub fn refund(&self, count: u64) {
        self.bytes.fetch_add(count, Ordering::Relaxed);
    }

    /// Fetches and bytes that were taken.
    pub fn taken(&self) -> (u64, u64) {
        let of = |left: &AtomicU64, limit: u64| limit - left.load(Ordering::Relaxed).min(limit);
        (
            of(&self.fetches, self.limits.0),
            of(&self.bytes, self.limits.1),
        )
    }

    /// Bytes left.
    pub fn left(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }
}

fn take(from: &AtomicU64, count: u64) -> bool {
    from.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| {
        left.checked_sub(count)
    })
    .is_ok()
}
