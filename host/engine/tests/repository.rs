//! What a package generator needs of the engine, from inside a guest with the default limits: a signed file, a large index prepared once and read
//! lazily, and a memory of dates.

#![allow(
    clippy::unwrap_used,
    reason = "helpers of tests fail by panicking, like tests"
)]

mod support;

use std::io::Write;
use std::time::{Duration, UNIX_EPOCH};

use bootsplice_content::Digest;
use bootsplice_engine::contract::StepLock;
use bootsplice_engine::grant::{Grants, UrlPrefix};
use bootsplice_engine::{Job, Limits};
use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::{Value, json};
use support::Bench;

/// Made with GnuPG 2.2, once: `gpg --quick-gen-key 'Archive <archive@example.org>' ed25519 sign never`, then
/// `printf 'Origin: Example\n- dash\nSuite: stable\n' | gpg --clearsign` and `gpg --armor --export`.
const IN_RELEASE: &[u8] = include_bytes!("fixtures/InRelease");
const KEY: &str = include_str!("fixtures/archive-key.asc");

/// An engine, and a directory whose files its jobs may fetch.
struct Mirror {
    bench: Bench,
    files: tempfile::TempDir,
}

// === impl Mirror ===

impl Mirror {
    async fn new() -> Self {
        let files = tempfile::tempdir().unwrap();
        let root = files.path().to_owned();
        let bench = Bench::with(move |config| config.fetch.roots = vec![root]).await;
        Self { bench, files }
    }

    fn put(&self, name: &str, bytes: &[u8]) -> String {
        let path = self.files.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        format!("file://{}", path.display())
    }

    fn job(&self, config: Value) -> Job {
        let mut job = self.bench.job(config);
        let prefix = format!("file://{}/", self.files.path().display());
        job.grants = Grants {
            fetch: vec![UrlPrefix::parse(&prefix).unwrap()],
            ..Grants::default()
        };
        job
    }

    async fn resolve(&self, job: &Job) -> Result<Value, String> {
        let (engine, plugin) = (&self.bench.engine, &self.bench.hostile);
        let lock = engine.resolve(plugin, job, None).await;
        lock.map(|lock| self.said(&lock))
            .map_err(|error| error.code().to_owned())
    }

    /// What the guest put into the lock's state.
    fn said(&self, lock: &StepLock) -> Value {
        let found = self
            .bench
            .engine
            .blobs()
            .admitted([&lock.scope], &lock.state.unwrap());
        let (blob, _) = found.unwrap().unwrap();
        serde_json::from_slice(&blob.to_bytes().unwrap()).unwrap()
    }
}

/// Lines as an index has them: names that repeat, digests that do not. In gzip members of 1 MiB, each the same.
fn packages() -> (Vec<u8>, Vec<u8>) {
    let mut text = Vec::new();
    for number in 0_u64.. {
        let digest = Digest::of(&number.to_le_bytes()).hex();
        let stanza = format!(
            "Package: package-{number}\nArchitecture: amd64\nDepends: libc6 (>= 2.36), libgcc-s1, zlib1g\nDescription: one of the packages of this test\nFilename: pool/main/p/package-{number}.deb\nSHA256: {digest}\n\n"
        );
        if text.len() + stanza.len() > 1 << 20 {
            break;
        }
        text.extend_from_slice(stanza.as_bytes());
    }
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(&text).unwrap();
    (text, encoder.finish().unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_index_of_30_mb_is_prepared_once_and_read_lazily_within_the_default_limits() {
    let mirror = Mirror::new().await;
    let (text, member) = packages();
    let url = mirror.put("Packages.gz", &member.repeat(50));
    // The guest never holds what it works on.
    let limits = Limits {
        memory: 16 << 20,
        ..Limits::default()
    };
    let mut prepare = mirror.job(json!({"resolve": "prepare", "urls": [url]}));
    prepare.limits = limits.clone();
    let said = mirror.resolve(&prepare).await.unwrap();
    assert_eq!(said["plain"], text.len() * 50);
    let plain = Digest::of(&text.repeat(50)).to_string();
    assert_eq!(said["sha256"], plain);
    assert_eq!(said["index"], 30 << 20);
    let mut look_up = mirror.job(json!({"resolve": "look-up"}));
    look_up.limits = limits;
    let said = mirror.resolve(&look_up).await.unwrap();
    assert_eq!(said["read"], 1000 * 4096);
    assert!(said["read"].as_u64().unwrap() < 5_000_000);
    assert_eq!(said["calls"], 20);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_generator_gets_only_signed_text_and_is_refused_by_a_stable_code() {
    let mirror = Mirror::new().await;
    let good = mirror.put("InRelease", IN_RELEASE);
    let ask =
        |url: &str| json!({"resolve": "verify", "urls": [url], "keys": KEY, "date": 1_700_000_000});
    let said = mirror.resolve(&mirror.job(ask(&good))).await.unwrap();
    assert_eq!(said["text"], "Origin: Example\n- dash\nSuite: stable\n");
    assert_eq!(said["signer"].as_str().unwrap().len(), 40);
    let text = String::from_utf8(IN_RELEASE.to_vec()).unwrap();
    for (name, bytes, code) in [
        (
            "tampered",
            text.replace("stable", "unstab"),
            "signature-bad",
        ),
        (
            "prefixed",
            format!("Suite: evil\n{text}"),
            "signature-unsigned-bytes",
        ),
        ("twice", text.repeat(2), "signature-unsigned-bytes"),
        (
            "cut",
            text[..text.len() / 2].to_owned(),
            "signature-malformed",
        ),
        ("plain", "Suite: stable\n".to_owned(), "signature-missing"),
    ] {
        let url = mirror.put(name, bytes.as_bytes());
        assert_eq!(
            mirror.resolve(&mirror.job(ask(&url))).await.unwrap_err(),
            code
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_date_is_remembered_across_runs_only_when_the_run_answered_a_lock() {
    let mirror = Mirror::new().await;
    let url = mirror.put("InRelease", IN_RELEASE);
    let ask = |date: u64, fail: bool| {
        mirror.job(
            json!({"resolve": "verify", "urls": [url], "keys": KEY, "date": date, "fail": fail}),
        )
    };
    let seen = async |date, fail| {
        mirror
            .resolve(&ask(date, fail))
            .await
            .map(|said| said["seen"].clone())
    };
    assert_eq!(
        seen(1_700_000_000, true).await.unwrap_err(),
        "generator-fault"
    );
    assert_eq!(seen(1_600_000_000, false).await.unwrap(), Value::Null);
    assert_eq!(seen(1_500_000_000, false).await.unwrap(), 1_600_000_000);
    assert_eq!(seen(1_500_000_000, false).await.unwrap(), 1_600_000_000);
    // The host's clock is the judge, whatever the guest believes.
    let future = UNIX_EPOCH.elapsed().unwrap() + Duration::from_secs(3600);
    let refused = seen(future.as_secs(), false).await.unwrap_err();
    assert_eq!(refused, "signature-from-the-future");
    // Another tenant starts afresh.
    let mut other = ask(1_500_000_000, false);
    other.tenant = "evil".into();
    assert_eq!(mirror.resolve(&other).await.unwrap()["seen"], Value::Null);
}
