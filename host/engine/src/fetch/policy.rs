//! What the operator decides about fetching, for all tenants.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use object_store::ObjectStore;

use super::Proxy;
use super::address::{Lookup, Network, system_lookup};
use crate::grant::UrlPrefix;

/// A bucket that grants may name.
#[derive(Clone, Debug)]
pub struct Bucket {
    /// `s3://team`, `gs://team`, `az://container`.
    pub prefix: UrlPrefix,
    /// Opened with the operator's credentials; paths are relative to the bucket.
    pub store: Arc<dyn ObjectStore>,
}

/// Rules of the fetch layer. The default reaches the public network only.
#[derive(Clone)]
pub struct FetchPolicy {
    /// Private networks that may be reached all the same.
    pub allow_networks: Vec<Network>,
    /// Directories that `file:` URLs may lie in.
    pub roots: Vec<PathBuf>,
    pub buckets: Vec<Bucket>,
    /// How names become addresses.
    pub lookup: Lookup,
    /// Certificates trusted besides the system's, PEM.
    pub extra_roots: Vec<Vec<u8>>,
    pub connect_timeout: Duration,
    /// Longest silence of a peer.
    pub read_timeout: Duration,
    /// Fetches at a time, all jobs together.
    pub concurrent: usize,
    /// Fetches at a time from one origin.
    pub per_origin: usize,
    pub proxy: Option<Proxy>,
    /// Tries of one URL when failing looks passing.
    pub tries: u32,
    /// Wait before the second try; doubled for each one more.
    pub backoff: Duration,
    /// The longest wait that a server may ask for (`Retry-After`) and get; one that wants more has failed.
    pub longest_pause: Duration,
}

// === impl FetchPolicy ===

impl Default for FetchPolicy {
    fn default() -> Self {
        Self {
            allow_networks: Vec::new(),
            roots: Vec::new(),
            buckets: Vec::new(),
            lookup: system_lookup(),
            extra_roots: Vec::new(),
            connect_timeout: Duration::from_secs(10),
            read_timeout: Duration::from_secs(30),
            concurrent: 64,
            per_origin: 8,
            proxy: None,
            tries: 3,
            backoff: Duration::from_millis(250),
            longest_pause: Duration::from_secs(60),
        }
    }
}
