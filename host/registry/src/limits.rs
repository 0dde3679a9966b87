//! How much anyone may send. All bytes unless said otherwise.

use std::time::Duration;

/// Limits of one registry.
#[derive(Clone, Debug)]
pub struct Limits {
    /// A manifest; 413 above. The specification wants 4 MiB at least.
    pub manifest: u64,
    /// A component of a Wasm artifact.
    pub component: u64,
    /// Any other blob.
    pub blob: u64,
    /// Blobs and manifests of all repositories of one namespace; 403 above.
    pub namespace: u64,
    /// What all uploads under way may hold on the local disk.
    pub spool: u64,
    /// Uploads under way of one tenant.
    pub sessions: usize,
    /// An upload that nobody touched for so long is given up.
    pub session: Duration,
    /// Longest silence inside a body.
    pub silence: Duration,
    /// What nothing refers to is kept for so long.
    pub grace: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            manifest: 4 << 20,
            component: 64 << 20,
            blob: 1 << 30,
            namespace: 16 << 30,
            spool: 4 << 30,
            sessions: 64,
            session: Duration::from_secs(3600),
            silence: Duration::from_secs(60),
            grace: Duration::from_secs(24 * 3600),
        }
    }
}
