//! What handlers share.

use std::fmt;
use std::ops::Deref;
use std::sync::{Arc, OnceLock};

use bootsplice_registry::Registry;
use bootsplice_store::{RedbStore, Seal, Store};
use tokio_util::sync::CancellationToken;

use crate::auth::Tokens;
use crate::clock::{Clock, Entropy, SystemClock, SystemEntropy};
use crate::config::Config;
use crate::keys::Keyring;
use crate::launch::Launches;
use crate::metrics::Metrics;
use crate::plugins::namespaces::Namespaces;
use crate::problem::{Kind, Problem};
use crate::profile::{Generators, Profiles};
use crate::secret::Secrets;
use crate::state::StateDirectory;

/// One running host. Cheap to clone; axum's state.
#[derive(Clone)]
pub struct AppState(Arc<App>);

/// The parts of a host.
pub struct App {
    pub config: Config,
    pub state: StateDirectory,
    pub store: Arc<dyn Store>,
    pub clock: Arc<dyn Clock>,
    pub entropy: Arc<dyn Entropy>,
    pub seal: Seal,
    pub metrics: Metrics,
    pub tokens: Tokens,
    pub profiles: Profiles,
    pub secrets: Secrets,
    pub keys: Keyring,
    pub generators: Arc<dyn Generators>,
    pub namespaces: Namespaces,
    /// Set once the engine and the stores are open.
    launches: OnceLock<Launches>,
    /// Set before the host listens.
    registry: OnceLock<Registry>,
    /// Cancelled when the host shall end. Long work selects on it.
    pub shutdown: CancellationToken,
}

/// The parts of a host that tests replace.
pub struct Parts {
    pub config: Config,
    pub state: StateDirectory,
    pub store: Arc<dyn Store>,
    pub clock: Arc<dyn Clock>,
    pub entropy: Arc<dyn Entropy>,
}

// === impl AppState ===

impl AppState {
    /// Puts a host together.
    pub fn new(parts: Parts, generators: Arc<dyn Generators>) -> anyhow::Result<Self> {
        let Parts {
            config,
            state,
            store,
            clock,
            entropy,
        } = parts;
        let seal = Seal::open_or_create(&state.secrets_key(), &entropy.array())?;
        let tokens = Tokens::new(store.clone(), clock.clone(), entropy.clone());
        let profiles = Profiles::new(store.clone(), clock.clone());
        let secrets = Secrets::new(store.clone(), clock.clone(), entropy.clone(), seal.clone());
        let keys = Keyring::at(&state.keys());
        let namespaces = Namespaces::new(store.clone(), clock.clone());
        Ok(Self(Arc::new(App {
            config,
            state,
            store,
            clock,
            entropy,
            seal,
            metrics: Metrics::new(),
            tokens,
            profiles,
            secrets,
            keys,
            generators,
            namespaces,
            launches: OnceLock::new(),
            registry: OnceLock::new(),
            shutdown: CancellationToken::new(),
        })))
    }
}

impl App {
    /// Gives the host its launches, once.
    pub fn set_launches(&self, launches: Launches) {
        let _ = self.launches.set(launches);
    }

    /// Gives the host its registry, once.
    pub fn set_registry(&self, registry: Registry) {
        let _ = self.registry.set(registry);
    }

    /// The registry. None: the host was put together without one.
    pub fn registry(&self) -> Option<&Registry> {
        self.registry.get()
    }

    /// The launches; not before the host is whole.
    pub fn launches(&self) -> Result<&Launches, Problem> {
        self.launches
            .get()
            .ok_or_else(|| Problem::new(Kind::Unavailable, "the host is starting"))
    }
}

impl Parts {
    /// The parts of a real host: its state directory, the embedded store, the machine's clock and randomness. Blocking.
    pub fn real(config: Config) -> anyhow::Result<Self> {
        config.validate()?;
        let state = StateDirectory::open(&config.state)?;
        let store = Arc::new(RedbStore::open(&state.records())?);
        Ok(Self {
            config,
            state,
            store,
            clock: Arc::new(SystemClock),
            entropy: Arc::new(SystemEntropy),
        })
    }
}

impl Deref for AppState {
    type Target = App;

    fn deref(&self) -> &App {
        &self.0
    }
}

impl fmt::Debug for AppState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "AppState({})", self.state.root().display())
    }
}
