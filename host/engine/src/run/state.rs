//! What a store holds while a guest runs: the job's access, and what it used up so far.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use bootsplice_content::Digest;
use parking_lot::Mutex;
use tokio_util::sync::CancellationToken;
use wasmtime::component::ResourceTable;
use wasmtime_wasi::{WasiCtx, WasiCtxView, WasiView};

use super::memory::MemoryLimit;
use super::{Log, wasi};
use crate::blobs::{Blob, BlobStore, Scope};
use crate::cache::PluginCache;
use crate::clock::Clock;
use crate::content::{StepBuilder, StepLimits};
use crate::contract::{Inventory, OsFamily, Pin, Quota};
use crate::error::GeneratorError;
use crate::fetch::{Asker, Fetched, Fetcher, Meter, Wanted};
use crate::grant::Grants;
use crate::job::{Job, Observer, Traced};
use crate::limits::Limits;
use crate::plugin::Plugin;
use crate::secret::{Secrets, no_secrets};
use crate::tape::{Asked, Outside};
use crate::trust::{LastSeen, Seen};

/// What a call may do (rule 16). All imports are linked; this denies by call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Only `job`.
    Describe,
    /// Only `job`.
    Validate,
    /// Network by grant, inventory, cache.
    Resolve,
    /// Pinned fetches only, no cache.
    Generate,
}

/// The caller's half of a run.
#[derive(Clone)]
pub struct Access {
    pub tenant: String,
    pub grants: Grants,
    pub secrets: Secrets,
    pub inventory: Arc<Inventory>,
    pub limits: Limits,
    pub cancel: CancellationToken,
    pub observer: Arc<dyn Observer>,
    pub outside: Outside,
}

/// How far a run reaches beyond its sandbox: its phase, the caller's grants, the pins, and what it may still fetch. Apart from the rest of
/// a run because fetches run in parallel over it.
pub struct Reach {
    pub phase: Phase,
    pub access: Access,
    /// In `generate`: what the lock pins, by digest.
    pub pins: HashMap<Digest, Pin>,
    fetcher: Fetcher,
    meter: Meter,
}

/// The data of a store.
pub struct Run {
    pub reach: Reach,
    pub table: ResourceTable,
    pub memory: MemoryLimit,
    pub log: Log,
    pub store: BlobStore,
    /// In `generate`: where content goes.
    pub step: Option<Arc<Mutex<StepBuilder>>>,
    /// In which scope each fetched digest was reached, for the pins of the lock.
    pub reached: HashMap<Digest, Scope>,
    /// The scope of everything fetched so far together.
    pub scope: Scope,
    /// Set when the table of handles was full.
    pub handles_refused: bool,
    /// The host's real time, by which signatures are judged.
    pub clock: Clock,
    pub seen: Seen,
    cache: PluginCache,
    scratch: u64,
    cached: u64,
    wasi: WasiCtx,
}

/// What every run of an engine shares.
#[derive(Clone)]
pub struct Services {
    pub store: BlobStore,
    pub fetcher: Fetcher,
    pub cache: PluginCache,
    pub clock: Clock,
    pub last_seen: Arc<dyn LastSeen>,
}

/// Which plugin runs.
#[derive(Clone, Copy)]
pub struct Caller<'a> {
    pub plugin: &'a Digest,
    /// What it calls itself; empty while it was not yet asked.
    pub generator: &'a str,
}

// === impl Phase ===

impl Phase {
    /// The contract's name of the call.
    pub fn call(self) -> &'static str {
        match self {
            Self::Describe => "describe",
            Self::Validate => "validate",
            Self::Resolve => "resolve",
            Self::Generate => "generate",
        }
    }
}

// === impl Access ===

impl Access {
    /// Of a pure call: nothing.
    pub fn nothing(name: &str, limits: Limits) -> Self {
        Self {
            tenant: String::new(),
            grants: Grants::default(),
            secrets: no_secrets(),
            inventory: Arc::default(),
            limits,
            cancel: CancellationToken::new(),
            observer: Arc::new(Traced(name.to_owned())),
            outside: Outside::default(),
        }
    }
}

impl From<&Job> for Access {
    fn from(job: &Job) -> Self {
        Self {
            tenant: job.tenant.clone(),
            grants: job.grants.clone(),
            secrets: job.secrets.clone(),
            inventory: job.inventory.clone(),
            limits: job.limits.clone(),
            cancel: job.cancel.clone(),
            observer: job.observer.clone(),
            outside: job.tape.clone().into(),
        }
    }
}

// === impl Caller ===

impl<'a> Caller<'a> {
    pub fn of(plugin: &'a Plugin) -> Self {
        Self {
            plugin: plugin.digest(),
            generator: &plugin.descriptor().id,
        }
    }
}

// === impl Reach ===

impl Reach {
    /// Refuses a call that belongs to another phase.
    pub fn only_in(&self, phases: &[Phase], what: &str) -> Result<(), GeneratorError> {
        if self.access.cancel.is_cancelled() {
            return Err(GeneratorError::Cancelled);
        }
        if phases.contains(&self.phase) {
            Ok(())
        } else {
            Err(GeneratorError::Denied(format!(
                "{what} cannot be used in this phase ({})",
                self.phase.call()
            )))
        }
    }

    /// Fetches by the rules of the phase.
    pub async fn fetch(&self, wanted: &Wanted) -> Result<Fetched, GeneratorError> {
        self.only_in(&[Phase::Resolve, Phase::Generate], "fetch")?;
        let pinned;
        let wanted = match self.phase {
            Phase::Generate => {
                pinned = self.pinned(wanted)?;
                &pinned
            }
            _ => wanted,
        };
        let asker = Asker {
            tenant: &self.access.tenant,
            grants: &self.access.grants,
            secrets: &self.access.secrets,
            meter: &self.meter,
            observer: self.access.observer.as_ref(),
        };
        self.fetcher.fetch(&asker, wanted).await
    }

    /// Counts an answer that was replayed, as the real one was counted.
    pub fn count(&self, replayed: u64) -> Result<(), GeneratorError> {
        self.meter.fetch()?;
        self.meter.bytes(replayed)
    }

    /// Fetches and bytes so far.
    pub fn fetched(&self) -> (u64, u64) {
        self.meter.taken()
    }

    /// The scope that a URL is reached in without a credential.
    pub async fn scope_of(
        &self,
        url: &url::Url,
        store: &BlobStore,
    ) -> Result<Scope, GeneratorError> {
        let asked = || {
            Ok(Asked::Scope {
                url: url.to_string(),
            })
        };
        let real = async {
            let scope = self.fetcher.scope(&self.access.tenant, url, None).await;
            Ok((None, scope))
        };
        let (_, scope) = self.access.outside.exchange(store, asked, real).await?;
        Ok(scope)
    }

    /// In `generate` the lock decides what and whence; the guest only names the digest.
    fn pinned(&self, wanted: &Wanted) -> Result<Wanted, GeneratorError> {
        let digest = wanted.digest.ok_or_else(|| {
            GeneratorError::Denied("in generate a fetch names the digest of a pin".into())
        })?;
        let pin = self
            .pins
            .get(&digest)
            .ok_or_else(|| GeneratorError::Denied(format!("{digest} is not in the lock")))?;
        Ok(Wanted {
            urls: pin.urls.clone(),
            digest: Some(digest),
            size: Some(pin.size),
            max_size: pin.size,
            credential: wanted.credential.clone(),
            max_age: None,
        })
    }
}

// === impl Run ===

impl Run {
    /// `epoch` is the guest's clock, `seed` its randomness.
    pub fn new(
        phase: Phase,
        access: Access,
        services: &Services,
        caller: Caller<'_>,
        epoch: u64,
        seed: &Digest,
    ) -> Self {
        let limits = &access.limits;
        let log = Log::new(access.observer.clone(), limits.log_bytes);
        let mut table = ResourceTable::new();
        // WASI's own streams and clocks take handles as well.
        table.set_max_capacity(limits.handles as usize + 256);
        Self {
            table,
            memory: MemoryLimit::new(limits.memory),
            wasi: wasi::context(epoch, seed, &log),
            log,
            store: services.store.clone(),
            step: None,
            reached: HashMap::new(),
            scope: Scope::Public,
            handles_refused: false,
            clock: services.clock.clone(),
            seen: Seen::new(services.last_seen.clone(), &access.tenant, caller.generator),
            cache: services.cache.of(&access.tenant, caller.plugin),
            scratch: limits.scratch_bytes,
            cached: limits.cache_bytes,
            reach: Reach {
                phase,
                pins: HashMap::new(),
                fetcher: services.fetcher.clone(),
                meter: Meter::new(limits.fetches, limits.fetch_bytes),
                access,
            },
        }
    }

    pub fn outside(&self) -> Outside {
        self.reach.access.outside.clone()
    }

    /// Opens the step that `generate` fills.
    pub fn open_step(
        &mut self,
        os: OsFamily,
        secrets: BTreeSet<String>,
    ) -> Arc<Mutex<StepBuilder>> {
        let limits = StepLimits {
            bytes: self.reach.access.limits.output_bytes,
            entries: self.reach.access.limits.output_entries,
            secrets,
        };
        let step = Arc::new(Mutex::new(StepBuilder::new(os, limits)));
        self.step = Some(step.clone());
        step
    }

    /// Counts bytes of blobs that the guest has made.
    pub fn scratch(&mut self, bytes: u64) -> Result<(), GeneratorError> {
        self.scratch = self.scratch.checked_sub(bytes).ok_or_else(|| {
            GeneratorError::quota(
                Quota::OutputBytes,
                "no more bytes for blobs made in this run",
            )
        })?;
        Ok(())
    }

    /// Bytes that blobs made by the guest may still take.
    pub fn scratch_left(&self) -> u64 {
        self.scratch
    }

    /// Notes that something of `scope` went into this run.
    pub fn widen(&mut self, scope: &Scope) {
        let held = std::mem::replace(&mut self.scope, Scope::Public);
        self.scope = held.and(scope);
    }

    /// Notes where fetched bytes came from.
    pub fn note(&mut self, fetched: &Fetched) {
        self.widen(&fetched.scope);
        if let Some(digest) = fetched.content.known_digest() {
            self.reached.insert(digest, fetched.scope.clone());
        }
    }

    /// A value of the plugin's cache, which brings the scope that it was made in.
    pub async fn cache_get(&mut self, key: &str) -> Result<Option<Blob>, GeneratorError> {
        if self.reach.phase != Phase::Resolve {
            return Ok(None);
        }
        let asked = || {
            Ok(Asked::CacheGet {
                key: key.to_owned(),
            })
        };
        let real = async { Ok(self.cache.get(key).unzip()) };
        let (value, scope) = self.outside().exchange(&self.store, asked, real).await?;
        if let Some(scope) = &scope {
            self.widen(scope);
        }
        Ok(value)
    }

    pub async fn cache_put(
        &mut self,
        key: &str,
        value: &Blob,
        ttl: Option<u32>,
    ) -> Result<(), GeneratorError> {
        self.reach.only_in(&[Phase::Resolve], "the cache")?;
        self.cached = self.cached.checked_sub(value.size()).ok_or_else(|| {
            GeneratorError::quota(Quota::CacheBytes, "no more bytes for the cache in this run")
        })?;
        let asked = || {
            Ok(Asked::CachePut {
                key: key.to_owned(),
            })
        };
        let real = async {
            self.cache.put(key, value, ttl, &self.scope)?;
            Ok((None, ()))
        };
        self.outside().exchange(&self.store, asked, real).await?;
        Ok(())
    }
}

impl WasiView for Run {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView {
            ctx: &mut self.wasi,
            table: &mut self.table,
        }
    }
}
