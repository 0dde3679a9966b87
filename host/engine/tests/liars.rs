//! Components that lie when they are asked what they are. One build of the hostile guest makes them all: a word in its data says how it lies.

#![allow(
    clippy::unwrap_used,
    reason = "helpers of tests fail by panicking, like tests"
)]

mod support;

use std::time::{Duration, Instant};

use bootsplice_engine::EngineError;
use bytes::Bytes;
use support::{Bench, hostile};

const HONEST: &[u8; 16] = b"lie=nothing.....";

/// The hostile component, telling another lie.
fn liar(lie: &str) -> Bytes {
    let mut bytes = hostile().to_vec();
    let at = bytes
        .windows(HONEST.len())
        .position(|window| window == HONEST)
        .unwrap();
    let word = format!("{:.<16}", format!("lie={lie}"));
    bytes[at..at + 16].copy_from_slice(word.as_bytes());
    bytes.into()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_component_that_lies_about_itself_is_refused_by_what_is_wrong() {
    let bench = Bench::new().await;
    for (lie, says) in [
        ("trap", "no description"),
        ("loop", "ran past its"),
        ("recurse", "stack"),
        ("large", "larger than 1048576 bytes"),
        ("huge", "trapped"),
        ("deep", "recursion limit"),
        ("circle", "config-schema"),
        ("double", "config-schema"),
        ("remote", "config-schema"),
        ("file", "config-schema"),
        ("regex", "config-schema"),
        ("levels", "schema-too-costly"),
    ] {
        let started = Instant::now();
        let error = match bench.engine.install(liar(lie)).await {
            Err(error @ (EngineError::Refused(_) | EngineError::Describe(_))) => error.to_string(),
            other => panic!("{lie}: {other:?}"),
        };
        assert!(error.contains(says), "{lie}: {error}");
        // Five seconds of processor time, and the compiler's own.
        assert!(started.elapsed() < Duration::from_secs(120), "{lie}");
        println!("{lie}: {error} ({:?})", started.elapsed());
    }
    // A pattern that a backtracking matcher would need the age of the world for.
    let plugin = bench.engine.install(liar("backtrack")).await.unwrap();
    let config = serde_json::json!({"do": format!("{}!", "a".repeat(100_000))});
    let started = Instant::now();
    assert!(!plugin.check_schema(&config).is_empty());
    assert!(started.elapsed() < Duration::from_secs(20));
}
