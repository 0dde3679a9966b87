//! A store whose process was killed at any moment has every answered transaction, whole.

#![allow(clippy::unwrap_used)]

use std::io::{BufRead as _, BufReader};
use std::process::{Command, Stdio};

use bootsplice_store::{RedbStore, conformance};

const CHILD: &str = "BOOTSPLICE_STORE_CRASH_CHILD";

/// The killed half: runs only as a child of the test below.
#[tokio::test]
async fn child_writes_until_killed() {
    let Ok(path) = std::env::var(CHILD) else {
        return;
    };
    let store = RedbStore::open(path.as_ref()).unwrap();
    conformance::write_until_killed(&store, |number| println!("acknowledged {number}")).await;
}

#[tokio::test]
async fn nothing_answered_is_lost_when_the_process_is_killed_after_each_write() {
    for kill_after in 1..=20_u64 {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("records.redb");
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "child_writes_until_killed", "--nocapture"])
            .env(CHILD, &path)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut acknowledged = 0;
        for line in lines {
            let line = line.unwrap();
            let Some((_, number)) = line.split_once("acknowledged ") else {
                continue;
            };
            acknowledged = number.parse().unwrap();
            if acknowledged == kill_after {
                // SIGKILL, at whatever point of the next write the child is by now.
                child.kill().unwrap();
                break;
            }
        }
        child.wait().unwrap();
        assert_eq!(acknowledged, kill_after, "the child wrote");
        let store = RedbStore::open(&path).unwrap();
        conformance::assert_survived(&store, acknowledged).await;
    }
}
