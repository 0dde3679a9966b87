//! The launches of a store: admission in one transaction, changes by compare-and-set, leases and sequences (RFC 0005).

use std::sync::Arc;

use bootsplice_content::Digest;
use bootsplice_store::{Document, Record, Store, StoreError, Transaction};
use serde::{Deserialize, Serialize};
use time::{Duration, OffsetDateTime};

use super::record::{Launch, Moment, State};
use super::request::NamedTarget;

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

    /// Launches of `tenant`, newest first, below `before` (an id) when given.
    pub async fn list(
        &self,
        tenant: &str,
        before: Option<&str>,
        limit: usize,
    ) -> Result<Vec<Launch>, LedgerError> {
        let mut found: Vec<Launch> = self.all(&format!("launches/{tenant}/")).await?;
        found.reverse();
        found.retain(|launch| before.is_none_or(|before| launch.id.as_str() < before));
        found.truncate(limit);
        Ok(found)
    }

    /// How many launches of `tenant` are not final.
    pub async fn unfinished_of(&self, tenant: &str) -> Result<usize, LedgerError> {
        let found: Vec<Launch> = self.all(&format!("launches/{tenant}/")).await?;
        Ok(found.iter().filter(|launch| !launch.is_final()).count())
    }

    /// Every launch of every tenant that is not final: what a starting host takes up.
    pub async fn unfinished(&self) -> Result<Vec<Launch>, LedgerError> {
        let mut found: Vec<Launch> = self.all("launches/").await?;
        found.retain(|launch| !launch.is_final());
        Ok(found)
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

    /// Deletes the record of a final launch; its key is free again.
    pub async fn delete(&self, tenant: &str, id: &str) -> Result<(), LedgerError> {
        let (record, launch) = self.read(tenant, id).await?;
        if !launch.is_final() {
            return Err(LedgerError::NotFinal { id: id.to_owned() });
        }
        let transaction = Transaction::new()
            .unchanged(&record)
            .delete(&*record.key)
            .delete(idempotency_key(tenant, &launch.idempotency_key));
        self.store.transact(transaction).await?;
        Ok(())
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

    async fn all(&self, prefix: &str) -> Result<Vec<Launch>, LedgerError> {
        let mut found = Vec::new();
        let mut after = None;
        loop {
            let page = self
                .store
                .list(prefix, after.as_deref(), bootsplice_store::MAX_PAGE)
                .await?;
            for record in &page.records {
                found.push(Launch::decode(record)?);
            }
            if !page.more {
                return Ok(found);
            }
            after = page.records.last().map(|record| record.key.clone());
        }
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

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use bootsplice_store::MemoryStore;
    use time::macros::datetime;

    use super::*;
    use crate::launch::record::{Base, Content, Reason, Stream};
    use crate::launch::request::{Instance, LaunchRequest};

    const NOW: OffsetDateTime = datetime!(2026-01-01 0:00 UTC);

    fn launch(id: &str, key: &str, file: Option<&str>) -> Launch {
        Launch {
            id: id.into(),
            tenant: "acme".into(),
            request: LaunchRequest {
                instance: Instance {
                    id: "i-1".into(),
                    attributes: BTreeMap::new(),
                    product_uuid: None,
                },
                profile: "web".into(),
                profile_version: None,
                volume: "debian".into(),
                size: None,
                sink: file.map(|file| NamedTarget {
                    name: "disks".into(),
                    file: file.into(),
                }),
                labels: BTreeMap::new(),
                deadline_seconds: 60,
            },
            profile_version: 1,
            base: Base {
                name: "debian".into(),
                volume: Digest::of(b"v"),
                placement: 1,
            },
            size: 1 << 30,
            sequence: 0,
            idempotency_key: key.into(),
            locks: BTreeMap::new(),
            made: None,
            steps: Vec::new(),
            state: State::Accepted,
            created: NOW,
            deadline: NOW + Duration::seconds(60),
            timeline: Vec::new(),
            report: None,
        }
    }

    fn ledger() -> Ledger {
        Ledger::new(Arc::new(MemoryStore::default()))
    }

    fn fail(launch: &mut Launch) {
        launch.state = State::Failed {
            reason: Reason::Sink,
            detail: "x".into(),
            retryable: true,
        };
    }

    #[tokio::test]
    async fn the_same_launch_posted_many_times_at_once_is_one() {
        let ledger = ledger();
        let tasks: Vec<_> = (0..20)
            .map(|n| {
                let ledger = ledger.clone();
                tokio::spawn(async move {
                    ledger
                        .admit(launch(&format!("{n:02}"), "k", Some("a")), true, NOW)
                        .await
                        .unwrap()
                })
            })
            .collect();
        let mut new = 0;
        let mut ids = std::collections::BTreeSet::new();
        for task in tasks {
            match task.await.unwrap() {
                Admission::New(launch) => {
                    new += 1;
                    ids.insert(launch.id);
                }
                Admission::Same(launch) => {
                    ids.insert(launch.id);
                }
            }
        }
        assert_eq!((new, ids.len()), (1, 1));
    }

    #[tokio::test]
    async fn one_key_with_another_body_is_refused() {
        let ledger = ledger();
        ledger
            .admit(launch("1", "k", None), true, NOW)
            .await
            .unwrap();
        let mut other = launch("2", "k", None);
        other.request.volume = "other".into();
        let refused = ledger.admit(other, true, NOW).await.unwrap_err();
        assert!(matches!(refused, LedgerError::KeyUsed { launch } if launch == "1"));
    }

    #[tokio::test]
    async fn a_leased_target_names_its_holder_until_the_launch_is_final() {
        let ledger = ledger();
        ledger
            .admit(launch("1", "k1", Some("a")), true, NOW)
            .await
            .unwrap();
        let refused = ledger
            .admit(launch("2", "k2", Some("a")), true, NOW)
            .await
            .unwrap_err();
        assert!(matches!(refused, LedgerError::Leased { launch, .. } if launch == "1"));
        ledger.update("acme", "1", fail).await.unwrap();
        let admitted = ledger
            .admit(launch("2", "k2", Some("a")), true, NOW)
            .await
            .unwrap();
        assert!(matches!(admitted, Admission::New(launch) if launch.sequence == 2));
    }

    #[tokio::test]
    async fn a_key_the_host_chose_is_free_again_after_a_failure_and_an_explicit_one_is_not() {
        let ledger = ledger();
        ledger
            .admit(launch("1", "host", None), false, NOW)
            .await
            .unwrap();
        ledger.update("acme", "1", fail).await.unwrap();
        let again = ledger
            .admit(launch("2", "host", None), false, NOW)
            .await
            .unwrap();
        assert!(matches!(again, Admission::New(_)));
        ledger
            .admit(launch("3", "mine", None), true, NOW)
            .await
            .unwrap();
        ledger.update("acme", "3", fail).await.unwrap();
        let again = ledger
            .admit(launch("4", "mine", None), true, NOW)
            .await
            .unwrap();
        assert!(matches!(again, Admission::Same(launch) if launch.id == "3"));
    }

    #[tokio::test]
    async fn a_final_launch_is_never_changed() {
        let ledger = ledger();
        ledger
            .admit(launch("1", "k", None), true, NOW)
            .await
            .unwrap();
        ledger
            .update("acme", "1", |launch| {
                launch.state = State::Running {
                    content: Content::Generating,
                    stream: Stream::Flowing,
                }
            })
            .await
            .unwrap();
        ledger.update("acme", "1", fail).await.unwrap();
        let refused = ledger.update("acme", "1", fail).await.unwrap_err();
        assert!(matches!(
            refused,
            LedgerError::Final {
                state: "failed",
                ..
            }
        ));
        assert!(ledger.unfinished().await.unwrap().is_empty());
    }

    #[tokio::test]
    async fn a_replayed_report_changes_nothing() {
        let ledger = ledger();
        ledger
            .admit(launch("1", "k", None), true, NOW)
            .await
            .unwrap();
        let report = serde_json::json!({"sequence": 7, "result": "applied"});
        let (new, _) = ledger.report("acme", "1", 7, &report, NOW).await.unwrap();
        assert!(new);
        let forged = serde_json::json!({"sequence": 7, "result": "failed"});
        let (new, launch) = ledger.report("acme", "1", 7, &forged, NOW).await.unwrap();
        assert!(!new);
        assert_eq!(launch.report.unwrap()["result"], "applied");
    }
}
