//! Builds what the tests need: the compiler and the hostile guest, each once per run of the tests.

#![allow(dead_code, reason = "each test binary uses its own part")]
#![allow(
    clippy::unwrap_used,
    reason = "helpers of tests fail by panicking, like tests"
)]

pub mod bombs;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, OnceLock};

use bootsplice_content::Digest;
use bootsplice_engine::content::StepContent;
use bootsplice_engine::contract::{OsFamily, StepLock, Target};
use bootsplice_engine::trust::MemoryLastSeen;
use bootsplice_engine::{Engine, EngineConfig, GeneratorError, Job, Level, Observer, Plugin};
use bytes::Bytes;
use parking_lot::Mutex;
use serde_json::Value;
use tokio::sync::OnceCell;

/// An engine in a directory of its own, with the hostile plugin installed.
pub struct Bench {
    pub engine: Engine,
    pub hostile: Plugin,
    pub state: tempfile::TempDir,
}

static INSTALLED: OnceCell<(tempfile::TempDir, Digest)> = OnceCell::const_new();

/// Keeps what a run says.
#[derive(Default)]
pub struct Heard {
    pub lines: Mutex<Vec<String>>,
    pub urls: Mutex<Vec<String>>,
}

// === impl Bench ===

impl Bench {
    pub async fn new() -> Self {
        Self::with(|_| {}).await
    }

    pub async fn with(change: impl FnOnce(&mut EngineConfig)) -> Self {
        // Compiling is slow in a debug build: it is done once, and each bench starts from a copy.
        let first = INSTALLED
            .get_or_init(|| async {
                let state = tempfile::tempdir().unwrap();
                let engine = Engine::open(EngineConfig::new(
                    state.path(),
                    compiler(),
                    Arc::new(MemoryLastSeen::default()),
                ))
                .unwrap();
                let plugin = engine.install(hostile()).await.unwrap();
                (state, *plugin.digest())
            })
            .await;
        let state = tempfile::tempdir().unwrap();
        for name in ["artefacts", "plugins"] {
            std::fs::create_dir(state.path().join(name)).unwrap();
            for file in std::fs::read_dir(first.0.path().join(name)).unwrap() {
                let file = file.unwrap();
                std::fs::copy(file.path(), state.path().join(name).join(file.file_name())).unwrap();
            }
        }
        let mut config = EngineConfig::new(
            state.path(),
            compiler(),
            Arc::new(MemoryLastSeen::default()),
        );
        config.places = 8;
        change(&mut config);
        let engine = Engine::open(config).unwrap();
        let hostile = engine.load(&first.1).await.unwrap();
        Self {
            engine,
            hostile,
            state,
        }
    }

    pub fn job(&self, config: Value) -> Job {
        Job::new("test", "acme", target(), config)
    }

    pub async fn resolve(&self, config: Value) -> Result<StepLock, GeneratorError> {
        self.engine
            .resolve(&self.hostile, &self.job(config), None)
            .await
    }

    /// Resolves and generates with one configuration.
    pub async fn run(&self, config: Value) -> Result<StepContent, GeneratorError> {
        self.run_job(&self.job(config)).await
    }

    pub async fn run_job(&self, job: &Job) -> Result<StepContent, GeneratorError> {
        let lock = self.engine.resolve(&self.hostile, job, None).await?;
        self.engine.generate(&self.hostile, job, &lock, None).await
    }
}

// === impl Heard ===

impl Observer for Heard {
    fn log(&self, _: Level, message: &str, _: &[(String, String)]) {
        self.lines.lock().push(message.to_owned());
    }

    fn fetching(&self, url: &str) {
        self.urls.lock().push(url.to_owned());
    }
}

pub fn heard() -> Arc<Heard> {
    Arc::default()
}

pub fn target() -> Target {
    Target {
        os: OsFamily::Linux,
        distro: "debian".into(),
        release: "bookworm".into(),
        arch: "amd64".into(),
        insertion_point: "base".into(),
        features: vec!["edit-v1".into()],
    }
}

/// The `bootsplice-compile` binary of this workspace.
pub fn compiler() -> PathBuf {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    BUILT
        .get_or_init(|| {
            let target = target_dir();
            cargo(
                &["build", "-p", "bootsplice-compile"],
                &workspace(),
                &target,
            );
            target.join("debug/bootsplice-compile")
        })
        .clone()
}

/// The hostile guest's component.
pub fn hostile() -> Bytes {
    static BUILT: OnceLock<Bytes> = OnceLock::new();
    BUILT
        .get_or_init(|| {
            let target = target_dir().join("guests");
            let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/guests/hostile");
            cargo(
                &["build", "--locked", "--target", "wasm32-wasip2"],
                &source,
                &target,
            );
            std::fs::read(target.join("wasm32-wasip2/debug/hostile.wasm"))
                .unwrap()
                .into()
        })
        .clone()
}

fn cargo(arguments: &[&str], directory: &Path, target: &Path) {
    let status = Command::new(env!("CARGO"))
        .args(arguments)
        .arg("--target-dir")
        .arg(target)
        .current_dir(directory)
        // What cargo told this test about itself is not meant for another build.
        .env_remove("RUSTFLAGS")
        .status()
        .unwrap();
    assert!(
        status.success(),
        "cargo {arguments:?} in {}",
        directory.display()
    );
}

fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// The target directory that this very test lies in: `<target>/debug/deps/<test>`.
fn target_dir() -> PathBuf {
    let test = std::env::current_exe().unwrap();
    test.ancestors().nth(3).unwrap().to_owned()
}
