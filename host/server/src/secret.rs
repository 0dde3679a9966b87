//! Secrets: written over REST, never read back; sealed at rest; opened only for the instance layer of a launch (RFC 0004, "Secrets").
//!
//! `secret/<tenant>/<name>` holds the metadata with the sealed value in base64.

use std::fmt;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bootsplice_store::{Document, Seal, Store, StoreError, Transaction};
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

use crate::auth::Tenant;
use crate::clock::{Clock, Entropy};

/// Largest value, in bytes.
pub const MAX_SECRET: usize = 64 * 1024;

/// All secrets of a host.
#[derive(Clone, Debug)]
pub struct Secrets {
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
    entropy: Arc<dyn Entropy>,
    seal: Seal,
}

/// What anybody may know of a secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SecretInfo {
    pub name: String,
    pub updated: OffsetDateTime,
}

/// A secret's value. It shows itself to nobody who does not ask.
#[derive(Clone, PartialEq, Eq)]
pub struct SecretValue(Vec<u8>);

#[derive(Serialize, Deserialize)]
struct Stored {
    name: String,
    #[serde(with = "time::serde::rfc3339")]
    updated: OffsetDateTime,
    sealed: String,
}

// === impl SecretValue ===

impl SecretValue {
    pub fn new(bytes: Vec<u8>) -> Self {
        Self(bytes)
    }

    pub fn reveal(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for SecretValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretValue(…)")
    }
}

impl Document for Stored {
    const KIND: &'static str = "secret";
}

// === impl Secrets ===

impl Secrets {
    pub fn new(
        store: Arc<dyn Store>,
        clock: Arc<dyn Clock>,
        entropy: Arc<dyn Entropy>,
        seal: Seal,
    ) -> Self {
        Self {
            store,
            clock,
            entropy,
            seal,
        }
    }

    /// `[A-Za-z0-9_.-]{1,64}`, as in a placeholder.
    pub fn valid_name(name: &str) -> bool {
        let good = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'-');
        (1..=64).contains(&name.len()) && name.bytes().all(good)
    }

    /// Writes a value; true when the name is new. The caller has checked name and size.
    pub async fn put(
        &self,
        tenant: &Tenant,
        name: &str,
        value: &SecretValue,
    ) -> Result<bool, StoreError> {
        let key = key(tenant, name);
        let new = self.store.get(&key).await?.is_none();
        let sealed = self.seal.seal(&key, self.entropy.array(), value.reveal());
        let stored = Stored {
            name: name.to_owned(),
            updated: self.clock.now(),
            sealed: STANDARD.encode(sealed),
        };
        self.store
            .transact(Transaction::new().put(key, stored.encode()))
            .await?;
        Ok(new)
    }

    /// The value, for the instance layer of a launch of `tenant` and for nothing else.
    pub async fn open(
        &self,
        tenant: &Tenant,
        name: &str,
    ) -> Result<Option<SecretValue>, StoreError> {
        let key = key(tenant, name);
        let Some(record) = self.store.get(&key).await? else {
            return Ok(None);
        };
        let stored = Stored::decode(&record)?;
        let sealed = STANDARD
            .decode(stored.sealed)
            .map_err(|error| StoreError::Damaged {
                what: key.clone(),
                why: error.to_string(),
            })?;
        self.seal.open(&key, &sealed).map(SecretValue).map(Some)
    }

    pub async fn exists(&self, tenant: &Tenant, name: &str) -> Result<bool, StoreError> {
        Ok(self.store.get(&key(tenant, name)).await?.is_some())
    }

    /// Names, in order, after `after`; true when more follow.
    pub async fn list(
        &self,
        tenant: &Tenant,
        after: Option<&str>,
        limit: usize,
    ) -> Result<(Vec<SecretInfo>, bool), StoreError> {
        let after = after.map(|name| key(tenant, name));
        let page = self
            .store
            .list(&key(tenant, ""), after.as_deref(), limit)
            .await?;
        let infos: Result<_, _> = page
            .records
            .iter()
            .map(|record| {
                Stored::decode(record).map(|stored| SecretInfo {
                    name: stored.name,
                    updated: stored.updated,
                })
            })
            .collect();
        Ok((infos?, page.more))
    }

    /// False when there is none.
    pub async fn delete(&self, tenant: &Tenant, name: &str) -> Result<bool, StoreError> {
        let key = key(tenant, name);
        let gone = Transaction::new().present(&key).delete(&key);
        match self.store.transact(gone).await {
            Ok(_) => Ok(true),
            Err(StoreError::Conflict { .. }) => Ok(false),
            Err(error) => Err(error),
        }
    }
}

fn key(tenant: &Tenant, name: &str) -> String {
    format!("secret/{tenant}/{name}")
}

#[cfg(test)]
mod tests {
    use bootsplice_store::MemoryStore;

    use super::*;
    use crate::clock::{SystemClock, SystemEntropy};

    #[tokio::test]
    async fn a_secret_is_sealed_at_rest_and_opens_for_its_tenant_only() {
        let store = Arc::new(MemoryStore::new());
        let secrets = Secrets::new(
            store.clone(),
            Arc::new(SystemClock),
            Arc::new(SystemEntropy),
            Seal::new(&[3; 32]),
        );
        let (ada, bob): (Tenant, Tenant) = ("ada".parse().unwrap(), "bob".parse().unwrap());
        let canary = SecretValue::new(b"canary-5b1e".to_vec());
        assert!(secrets.put(&ada, "key", &canary).await.unwrap());
        assert!(!secrets.put(&ada, "key", &canary).await.unwrap());
        assert_eq!(
            secrets.open(&ada, "key").await.unwrap(),
            Some(canary.clone())
        );
        assert_eq!(secrets.open(&bob, "key").await.unwrap(), None);
        let record = store.get("secret/ada/key").await.unwrap().unwrap();
        let text = String::from_utf8(record.value.to_vec()).unwrap();
        assert!(!text.contains("canary") && !text.contains(&STANDARD.encode(canary.reveal())));
        assert!(!format!("{canary:?}").contains("canary"));
        // A record that is copied to another tenant does not open there.
        let stolen = Transaction::new().put("secret/bob/key", record.value);
        store.transact(stolen).await.unwrap();
        assert!(secrets.open(&bob, "key").await.is_err());
    }
}
