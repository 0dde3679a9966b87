//! Components compiled against a released contract keep loading and keep giving the same tar bytes (rule 31): `tests/corpus/`.

#![allow(
    clippy::unwrap_used,
    reason = "helpers of tests fail by panicking, like tests"
)]

mod support;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use bootsplice_content::Digest;
use bootsplice_engine::content::{StepContent, Values};
use bootsplice_engine::contract::{Instance, StepLock};
use bootsplice_engine::fetch::Bucket;
use bootsplice_engine::grant::UrlPrefix;
use bootsplice_engine::layer::{
    InstanceBody, InstancePart, TemplatePart, write_instance, write_shared,
};
use bootsplice_engine::trust::MemoryLastSeen;
use bootsplice_engine::{Engine, EngineConfig, Job, Plugin, Secret};
use bytes::Bytes;
use object_store::ObjectStoreExt as _;
use object_store::memory::InMemory;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use support::{compiler, target};

/// Where components find the files of `served/`: a bucket, whose name is the same on every machine.
const SERVED: &str = "s3://corpus/";
/// The time of every `resolve`.
const EPOCH: u64 = 1_700_000_000;

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    component: String,
    digest: Digest,
    config: Value,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    expected: Option<Expected>,
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Expected {
    lock: StepLock,
    /// Of the shared layer's tar bytes; none of a step that runs per instance.
    shared: Option<Digest>,
    /// Of the instance layer's tar bytes.
    instance: Digest,
}

fn corpus() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/corpus/since-v0.1.0")
}

async fn served() -> Arc<InMemory> {
    let store = InMemory::new();
    for entry in std::fs::read_dir(corpus().join("served")).unwrap() {
        let entry = entry.unwrap();
        let name = entry.file_name().to_string_lossy().into_owned();
        let bytes = std::fs::read(entry.path()).unwrap();
        store
            .put(&name.as_str().into(), bytes.into())
            .await
            .unwrap();
    }
    Arc::new(store)
}

fn tar_of(layer: &[u8]) -> Digest {
    Digest::of(&zstd::decode_all(layer).unwrap())
}

fn who() -> Instance {
    Instance {
        id: "i-0042".into(),
        profile: "web-developer@3".into(),
        attributes: BTreeMap::from([("owner".to_owned(), "Ada O'Neil".to_owned())]),
    }
}

async fn made(engine: &Engine, plugin: &Plugin, job: &Job, lock: &StepLock) -> StepContent {
    let who = who();
    let instance = lock.needs_instance.then_some(&who);
    engine.generate(plugin, job, lock, instance).await.unwrap()
}

async fn run(
    engine: &Engine,
    plugin: &Plugin,
    config: &Value,
    frozen: Option<&StepLock>,
) -> Expected {
    let found = engine
        .validate(plugin, Some(&target()), config)
        .await
        .unwrap();
    assert!(found.is_empty(), "{found:?}");
    let mut job = Job::new("corpus", "acme", target(), config.clone());
    job.grants.fetch = vec![UrlPrefix::parse(SERVED).unwrap()];
    let lock = engine.resolve(plugin, &job, None).await.unwrap();
    let content = made(engine, plugin, &job, frozen.unwrap_or(&lock)).await;
    let template = TemplatePart::of(&content);
    let body = if lock.needs_instance {
        InstanceBody::Content(&content)
    } else {
        InstanceBody::Template(&template)
    };
    let values = Values {
        instance: who(),
        secrets: Arc::new(|_| Some(Secret::new("not a secret"))),
    };
    let part = InstancePart { step: "step", body };
    let (filled, _) = write_instance(&[part], &values, EPOCH, Vec::new()).unwrap();
    let shared = (!lock.needs_instance).then(|| {
        let (layer, _) = write_shared("step", &content, EPOCH, Vec::new()).unwrap();
        tar_of(&layer)
    });
    Expected {
        lock,
        shared,
        instance: tar_of(&filled),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_component_ever_compiled_for_the_contract_gives_the_same_locks_and_tar_bytes() {
    let state = tempfile::tempdir().unwrap();
    let mut config = EngineConfig::new(
        state.path(),
        compiler(),
        Arc::new(MemoryLastSeen::default()),
    );
    config.clock = Arc::new(|| UNIX_EPOCH + Duration::from_secs(EPOCH));
    config.fetch.buckets = vec![Bucket {
        prefix: UrlPrefix::parse(SERVED).unwrap(),
        store: served().await,
    }];
    let engine = Engine::open(config).unwrap();
    let mut plugins: BTreeMap<String, Plugin> = BTreeMap::new();
    let mut paths: Vec<_> = std::fs::read_dir(corpus().join("cases"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    paths.sort();
    assert!(paths.len() >= 10, "cases are never removed");
    for path in paths {
        let name = path.file_stem().unwrap().to_string_lossy().into_owned();
        let mut case: Case = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
        if !plugins.contains_key(&case.component) {
            let packed = corpus().join(format!("components/{}.wasm.zst", case.component));
            let bytes = zstd::decode_all(&std::fs::read(packed).unwrap()[..]).unwrap();
            let plugin = engine.install(Bytes::from(bytes)).await.unwrap();
            plugins.insert(case.component.clone(), plugin);
        }
        let plugin = &plugins[&case.component];
        assert_eq!(*plugin.digest(), case.digest, "{name}: another component");
        let frozen = case.expected.as_ref().map(|expected| &expected.lock);
        let found = run(&engine, plugin, &case.config, frozen).await;
        match &case.expected {
            Some(expected) => assert_eq!(found, *expected, "{name}"),
            None if std::env::var_os("BOOTSPLICE_BLESS").is_some() => {
                case.expected = Some(found);
                let text = serde_json::to_string_pretty(&case).unwrap() + "\n";
                std::fs::write(&path, text).unwrap();
            }
            None => panic!("{name} expects nothing yet: see the corpus' README"),
        }
    }
}

#[test]
fn every_file_of_the_corpus_is_what_it_was() {
    let listed = std::fs::read_to_string(corpus().join("SHA256SUMS")).unwrap();
    let mut known: BTreeMap<String, String> = BTreeMap::new();
    for line in listed.lines() {
        let (digest, name) = line.split_once("  ").unwrap();
        known.insert(name.to_owned(), digest.to_owned());
    }
    let mut found = BTreeMap::new();
    for place in ["cases", "components", "served"] {
        for entry in std::fs::read_dir(corpus().join(place)).unwrap() {
            let entry = entry.unwrap();
            let name = format!("{place}/{}", entry.file_name().to_string_lossy());
            let digest = Digest::of(&std::fs::read(entry.path()).unwrap());
            found.insert(name, digest.hex());
        }
    }
    assert_eq!(
        found, known,
        "what is there is never changed; what is new is added to SHA256SUMS"
    );
}
