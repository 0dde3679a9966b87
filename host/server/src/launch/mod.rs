//! Launches: one instance's run of a plan into a sink.
//!
//! | room | what is in it |
//! |---|---|
//! | [`request`], [`record`], [`ledger`] | what is asked, what is durable, how it changes |
//! | [`prepare`], [`lock`] | everything looked up and every step locked before anything is recorded |
//! | [`content`], [`layers`], [`archive`] | the content track: generators, cached layers, signed archives |
//! | [`work`], [`live`] | the stream track and the worker that joins both |
//! | [`report`], [`events`], [`plan`], [`recording`], [`metrics`] | what others see |
//! | `upkeep` | what time takes away |

pub mod archive;
pub mod content;
pub mod events;
mod keyed;
pub mod layers;
pub mod ledger;
pub mod live;
pub mod lock;
pub mod metrics;
pub mod plan;
pub mod prepare;
pub mod record;
pub mod recording;
pub mod report;
pub mod request;
mod upkeep;
pub mod work;

use std::collections::HashMap;
use std::ops::Deref;
use std::path::PathBuf;
use std::sync::{Arc, Weak};

use bootsplice_blocks::{Cache, CacheConfig, DiskConfig, Origin, Patience, Volume, open_store};
use bootsplice_content::Digest;
use bootsplice_sinks::Midstates;
use bootsplice_store::Seal;
use parking_lot::Mutex;
use tokio::sync::Semaphore;

use self::events::Events;
use self::keyed::KeyedLocks;
use self::layers::LayerCache;
use self::ledger::{Ledger, LedgerError};
use self::live::Live;
use self::lock::Locks;
use self::metrics::LaunchMetrics;
use self::report::ReportTokens;
use tokio_util::sync::CancellationToken;

use crate::app::AppState;
use crate::auth::Tenant;
use crate::clock::{Clock, Entropy};
use crate::config::Config;
use crate::keys::Keyring;
use crate::plugins::Installed;
use crate::profile::Profiles;
use crate::secret::Secrets;

/// The launches of one host. Cheap to clone.
#[derive(Clone)]
pub struct Launches(Arc<Inner>);

/// What all launches share.
pub struct Inner {
    pub app: Host,
    pub installed: Installed,
    pub ledger: Ledger,
    pub locks: Locks,
    pub events: Events,
    pub reports: ReportTokens,
    pub metrics: LaunchMetrics,
    /// The store of base volumes, where the operator named one.
    origin: Option<Arc<Origin>>,
    cache: Arc<Cache>,
    layers: Arc<LayerCache>,
    midstates: Midstates,
    /// Volumes that launches hold open, by id and placement.
    volumes: Mutex<HashMap<(Digest, u32), Weak<Volume>>>,
    /// Launches that somebody works on or reads.
    live: Mutex<HashMap<String, Arc<Live>>>,
    resolving: KeyedLocks<String>,
    reviving: KeyedLocks<String>,
    /// Launches that run at a time.
    places: Arc<Semaphore>,
    /// Where recordings lie while they are made and sent.
    recordings: PathBuf,
}

/// What launches need of their host. The host owns its launches, so they hold its parts and not itself.
pub struct Host {
    pub config: Config,
    pub profiles: Profiles,
    pub secrets: Secrets,
    pub keys: Keyring,
    pub clock: Arc<dyn Clock>,
    pub entropy: Arc<dyn Entropy>,
    pub shutdown: CancellationToken,
}

// === impl Launches ===

impl Deref for Launches {
    type Target = Inner;

    fn deref(&self) -> &Inner {
        &self.0
    }
}

impl Launches {
    /// Opens caches and store; nothing runs yet. Blocking.
    pub fn open(app: &AppState, installed: Installed) -> anyhow::Result<Self> {
        let config = &app.config;
        let origin = match &config.volumes {
            Some(url) => {
                let store = open_store(url.as_str(), std::env::vars())?;
                Some(Arc::new(Origin::new(store, Patience::default())))
            }
            None => None,
        };
        let disk = (config.limits.disk_cache.0 > 0).then(|| DiskConfig {
            directory: app.state.cache(),
            bytes: config.limits.disk_cache.0,
            sync: false,
        });
        let cache = Cache::open(CacheConfig {
            ram_bytes: config.limits.memory_cache.0,
            disk,
            ..CacheConfig::default()
        })?;
        let layers = LayerCache::open(app.state.root().join("layers"), app.clock.clone())?;
        let key = report_key(app)?;
        let metrics = LaunchMetrics::new(&app.metrics, cache.clone(), installed.engine().clone());
        Ok(Self(Arc::new(Inner {
            app: Host {
                config: config.clone(),
                profiles: app.profiles.clone(),
                secrets: app.secrets.clone(),
                keys: app.keys.clone(),
                clock: app.clock.clone(),
                entropy: app.entropy.clone(),
                shutdown: app.shutdown.clone(),
            },
            installed,
            ledger: Ledger::new(app.store.clone()),
            locks: Locks::new(app.store.clone()),
            events: Events::default(),
            reports: ReportTokens::new(key),
            metrics,
            origin,
            cache,
            layers: Arc::new(layers),
            midstates: Midstates::default(),
            volumes: Mutex::default(),
            live: Mutex::default(),
            resolving: KeyedLocks::default(),
            reviving: KeyedLocks::default(),
            places: Arc::new(Semaphore::new(config.limits.launches.max(1))),
            recordings: fresh(app.state.root().join("recordings"))?,
        })))
    }

    pub fn cache(&self) -> &Arc<Cache> {
        &self.cache
    }

    pub fn origin(&self) -> Option<&Arc<Origin>> {
        self.origin.as_ref()
    }

    /// The working half of a launch, when it has one now.
    pub fn at_work(&self, id: &str) -> Option<Arc<Live>> {
        self.live.lock().get(id).cloned()
    }

    /// How many launches of `tenant` are not final.
    pub async fn unfinished_of(&self, tenant: &str) -> Result<usize, LedgerError> {
        self.ledger.unfinished_of(tenant).await
    }

    /// Deletes the record of a final launch and lets go of its volume.
    pub async fn forget(&self, tenant: &Tenant, id: &str) -> Result<(), LedgerError> {
        self.ledger.delete(tenant.as_str(), id).await?;
        self.live.lock().remove(id);
        Ok(())
    }

    /// Launches of one volume share its pages and its handles.
    fn shared_volume(&self, volume: Volume) -> Arc<Volume> {
        let key = (volume.id(), volume.placement().version);
        let mut volumes = self.volumes.lock();
        volumes.retain(|_, volume| volume.strong_count() > 0);
        if let Some(known) = volumes.get(&key).and_then(Weak::upgrade) {
            return known;
        }
        let volume = Arc::new(volume);
        volumes.insert(key, Arc::downgrade(&volume));
        volume
    }
}

/// An empty directory: what an interrupted host left in it is gone.
fn fresh(directory: PathBuf) -> std::io::Result<PathBuf> {
    match std::fs::remove_dir_all(&directory) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error),
        _ => std::fs::create_dir(&directory)?,
    }
    Ok(directory)
}

/// The key behind report tokens: made once, kept sealed beside the records' key.
fn report_key(app: &AppState) -> anyhow::Result<[u8; 32]> {
    let path = app.state.root().join("reports.key");
    // The same file discipline as the secrets' key: made once, 0600, refused when others may read it.
    Seal::open_or_create(&path, &app.entropy.array())?;
    let bytes = std::fs::read(&path)?;
    bytes
        .as_slice()
        .try_into()
        .map_err(|_| anyhow::anyhow!("`{}` is not a key of 32 bytes", path.display()))
}
