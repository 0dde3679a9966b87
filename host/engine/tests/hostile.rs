//! What a hostile generator can do, and how each attempt ends: by its name, with the engine and all others untouched.

#![allow(
    clippy::unwrap_used,
    reason = "helpers of tests fail by panicking, like tests"
)]

mod support;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bootsplice_engine::blobs::Blob;
use bootsplice_engine::content::{EntryKind, StepContent};
use bootsplice_engine::contract::{Instance, Quota};
use bootsplice_engine::{EngineError, GeneratorError, Limits};
use bytes::Bytes;
use serde_json::{Value, json};
use support::bombs::{number, section};
use support::{Bench, heard, hostile};

fn file(step: &StepContent, path: &str) -> Bytes {
    let entry = step
        .entries
        .iter()
        .find(|entry| entry.path.as_str() == path)
        .unwrap();
    match &entry.kind {
        EntryKind::File(blob) => blob.to_bytes().unwrap(),
        other => panic!("{path} is {other:?}"),
    }
}

/// The engine still works: an honest run gives what it should.
async fn still_works(bench: &Bench) {
    let step = bench.run(json!({"do": "write"})).await.unwrap();
    let paths: Vec<_> = step
        .entries
        .iter()
        .map(|entry| entry.path.as_str())
        .collect();
    assert_eq!(paths, ["/etc/a", "/etc/b", "/etc/c"]);
    assert_eq!(file(&step, "/etc/a").len(), 1_000_000);
    assert_eq!(step.notes, ["written"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_way_to_misbehave_ends_by_its_name_and_harms_nobody() {
    let bench = Arc::new(Bench::new().await);
    let with = async |what: &str, limits: Limits| {
        let mut job = bench.job(json!({"do": what}));
        job.limits = limits;
        bench.run_job(&job).await.unwrap_err()
    };
    let small = Limits {
        output_bytes: 32 << 20,
        output_entries: 1000,
        handles: 512,
        ..Limits::default()
    };

    // An honest neighbour runs all the while.
    let neighbour = {
        let bench = bench.clone();
        tokio::spawn(async move {
            for _ in 0..20 {
                still_works(&bench).await;
            }
        })
    };

    let error = with("trap", small.clone()).await;
    assert!(
        matches!(&error, GeneratorError::Trap { message } if message.contains("on purpose")),
        "{error}"
    );
    let error = with("recurse", small.clone()).await;
    assert!(
        matches!(&error, GeneratorError::Trap { message } if message.contains("stack")),
        "{error}"
    );
    let started = Instant::now();
    let brief = Limits {
        cpu: Duration::from_millis(500),
        ..small.clone()
    };
    let error = with("loop", brief).await;
    assert!(
        matches!(
            error,
            GeneratorError::Timeout {
                what: "processor time",
                ..
            }
        ),
        "{error}"
    );
    assert!(started.elapsed() < Duration::from_secs(20));
    let error = with("memory", small.clone()).await;
    assert!(
        matches!(error, GeneratorError::MemoryLimit { .. }),
        "{error}"
    );
    let error = with("output", small.clone()).await;
    assert!(
        matches!(
            error,
            GeneratorError::Quota {
                quota: Quota::OutputBytes,
                ..
            }
        ),
        "{error}"
    );
    let error = with("entries", small.clone()).await;
    assert!(
        matches!(
            error,
            GeneratorError::Quota {
                quota: Quota::OutputEntries,
                ..
            }
        ),
        "{error}"
    );
    let error = with("handles", small.clone()).await;
    assert!(
        matches!(
            error,
            GeneratorError::Quota {
                quota: Quota::Handles,
                ..
            }
        ),
        "{error}"
    );
    let error = with("argument", small.clone()).await;
    assert!(
        matches!(
            error,
            GeneratorError::Trap { .. } | GeneratorError::Unsupported(_)
        ),
        "{error}"
    );
    let error = with("unfinished", small.clone()).await;
    assert!(matches!(error, GeneratorError::Fault(_)), "{error}");

    let error = with("trap-mid-write", small.clone()).await;
    assert!(
        matches!(&error, GeneratorError::Trap { message } if message.contains("in the middle")),
        "{error}"
    );
    let started = Instant::now();
    let brief = Limits {
        cpu: Duration::from_millis(500),
        ..small.clone()
    };
    let error = with("bulk", brief).await;
    assert!(matches!(error, GeneratorError::Timeout { .. }), "{error}");
    assert!(started.elapsed() < Duration::from_secs(20));

    neighbour.await.unwrap();
    still_works(&bench).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn long_texts_special_modes_and_links_that_leave_are_refused_one_by_one() {
    let bench = Bench::new().await;
    // One MiB fits a call, and nothing takes it as a name.
    for (action, refusals) in [("texts", 4), ("modes", 4), ("links", 5)] {
        let config = json!({"do": action, "length": 1 << 20});
        match bench.run(config).await {
            Ok(step) => {
                let refused = step.notes.iter().filter(|note| note.ends_with(": refused"));
                assert_eq!(refused.count(), refusals, "{action}: {:?}", step.notes);
                assert!(step.notes.iter().all(|note| note.ends_with(": refused")));
            }
            Err(error) => panic!("{action}: {error}"),
        }
    }
    // Five MiB are more than a call may carry.
    let error = bench
        .run(json!({"do": "texts", "length": 5 << 20}))
        .await
        .unwrap_err();
    assert!(
        matches!(&error, GeneratorError::Trap { message } if message.contains("exhausted")),
        "{error}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_flood_is_cut_and_counted_and_the_run_succeeds() {
    let bench = Bench::new().await;
    let heard = heard();
    let mut job = bench.job(json!({"do": "log"}));
    job.observer = heard.clone();
    bench.run_job(&job).await.unwrap();
    let lines = heard.lines.lock();
    let bytes: usize = lines.iter().map(String::len).sum();
    assert!(bytes <= (1 << 20) + 100, "{bytes}");
    assert!(
        lines
            .iter()
            .any(|line| line == "messages of the generator were dropped")
    );
    assert!(lines.iter().any(|line| line == "and more of it"));
    assert!(lines.iter().all(|line| !line.contains('\u{1b}')));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_guest_sees_the_locks_time_seeded_randomness_and_nothing_else() {
    let bench = Bench::new().await;
    let lock = bench.resolve(json!({"do": "probe"})).await.unwrap();
    let job = bench.job(json!({"do": "probe"}));
    let mut reports = Vec::new();
    for _ in 0..2 {
        let step = bench
            .engine
            .generate(&bench.hostile, &job, &lock, None)
            .await
            .unwrap();
        reports.push(serde_json::from_slice::<Value>(&file(&step, "/probe.json")).unwrap());
    }
    assert_eq!(
        reports[0], reports[1],
        "the same inputs give the same bytes"
    );
    let mut report = reports.remove(0);
    assert!(report["random"].take().is_u64());
    assert_eq!(
        report,
        json!({
            "epoch": lock.epoch, "now": lock.epoch, "random": null, "files": false, "write": false, "environment": 0, "arguments": 0,
            "connect": false, "bind": false, "resolve": false, "instance": null, "cache": false, "cache_put": false, "inventory": false,
        })
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn only_a_step_that_asks_for_it_sees_the_instance() {
    let bench = Bench::new().await;
    let instance = Instance {
        id: "i-0042".into(),
        profile: "web@3".into(),
        attributes: BTreeMap::new(),
    };
    for needs in [false, true] {
        let job = bench.job(json!({"do": "probe", "needs_instance": needs}));
        let lock = bench
            .engine
            .resolve(&bench.hostile, &job, None)
            .await
            .unwrap();
        let before = bench.engine.counters();
        let step = bench
            .engine
            .generate(&bench.hostile, &job, &lock, Some(&instance))
            .await
            .unwrap();
        let report: Value = serde_json::from_slice(&file(&step, "/probe.json")).unwrap();
        let seen = if needs { json!("i-0042") } else { Value::Null };
        assert_eq!(report["instance"], seen);
        let after = bench.engine.counters();
        assert_eq!(
            after.instance_generates - before.instance_generates,
            u64::from(needs)
        );
        assert_eq!(
            after.shared_generates - before.shared_generates,
            u64::from(!needs)
        );
        if needs {
            let missing = bench
                .engine
                .generate(&bench.hostile, &job, &lock, None)
                .await
                .unwrap_err();
            assert!(
                matches!(missing, GeneratorError::Unsupported(_)),
                "{missing}"
            );
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pure_call_reaches_nothing() {
    let bench = Bench::new().await;
    let config = json!({"validate": "reach", "urls": ["https://example.com/"]});
    let found = bench
        .engine
        .validate(&bench.hostile, None, &config)
        .await
        .unwrap();
    let said: BTreeMap<_, _> = found
        .iter()
        .map(|found| (found.code.as_str(), found.message.as_str()))
        .collect();
    assert!(said["fetch"].contains("Denied"), "{said:?}");
    assert!(said["builder"].contains("Denied"), "{said:?}");
    assert!(said["trust"].contains("Denied"), "{said:?}");
    assert_eq!(
        (said["cache"], said["inventory"], said["target"]),
        ("false", "false", "false")
    );
    let wrong = bench
        .engine
        .validate(&bench.hostile, None, &json!({"do": 7}))
        .await
        .unwrap();
    assert_eq!(wrong[0].pointer, "/do");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cancelled_run_ends_at_once() {
    let bench = Bench::new().await;
    let job = bench.job(json!({"do": "patient"}));
    let lock = bench
        .engine
        .resolve(&bench.hostile, &job, None)
        .await
        .unwrap();
    let cancel = job.cancel.clone();
    tokio::spawn(async move {
        tokio::time::sleep(Duration::from_millis(200)).await;
        cancel.cancel();
    });
    let error = bench
        .engine
        .generate(&bench.hostile, &job, &lock, None)
        .await
        .unwrap_err();
    assert!(matches!(error, GeneratorError::Cancelled), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sleeping_guest_ends_at_its_wall_clock_limit() {
    let bench = Bench::new().await;
    let mut job = bench.job(json!({"resolve": "sleep"}));
    job.limits.wall = Duration::from_millis(700);
    let error = bench
        .engine
        .resolve(&bench.hostile, &job, None)
        .await
        .unwrap_err();
    assert!(
        matches!(
            error,
            GeneratorError::Timeout {
                what: "wall-clock time",
                ..
            }
        ),
        "{error}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn state_cache_and_inventory_come_back_whole() {
    let bench = Bench::new().await;
    let mut job = bench.job(json!({"resolve": "state", "do": "nothing"}));
    job.inventory = Arc::new(BTreeMap::from([(
        "os-release".to_owned(),
        Blob::from_bytes(&b"ID=debian\n"[..]),
    )]));
    let first = bench
        .engine
        .resolve(&bench.hostile, &job, None)
        .await
        .unwrap();
    assert_eq!(first.fresh_for, Some(1));
    // The second run reads the plugin's cache: it is given no inventory.
    job.inventory = Arc::default();
    let second = bench
        .engine
        .resolve(&bench.hostile, &job, Some(&first))
        .await
        .unwrap();
    assert_eq!(second.fresh_for, Some(2));
    bench
        .engine
        .generate(&bench.hostile, &job, &second, None)
        .await
        .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_plugin_is_refused_with_its_reason() {
    let bench = Bench::new().await;
    let wasm = hostile();
    let install = async |bytes: Bytes| match bench.engine.install(bytes).await.unwrap_err() {
        EngineError::Refused(why) => why,
        other => panic!("{other}"),
    };
    assert!(
        install(Bytes::from_static(b"#!/bin/sh"))
            .await
            .contains("no WebAssembly")
    );
    assert!(
        install(Bytes::from_static(b"\0asm\x01\0\0\0"))
            .await
            .contains("core module")
    );
    // An empty component: valid, and of no world.
    assert!(
        install(Bytes::from_static(b"\0asm\x0d\0\x01\0"))
            .await
            .contains("not a plugin")
    );
    assert!(!install(wasm.slice(..wasm.len() / 2)).await.is_empty());
    let artefact = std::fs::read(
        bench
            .state
            .path()
            .join(format!("artefacts/{}.cwasm", bench.hostile.digest().hex())),
    )
    .unwrap();
    assert!(
        install(Bytes::from(artefact))
            .await
            .contains("compiled already")
    );
}

/// Another file of that name: what is loaded lies mapped in the old one.
fn replace(path: &std::path::Path, bytes: &[u8]) {
    std::fs::remove_file(path).unwrap();
    std::fs::write(path, bytes).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flipped_bit_in_an_artefact_is_never_run_and_heals_from_the_component() {
    let bench = Bench::new().await;
    let digest = *bench.hostile.digest();
    let path = bench
        .state
        .path()
        .join(format!("artefacts/{}.cwasm", digest.hex()));
    let good = std::fs::read(&path).unwrap();
    for at in [0, good.len() - 1] {
        let mut bad = good.clone();
        bad[at] ^= 1;
        replace(&path, &bad);
        let healed = bench.engine.load(&digest).await.unwrap();
        assert_eq!(healed.descriptor().id, "hostile");
        assert_ne!(std::fs::read(&path).unwrap(), bad);
    }
    // With the component changed as well there is nothing to heal from.
    replace(&path, b"short");
    std::fs::write(
        bench
            .state
            .path()
            .join(format!("plugins/{}.wasm", digest.hex())),
        b"other",
    )
    .unwrap();
    assert!(matches!(
        bench.engine.load(&digest).await,
        Err(EngineError::Artefact { .. })
    ));
}

#[tokio::test(flavor = "multi_thread")]
async fn secrets_that_the_configuration_does_not_name_cannot_be_asked_for() {
    let bench = Bench::new().await;
    let named = json!({"do": "template", "text": "{{secret:key}}", "secrets": {"K": "key"}});
    let step = bench.run(named).await.unwrap();
    assert!(matches!(step.entries[0].kind, EntryKind::Template(..)));
    // The text is put together by the guest, so that the configuration does not show the name.
    let hidden =
        json!({"do": "template", "text": "{{instance:attributes.x}}", "secrets": {"K": "key"}});
    assert!(bench.run(hidden).await.is_ok());
    let plugin = &bench.hostile;
    assert!(
        !plugin
            .secrets_in(&json!({"secrets": {"K": "key"}}))
            .contains("other")
    );
    assert!(
        plugin
            .fetch_in(&json!({"urls": ["https://a.example/"]}))
            .contains("https://a.example/")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_compilation_that_outgrows_its_limits_ends_and_leaves_nothing() {
    use std::os::unix::process::ExitStatusExt;

    // An ordinary component under a limit that is too small for it; and a bomb, which takes seconds of every compiler.
    let bench = Bench::with(|config| config.compile_wall = Duration::from_millis(50)).await;
    match bench.engine.install(hostile()).await.unwrap_err() {
        EngineError::Refused(why) => assert!(why.contains("took longer"), "{why}"),
        other => panic!("{other}"),
    }
    let scratch = tempfile::tempdir().unwrap();
    let component = scratch.path().join("component");
    std::fs::write(&component, bomb()).unwrap();
    for (limit, value) in [("--cpu", "1"), ("--memory", "64")] {
        let artefact = scratch.path().join("artefact");
        let output = std::process::Command::new(support::compiler())
            .arg("--artefact")
            .arg(&artefact)
            .arg("--inspection")
            .arg(scratch.path().join("inspection"))
            .args([limit, value])
            .arg(&component)
            .output()
            .unwrap();
        assert!(
            output.status.signal().is_some(),
            "{limit}: {:?}",
            output.status
        );
        assert!(!artefact.exists());
    }
}

/// A component of one core module: fifteen thousand functions of eight hundred instructions each.
fn bomb() -> Vec<u8> {
    const FUNCTIONS: usize = 15_000;
    // (local i64) then 200 times: local.get 0, i64.const 3, i64.mul, local.set 0; end
    let instructions = [0x20, 0, 0x42, 3, 0x7e, 0x21, 0].repeat(200);
    let body = [&[1, 1, 0x7e][..], &instructions, &[0x0b]].concat();
    let body = [number(body.len()), body].concat();
    let module = [
        b"\0asm\x01\0\0\0".to_vec(),
        section(1, &[1, 0x60, 0, 0]),
        section(3, &[number(FUNCTIONS), vec![0; FUNCTIONS]].concat()),
        section(10, &[number(FUNCTIONS), body.repeat(FUNCTIONS)].concat()),
    ]
    .concat();
    [b"\0asm\x0d\0\x01\0".to_vec(), section(1, &module)].concat()
}
