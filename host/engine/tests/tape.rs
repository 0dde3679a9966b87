//! What authors measure and repeat: instructions that are the same at each run, and recordings that need no network.

#![allow(
    clippy::unwrap_used,
    reason = "helpers of tests fail by panicking, like tests"
)]

mod support;

use std::collections::BTreeMap;
use std::sync::Arc;

use bootsplice_engine::blobs::Blob;
use bootsplice_engine::contract::{StepLock, Target};
use bootsplice_engine::grant::{Grants, UrlPrefix};
use bootsplice_engine::tape::{Answer, Asked, Begun, Tape};
use bootsplice_engine::{Engine, EngineConfig, GeneratorError, Job, Metering, Usage};
use parking_lot::Mutex;
use serde_json::{Value, json};
use support::{Bench, compiler, hostile};

#[derive(Default)]
struct Told(Mutex<Vec<Usage>>);

impl Metering for Told {
    fn used(&self, usage: &Usage) {
        self.0.lock().push(usage.clone());
    }
}

/// A server of three bodies, and the end of it.
async fn origin() -> (String, tokio::task::JoinHandle<()>) {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let app = axum::Router::new()
        .route("/a", axum::routing::get(|| async { "content of a" }))
        .route("/b", axum::routing::get(|| async { "content of b" }));
    (
        url,
        tokio::spawn(async move { axum::serve(listener, app).await.unwrap() }),
    )
}

fn allow_loopback(config: &mut EngineConfig) {
    config.fetch.allow_networks = vec!["127.0.0.0/8".parse().unwrap()];
    config.fetch.tries = 1;
}

fn job(bench: &Bench, url: &str, tape: Tape) -> Job {
    let mut job = bench.job(json!({
        "resolve": "everything", "do": "copy-state",
        "urls": [format!("{url}/a"), format!("{url}/b"), format!("{url}/missing"), "https://not-granted.example/"],
    }));
    job.grants = Grants {
        fetch: vec![UrlPrefix::parse(url).unwrap()],
        credentials: vec![],
    };
    job.tape = Some(Arc::new(tape));
    job
}

async fn both(bench: &Bench, job: &Job) -> Result<(StepLock, Vec<u8>), GeneratorError> {
    let lock = bench.engine.resolve(&bench.hostile, job, None).await?;
    let step = bench
        .engine
        .generate(&bench.hostile, job, &lock, None)
        .await?;
    let (layer, _) =
        bootsplice_engine::layer::write_shared("s", &step, lock.epoch, Vec::new()).unwrap();
    Ok((lock, layer))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_recorded_run_is_repeated_without_its_network_clock_cache_and_image() {
    let scratch = tempfile::tempdir().unwrap();
    let tape = scratch.path().join("tape");
    let (url, server) = origin().await;
    let first = Bench::with(allow_loopback).await;
    let mut recorded = job(&first, &url, Tape::record(&tape).unwrap());
    recorded.inventory = Arc::new(BTreeMap::from([(
        "os-release".to_owned(),
        Blob::from_bytes(&b"ID=debian\n"[..]),
    )]));
    let (lock, layer) = both(&first, &recorded).await.unwrap();
    server.abort();

    // Another host, another time, no network, no image, nothing cached.
    let second = Bench::with(|config| {
        allow_loopback(config);
        config.clock = Arc::new(|| std::time::UNIX_EPOCH + std::time::Duration::from_secs(5));
    })
    .await;
    let replayed = job(&second, &url, Tape::replay(&tape).unwrap());
    let (again, same) = both(&second, &replayed).await.unwrap();
    assert_eq!((again, same), (lock.clone(), layer));

    // `generate` alone, as of a launch whose lock is known.
    let third = Bench::with(allow_loopback).await;
    let directory = scratch.path().join("generate");
    let alone = job(&first, &url, Tape::record(&directory).unwrap());
    first
        .engine
        .generate(&first.hostile, &alone, &lock, None)
        .await
        .unwrap();
    let read = Tape::replay(&directory).unwrap();
    let [begin, end] = &read.exchanges()[..] else {
        panic!("two exchanges")
    };
    assert!(matches!(&begin.asked, Asked::Generate { .. }));
    assert_eq!(end.asked, Asked::End);
    let Answer::Given { value, .. } = &begin.answer else {
        panic!("an answer")
    };
    let lock: StepLock = serde_json::from_value(value.clone()).unwrap();
    let alone = job(&third, &url, read);
    third
        .engine
        .generate(&third.hostile, &alone, &lock, None)
        .await
        .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replay_that_asks_something_else_ends_with_the_call_and_both_questions() {
    let scratch = tempfile::tempdir().unwrap();
    let tape = scratch.path().join("tape");
    let (url, _server) = origin().await;
    let bench = Bench::with(allow_loopback).await;
    both(&bench, &job(&bench, &url, Tape::record(&tape).unwrap()))
        .await
        .unwrap();
    assert!(
        Tape::record(&tape).is_err(),
        "a recording is never written over"
    );
    let lines = std::fs::read_to_string(tape.join("exchanges.jsonl")).unwrap();
    let begun: Value = serde_json::from_str(lines.lines().next().unwrap()).unwrap();
    serde_json::from_value::<Begun>(begun["answer"]["given"]["value"].clone()).unwrap();

    let replay = async |lines: &str| {
        let changed = tempfile::tempdir().unwrap();
        std::fs::write(changed.path().join("exchanges.jsonl"), lines).unwrap();
        std::os::unix::fs::symlink(tape.join("blobs"), changed.path().join("blobs")).unwrap();
        let tape = Tape::replay(changed.path()).map_err(|error| error.to_string())?;
        both(&bench, &job(&bench, &url, tape))
            .await
            .map_err(|error| error.to_string())
    };
    replay(&lines).await.unwrap();
    let error = replay(&lines.replace("\"key\":\"suite\"", "\"key\":\"other\""))
        .await
        .unwrap_err();
    assert!(
        error.contains("\"other\"") && error.contains("\"suite\""),
        "{error}"
    );
    // The recording ends before the run does; and it has more than the run asks.
    let cut: String = lines
        .lines()
        .take(3)
        .map(|line| format!("{line}\n"))
        .collect();
    let error = replay(&cut).await.unwrap_err();
    assert!(
        error.starts_with("call 4 of the recording is not there"),
        "{error}"
    );
    let error = replay(&lines.replacen("{\"call\":\"end\"}", "{\"call\":\"list-files\"}", 1))
        .await
        .unwrap_err();
    assert!(
        error.contains("list-files") && error.contains("\"end\""),
        "{error}"
    );
    for damaged in [
        "{\n",
        "{\"number\":2,\"asked\":{\"call\":\"end\"},\"answer\":{\"given\":{\"value\":null}}}\n",
    ] {
        let error = replay(damaged).await.unwrap_err();
        assert!(error.contains("line 1"), "{error}");
    }
    // Another target is another run.
    let mut other = job(&bench, &url, Tape::replay(&tape).unwrap());
    other.target = Target {
        release: "trixie".into(),
        ..other.target
    };
    let error = both(&bench, &other).await.unwrap_err();
    assert_eq!(error.code(), "replay-mismatch");
    assert!(
        matches!(error, GeneratorError::Replay { number: 1, .. }),
        "{error}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn instructions_memory_and_bytes_of_each_call_are_told_and_the_same_each_time() {
    let scratch = tempfile::tempdir().unwrap();
    let (url, _server) = origin().await;
    let bench = Bench::with(allow_loopback).await;
    let told = Arc::new(Told::default());
    let mut config = EngineConfig::new(
        bench.state.path(),
        compiler(),
        Arc::new(bootsplice_engine::trust::MemoryLastSeen::default()),
    );
    config.metering = Some(told.clone());
    allow_loopback(&mut config);
    // Beside the engine that serves, whose artefact it leaves alone.
    let served = std::fs::read_dir(bench.state.path().join("artefacts"))
        .unwrap()
        .count();
    let engine = Engine::open(config).unwrap();
    let plugin = engine.install(hostile()).await.unwrap();
    assert_eq!(
        std::fs::read_dir(bench.state.path().join("artefacts"))
            .unwrap()
            .count(),
        served + 2
    );
    bench.engine.load(bench.hostile.digest()).await.unwrap();

    let tape = scratch.path().join("tape");
    let metered = Bench {
        engine,
        hostile: plugin,
        state: tempfile::tempdir().unwrap(),
    };
    both(&metered, &job(&metered, &url, Tape::record(&tape).unwrap()))
        .await
        .unwrap();
    both(&metered, &job(&metered, &url, Tape::replay(&tape).unwrap()))
        .await
        .unwrap();
    metered
        .engine
        .validate(&metered.hostile, None, &json!({"do": "nothing"}))
        .await
        .unwrap();

    let told = told.0.lock();
    let calls: Vec<_> = told.iter().map(|usage| usage.call).collect();
    assert_eq!(
        calls,
        [
            "describe", "resolve", "generate", "resolve", "generate", "validate"
        ]
    );
    let plain = |usage: &Usage| {
        (
            usage.instructions,
            usage.memory,
            usage.fetches,
            usage.fetched,
            usage.written,
        )
    };
    assert_eq!(
        plain(&told[1]),
        plain(&told[3]),
        "a replay uses what the run used"
    );
    assert_eq!(plain(&told[2]), plain(&told[4]));
    assert_eq!(
        (told[1].fetches, told[1].fetched),
        (5, 36),
        "one and four asked; a, a and b came"
    );
    assert!(told[2].written > 100 && told[1].written == 0);
    assert!(
        told.iter()
            .all(|usage| usage.instructions > 1000 && usage.memory >= 1 << 16)
    );
}
