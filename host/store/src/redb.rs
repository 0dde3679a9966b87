//! The embedded store: one [redb](https://docs.rs/redb) file, one process at a time, every commit fsynced.
//!
//! Two tables: `records` (key → version, little-endian u64, then the value) and `meta` (`format`, `revision`). A file of an older format is brought
//! forward by [`MIGRATIONS`] in one transaction; one of a newer format is refused by name.

use std::ops::Bound;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use parking_lot::Mutex;
use redb::{
    Database, DatabaseError, Durability, ReadableDatabase, ReadableTable, StorageError,
    TableDefinition, WriteTransaction,
};
use tokio::sync::broadcast;

use crate::watch::BACKLOG;
use crate::{
    Change, Committed, MAX_PAGE, Page, Record, Store, StoreError, Transaction, Version, Watch,
    Write,
};

/// The format that this release writes.
pub const FORMAT: u64 = 1;

/// What brings a file from format *n* (its index + 1) to *n* + 1. A release that changes the format adds its step here and raises [`FORMAT`].
const MIGRATIONS: &[Migration] = &[];

type Migration = fn(&WriteTransaction) -> Result<(), StoreError>;

const RECORDS: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("records");
const META: TableDefinition<'_, &str, u64> = TableDefinition::new("meta");

/// Pages that redb keeps in memory. Records are small; its default of 1 GiB is not for a host that counts its memory.
const PAGE_CACHE: usize = 16 << 20;

/// Records in one file. Clones share it.
#[derive(Clone)]
pub struct RedbStore {
    shared: Arc<Shared>,
}

struct Shared {
    database: Database,
    path: PathBuf,
    /// Held from the first check to the last announcement, so that watchers hear commits in their order.
    commit: Mutex<()>,
    changes: broadcast::Sender<Change>,
}

// === impl RedbStore ===

impl RedbStore {
    /// Opens the file at `path`, or makes it. Blocking.
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        Self::open_as(path, FORMAT, MIGRATIONS)
    }

    fn open_as(path: &Path, format: u64, migrations: &[Migration]) -> Result<Self, StoreError> {
        let database = Database::builder()
            .set_cache_size(PAGE_CACHE)
            .create(path)
            .map_err(|error| refused(path, error))?;
        let shared = Shared {
            database,
            path: path.to_owned(),
            commit: Mutex::new(()),
            changes: broadcast::channel(BACKLOG).0,
        };
        shared.prepare(format, migrations)?;
        Ok(Self {
            shared: Arc::new(shared),
        })
    }

    /// redb blocks on the disk: every call runs on the blocking pool. A caller that goes away does not undo a commit.
    async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Shared) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let shared = Arc::clone(&self.shared);
        tokio::task::spawn_blocking(move || work(&shared))
            .await
            .map_err(|error| StoreError::Unavailable(error.to_string()))?
    }
}

impl std::fmt::Debug for RedbStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "RedbStore({})", self.shared.path.display())
    }
}

#[async_trait]
impl Store for RedbStore {
    async fn get(&self, key: &str) -> Result<Option<Record>, StoreError> {
        let key = key.to_owned();
        self.blocking(move |shared| shared.get(key)).await
    }

    async fn list(
        &self,
        prefix: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Page, StoreError> {
        let (prefix, after) = (prefix.to_owned(), after.map(str::to_owned));
        self.blocking(move |shared| shared.list(&prefix, after.as_deref(), limit.min(MAX_PAGE)))
            .await
    }

    async fn list_back(
        &self,
        prefix: &str,
        before: Option<&str>,
        limit: usize,
    ) -> Result<Page, StoreError> {
        let (prefix, before) = (prefix.to_owned(), before.map(str::to_owned));
        self.blocking(move |shared| {
            shared.list_back(&prefix, before.as_deref(), limit.min(MAX_PAGE))
        })
        .await
    }

    fn watch(&self, prefix: &str) -> Watch {
        Watch::new(prefix, self.shared.changes.subscribe())
    }

    async fn transact(&self, transaction: Transaction) -> Result<Committed, StoreError> {
        transaction.validate()?;
        self.blocking(move |shared| shared.transact(transaction))
            .await
    }
}

// === impl Shared ===

impl Shared {
    /// Makes the tables of a new file, or brings an old one forward.
    fn prepare(&self, format: u64, migrations: &[Migration]) -> Result<(), StoreError> {
        let transaction = self.begin()?;
        {
            let mut meta = transaction.open_table(META).map_err(broken)?;
            let found = meta
                .get("format")
                .map_err(broken)?
                .map(|value| value.value());
            if let Some(found) = found {
                if found > format {
                    return Err(StoreError::Newer {
                        what: self.path.display().to_string(),
                        found,
                        known: format,
                    });
                }
                for step in found..format {
                    let index = usize::try_from(step).unwrap_or(usize::MAX) - 1;
                    let migrate = migrations.get(index).ok_or_else(|| StoreError::Damaged {
                        what: self.path.display().to_string(),
                        why: format!("nothing leads from format {step} to {format}"),
                    })?;
                    tracing::info!(path = %self.path.display(), from = step, to = step + 1, "migrating the store");
                    migrate(&transaction)?;
                }
            }
            meta.insert("format", format).map_err(broken)?;
            transaction.open_table(RECORDS).map_err(broken)?;
        }
        transaction.commit().map_err(broken)
    }

    fn begin(&self) -> Result<WriteTransaction, StoreError> {
        let mut transaction = self.database.begin_write().map_err(broken)?;
        transaction
            .set_durability(Durability::Immediate)
            .map_err(broken)?;
        Ok(transaction)
    }

    fn get(&self, key: String) -> Result<Option<Record>, StoreError> {
        let transaction = self.database.begin_read().map_err(broken)?;
        let records = transaction.open_table(RECORDS).map_err(broken)?;
        match records.get(key.as_str()).map_err(broken)? {
            Some(stored) => Ok(Some(unpack(key, stored.value())?)),
            None => Ok(None),
        }
    }

    fn list(&self, prefix: &str, after: Option<&str>, limit: usize) -> Result<Page, StoreError> {
        let transaction = self.database.begin_read().map_err(broken)?;
        let records = transaction.open_table(RECORDS).map_err(broken)?;
        let from = after.filter(|after| *after >= prefix).unwrap_or(prefix);
        let mut page = Page::default();
        for entry in records.range(from..).map_err(broken)? {
            let (key, stored) = entry.map_err(broken)?;
            let key = key.value();
            if after == Some(key) {
                continue;
            }
            if !page.admits(key, prefix, limit) {
                break;
            }
            page.records.push(unpack(key.to_owned(), stored.value())?);
        }
        Ok(page)
    }

    fn list_back(
        &self,
        prefix: &str,
        before: Option<&str>,
        limit: usize,
    ) -> Result<Page, StoreError> {
        let transaction = self.database.begin_read().map_err(broken)?;
        let records = transaction.open_table(RECORDS).map_err(broken)?;
        let end = crate::store::back_from(prefix, before);
        let end = end.as_ref().map(String::as_str);
        let range = records.range::<&str>((Bound::Unbounded, end));
        let mut page = Page::default();
        for entry in range.map_err(broken)?.rev() {
            let (key, stored) = entry.map_err(broken)?;
            let key = key.value();
            if !page.admits(key, prefix, limit) {
                break;
            }
            page.records.push(unpack(key.to_owned(), stored.value())?);
        }
        Ok(page)
    }

    fn transact(&self, asked: Transaction) -> Result<Committed, StoreError> {
        let _order = self.commit.lock();
        let transaction = self.begin()?;
        let mut announced = Vec::with_capacity(asked.writes.len());
        let version = {
            let mut records = transaction.open_table(RECORDS).map_err(broken)?;
            for check in &asked.checks {
                let found = match records.get(check.key()).map_err(broken)? {
                    Some(stored) => Some(split(check.key(), stored.value())?.0),
                    None => None,
                };
                check.judge(found)?;
            }
            let mut meta = transaction.open_table(META).map_err(broken)?;
            let last = meta
                .get("revision")
                .map_err(broken)?
                .map_or(0, |value| value.value());
            let version = Version(last + 1);
            meta.insert("revision", version.0).map_err(broken)?;
            for write in asked.writes {
                match write {
                    Write::Put(key, value) => {
                        let mut stored = Vec::with_capacity(8 + value.len());
                        stored.extend_from_slice(&version.0.to_le_bytes());
                        stored.extend_from_slice(&value);
                        records
                            .insert(key.as_str(), stored.as_slice())
                            .map_err(broken)?;
                        announced.push(Change::Put(Record {
                            key,
                            version,
                            value,
                        }));
                    }
                    Write::Delete(key) => {
                        let existed = records.remove(key.as_str()).map_err(broken)?.is_some();
                        if existed {
                            announced.push(Change::Deleted { key, version });
                        }
                    }
                }
            }
            version
        };
        transaction.commit().map_err(broken)?;
        for change in announced {
            // Nobody listening is no failure.
            let _ = self.changes.send(change);
        }
        Ok(Committed { version })
    }
}

fn split<'a>(key: &str, stored: &'a [u8]) -> Result<(Version, &'a [u8]), StoreError> {
    let (version, value) = stored
        .split_first_chunk::<8>()
        .ok_or_else(|| StoreError::Damaged {
            what: key.to_owned(),
            why: "the record is shorter than its version".to_owned(),
        })?;
    Ok((Version(u64::from_le_bytes(*version)), value))
}

fn unpack(key: String, stored: &[u8]) -> Result<Record, StoreError> {
    let (version, value) = split(&key, stored)?;
    let value = Bytes::copy_from_slice(value);
    Ok(Record {
        key,
        version,
        value,
    })
}

fn refused(path: &Path, error: DatabaseError) -> StoreError {
    let what = path.display().to_string();
    match error {
        DatabaseError::DatabaseAlreadyOpen => StoreError::InUse {
            path: path.to_owned(),
        },
        DatabaseError::UpgradeRequired(found) => StoreError::Damaged {
            what,
            why: format!("its redb file format {found} is too old for this release"),
        },
        DatabaseError::Storage(StorageError::Corrupted(why)) => StoreError::Damaged { what, why },
        other => StoreError::Unavailable(format!("{what}: {other}")),
    }
}

fn broken(error: impl Into<redb::Error>) -> StoreError {
    match error.into() {
        redb::Error::Corrupted(why) => StoreError::Damaged {
            what: "the record store".to_owned(),
            why,
        },
        other => StoreError::Unavailable(other.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scratch() -> (tempfile::TempDir, PathBuf) {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("records.redb");
        (directory, path)
    }

    #[tokio::test]
    async fn redb_keeps_the_promises_of_a_store() {
        let directory = tempfile::tempdir().unwrap();
        let next = std::sync::atomic::AtomicUsize::new(0);
        crate::conformance::all(|| {
            let number = next.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            let path = directory.path().join(format!("{number}.redb"));
            async move { Arc::new(RedbStore::open(&path).unwrap()) as Arc<dyn Store> }
        })
        .await;
    }

    #[test]
    fn a_second_host_on_one_directory_is_refused() {
        let (_directory, path) = scratch();
        let _first = RedbStore::open(&path).unwrap();
        let refused = RedbStore::open(&path).unwrap_err();
        assert!(matches!(refused, StoreError::InUse { .. }), "{refused}");
        assert!(refused.to_string().contains("records.redb"));
    }

    #[test]
    fn a_newer_format_is_refused_by_name() {
        let (_directory, path) = scratch();
        let step: Migration = |_| Ok(());
        drop(RedbStore::open_as(&path, FORMAT + 1, &[step]).unwrap());
        let refused = RedbStore::open(&path).unwrap_err().to_string();
        assert!(
            refused.contains("format 2") && refused.contains("up to 1"),
            "{refused}"
        );
    }

    #[tokio::test]
    async fn an_older_format_is_brought_forward_and_keeps_its_records() {
        let (_directory, path) = scratch();
        let old = RedbStore::open(&path).unwrap();
        old.transact(Transaction::new().put("a", &b"kept"[..]))
            .await
            .unwrap();
        drop(old);
        let add_b: Migration = |transaction| {
            let mut records = transaction.open_table(RECORDS).map_err(broken)?;
            records.insert("b", [0; 8].as_slice()).map_err(broken)?;
            Ok(())
        };
        let new = RedbStore::open_as(&path, FORMAT + 1, &[add_b]).unwrap();
        let page = new.list("", None, 10).await.unwrap();
        let keys: Vec<_> = page.records.iter().map(|record| &*record.key).collect();
        assert_eq!(keys, ["a", "b"]);
        assert_eq!(page.records[0].value, "kept");
        drop(new);
        // The step ran once: a second opening finds the format already new.
        RedbStore::open_as(&path, FORMAT + 1, &[|_| panic!("ran twice")]).unwrap();
    }

    #[test]
    fn foreign_bytes_are_refused_without_a_panic() {
        let (_directory, path) = scratch();
        std::fs::write(&path, vec![0x5a; 10_000]).unwrap();
        assert!(RedbStore::open(&path).is_err());
    }
}
