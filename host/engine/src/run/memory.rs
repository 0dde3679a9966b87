//! Memory and tables of one store, all its instances together.

use wasmtime::{ResourceLimiter, Result};

/// Elements of all tables together.
const TABLE_ELEMENTS: usize = 40_000;
const INSTANCES: usize = 64;
const TABLES: usize = 64;
const MEMORIES: usize = 32;

/// Counts what a store grows by, and remembers that it was refused more.
#[derive(Debug)]
pub struct MemoryLimit {
    limit: usize,
    bytes: usize,
    elements: usize,
    refused: bool,
}

// === impl MemoryLimit ===

impl MemoryLimit {
    pub fn new(limit: u64) -> Self {
        Self {
            limit: usize::try_from(limit).unwrap_or(usize::MAX),
            bytes: 0,
            elements: 0,
            refused: false,
        }
    }

    /// Whether the guest ever asked for more than it may have.
    pub fn refused(&self) -> bool {
        self.refused
    }

    /// What the guest has; memories never shrink.
    pub fn bytes(&self) -> u64 {
        self.bytes as u64
    }

    pub fn limit(&self) -> u64 {
        self.limit as u64
    }
}

impl ResourceLimiter for MemoryLimit {
    fn memory_growing(
        &mut self,
        current: usize,
        desired: usize,
        _maximum: Option<usize>,
    ) -> Result<bool> {
        let total = self.bytes.saturating_add(desired.saturating_sub(current));
        let fits = total <= self.limit;
        if fits {
            self.bytes = total;
        } else {
            self.refused = true;
        }
        Ok(fits)
    }

    fn table_growing(
        &mut self,
        current: usize,
        desired: usize,
        _maximum: Option<usize>,
    ) -> Result<bool> {
        let total = self
            .elements
            .saturating_add(desired.saturating_sub(current));
        let fits = total <= TABLE_ELEMENTS;
        if fits {
            self.elements = total;
        } else {
            self.refused = true;
        }
        Ok(fits)
    }

    fn instances(&self) -> usize {
        INSTANCES
    }

    fn tables(&self) -> usize {
        TABLES
    }

    fn memories(&self) -> usize {
        MEMORIES
    }
}
