//! The engine: installs plugins and runs them.

mod calls;
mod install;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crate::artefact::Artefacts;
use crate::blobs::{BlobStore, private_dir};
use crate::cache::PluginCache;
use crate::clock::{Clock, system_clock};
use crate::compiler::Compiler;
use crate::counters::{Counted, Counters};
use crate::error::EngineError;
use crate::fetch::{FetchPolicy, Fetcher};
use crate::metering::Metering;
use crate::run::{Run, Sandbox, Services};
use crate::trust::LastSeen;
use crate::{pool, v0_1};

/// How an engine is set up.
#[derive(Clone)]
pub struct EngineConfig {
    /// Private directory for components, artefacts and blobs.
    pub state: PathBuf,
    /// The `bootsplice-compile` binary.
    pub compiler: PathBuf,
    /// Runs at a time.
    pub places: u32,
    /// Longest compilation.
    pub compile_wall: Duration,
    pub fetch: FetchPolicy,
    pub clock: Clock,
    /// The replay guard's memory; it must outlive the process.
    pub last_seen: Arc<dyn LastSeen>,
    /// Hears what each call used. Code that counts is slower and compiled apart; none, in a host that serves.
    pub metering: Option<Arc<dyn Metering>>,
}

/// Runs generators. Cheap to clone; all clones share one pool and one store.
#[derive(Clone)]
pub struct Engine(Arc<Inner>);

struct Inner {
    sandbox: Sandbox,
    linker: wasmtime::component::Linker<Run>,
    artefacts: Artefacts,
    compiler: Compiler,
    services: Services,
    plugins: PathBuf,
    counters: Arc<Counters>,
    clock: Clock,
}

// === impl EngineConfig ===

impl EngineConfig {
    /// The defaults: 64 places, the public network only, the system's clock.
    pub fn new(
        state: impl Into<PathBuf>,
        compiler: impl Into<PathBuf>,
        last_seen: Arc<dyn LastSeen>,
    ) -> Self {
        Self {
            state: state.into(),
            compiler: compiler.into(),
            places: 64,
            compile_wall: Duration::from_secs(120),
            fetch: FetchPolicy::default(),
            clock: system_clock(),
            last_seen,
            metering: None,
        }
    }
}

// === impl Engine ===

impl Engine {
    /// Opens or makes the state directory and starts the sandbox. Call it once per directory.
    pub fn open(config: EngineConfig) -> Result<Self, EngineError> {
        // Another crate may have chosen a provider before; theirs will do.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let setup = |error: wasmtime::Error| EngineError::Setup(format!("{error:#}"));
        let state = &config.state;
        let plugins = state.join("plugins");
        private_dir(&plugins).map_err(EngineError::io(format!("making {}", plugins.display())))?;
        let store = BlobStore::open(state).map_err(EngineError::io("opening the blob store"))?;
        let metered = config.metering.is_some();
        let engine = pool::engine(config.places.clamp(1, 1024), metered).map_err(setup)?;
        let counters = Arc::new(Counters::default());
        let cache = PluginCache::open(state, store.clone(), config.clock.clone())
            .map_err(EngineError::io("opening the plugins' cache"))?;
        Ok(Self(Arc::new(Inner {
            linker: v0_1::linker(&engine).map_err(setup)?,
            artefacts: Artefacts::open(state, metered)?,
            compiler: Compiler::new(config.compiler, config.compile_wall, metered),
            services: Services {
                fetcher: Fetcher::open(state, store.clone(), config.fetch, config.clock.clone())?,
                store,
                cache,
                clock: config.clock.clone(),
                last_seen: config.last_seen,
            },
            sandbox: Sandbox::start(
                engine,
                config.places.clamp(1, 1024) as usize,
                counters.clone(),
                config.metering,
            )
            .map_err(EngineError::io("starting the epoch thread"))?,
            plugins,
            counters,
            clock: config.clock,
        })))
    }

    /// Blobs of all runs.
    pub fn blobs(&self) -> &BlobStore {
        &self.0.services.store
    }

    pub fn counters(&self) -> Counted {
        self.0.counters.look()
    }
}
