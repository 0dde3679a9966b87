//! The engine on this machine: started for one command, its compiled generators kept from one command to the next.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context as _;
use bootsplice_content::Digest;
use bootsplice_engine::clock::{Clock, system_clock};
use bootsplice_engine::fetch::FetchPolicy;
use bootsplice_engine::{Engine, EngineConfig, EngineError, MAX_COMPONENT, Metering, Plugin};
use bytes::Bytes;

use super::Places;
use super::progress::Progress;
use super::seen::FileLastSeen;

/// An engine that nobody else of this user has.
pub struct Sandbox {
    engine: Engine,
    progress: Arc<Progress>,
    cache: PathBuf,
    /// Another process of the same user waits until this one is done.
    _alone: std::fs::File,
}

// === impl Sandbox ===

impl Sandbox {
    pub fn open(
        places: &Places,
        fetch: FetchPolicy,
        progress: Arc<Progress>,
    ) -> anyhow::Result<Self> {
        Self::open_at(places, fetch, progress, system_clock())
    }

    /// With an engine that counts what every call uses. It reaches for nothing that the default does not.
    pub fn metered(
        places: &Places,
        progress: Arc<Progress>,
        metering: Arc<dyn Metering>,
    ) -> anyhow::Result<Self> {
        Self::open_as(places, progress, |config| config.metering = Some(metering))
    }

    /// With a clock of its own: a test's runs see the time that the test says.
    pub fn open_at(
        places: &Places,
        fetch: FetchPolicy,
        progress: Arc<Progress>,
        clock: Clock,
    ) -> anyhow::Result<Self> {
        Self::open_as(places, progress, |config| {
            config.fetch = fetch;
            config.clock = clock;
        })
    }

    fn open_as(
        places: &Places,
        progress: Arc<Progress>,
        settle: impl FnOnce(&mut EngineConfig),
    ) -> anyhow::Result<Self> {
        let cache = &places.cache;
        std::fs::create_dir_all(cache)
            .with_context(|| format!("cannot make the cache directory `{}`", cache.display()))?;
        progress.stage("waiting for another `bootsplice` of this user");
        let alone = std::fs::File::create(cache.join("in-use"))?;
        alone.lock()?;
        progress.stage("starting the sandbox");
        let seen = Arc::new(FileLastSeen::open(&places.state)?);
        let mut config = EngineConfig::new(cache, &places.compiler, seen);
        config.places = 4;
        settle(&mut config);
        Ok(Self {
            engine: Engine::open(config)?,
            progress,
            cache: cache.clone(),
            _alone: alone,
        })
    }

    pub fn engine(&self) -> &Engine {
        &self.engine
    }

    /// Where files without a name may be while a command runs.
    pub fn scratch(&self) -> &Path {
        &self.cache
    }

    pub fn progress(&self) -> &Arc<Progress> {
        &self.progress
    }

    /// A component, compiled when these bytes are seen for the first time.
    pub async fn load(&self, component: Bytes, name: &str) -> Result<Plugin, EngineError> {
        match self.engine.load(&Digest::of(&component)).await {
            Err(EngineError::NotInstalled(_) | EngineError::Artefact { .. }) => {
                let stage = format!("compiling the generator `{name}`, once for each release");
                self.progress.stage(&stage);
                self.engine.install(component).await
            }
            loaded => loaded,
        }
    }
}

/// The bytes of a component. None when there is no such file.
pub fn component(path: &Path) -> std::io::Result<Option<Bytes>> {
    let size = match std::fs::metadata(path) {
        Ok(meta) => meta.len(),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    if size > MAX_COMPONENT {
        return Err(std::io::Error::other(format!(
            "{size} bytes; a component has at most {MAX_COMPONENT}"
        )));
    }
    std::fs::read(path).map(Bytes::from).map(Some)
}
