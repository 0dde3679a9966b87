//! The engine: installs plugins and runs them.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, UNIX_EPOCH};

use bootsplice_content::Digest;
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use wasmtime::component::Component;

use crate::artefact::Artefacts;
use crate::blobs::{BlobStore, private_dir};
use crate::cache::PluginCache;
use crate::clock::{Clock, system_clock};
use crate::compiler::Compiler;
use crate::content::StepContent;
use crate::contract::{Descriptor, Diagnostic, Instance, Severity, StepLock, Target};
use crate::counters::{Counted, Counters};
use crate::error::{EngineError, GeneratorError};
use crate::fetch::{FetchPolicy, Fetcher};
use crate::inspection::Inspection;
use crate::job::Job;
use crate::limits::Limits;
use crate::plugin::Plugin;
use crate::run::{Access, Caller, Phase, Run, Sandbox, Services};
use crate::trust::LastSeen;
use crate::v0_1::{self, Guest};
use crate::{key, pool};

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

/// What is kept of an installed plugin beside its component and its artefact.
#[derive(Serialize, Deserialize)]
struct Installed {
    inspection: Inspection,
    descriptor: Descriptor,
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
        let engine = pool::engine(config.places.clamp(1, 1024)).map_err(setup)?;
        let counters = Arc::new(Counters::default());
        let cache = PluginCache::open(state, store.clone(), config.clock.clone())
            .map_err(EngineError::io("opening the plugins' cache"))?;
        Ok(Self(Arc::new(Inner {
            linker: v0_1::linker(&engine).map_err(setup)?,
            artefacts: Artefacts::open(state)?,
            compiler: Compiler::new(config.compiler, config.compile_wall),
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
            )
            .map_err(EngineError::io("starting the epoch thread"))?,
            plugins,
            counters,
            clock: config.clock,
        })))
    }

    /// Compiles a component in a limited child, asks it to describe itself, checks the answer, and keeps it all. Installing the same bytes
    /// again gives the same plugin.
    pub async fn install(&self, component: Bytes) -> Result<Plugin, EngineError> {
        let digest = Digest::of(&component);
        let inspection = self.compile(&digest, &component).await?;
        let loaded = self.0.artefacts.load(self.0.sandbox.engine(), &digest)?;
        let ready = self.prepare(&loaded)?;
        let descriptor = self
            .describe(&digest, &ready)
            .await
            .map_err(|error| EngineError::Describe(Box::new(error)))?;
        let installed = Installed {
            inspection: inspection.clone(),
            descriptor: descriptor.clone(),
        };
        let plugin =
            Plugin::new(digest, inspection, descriptor, ready).map_err(EngineError::Refused)?;
        self.keep(&digest, "wasm", &component)?;
        let record = serde_json::to_vec_pretty(&installed)
            .map_err(|error| EngineError::Setup(error.to_string()))?;
        self.keep(&digest, "json", &record)?;
        Ok(plugin)
    }

    /// A plugin that was installed before, on this or an earlier start. An artefact of another release is compiled anew.
    pub async fn load(&self, digest: &Digest) -> Result<Plugin, EngineError> {
        let record = self.kept(digest, "json")?;
        let installed: Installed =
            serde_json::from_slice(&record).map_err(|error| EngineError::Artefact {
                plugin: *digest,
                reason: format!("its record is not readable: {error}"),
            })?;
        let component = match self.0.artefacts.load(self.0.sandbox.engine(), digest) {
            Ok(component) => component,
            Err(EngineError::Artefact { .. } | EngineError::NotInstalled(_)) => {
                let bytes = Bytes::from(self.kept(digest, "wasm")?);
                if Digest::of(&bytes) != *digest {
                    return Err(EngineError::Artefact {
                        plugin: *digest,
                        reason: "its component was changed".into(),
                    });
                }
                self.compile(digest, &bytes).await?;
                self.0.artefacts.load(self.0.sandbox.engine(), digest)?
            }
            Err(other) => return Err(other),
        };
        let ready = self.prepare(&component)?;
        Plugin::new(*digest, installed.inspection, installed.descriptor, ready)
            .map_err(EngineError::Refused)
    }

    /// Where `config` is wrong: by the plugin's schema and, when that holds, by the plugin itself. `target` is none while a profile is saved.
    pub async fn validate(
        &self,
        plugin: &Plugin,
        target: Option<&Target>,
        config: &Value,
    ) -> Result<Vec<Diagnostic>, GeneratorError> {
        let found = plugin.check_schema(config);
        if !found.is_empty() {
            return Ok(found);
        }
        let run = self.pure("validate", plugin.digest());
        let text = key::canonical(config);
        let target = target.map(|target| Guest::target(target, 0));
        let (found, _) = self
            .0
            .sandbox
            .call(plugin.ready(), run, async |world, store| {
                world
                    .bootsplice_generator_plugin_info()
                    .call_validate(store, target.as_ref(), &text)
                    .await
            })
            .await?;
        Ok(Guest::diagnostics(found))
    }

    /// Decides every artefact of a step: the lock. `previous` is the lock that is being renewed.
    pub async fn resolve(
        &self,
        plugin: &Plugin,
        job: &Job,
        previous: Option<&StepLock>,
    ) -> Result<StepLock, GeneratorError> {
        check_config(plugin, &job.config)?;
        let epoch = (self.0.clock)()
            .duration_since(UNIX_EPOCH)
            .map_or(0, |since| since.as_secs());
        let seed = seed(plugin, job, "resolve", epoch, None);
        let mut run = Run::new(
            Phase::Resolve,
            Access::from(job),
            &self.0.services,
            Caller::of(plugin),
            epoch,
            &seed,
        );
        let previous = previous.map(|lock| run.lock_in(lock)).transpose()?;
        let target = Guest::target(&job.target, epoch);
        let config = key::canonical(&job.config);
        self.0.counters.resolves.fetch_add(1, Ordering::Relaxed);
        let (answer, run) = self
            .0
            .sandbox
            .call(plugin.ready(), run, async |world, store| {
                world
                    .bootsplice_generator_generator()
                    .call_resolve(store, &target, &config, previous.as_ref())
                    .await
            })
            .await?;
        let lock_file = answer.map_err(Guest::error)?;
        run.lock_out(lock_file, *plugin.digest(), epoch).await
    }

    /// Makes the content of a step from its lock. `instance` is given when the lock says `needs_instance`, and only then seen by the guest.
    pub async fn generate(
        &self,
        plugin: &Plugin,
        job: &Job,
        lock: &StepLock,
        instance: Option<&Instance>,
    ) -> Result<StepContent, GeneratorError> {
        check_config(plugin, &job.config)?;
        if lock.plugin != *plugin.digest() {
            return Err(GeneratorError::Unsupported(format!(
                "the lock was made by plugin {}, not by {}; make a new one",
                lock.plugin,
                plugin.digest()
            )));
        }
        let who = match (lock.needs_instance, instance) {
            (true, None) => {
                return Err(GeneratorError::Unsupported(
                    "this step needs an instance; none was given".into(),
                ));
            }
            (true, Some(instance)) => Some(instance),
            (false, _) => None,
        };
        let seed = seed(plugin, job, "generate", lock.epoch, who);
        let mut run = Run::new(
            Phase::Generate,
            Access::from(job),
            &self.0.services,
            Caller::of(plugin),
            lock.epoch,
            &seed,
        );
        run.reach.pins = lock
            .pins
            .iter()
            .map(|pin| (pin.digest, pin.clone()))
            .collect();
        let step = run.open_step(job.target.os, plugin.secrets_in(&job.config));
        let locked = run.lock_in(lock)?;
        let sink = run.sink_in(step.clone())?;
        let target = Guest::target(&job.target, lock.epoch);
        let config = key::canonical(&job.config);
        let who = who.map(Guest::instance);
        let counter = if lock.needs_instance {
            &self.0.counters.instance_generates
        } else {
            &self.0.counters.shared_generates
        };
        counter.fetch_add(1, Ordering::Relaxed);
        let outcome = self
            .0
            .sandbox
            .call(plugin.ready(), run, async |world, store| {
                world
                    .bootsplice_generator_generator()
                    .call_generate(store, &target, &config, &locked, who.as_ref(), sink)
                    .await
            })
            .await;
        // A limit on the output explains whatever came after it.
        if let Some(broken) = step.lock().broken() {
            return Err(broken.clone());
        }
        let (answer, run) = outcome?;
        let summary = answer.map_err(Guest::error)?;
        drop(run);
        let step = Arc::into_inner(step)
            .ok_or_else(|| {
                GeneratorError::Host("a step is still being written after its run".into())
            })?
            .into_inner();
        step.finish(Guest::summary(summary))
    }

    /// Blobs of all runs.
    pub fn blobs(&self) -> &BlobStore {
        &self.0.services.store
    }

    pub fn counters(&self) -> Counted {
        self.0.counters.look()
    }

    async fn compile(&self, digest: &Digest, component: &Bytes) -> Result<Inspection, EngineError> {
        let (artefact, inspection) = self.0.compiler.compile(component).await?;
        self.0.artefacts.put(digest, &artefact)?;
        Ok(inspection)
    }

    fn prepare(&self, component: &Component) -> Result<v0_1::PluginPre<Run>, EngineError> {
        self.0
            .linker
            .instantiate_pre(component)
            .and_then(v0_1::prepare)
            .map_err(|error| {
                EngineError::Refused(format!("it does not fit the contract: {error:#}"))
            })
    }

    async fn describe(
        &self,
        digest: &Digest,
        ready: &v0_1::PluginPre<Run>,
    ) -> Result<Descriptor, GeneratorError> {
        let run = self.pure("describe", digest);
        let (told, _) = self
            .0
            .sandbox
            .call(ready, run, async |world, store| {
                world
                    .bootsplice_generator_plugin_info()
                    .call_describe(store)
                    .await
            })
            .await?;
        Guest::descriptor(told).map_err(GeneratorError::Fault)
    }

    fn pure(&self, name: &str, plugin: &Digest) -> Run {
        let access = Access::nothing(name, Limits::pure());
        let caller = Caller {
            plugin,
            generator: "",
        };
        Run::new(Phase::Pure, access, &self.0.services, caller, 0, plugin)
    }

    fn keep(&self, digest: &Digest, kind: &str, bytes: &[u8]) -> Result<(), EngineError> {
        let path = self.path(digest, kind);
        let write = || -> std::io::Result<()> {
            let mut aside = self.0.services.store.aside()?;
            std::io::Write::write_all(&mut aside, bytes)?;
            aside.as_file().sync_all()?;
            aside.persist(&path)?;
            std::fs::File::open(&self.0.plugins)?.sync_all()
        };
        write().map_err(EngineError::io(format!("writing {}", path.display())))
    }

    fn kept(&self, digest: &Digest, kind: &str) -> Result<Vec<u8>, EngineError> {
        let path = self.path(digest, kind);
        match std::fs::read(&path) {
            Ok(bytes) => Ok(bytes),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                Err(EngineError::NotInstalled(*digest))
            }
            Err(error) => Err(EngineError::io(format!("reading {}", path.display()))(
                error,
            )),
        }
    }

    fn path(&self, digest: &Digest, kind: &str) -> PathBuf {
        Path::new(&self.0.plugins).join(format!("{}.{kind}", digest.hex()))
    }
}

fn check_config(plugin: &Plugin, config: &Value) -> Result<(), GeneratorError> {
    let found = plugin.check_schema(config);
    if found.iter().any(|found| found.severity == Severity::Error) {
        return Err(GeneratorError::InvalidConfig(found));
    }
    Ok(())
}

/// The seed of a run's randomness: the same inputs see the same numbers.
fn seed(plugin: &Plugin, job: &Job, phase: &str, epoch: u64, who: Option<&Instance>) -> Digest {
    key::canonical_digest(&(
        "bootsplice/seed/v1",
        plugin.digest(),
        phase,
        key::canonical(&job.config),
        &job.target,
        epoch,
        who,
    ))
}
