//! A store that forgets everything with its process: for tests.

use std::collections::BTreeMap;
use std::ops::Bound;

use async_trait::async_trait;
use bytes::Bytes;
use parking_lot::Mutex;
use tokio::sync::broadcast;

use crate::watch::BACKLOG;
use crate::{
    Change, Committed, MAX_PAGE, Page, Record, Store, StoreError, Transaction, Version, Watch,
    Write,
};

/// Keeps the promises of [`Store`] but durability.
#[derive(Debug)]
pub struct MemoryStore {
    state: Mutex<State>,
    changes: broadcast::Sender<Change>,
}

#[derive(Debug, Default)]
struct State {
    revision: u64,
    records: BTreeMap<String, (Version, Bytes)>,
}

// === impl MemoryStore ===

impl MemoryStore {
    pub fn new() -> Self {
        Self {
            state: Mutex::default(),
            changes: broadcast::channel(BACKLOG).0,
        }
    }
}

impl Default for MemoryStore {
    fn default() -> Self {
        Self::new()
    }
}

#[async_trait]
impl Store for MemoryStore {
    async fn get(&self, key: &str) -> Result<Option<Record>, StoreError> {
        let state = self.state.lock();
        Ok(state.records.get(key).map(|(version, value)| Record {
            key: key.to_owned(),
            version: *version,
            value: value.clone(),
        }))
    }

    async fn list(
        &self,
        prefix: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Page, StoreError> {
        let from = match after {
            Some(after) if after >= prefix => Bound::Excluded(after),
            _ => Bound::Included(prefix),
        };
        let limit = limit.min(MAX_PAGE);
        let state = self.state.lock();
        let mut page = Page::default();
        for (key, (version, value)) in state.records.range::<str, _>((from, Bound::Unbounded)) {
            if !page.admits(key, prefix, limit) {
                break;
            }
            page.records.push(Record {
                key: key.clone(),
                version: *version,
                value: value.clone(),
            });
        }
        Ok(page)
    }

    async fn list_back(
        &self,
        prefix: &str,
        before: Option<&str>,
        limit: usize,
    ) -> Result<Page, StoreError> {
        let end = crate::store::back_from(prefix, before);
        let end = end.as_ref().map(String::as_str);
        let limit = limit.min(MAX_PAGE);
        let state = self.state.lock();
        let range = state.records.range::<str, _>((Bound::Unbounded, end));
        let mut page = Page::default();
        for (key, (version, value)) in range.rev() {
            if !page.admits(key, prefix, limit) {
                break;
            }
            page.records.push(Record {
                key: key.clone(),
                version: *version,
                value: value.clone(),
            });
        }
        Ok(page)
    }

    fn watch(&self, prefix: &str) -> Watch {
        Watch::new(prefix, self.changes.subscribe())
    }

    async fn transact(&self, transaction: Transaction) -> Result<Committed, StoreError> {
        transaction.validate()?;
        let mut state = self.state.lock();
        for check in &transaction.checks {
            check.judge(state.records.get(check.key()).map(|(version, _)| *version))?;
        }
        state.revision += 1;
        let version = Version(state.revision);
        for write in transaction.writes {
            let change = match write {
                Write::Put(key, value) => {
                    state.records.insert(key.clone(), (version, value.clone()));
                    Change::Put(Record {
                        key,
                        version,
                        value,
                    })
                }
                Write::Delete(key) => {
                    if state.records.remove(&key).is_none() {
                        continue;
                    }
                    Change::Deleted { key, version }
                }
            };
            // Nobody listening is no failure.
            let _ = self.changes.send(change);
        }
        Ok(Committed { version })
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    #[tokio::test]
    async fn memory_keeps_the_promises_of_a_store() {
        crate::conformance::all(|| async { Arc::new(MemoryStore::new()) as Arc<dyn Store> }).await;
    }
}
