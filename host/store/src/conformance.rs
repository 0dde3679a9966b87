//! What every [`Store`] must do, as code: run [`all`] on yours. For stores that outlive a process, let a child run [`write_until_killed`], kill it
//! whenever you like, and run [`assert_survived`] on what is left.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use crate::{Change, Store, StoreError, Transaction, Version};

/// Runs every case, each on a new and empty store from `fresh`.
///
/// # Panics
/// When the store breaks a promise; the message says which.
pub async fn all<F, Fut>(fresh: F)
where
    F: Fn() -> Fut,
    Fut: Future<Output = Arc<dyn Store>>,
{
    reads_what_was_written(&*fresh().await).await;
    compares_and_sets(&*fresh().await).await;
    never_reuses_a_version(&*fresh().await).await;
    does_all_or_nothing(&*fresh().await).await;
    lists_in_order_by_pages(&*fresh().await).await;
    refuses_what_cannot_be_stored(&*fresh().await).await;
    watches_one_prefix_in_order(&*fresh().await).await;
    lets_one_of_two_clients_win(fresh().await).await;
}

async fn put(store: &dyn Store, key: &str, value: &str) -> Version {
    let value = Bytes::copy_from_slice(value.as_bytes());
    let done = store.transact(Transaction::new().put(key, value)).await;
    done.expect("a plain put succeeds").version
}

async fn reads_what_was_written(store: &dyn Store) {
    assert_eq!(store.get("a").await.expect("get"), None);
    let version = put(store, "a", "one").await;
    let record = store.get("a").await.expect("get").expect("the record");
    assert_eq!((&*record.key, record.version), ("a", version));
    assert_eq!(record.value, "one");
    put(store, "a", "").await;
    let record = store.get("a").await.expect("get").expect("the record");
    assert!(record.value.is_empty() && record.version > version);
    let gone = Transaction::new().delete("a").delete("never-there");
    store.transact(gone).await.expect("delete");
    assert_eq!(store.get("a").await.expect("get"), None);
}

async fn compares_and_sets(store: &dyn Store) {
    let make = || Transaction::new().absent("a").put("a", "x");
    store.transact(make()).await.expect("absent, so made");
    assert_conflict(store.transact(make()).await, "a");
    let old = store.get("a").await.expect("get").expect("the record");
    let change = |value: &'static str| Transaction::new().unchanged(&old).put("a", value);
    store
        .transact(change("y"))
        .await
        .expect("unchanged, so put");
    assert_conflict(store.transact(change("z")).await, "a");
    let needs_b = Transaction::new().present("b").put("a", "w");
    assert_conflict(store.transact(needs_b).await, "b");
    let now = store.get("a").await.expect("get").expect("the record");
    assert_eq!(now.value, "y", "a refused transaction wrote");
}

async fn never_reuses_a_version(store: &dyn Store) {
    let first = put(store, "a", "same").await;
    let old = store.get("a").await.expect("get").expect("the record");
    store
        .transact(Transaction::new().delete("a"))
        .await
        .expect("delete");
    let second = put(store, "a", "same").await;
    assert!(second > first, "a record made anew has an old version");
    let stale = Transaction::new().unchanged(&old).delete("a");
    assert_conflict(store.transact(stale).await, "a");
}

async fn does_all_or_nothing(store: &dyn Store) {
    put(store, "taken", "x").await;
    let mixed = Transaction::new()
        .put("new", "x")
        .delete("taken")
        .absent("taken");
    assert_conflict(store.transact(mixed).await, "taken");
    assert!(store.get("new").await.expect("get").is_none());
    assert!(store.get("taken").await.expect("get").is_some());
    let both = Transaction::new().put("a", "1").put("b", "1");
    let version = store.transact(both).await.expect("both").version;
    for key in ["a", "b"] {
        let record = store.get(key).await.expect("get").expect("the record");
        assert_eq!(record.version, version, "one transaction, one version");
    }
}

async fn lists_in_order_by_pages(store: &dyn Store) {
    for key in ["p/10", "p/2", "o/9", "p", "q/1", "p/1", "p/ä", "p0"] {
        put(store, key, key).await;
    }
    let mut seen = Vec::new();
    let mut after: Option<String> = None;
    loop {
        let page = store.list("p/", after.as_deref(), 2).await.expect("list");
        assert!(page.records.len() <= 2);
        seen.extend(page.records.into_iter().map(|record| record.key));
        after = seen.last().cloned();
        if !page.more {
            break;
        }
    }
    assert_eq!(seen, ["p/1", "p/10", "p/2", "p/ä"]);
    let none = store.list("p/", Some("p/ä"), 2).await.expect("list");
    assert!(none.records.is_empty() && !none.more);
    let gap = store.list("p/", Some("p/11"), 9).await.expect("list");
    assert_eq!(gap.records[0].key, "p/2", "`after` need not exist");
    let before = store.list("p/", Some("a"), 9).await.expect("list");
    assert_eq!(before.records.len(), 4, "`after` before the prefix");
    let whole = store.list("", None, 100).await.expect("list");
    assert_eq!(whole.records.len(), 8);
    let keys = |page: crate::Page| -> (Vec<String>, bool) {
        let keys = page.records.into_iter().map(|record| record.key);
        (keys.collect(), page.more)
    };
    let back = store.list_back("p/", None, 3).await.expect("list");
    assert_eq!(
        keys(back),
        (vec!["p/ä".into(), "p/2".into(), "p/10".into()], true)
    );
    let back = store.list_back("p/", Some("p/10"), 3).await.expect("list");
    assert_eq!(keys(back), (vec!["p/1".into()], false));
    let back = store.list_back("p/", Some("z"), 9).await.expect("list");
    assert_eq!(back.records.len(), 4, "`before` after the prefix");
    let back = store.list_back("", None, 100).await.expect("list");
    assert_eq!(back.records.len(), 8);
}

async fn refuses_what_cannot_be_stored(store: &dyn Store) {
    let long = "k".repeat(crate::MAX_KEY + 1);
    for wrong in [
        Transaction::new().put("", "x"),
        Transaction::new().put(long, "x"),
        Transaction::new().put("k", vec![0; crate::MAX_VALUE + 1]),
        Transaction::new().absent(""),
    ] {
        let refused = store.transact(wrong).await;
        assert!(matches!(refused, Err(StoreError::Invalid(_))));
    }
}

async fn watches_one_prefix_in_order(store: &dyn Store) {
    put(store, "p/before", "x").await;
    let mut watch = store.watch("p/");
    let first = put(store, "p/a", "1").await;
    put(store, "other", "x").await;
    let second = put(store, "p/a", "2").await;
    let refused = Transaction::new().absent("p/a").put("p/b", "no");
    assert_conflict(store.transact(refused).await, "p/a");
    let gone = Transaction::new().delete("p/a");
    let third = store.transact(gone).await.expect("delete").version;
    let mut heard = Vec::new();
    for _ in 0..3 {
        let next = tokio::time::timeout(Duration::from_secs(10), watch.next()).await;
        heard.push(match next.expect("a change").expect("the store lives") {
            Change::Put(record) => (record.key, record.version, Some(record.value)),
            Change::Deleted { key, version } => (key, version, None),
            Change::Missed => panic!("three changes are not too many"),
        });
    }
    let key = || "p/a".to_owned();
    assert_eq!(
        heard,
        [
            (key(), first, Some("1".into())),
            (key(), second, Some("2".into())),
            (key(), third, None)
        ]
    );
}

async fn lets_one_of_two_clients_win(store: Arc<dyn Store>) {
    const CLIENTS: u64 = 2;
    const EACH: u64 = 25;
    put(&*store, "counter", "0").await;
    let clients: Vec<_> = (0..CLIENTS)
        .map(|_| {
            let store = Arc::clone(&store);
            tokio::spawn(async move {
                for _ in 0..EACH {
                    increment(&*store).await;
                }
            })
        })
        .collect();
    for client in clients {
        client.await.expect("a client");
    }
    let record = store.get("counter").await.expect("get").expect("counter");
    let expected = (CLIENTS * EACH).to_string();
    assert_eq!(record.value, expected, "an increment was lost");
}

async fn increment(store: &dyn Store) {
    loop {
        let old = store.get("counter").await.expect("get").expect("counter");
        let value: u64 = std::str::from_utf8(&old.value)
            .expect("digits")
            .parse()
            .expect("a number");
        let next = Transaction::new()
            .unchanged(&old)
            .put("counter", (value + 1).to_string());
        match store.transact(next).await {
            Ok(_) => return,
            Err(StoreError::Conflict { .. }) => tokio::task::yield_now().await,
            Err(other) => panic!("{other}"),
        }
    }
}

/// Writes transaction 1, 2, 3 … and tells each number to `acknowledge` once it was answered. Runs until the process is killed.
pub async fn write_until_killed(store: &dyn Store, mut acknowledge: impl FnMut(u64)) {
    for number in 1_u64.. {
        let text = number.to_string();
        let both = Transaction::new()
            .put("left", text.clone())
            .put("right", text.clone())
            .put(format!("log/{number:08}"), text);
        store.transact(both).await.expect("a plain put succeeds");
        acknowledge(number);
    }
}

/// Judges what [`write_until_killed`] left: nothing acknowledged is lost, nothing is half there, and the store still works.
pub async fn assert_survived(store: &dyn Store, acknowledged: u64) {
    let text = |value: Option<crate::Record>| {
        value.map_or(0, |record| {
            let text = std::str::from_utf8(&record.value).expect("digits");
            text.parse::<u64>().expect("a number")
        })
    };
    let left = text(store.get("left").await.expect("get"));
    let right = text(store.get("right").await.expect("get"));
    assert_eq!(left, right, "half a transaction survived");
    assert!(
        left >= acknowledged,
        "{acknowledged} was answered, {left} is there"
    );
    let mut count = 0;
    let mut after: Option<String> = None;
    loop {
        let page = store.list("log/", after.as_deref(), 1000).await;
        let page = page.expect("list");
        for record in &page.records {
            count += 1;
            assert_eq!(record.key, format!("log/{count:08}"));
        }
        after = page.records.last().map(|record| record.key.clone());
        if !page.more {
            break;
        }
    }
    assert_eq!(count, left);
    put(store, "left", &left.to_string()).await;
}

fn assert_conflict<T: std::fmt::Debug>(answer: Result<T, StoreError>, on: &str) {
    match answer {
        Err(StoreError::Conflict { key, .. }) => assert_eq!(key, on),
        other => panic!("expected a conflict on `{on}`, got {other:?}"),
    }
}
