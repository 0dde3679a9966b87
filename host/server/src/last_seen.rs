//! The replay guard's memory as records: `last-seen/<tenant>/<generator>/<digest of the key>`. Nothing here is ever deleted (rule 21).

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use bootsplice_content::Digest;
use bootsplice_engine::trust::{LastSeen, LastSeenError, SeenKey};
use bootsplice_store::{Document, Record, Store, StoreError, Transaction};
use serde::{Deserialize, Serialize};

/// Attempts against others who raise the same records at the same time; each loss means that another has raised them.
const ATTEMPTS: u32 = 64;

/// [`LastSeen`] over the host's record store.
#[derive(Clone, Debug)]
pub struct StoredLastSeen(Arc<dyn Store>);

/// One record.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Highest {
    /// The generator's words, for people; the record's own key holds their digest.
    key: String,
    /// Seconds since 1970.
    value: u64,
}

// === impl Highest ===

impl Document for Highest {
    const KIND: &'static str = "last-seen date";
}

// === impl StoredLastSeen ===

impl StoredLastSeen {
    pub fn new(store: Arc<dyn Store>) -> Self {
        Self(store)
    }

    async fn record(&self, place: &str) -> Result<Option<(Record, Highest)>, StoreError> {
        let Some(record) = self.0.get(place).await? else {
            return Ok(None);
        };
        let highest = Highest::decode(&record)?;
        Ok(Some((record, highest)))
    }
}

#[async_trait]
impl LastSeen for StoredLastSeen {
    async fn highest(&self, key: &SeenKey) -> Result<Option<u64>, LastSeenError> {
        let found = self.record(&place(key)).await.map_err(failed)?;
        Ok(found.map(|(_, highest)| highest.value))
    }

    async fn raise(&self, values: &[(SeenKey, u64)]) -> Result<(), LastSeenError> {
        for _ in 0..ATTEMPTS {
            let mut transaction = Transaction::new();
            for (key, value) in values {
                let place = place(key);
                transaction = match self.record(&place).await.map_err(failed)? {
                    Some((_, highest)) if highest.value >= *value => continue,
                    Some((record, _)) => transaction.unchanged(&record),
                    None => transaction.absent(&place),
                };
                let highest = Highest {
                    key: key.key.clone(),
                    value: *value,
                };
                transaction = transaction.put(place, highest.encode());
            }
            if transaction.writes.is_empty() {
                return Ok(());
            }
            match self.0.transact(transaction).await {
                Ok(_) => return Ok(()),
                Err(StoreError::Conflict { .. }) => {}
                Err(other) => return Err(failed(other)),
            }
        }
        Err(LastSeenError(format!(
            "others changed the same records {ATTEMPTS} times in a row"
        )))
    }
}

fn place(key: &SeenKey) -> String {
    format!(
        "last-seen/{}/{}/{}",
        key.tenant,
        key.generator,
        Digest::of(key.key.as_bytes()).hex()
    )
}

fn failed(error: impl fmt::Display) -> LastSeenError {
    LastSeenError(error.to_string())
}

#[cfg(test)]
mod tests {
    use bootsplice_store::MemoryStore;

    use super::*;

    fn key(tenant: &str, key: &str) -> SeenKey {
        SeenKey {
            tenant: tenant.into(),
            generator: "apt".into(),
            key: key.into(),
        }
    }

    #[tokio::test]
    async fn a_recorded_date_never_falls_and_belongs_to_one_tenant() {
        let guard = StoredLastSeen::new(Arc::new(MemoryStore::new()));
        let mine = key("acme", "https://deb.example.org bookworm");
        assert_eq!(guard.highest(&mine).await.unwrap(), None);
        guard.raise(&[(mine.clone(), 50)]).await.unwrap();
        guard.raise(&[(mine.clone(), 40)]).await.unwrap();
        assert_eq!(guard.highest(&mine).await.unwrap(), Some(50));
        let theirs = key("evil", &mine.key);
        assert_eq!(guard.highest(&theirs).await.unwrap(), None);
    }

    #[tokio::test]
    async fn of_many_who_raise_at_once_the_highest_stays() {
        let guard = StoredLastSeen::new(Arc::new(MemoryStore::new()));
        let raises = (1..=20_u64).map(|value| {
            let guard = guard.clone();
            tokio::spawn(async move {
                let both = [(key("acme", "a"), value), (key("acme", "b"), 21 - value)];
                guard.raise(&both).await
            })
        });
        for raise in raises.collect::<Vec<_>>() {
            raise.await.unwrap().unwrap();
        }
        for name in ["a", "b"] {
            assert_eq!(guard.highest(&key("acme", name)).await.unwrap(), Some(20));
        }
    }

    #[tokio::test]
    async fn a_damaged_record_is_an_error_and_not_a_missing_date() {
        let store: Arc<dyn Store> = Arc::new(MemoryStore::new());
        let mine = key("acme", "s");
        let put = Transaction::new().put(place(&mine), "{}");
        store.transact(put).await.unwrap();
        let guard = StoredLastSeen::new(store);
        assert!(guard.highest(&mine).await.is_err());
        assert!(guard.raise(&[(mine, 1)]).await.is_err());
    }
}
