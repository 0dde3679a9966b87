//! What one run may use (RFC 0003).

use std::time::Duration;

/// Limits of one call of a generator. The operator may change each.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of linear memory, all memories together.
    pub memory: u64,
    /// Processor time in the sandbox.
    pub cpu: Duration,
    /// From call to answer, host calls included.
    pub wall: Duration,
    /// Bytes of content, templates and actions.
    pub output_bytes: u64,
    pub output_entries: u64,
    /// Bytes of log that are kept; the rest is counted.
    pub log_bytes: u64,
    pub fetches: u64,
    pub fetch_bytes: u64,
    /// Handles alive at a time.
    pub handles: u32,
    /// Bytes that blobs made by the guest (built, unpacked, decompressed) may take in all.
    pub scratch_bytes: u64,
    /// Bytes put into the plugin's cache in one run.
    pub cache_bytes: u64,
}

// === impl Limits ===

impl Default for Limits {
    fn default() -> Self {
        Self {
            memory: 256 << 20,
            cpu: Duration::from_secs(60),
            wall: Duration::from_secs(300),
            output_bytes: 4 << 30,
            output_entries: 100_000,
            log_bytes: 1 << 20,
            // A whole desktop is some two thousand packages.
            fetches: 8192,
            fetch_bytes: 4 << 30,
            handles: 4096,
            scratch_bytes: 8 << 30,
            cache_bytes: 1 << 30,
        }
    }
}

impl Limits {
    /// For `describe` and `validate`, which only think.
    pub fn pure() -> Self {
        Self {
            cpu: Duration::from_secs(5),
            wall: Duration::from_secs(10),
            fetches: 0,
            output_bytes: 0,
            ..Self::default()
        }
    }
}
