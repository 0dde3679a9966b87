//! Plugins with one thing too much: tables, instances, memories, types, names. Each is refused at its upload, within its time, and leaves nothing.

#![allow(
    clippy::unwrap_used,
    reason = "helpers of tests fail by panicking, like tests"
)]

mod support;

use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use bootsplice_engine::trust::MemoryLastSeen;
use bootsplice_engine::{Engine, EngineConfig, EngineError};
use bytes::Bytes;

/// A small plugin that there will always be.
fn honest() -> Bytes {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/corpus/since-v0.1.0");
    let packed = std::fs::read(corpus.join("components/timers.wasm.zst")).unwrap();
    zstd::decode_all(&packed[..]).unwrap().into()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plugin_with_one_thing_too_much_is_refused_by_its_name_in_bounded_memory() {
    let state = tempfile::tempdir().unwrap();
    let config = EngineConfig::new(
        state.path(),
        support::compiler(),
        Arc::new(MemoryLastSeen::default()),
    );
    let engine = Engine::open(config).unwrap();
    let mut wrong = Vec::new();
    for bomb in support::bombs::all(&honest()) {
        let started = Instant::now();
        let said = match engine.install(bomb.component.into()).await {
            Err(error @ (EngineError::Refused(_) | EngineError::Describe(_))) => error.to_string(),
            other => format!("not refused: {other:?}"),
        };
        let told: String = said.chars().take(300).collect();
        println!("{} ({:?}): {told}", bomb.name, started.elapsed());
        if !bomb.says.iter().any(|word| said.contains(word)) {
            wrong.push((bomb.name, told));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    engine.install(honest()).await.unwrap();
}
