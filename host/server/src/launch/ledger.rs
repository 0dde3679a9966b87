//! The launches of a store: admission in one transaction, changes by compare-and-set, leases and sequences (RFC 0005).

use std::sync::Arc;

use bootsplice_content::Digest;
use bootsplice_store::{Document, Record, Store, StoreError, Transaction};
use serde::{Deserialize, Serialize};
use time::{Duration, OffsetDateTime};

use self::listing::open_key;
use super::record::{Launch, Moment, State};
use super::request::NamedTarget;

mod listing;
mod retention;
#[cfg(test)]
mod tests;

/// An idempotency key is kept this long, at least.
const KEPT: Duration = Duration::hours(48);
/// A transaction that lost this many races in a row gives up: the store is not well.
const RACES: usize = 64;

/// Launch records and what is written with them.
#[derive(Clone, Debug)]
pub struct Ledger {
    store: Arc<dyn Store>,
}

/// The answer to an admission.
#[derive(Clone, Debug)]
pub enum Admission {
    /// A new launch; start its worker.
    New(Launch),
    /// The same request was admitted before; this is its launch.
    Same(Launch),
}

/// Why a launch is not in the ledger, by what the caller does next.
#[derive(Debug, thiserror::Error)]
pub enum LedgerError {
    /// The key belongs to another request. Send another key, or the first body.
    #[error("the idempotency key was used for another request, of launch `{launch}`")]
    KeyUsed { launch: String },
    /// Wait for the holder, or choose another target.
    #[error("the target `{target}` is leased by launch `{launch}`")]
    Leased { target: String, launch: String },
    #[error("no launch `{id}`")]
    Missing { id: String },
    /// The launch is final; nothing changes it any more.
    #[error("launch `{id}` is {state} already")]
    Final { id: String, state: &'static str },
    /// Cancel it first.
    #[error("launch `{id}` is not final: cancel it first")]
    NotFinal { id: String },
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Binds an idempotency key to a request and its launch.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Idempotency {
    launch: String,
    request: Digest,
    /// A key that the request brought itself stays after the launch failed.
    explicit: bool,
    #[serde(with = "time::serde::rfc3339")]
    until: OffsetDateTime,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Sequence {
    last: u64,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Lease {
    tenant: String,
    launch: String,
}

impl Document for Launch {
    const KIND: &'static str = "launch";
}

impl Document for Idempotency {
    const KIND: &'static str = "idempotency key";
}

impl Document for Sequence {
    const KIND: &'static str = "sequence";
}

impl Document for Lease {
    const KIND: &'static str = "lease";
}

// === impl Ledger ===

impl Ledger {
    pub fn new(store: Arc<dyn Store>) -> Self {
        Self { store }
    }

    /// Admits `launch` unless its request is known already. Writes the record, the key, the next sequence of its instance and the lease on its target
    /// in one transaction; `launch.sequence` is set here.
    pub async fn admit(
        &self,
        mut launch: Launch,
        explicit: bool,
        now: OffsetDateTime,
    ) -> Result<Admission, LedgerError> {
        let digest = launch.request.digest();
        let key = idempotency_key(&launch.tenant, &launch.idempotency_key);
        let sequence_key = format!("sequences/{}/{}", launch.tenant, launch.request.instance.id);
        for _ in 0..RACES {
            let known = self.store.get(&key).await?;
            if let Some(record) = &known {
                let binding = Idempotency::decode(record)?;
                if binding.until > now || !self.is_over(&launch.tenant, &binding.launch).await? {
                    return self.known(&launch.tenant, binding, digest).await;
                }
            }
            let mut transaction = Transaction::new();
            transaction = match &known {
                Some(record) => transaction.unchanged(record),
                None => transaction.absent(&*key),
            };
            if let Some(target) = &launch.request.sink {
                let lease_key = lease_key(target);
                if let Some(record) = self.store.get(&lease_key).await? {
                    // The lease may be of this very request, admitted between the two looks.
                    if self.store.get(&key).await? != known {
                        continue;
                    }
                    let lease = Lease::decode(&record)?;
                    return Err(LedgerError::Leased {
                        target: format!("{}/{}", target.name, target.file),
                        // Another tenant's launch is not for this one to know.
                        launch: if lease.tenant == launch.tenant {
                            lease.launch
                        } else {
                            "(of another tenant)".into()
                        },
                    });
                }
                let lease = Lease {
                    tenant: launch.tenant.clone(),
                    launch: launch.id.clone(),
                };
                transaction = transaction
                    .absent(&*lease_key)
                    .put(&*lease_key, lease.encode());
            }
            let sequence = self.store.get(&sequence_key).await?;
            let last = match &sequence {
                Some(record) => {
                    transaction = transaction.unchanged(record);
                    Sequence::decode(record)?.last
                }
                None => {
                    transaction = transaction.absent(&*sequence_key);
                    0
                }
            };
            launch.sequence = last + 1;
            let binding = Idempotency {
                launch: launch.id.clone(),
                request: digest,
                explicit,
                until: now + KEPT,
            };
            let launch_key = launch_key(&launch.tenant, &launch.id);
            transaction = transaction
                .absent(&*launch_key)
                .put(&*launch_key, launch.encode())
                .put(open_key(&launch.tenant, &launch.id), "")
                .put(listing::profile_key(&launch), "")
                .put(&*key, binding.encode())
                .put(
                    &*sequence_key,
                    Sequence {
                        last: launch.sequence,
                    }
                    .encode(),
                );
            match self.store.transact(transaction).await {
                Ok(_) => return Ok(Admission::New(launch)),
                Err(StoreError::Conflict { .. }) => continue,
                Err(error) => return Err(error.into()),
            }
        }
        Err(busy().into())
    }

    /// What is recorded for `key` already, before anything is prepared for the request: a repeated request costs one look-up.
    pub async fn look_up(
        &self,
        tenant: &str,
        key: &str,
        request: Digest,
        now: OffsetDateTime,
    ) -> Result<Option<Launch>, LedgerError> {
        let Some(record) = self.store.get(&idempotency_key(tenant, key)).await? else {
            return Ok(None);
        };
        let binding = Idempotency::decode(&record)?;
        if binding.until <= now && self.is_over(tenant, &binding.launch).await? {
            return Ok(None);
        }
        match self.known(tenant, binding, request).await? {
            Admission::Same(launch) | Admission::New(launch) => Ok(Some(launch)),
        }
    }

    pub async fn get(&self, tenant: &str, id: &str) -> Result<Launch, LedgerError> {
        Ok(self.read(tenant, id).await?.1)
    }

    /// Changes a record that is not final. `change` may run more than once; what it does must depend on its argument alone.
    pub async fn update(
        &self,
        tenant: &str,
        id: &str,
        change: impl Fn(&mut Launch) + Send + Sync,
    ) -> Result<Launch, LedgerError> {
        for _ in 0..RACES {
            let (record, mut launch) = self.read(tenant, id).await?;
            if launch.is_final() {
                return Err(LedgerError::Final {
                    id: id.to_owned(),
                    state: launch.state.word(),
                });
            }
            change(&mut launch);
            let mut transaction = Transaction::new()
                .unchanged(&record)
                .put(&*record.key, launch.encode());
            if launch.is_final() {
                transaction = self.release(transaction, &launch).await?;
            }
            match self.store.transact(transaction).await {
                Ok(_) => return Ok(launch),
                Err(StoreError::Conflict { .. }) => continue,
                Err(error) => return Err(error.into()),
            }
        }
        Err(busy().into())
    }

    /// Writes a guest's report into the record, final or not, when its sequence is above the last one's. True when it was new.
    pub async fn report(
        &self,
        tenant: &str,
        id: &str,
        sequence: u64,
        report: &serde_json::Value,
        at: OffsetDateTime,
    ) -> Result<(bool, Launch), LedgerError> {
        for _ in 0..RACES {
            let (record, mut launch) = self.read(tenant, id).await?;
            let last = launch
                .report
                .as_ref()
                .and_then(|report| report["sequence"].as_u64());
            if last.is_some_and(|last| sequence <= last) {
                return Ok((false, launch));
            }
            launch.timeline.push(Moment {
                at,
                event: "reported".into(),
                detail: report["result"].as_str().map(str::to_owned),
            });
            launch.report = Some(report.clone());
            let transaction = Transaction::new()
                .unchanged(&record)
                .put(&*record.key, launch.encode());
            match self.store.transact(transaction).await {
                Ok(_) => return Ok((true, launch)),
                Err(StoreError::Conflict { .. }) => continue,
                Err(error) => return Err(error.into()),
            }
        }
        Err(busy().into())
    }

    async fn read(&self, tenant: &str, id: &str) -> Result<(Record, Launch), LedgerError> {
        let missing = || LedgerError::Missing { id: id.to_owned() };
        let record = self
            .store
            .get(&launch_key(tenant, id))
            .await?
            .ok_or_else(missing)?;
        let launch = Launch::decode(&record)?;
        Ok((record, launch))
    }

    async fn known(
        &self,
        tenant: &str,
        binding: Idempotency,
        request: Digest,
    ) -> Result<Admission, LedgerError> {
        if binding.request != request {
            return Err(LedgerError::KeyUsed {
                launch: binding.launch,
            });
        }
        Ok(Admission::Same(self.get(tenant, &binding.launch).await?))
    }

    async fn is_over(&self, tenant: &str, id: &str) -> Result<bool, LedgerError> {
        match self.get(tenant, id).await {
            Ok(launch) => Ok(launch.is_final()),
            Err(LedgerError::Missing { .. }) => Ok(true),
            Err(error) => Err(error),
        }
    }

    /// A final launch gives back its target, and its key when the host chose that and the launch did not succeed.
    async fn release(
        &self,
        mut transaction: Transaction,
        launch: &Launch,
    ) -> Result<Transaction, LedgerError> {
        transaction = transaction.delete(open_key(&launch.tenant, &launch.id));
        if let Some(target) = &launch.request.sink {
            transaction = transaction.delete(lease_key(target));
        }
        let key = idempotency_key(&launch.tenant, &launch.idempotency_key);
        if !matches!(launch.state, State::Committed { .. })
            && let Some(record) = self.store.get(&key).await?
        {
            let binding = Idempotency::decode(&record)?;
            if !binding.explicit && binding.launch == launch.id {
                transaction = transaction.unchanged(&record).delete(key);
            }
        }
        Ok(transaction)
    }
}

fn launch_key(tenant: &str, id: &str) -> String {
    format!("launches/{tenant}/{id}")
}

/// Keys come from outside, with any characters and any length: their digest stands for them.
fn idempotency_key(tenant: &str, key: &str) -> String {
    format!("idempotency/{tenant}/{}", Digest::of(key.as_bytes()).hex())
}

fn lease_key(target: &NamedTarget) -> String {
    format!(
        "leases/{}/{}",
        target.name,
        Digest::of(target.file.as_bytes()).hex()
    )
}

fn busy() -> StoreError {
    StoreError::Unavailable(format!("{RACES} transactions in a row lost a race"))
}
