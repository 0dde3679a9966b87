use std::collections::BTreeMap;

use async_trait::async_trait;
use bootsplice_store::{Committed, MemoryStore, Page, Record, Watch};
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

/// A store in which somebody else admits launch `0` right before a lease is first looked at.
#[derive(Debug)]
struct Overtaken {
    inner: Arc<dyn Store>,
    is_over: std::sync::atomic::AtomicBool,
}

#[async_trait]
impl Store for Overtaken {
    async fn get(&self, key: &str) -> Result<Option<Record>, StoreError> {
        use std::sync::atomic::Ordering::SeqCst;
        if key.starts_with("leases/") && !self.is_over.swap(true, SeqCst) {
            Ledger::new(self.inner.clone())
                .admit(launch("0", "k", Some("a")), true, NOW)
                .await
                .unwrap();
        }
        self.inner.get(key).await
    }

    async fn list(
        &self,
        prefix: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Page, StoreError> {
        self.inner.list(prefix, after, limit).await
    }

    async fn list_back(
        &self,
        prefix: &str,
        before: Option<&str>,
        limit: usize,
    ) -> Result<Page, StoreError> {
        self.inner.list_back(prefix, before, limit).await
    }

    fn watch(&self, prefix: &str) -> Watch {
        self.inner.watch(prefix)
    }

    async fn transact(&self, transaction: Transaction) -> Result<Committed, StoreError> {
        self.inner.transact(transaction).await
    }
}

#[tokio::test]
async fn a_request_overtaken_by_itself_is_the_same_launch_and_not_a_leased_target() {
    let overtaken = || {
        Ledger::new(Arc::new(Overtaken {
            inner: Arc::new(MemoryStore::default()),
            is_over: Default::default(),
        }))
    };
    let mine = launch("1", "k", Some("a"));
    let admitted = overtaken().admit(mine, true, NOW).await.unwrap();
    assert!(matches!(admitted, Admission::Same(launch) if launch.id == "0"));
    let other = launch("1", "another", Some("a"));
    let refused = overtaken().admit(other, true, NOW).await.unwrap_err();
    assert!(matches!(refused, LedgerError::Leased { launch, .. } if launch == "0"));
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

#[tokio::test]
async fn what_is_not_final_is_found_by_its_mark_and_the_newest_come_first() {
    let ledger = ledger();
    for id in ["1", "2", "3"] {
        ledger.admit(launch(id, id, None), true, NOW).await.unwrap();
    }
    ledger.update("acme", "2", fail).await.unwrap();
    assert_eq!(ledger.unfinished_of("acme").await.unwrap(), 2);
    assert_eq!(ledger.unfinished_of("other").await.unwrap(), 0);
    let open: Vec<_> = ledger.unfinished().await.unwrap();
    assert_eq!(open.len(), 2);
    let (newest, more) = ledger.list("acme", None, 2).await.unwrap();
    let ids: Vec<_> = newest.iter().map(|launch| launch.id.as_str()).collect();
    assert_eq!((ids, more), (vec!["3", "2"], true));
    let (rest, more) = ledger.list("acme", Some("2"), 2).await.unwrap();
    assert_eq!((rest[0].id.as_str(), rest.len(), more), ("1", 1, false));
}

#[tokio::test]
async fn a_final_launch_is_swept_after_its_retention_and_no_sooner_than_its_key() {
    let ledger = ledger();
    for id in ["1", "2"] {
        ledger.admit(launch(id, id, None), true, NOW).await.unwrap();
    }
    let at = NOW + Duration::hours(1);
    ledger
        .update("acme", "1", |launch| {
            fail(launch);
            launch.note(at, "failed", None);
        })
        .await
        .unwrap();
    let short = Duration::seconds(1);
    assert_eq!(ledger.sweep(short, at + KEPT / 2).await.unwrap(), 0);
    assert_eq!(ledger.sweep(KEPT * 2, at + KEPT).await.unwrap(), 0);
    assert_eq!(ledger.sweep(short, at + KEPT).await.unwrap(), 1);
    let gone = ledger.get("acme", "1").await.unwrap_err();
    assert!(matches!(gone, LedgerError::Missing { .. }));
    // What is not final stays, however old.
    assert_eq!(ledger.sweep(short, at + KEPT * 100).await.unwrap(), 0);
    assert!(ledger.get("acme", "2").await.is_ok());
}

#[tokio::test]
async fn deleting_an_old_launch_leaves_the_key_of_its_successor() {
    let ledger = ledger();
    ledger
        .admit(launch("1", "k", None), false, NOW)
        .await
        .unwrap();
    ledger.update("acme", "1", fail).await.unwrap();
    ledger
        .admit(launch("2", "k", None), false, NOW)
        .await
        .unwrap();
    ledger.delete("acme", "1").await.unwrap();
    let again = ledger
        .admit(launch("3", "k", None), false, NOW)
        .await
        .unwrap();
    assert!(matches!(again, Admission::Same(launch) if launch.id == "2"));
}
