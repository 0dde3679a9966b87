//! Verified chunks that all launches share.

use std::sync::Arc;

use bootsplice_content::{BLOCK, Chunk, Digest};
use bytes::Bytes;
use parking_lot::Mutex;
use tokio::sync::Semaphore;

use crate::counters::add;
use crate::disk::{Disk, DiskConfig};
use crate::fifo::Fifo;
use crate::flight::{Claim, Flights};
use crate::index::Index;
use crate::pool::Pool;
use crate::{CounterSnapshot, Counters, Result};

/// Bounds of a [`Cache`].
#[derive(Clone, Debug)]
pub struct CacheConfig {
    /// Bytes of verified chunks in RAM. Readers may hold chunks that already left.
    pub ram_bytes: u64,
    /// Bytes being read and decoded at a time, over all volumes; reads beyond wait. At least [`CacheConfig::LEAST_IN_FLIGHT`].
    pub in_flight_bytes: u64,
    /// A directory that keeps chunks across restarts.
    pub disk: Option<DiskConfig>,
}

/// Chunks by digest: RAM first, then the directory. One per process, shared by all volumes and their readers.
#[derive(Debug)]
pub struct Cache {
    ram: Mutex<Fifo<Digest, Chunk>>,
    disk: Option<Disk>,
    pub(crate) indexes: Mutex<Fifo<(Digest, Digest), Arc<Index>>>,
    pub(crate) flights: Arc<Flights>,
    pub(crate) counters: Counters,
    /// Buffers of one decoded block.
    pub(crate) blocks: Pool,
    /// Buffers of one read.
    pub(crate) reads: Pool,
    in_flight: Arc<Semaphore>,
    in_flight_kib: u32,
}

/// The most bytes that one read asks of an origin.
pub(crate) const READ: usize = 4 * 1024 * 1024;

/// The most blocks that one read yields; compressed ones are smaller than their read.
pub(crate) const READ_BLOCKS: usize = 16;

/// Bytes of decoded page indexes, over all volumes: 80 pages of 2 GiB each.
const INDEX_BYTES: u64 = 16 * 1024 * 1024;

// === impl CacheConfig ===

impl CacheConfig {
    /// One read of the largest kind, with its decoded blocks.
    pub const LEAST_IN_FLIGHT: u64 = (READ + READ_BLOCKS * BLOCK) as u64;
}

impl Default for CacheConfig {
    fn default() -> Self {
        Self {
            ram_bytes: 512 * 1024 * 1024,
            in_flight_bytes: 32 * 1024 * 1024,
            disk: None,
        }
    }
}

// === impl Cache ===

impl Cache {
    /// Opens the cache, and its directory when it has one (blocking, once at start).
    pub fn open(config: CacheConfig) -> Result<Arc<Self>> {
        let in_flight = config.in_flight_bytes.max(CacheConfig::LEAST_IN_FLIGHT);
        let in_flight_kib = u32::try_from(in_flight / 1024).unwrap_or(u32::MAX >> 3);
        Ok(Arc::new(Self {
            ram: Mutex::new(Fifo::new(config.ram_bytes)),
            disk: config.disk.map(Disk::open).transpose()?,
            indexes: Mutex::new(Fifo::new(INDEX_BYTES)),
            flights: Arc::default(),
            counters: Counters::default(),
            blocks: Pool::new(BLOCK, READ_BLOCKS),
            reads: Pool::new(READ, 2),
            in_flight: Arc::new(Semaphore::new(in_flight_kib as usize)),
            in_flight_kib,
        }))
    }

    pub fn counters(&self) -> CounterSnapshot {
        self.counters.snapshot()
    }

    /// A reader found another's read under way: a hit, too.
    pub(crate) fn count_shared_read(&self) {
        add(&self.counters.cache_hits, 1);
    }

    /// Bytes of chunks held in RAM.
    pub fn ram_bytes(&self) -> u64 {
        self.ram.lock().weight()
    }

    /// The chunk, when it is in RAM.
    pub fn get(&self, digest: &Digest) -> Option<Chunk> {
        let chunk = self.ram.lock().get(digest);
        if chunk.is_some() {
            add(&self.counters.cache_hits, 1);
        }
        chunk
    }

    /// True when the chunk needs no origin.
    pub(crate) fn has(&self, digest: &Digest) -> bool {
        self.ram.lock().contains(digest)
            || self.disk.as_ref().is_some_and(|disk| disk.contains(digest))
    }

    /// Keeps a chunk in RAM.
    pub fn insert(&self, chunk: Chunk) {
        let weight = chunk.bytes().len() as u64;
        let left = self.ram.lock().insert(chunk.digest(), chunk, weight);
        drop(left); // outside the lock: freeing buffers is not free
    }

    /// Promotes the chunk from the directory to RAM. Blocking.
    pub(crate) fn promote(&self, digest: Digest) -> Option<Chunk> {
        let disk = self.disk.as_ref()?;
        let chunk = disk.load(digest, &self.blocks, &self.counters)?;
        self.insert(chunk.clone());
        Some(chunk)
    }

    pub(crate) fn has_on_disk(&self, digest: &Digest) -> bool {
        self.disk.as_ref().is_some_and(|disk| disk.contains(digest))
    }

    /// Verifies `bytes`, keeps the chunk and hands it to all who wait; gives the claim back with the reason when the bytes are wrong. Blocking.
    pub(crate) fn admit(&self, claim: Claim, bytes: Bytes) -> Result<Chunk, (Claim, String)> {
        let chunk = match Chunk::verify(claim.digest(), bytes) {
            Ok(chunk) => chunk,
            Err(refused) => {
                add(&self.counters.refused_blocks, 1);
                return Err((claim, refused.to_string()));
            }
        };
        add(&self.counters.verified_blocks, 1);
        self.insert(chunk.clone());
        claim.land(chunk.clone());
        if let Some(disk) = &self.disk {
            disk.store(&chunk, &self.counters);
        }
        Ok(chunk)
    }

    /// Room for `bytes` in flight; waits until there is some.
    pub(crate) async fn room(&self, bytes: usize) -> tokio::sync::OwnedSemaphorePermit {
        let kib = u32::try_from(bytes.div_ceil(1024)).unwrap_or(u32::MAX);
        self.in_flight
            .clone()
            .acquire_many_owned(kib.min(self.in_flight_kib))
            .await
            .expect("the semaphore is never closed")
    }

    /// True when reading ahead would take room from reads that somebody waits for.
    pub(crate) fn is_busy(&self) -> bool {
        self.in_flight.available_permits() < (CacheConfig::LEAST_IN_FLIGHT / 1024) as usize
    }
}
