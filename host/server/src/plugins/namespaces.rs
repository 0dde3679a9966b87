//! Whose a namespace is, and who sees what is pushed into it.

use std::collections::BTreeSet;
use std::sync::Arc;

use bootsplice_store::{Document, Record, Store, StoreError, Transaction};
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

use crate::auth::{Namespace, Tenant};
use crate::clock::Clock;

/// One namespace. It is its owner's from the moment an operator gave the owner a token for it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Ownership {
    pub namespace: Namespace,
    pub owner: Tenant,
    /// Every tenant may use what is in it.
    pub public: bool,
    /// Other tenants that may use what is in it.
    pub readers: BTreeSet<Tenant>,
    #[serde(with = "time::serde::rfc3339")]
    pub created: OffsetDateTime,
}

/// All namespaces of a host.
#[derive(Clone, Debug)]
pub struct Namespaces {
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
}

/// A namespace was not given.
#[derive(Debug, thiserror::Error)]
pub enum ClaimError {
    /// Choose another, or give it to the owner's tenant.
    #[error("the namespace `{namespace}` belongs to the tenant `{owner}`")]
    Owned { namespace: Namespace, owner: Tenant },
    #[error(transparent)]
    Store(#[from] StoreError),
}

// === impl Ownership ===

impl Document for Ownership {
    const KIND: &'static str = "namespace";
}

impl Ownership {
    /// Whether `tenant` may use and pull what is in it.
    pub fn is_seen_by(&self, tenant: &Tenant) -> bool {
        self.public || self.owner == *tenant || self.readers.contains(tenant)
    }
}

// === impl Namespaces ===

impl Namespaces {
    pub fn new(store: Arc<dyn Store>, clock: Arc<dyn Clock>) -> Self {
        Self { store, clock }
    }

    pub async fn get(&self, namespace: &Namespace) -> Result<Option<Ownership>, StoreError> {
        Ok(self.read(namespace).await?.map(|(_, found)| found))
    }

    /// Whether `tenant` may use what is in `namespace`.
    pub async fn sees(&self, tenant: &Tenant, namespace: &Namespace) -> Result<bool, StoreError> {
        let found = self.get(namespace).await?;
        Ok(found.is_some_and(|found| found.is_seen_by(tenant)))
    }

    pub async fn list(
        &self,
        after: Option<&str>,
        limit: usize,
    ) -> Result<(Vec<Ownership>, bool), StoreError> {
        let after = after.map(|name| format!("namespace/{name}"));
        let page = self
            .store
            .list("namespace/", after.as_deref(), limit)
            .await?;
        let found: Result<_, _> = page.records.iter().map(Ownership::decode).collect();
        Ok((found?, page.more))
    }

    /// Makes `namespace` the tenant's, when it is nobody's yet.
    pub async fn claim(
        &self,
        namespace: &Namespace,
        tenant: &Tenant,
    ) -> Result<Ownership, ClaimError> {
        loop {
            if let Some(found) = self.get(namespace).await? {
                if found.owner == *tenant {
                    return Ok(found);
                }
                return Err(ClaimError::Owned {
                    namespace: namespace.clone(),
                    owner: found.owner,
                });
            }
            let new = Ownership {
                namespace: namespace.clone(),
                owner: tenant.clone(),
                public: false,
                readers: BTreeSet::new(),
                created: self.clock.now(),
            };
            let key = key(namespace);
            let put = Transaction::new().absent(&key).put(&key, new.encode());
            match self.store.transact(put).await {
                Ok(_) => return Ok(new),
                Err(StoreError::Conflict { .. }) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Says who sees `namespace`, and whose it is when it is nobody's yet.
    pub async fn put(
        &self,
        namespace: &Namespace,
        owner: &Tenant,
        public: bool,
        readers: BTreeSet<Tenant>,
    ) -> Result<Ownership, ClaimError> {
        loop {
            self.claim(namespace, owner).await?;
            let Some((record, mut found)) = self.read(namespace).await? else {
                continue;
            };
            found.public = public;
            found.readers.clone_from(&readers);
            let put = Transaction::new()
                .unchanged(&record)
                .put(&*record.key, found.encode());
            match self.store.transact(put).await {
                Ok(_) => return Ok(found),
                Err(StoreError::Conflict { .. }) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }

    async fn read(&self, namespace: &Namespace) -> Result<Option<(Record, Ownership)>, StoreError> {
        let record = self.store.get(&key(namespace)).await?;
        record
            .map(|record| Ownership::decode(&record).map(|found| (record, found)))
            .transpose()
    }
}

fn key(namespace: &Namespace) -> String {
    format!("namespace/{namespace}")
}

#[cfg(test)]
mod tests {
    use bootsplice_store::MemoryStore;

    use super::*;
    use crate::clock::SystemClock;

    #[tokio::test]
    async fn a_namespace_is_the_first_tenants_and_seen_by_others_only_when_it_is_shared() {
        let namespaces = Namespaces::new(Arc::new(MemoryStore::new()), Arc::new(SystemClock));
        let acme: Namespace = "acme".parse().unwrap();
        let (one, two): (Tenant, Tenant) = ("web".parse().unwrap(), "rival".parse().unwrap());
        assert!(!namespaces.sees(&one, &acme).await.unwrap());
        namespaces.claim(&acme, &one).await.unwrap();
        namespaces.claim(&acme, &one).await.unwrap();
        let taken = namespaces.claim(&acme, &two).await.unwrap_err();
        assert!(taken.to_string().contains("belongs to the tenant `web`"));
        assert!(namespaces.sees(&one, &acme).await.unwrap());
        assert!(!namespaces.sees(&two, &acme).await.unwrap());
        let shared = BTreeSet::from([two.clone()]);
        namespaces.put(&acme, &one, false, shared).await.unwrap();
        assert!(namespaces.sees(&two, &acme).await.unwrap());
        namespaces
            .put(&acme, &one, true, BTreeSet::new())
            .await
            .unwrap();
        assert!(
            namespaces
                .sees(&"anyone".parse().unwrap(), &acme)
                .await
                .unwrap()
        );
        assert!(
            namespaces
                .put(&acme, &two, true, BTreeSet::new())
                .await
                .is_err()
        );
    }
}
