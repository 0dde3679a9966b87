//! Locks: what `resolve` decided for the steps at one point, chosen once (RFC 0004).

use std::collections::BTreeMap;
use std::sync::Arc;

use bootsplice_content::Digest;
use bootsplice_engine::contract::{Pin, StepLock};
use bootsplice_engine::key::canonical_digest;
use bootsplice_store::{Document, Store, StoreError, Transaction};
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

pub const LOCK_SCHEMA: &str = "bootsplice/lock/v1";

/// The locks of all steps at one point, for one version of a profile on one base.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PointLock {
    pub schema: String,
    /// `name@version`.
    pub profile: String,
    pub base: Digest,
    pub point: String,
    /// When it was resolved. People and `max-age` read it; no key covers it.
    #[serde(with = "time::serde::rfc3339")]
    pub resolved: OffsetDateTime,
    pub steps: Vec<LockedStep>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LockedStep {
    pub id: String,
    pub lock: StepLock,
}

/// The locks of a store.
#[derive(Clone, Debug)]
pub struct Locks {
    store: Arc<dyn Store>,
}

/// One artefact that a step is pinned to, as callers see it.
#[derive(Clone, Debug, Serialize, Deserialize, utoipa::ToSchema)]
pub struct PinView {
    pub name: String,
    pub version: String,
    pub urls: Vec<String>,
    #[schema(value_type = String)]
    pub digest: Digest,
    pub size: u64,
    /// What its generator says of it: of a package its `reason`, `architecture`, `source`, `suite`, and by which keys it is `signed-by`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub attributes: BTreeMap<String, String>,
}

/// For which work a lock is.
#[derive(Clone, Copy, Debug)]
pub struct LockKey<'a> {
    pub tenant: &'a str,
    pub profile: &'a str,
    pub profile_version: u32,
    pub base: Digest,
    pub point: &'a str,
}

/// Which lock is in force.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Chosen {
    digest: Digest,
}

impl Document for PointLock {
    const KIND: &'static str = "lock";
}

impl Document for Chosen {
    const KIND: &'static str = "choice of a lock";
}

// === impl PointLock ===

impl PointLock {
    pub fn digest(&self) -> Digest {
        canonical_digest(self)
    }

    pub fn step(&self, id: &str) -> Option<&StepLock> {
        self.steps
            .iter()
            .find(|step| step.id == id)
            .map(|step| &step.lock)
    }

    /// Upper bound of the bytes that its steps put into the archive: pins and declared outputs.
    pub fn bound(&self) -> u64 {
        self.steps.iter().fold(0, |sum: u64, step| {
            sum.saturating_add(step.lock.pinned_bytes())
                .saturating_add(step.lock.max_output)
        })
    }
}

// === impl PinView ===

impl PinView {
    pub fn of(pin: &Pin) -> Self {
        Self {
            name: pin.name.clone(),
            version: pin.version.clone(),
            urls: pin.urls.clone(),
            digest: pin.digest,
            size: pin.size,
            attributes: pin.attributes.iter().cloned().collect(),
        }
    }

    /// What is said of it under `name`; empty when nothing is.
    pub fn attribute(&self, name: &str) -> &str {
        self.attributes.get(name).map_or("", String::as_str)
    }
}

// === impl Locks ===

impl Locks {
    pub fn new(store: Arc<dyn Store>) -> Self {
        Self { store }
    }

    /// The lock in force.
    pub async fn chosen(&self, key: LockKey<'_>) -> Result<Option<PointLock>, StoreError> {
        let Some(record) = self.store.get(&key.path()).await? else {
            return Ok(None);
        };
        self.get(key.tenant, Chosen::decode(&record)?.digest).await
    }

    /// A lock by its digest, also one that is no longer in force: for launches that run.
    pub async fn get(&self, tenant: &str, digest: Digest) -> Result<Option<PointLock>, StoreError> {
        match self.store.get(&document(tenant, digest)).await? {
            Some(record) => PointLock::decode(&record).map(Some),
            None => Ok(None),
        }
    }

    /// Puts `lock` in force, unless another is already and `replace` is not asked for; gives the one in force.
    pub async fn choose(
        &self,
        key: LockKey<'_>,
        lock: PointLock,
        replace: bool,
    ) -> Result<PointLock, StoreError> {
        let digest = lock.digest();
        let mut transaction = Transaction::new()
            .put(document(key.tenant, digest), lock.encode())
            .put(key.path(), Chosen { digest }.encode());
        if !replace {
            transaction = transaction.absent(key.path());
        }
        match self.store.transact(transaction).await {
            Ok(_) => Ok(lock),
            Err(StoreError::Conflict { .. }) => Ok(self.chosen(key).await?.unwrap_or(lock)),
            Err(error) => Err(error),
        }
    }
}

// === impl LockKey ===

impl LockKey<'_> {
    fn path(&self) -> String {
        let Self {
            tenant,
            profile,
            profile_version,
            base,
            point,
        } = self;
        format!(
            "locks/{tenant}/{profile}/{profile_version:08}/{}/{point}",
            base.hex()
        )
    }
}

fn document(tenant: &str, digest: Digest) -> String {
    format!("lock-documents/{tenant}/{}", digest.hex())
}
