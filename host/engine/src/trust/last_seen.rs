//! The replay guard's memory: the highest value ever seen under a key. Never evicted (rule 21 of the design).

use std::collections::BTreeMap;

use async_trait::async_trait;
use parking_lot::Mutex;

/// Under which key a generator remembers: private to a tenant and to a generator's id, so that it outlives the generator's releases and no other
/// generator can raise it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SeenKey {
    pub tenant: String,
    /// The generator's id, `[a-z0-9-]{1,40}`.
    pub generator: String,
    /// The generator's own words, at most 256 bytes: a repository and a suite.
    pub key: String,
}

/// The store failed. Trying again can help.
#[derive(Clone, Debug, thiserror::Error)]
#[error("the record of last-seen dates failed: {0}")]
pub struct LastSeenError(pub String);

/// Where the highest values are kept. The host implements it over its record store.
#[async_trait]
pub trait LastSeen: Send + Sync {
    /// The highest value recorded under `key`.
    async fn highest(&self, key: &SeenKey) -> Result<Option<u64>, LastSeenError>;

    /// Records each value unless a higher one is recorded already. Durable once it is answered.
    async fn raise(&self, values: &[(SeenKey, u64)]) -> Result<(), LastSeenError>;
}

/// For tests: forgets when the process ends, so it guards nothing across a restart.
#[derive(Debug, Default)]
pub struct MemoryLastSeen(Mutex<BTreeMap<SeenKey, u64>>);

// === impl MemoryLastSeen ===

#[async_trait]
impl LastSeen for MemoryLastSeen {
    async fn highest(&self, key: &SeenKey) -> Result<Option<u64>, LastSeenError> {
        Ok(self.0.lock().get(key).copied())
    }

    async fn raise(&self, values: &[(SeenKey, u64)]) -> Result<(), LastSeenError> {
        let mut held = self.0.lock();
        for (key, value) in values {
            let known = held.entry(key.clone()).or_insert(*value);
            *known = (*known).max(*value);
        }
        Ok(())
    }
}
