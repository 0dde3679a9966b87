//! One base volume, read by block number.

use std::collections::HashMap;
use std::sync::Arc;

use async_trait::async_trait;
use bootsplice_content::{Chunk, Digest};
use bootsplice_volume::{Page, PlacementPage, paths};

use crate::cache::{Cache, READ_BLOCKS};
use crate::documents::{Description, PAGE};
use crate::fetch::{Batch, Frame};
use crate::flight::{Claim, Ticket};
use crate::index::{Index, Located};
use crate::origin::Origin;
use crate::{BlockSource, BlocksError, Result};

/// A base volume with the placement that was current when it was opened. Cheap to share: launches of one volume share one.
pub struct Volume {
    shared: Arc<Shared>,
}

struct Shared {
    origin: Arc<Origin>,
    cache: Arc<Cache>,
    description: Description,
    /// From the last block of a run of the load order to the first of the next run.
    jumps: HashMap<u64, u64>,
}

// === impl Volume ===

impl Volume {
    pub(crate) fn new(origin: Arc<Origin>, cache: Arc<Cache>, description: Description) -> Self {
        let order = &description.order;
        let jumps = order
            .iter()
            .zip(order.iter().skip(1))
            .filter(|((_, count), _)| *count > 0)
            .map(|((first, count), (next, _))| (first + (count - 1), *next))
            .collect();
        Self {
            shared: Arc::new(Shared {
                origin,
                cache,
                description,
                jumps,
            }),
        }
    }

    /// The load order of its placement: runs of blocks, first and count. What it does not name follows by address.
    pub fn order(&self) -> &[(u64, u64)] {
        &self.shared.description.order
    }

    pub(crate) fn description(&self) -> &Description {
        &self.shared.description
    }

    pub fn cache(&self) -> &Arc<Cache> {
        &self.shared.cache
    }

    /// A document that the manifest refers to, such as the inventory, verified and shared like a block.
    pub async fn document(&self, digest: Digest, path: String, limit: usize) -> Result<Chunk> {
        self.shared.document(digest, path, limit).await
    }
}

#[async_trait]
impl BlockSource for Volume {
    fn len_blocks(&self) -> u64 {
        self.shared.description.manifest.blocks()
    }

    async fn block(&self, block: u64) -> Result<Option<Chunk>> {
        let index = self.shared.index(block).await?;
        match index.get(within(block)) {
            None => Ok(None),
            Some(located) => self.shared.chunk(block, *located).await.map(Some),
        }
    }

    fn ready(&self, block: u64) -> Option<Option<Chunk>> {
        let index = self.shared.ready_index(block)?;
        match index.get(within(block)) {
            None => Some(None),
            Some(located) => self.shared.cache.get(&located.digest).map(Some),
        }
    }

    async fn zeros(&self, block: u64, limit: u64) -> Result<u64> {
        let index = self.shared.index(block).await?;
        Ok((index.zeros(within(block)) as u64).min(limit))
    }

    fn expect(&self, block: u64) {
        Shared::expect(&self.shared, block);
    }
}

// === impl Shared ===

impl Shared {
    /// The page that `block` lies in.
    async fn index(self: &Arc<Self>, block: u64) -> Result<Arc<Index>> {
        self.check(block)?;
        if let Some(index) = self.ready_index(block) {
            return Ok(index);
        }
        let page = self.page(block);
        let blocks = self.description.manifest.page_blocks(page);
        let Some((content, places)) = self.description.pages[page] else {
            return Ok(Arc::new(Index::zero(blocks)));
        };
        let content_path = paths::page(&content);
        let places_path = paths::placement_page(&places);
        let (content_bytes, places_bytes) = futures::try_join!(
            self.document(content, content_path, Page::MAX_BYTES),
            self.document(places, places_path, PlacementPage::MAX_BYTES),
        )?;
        let index = self.description.join(
            page,
            (content, content_bytes.bytes()),
            (places, places_bytes.bytes()),
        )?;
        let index = Arc::new(index);
        let weight = index.weight();
        let mut indexes = self.cache.indexes.lock();
        drop(indexes.insert((content, places), index.clone(), weight));
        Ok(index)
    }

    fn ready_index(&self, block: u64) -> Option<Arc<Index>> {
        let pages = self.description.pages.get(self.page(block))?.as_ref()?;
        self.cache.indexes.lock().get(pages)
    }

    /// A verified document by its digest.
    async fn document(
        self: &Arc<Self>,
        digest: Digest,
        path: String,
        limit: usize,
    ) -> Result<Chunk> {
        loop {
            if let Some(chunk) = self.cache.get(&digest) {
                return Ok(chunk);
            }
            let wait = match self.cache.flights.join(digest) {
                Ticket::Follow(wait) => wait,
                Ticket::Lead(claim, wait) => {
                    if let Some(chunk) = self.cache.get(&digest) {
                        claim.land(chunk.clone());
                        return Ok(chunk);
                    }
                    tokio::spawn(self.clone().read_document(claim, path.clone(), limit));
                    wait
                }
            };
            if let Some(outcome) = wait.outcome().await {
                return outcome;
            }
        }
    }

    async fn read_document(self: Arc<Self>, mut claim: Claim, path: String, limit: usize) {
        if self.cache.has_on_disk(&claim.digest()) {
            let cache = self.cache.clone();
            let digest = claim.digest();
            let promoted = tokio::task::spawn_blocking(move || cache.promote(digest)).await;
            if let Ok(Some(chunk)) = promoted {
                claim.land(chunk);
                return;
            }
        }
        let mut refused = None;
        // Twice: a wrong answer may come from something between us and the store.
        for _ in 0..2 {
            let bytes = match self
                .origin
                .document(&path, limit, &self.cache.counters)
                .await
            {
                Ok(bytes) => bytes,
                Err(error) => return claim.fail(error),
            };
            let cache = self.cache.clone();
            let admitted = tokio::task::spawn_blocking(move || cache.admit(claim, bytes)).await;
            match admitted {
                Ok(Ok(_)) | Err(_) => return,
                Ok(Err((back, reason))) => {
                    claim = back;
                    refused = Some(reason);
                }
            }
        }
        claim.fail(BlocksError::corrupt(
            &path,
            None,
            refused.unwrap_or_default(),
        ));
    }

    async fn chunk(self: &Arc<Self>, block: u64, located: Located) -> Result<Chunk> {
        let digest = located.digest;
        loop {
            if let Some(chunk) = self.cache.get(&digest) {
                return Ok(chunk);
            }
            let wait = match self.cache.flights.join(digest) {
                Ticket::Follow(wait) => {
                    self.cache.count_shared_read();
                    wait
                }
                Ticket::Lead(claim, wait) => {
                    // It may have landed between the look and the claim.
                    if let Some(chunk) = self.cache.get(&digest) {
                        claim.land(chunk.clone());
                        return Ok(chunk);
                    }
                    self.fetch(claim, block, located);
                    wait
                }
            };
            // `None`: the task that read it died, and this reader joins again, now perhaps as the one who reads.
            if let Some(outcome) = wait.outcome().await {
                return outcome;
            }
        }
    }

    fn expect(self: &Arc<Self>, block: u64) {
        if block >= self.description.manifest.blocks() || self.cache.is_busy() {
            return;
        }
        let Some(index) = self.ready_index(block) else {
            let shared = self.clone();
            if self.description.pages[self.page(block)].is_some() {
                tokio::spawn(async move { drop(shared.index(block).await) });
            }
            return;
        };
        let block = block + index.zeros(within(block)) as u64;
        if block >= self.description.manifest.blocks() || within(block) == 0 {
            return;
        }
        if let Some(&located) = index.get(within(block))
            && let Some(claim) = self.claim(&located.digest)
        {
            self.fetch(claim, block, located);
        }
    }

    /// The duty to read a digest that nobody has and nobody reads.
    fn claim(&self, digest: &Digest) -> Option<Claim> {
        if self.cache.has(digest) {
            return None;
        }
        let claim = self.cache.flights.claim(*digest)?;
        (!self.cache.has(digest)).then_some(claim)
    }

    /// Reads `block`, and with it those that follow in load order as far as they lie side by side in the pack, in a task of its own.
    fn fetch(self: &Arc<Self>, claim: Claim, block: u64, located: Located) {
        let pack = &self.description.packs[located.pack as usize];
        let mut batch = Batch::new(pack.clone(), frame(claim, block, &located));
        let mut next = self.after(block);
        // Bounded: an order that leads in a circle through zero blocks is somebody's mistake, not ours to walk for ever.
        for _ in 0..4 * READ_BLOCKS {
            let Some(index) = self.ready_index(next) else {
                break;
            };
            let zeros = index.zeros(within(next)) as u64;
            if zeros > 0 {
                next = self.after(next + zeros - 1);
                if within(next) == 0 {
                    break;
                }
                continue;
            }
            let Some(located_next) = index.get(within(next)) else {
                break;
            };
            let beside = located_next.pack == located.pack && located_next.offset == batch.end();
            if !beside || !batch.has_room(located_next.length as usize) {
                break;
            }
            let Some(claim) = self.claim(&located_next.digest) else {
                break;
            };
            batch.push(frame(claim, next, located_next));
            next = self.after(next);
        }
        tokio::spawn(batch.run(self.origin.clone(), self.cache.clone()));
    }

    /// The block after `block` in load order, as far as the order names it.
    fn after(&self, block: u64) -> u64 {
        self.jumps.get(&block).copied().unwrap_or(block + 1)
    }

    fn page(&self, block: u64) -> usize {
        (block / PAGE) as usize
    }

    fn check(&self, block: u64) -> Result<()> {
        if block < self.description.manifest.blocks() {
            return Ok(());
        }
        Err(BlocksError::Invalid {
            what: "block",
            found: block.to_string(),
            expected: format!("one below {}", self.description.manifest.blocks()),
        })
    }
}

fn within(block: u64) -> usize {
    (block % PAGE) as usize
}

fn frame(claim: Claim, block: u64, located: &Located) -> Frame {
    Frame {
        claim,
        block,
        offset: located.offset,
        length: located.length as usize,
    }
}

#[cfg(test)]
mod tests;
