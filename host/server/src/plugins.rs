//! The installed generators: records in the store, components and artefacts in the engine's directory.
//!
//! Built-in generators come from a directory and pass through the same [`Engine::install`] as anyone's (rule 35). Which bytes are installed is the record
//! `plugin/<name>/<digest>`; it is written after the engine has kept everything, so a record always has its component.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context as _, bail};
use async_trait::async_trait;
use bootsplice_content::Digest;
use bootsplice_engine::contract::{self, Diagnostic, Severity};
use bootsplice_engine::fetch::{FetchPolicy, Proxy};
use bootsplice_engine::{Engine, EngineConfig, EngineError, MAX_COMPONENT, Plugin};
use bootsplice_store::{Document, Store, Transaction};
use bytes::Bytes;
use parking_lot::RwLock;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use time::OffsetDateTime;

use crate::app::Parts;
use crate::auth::Tenant;
use crate::clock::Clock;
use crate::config::Config;
use crate::last_seen::StoredLastSeen;
use crate::problem::Fault;
use crate::profile::{Generator, Generators, GeneratorsError, PluginRef, Stage};

/// The engine with everything that is installed in it. Cheap to clone.
#[derive(Clone)]
pub struct Installed {
    engine: Engine,
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
    shelf: Arc<RwLock<BTreeMap<Digest, Entry>>>,
}

struct Entry {
    generator: Generator,
    /// Loaded when it is first used.
    plugin: Option<Plugin>,
}

/// What is kept of an installed generator.
#[derive(Serialize, Deserialize)]
struct Installation {
    name: String,
    version: String,
    digest: Digest,
    title: String,
    summary: String,
    stage: Stage,
    config_schema: Value,
    secrets: Vec<String>,
    #[serde(with = "time::serde::rfc3339")]
    installed: OffsetDateTime,
}

// === impl Installed ===

impl Installed {
    /// Starts the engine and reads what is installed.
    pub async fn open(parts: &Parts) -> anyhow::Result<Self> {
        let compiler = match &parts.config.compiler {
            Some(path) => path.clone(),
            None => beside("bootsplice-compile")?,
        };
        let last_seen = Arc::new(StoredLastSeen::new(parts.store.clone()));
        let mut config = EngineConfig::new(parts.state.root(), compiler, last_seen);
        config.fetch = fetch_policy(&parts.config)?;
        let engine = Engine::open(config)?;
        let mut shelf = BTreeMap::new();
        let mut after: Option<String> = None;
        loop {
            let page = parts.store.list("plugin/", after.as_deref(), 500).await?;
            for record in &page.records {
                let generator = Generator::from(Installation::decode(record)?);
                let plugin = None;
                shelf.insert(generator.digest, Entry { generator, plugin });
            }
            if !page.more {
                break;
            }
            after = page.records.last().map(|record| record.key.clone());
        }
        Ok(Self {
            engine,
            store: parts.store.clone(),
            clock: parts.clock.clone(),
            shelf: Arc::new(RwLock::new(shelf)),
        })
    }

    pub fn engine(&self) -> &Engine {
        &self.engine
    }

    /// The installed plugin with this digest, ready to run.
    pub async fn plugin(&self, digest: &Digest) -> Result<Plugin, EngineError> {
        let loaded = self
            .shelf
            .read()
            .get(digest)
            .and_then(|entry| entry.plugin.clone());
        if let Some(plugin) = loaded {
            return Ok(plugin);
        }
        let plugin = self.engine.load(digest).await?;
        if let Some(entry) = self.shelf.write().get_mut(digest) {
            entry.plugin = Some(plugin.clone());
        }
        Ok(plugin)
    }

    /// Installs one component. The same bytes again change nothing.
    pub async fn install(&self, component: Bytes) -> anyhow::Result<Generator> {
        let plugin = self.engine.install(component).await?;
        let descriptor = plugin.descriptor();
        let installation = Installation {
            name: descriptor.id.clone(),
            version: descriptor.version.clone(),
            digest: *plugin.digest(),
            title: descriptor.title.clone(),
            summary: descriptor.summary.clone(),
            stage: stage(descriptor.stage),
            config_schema: descriptor.config_schema.clone(),
            secrets: descriptor.capabilities.secrets.clone(),
            installed: self.clock.now(),
        };
        let key = format!("plugin/{}/{}", installation.name, installation.digest.hex());
        self.store
            .transact(Transaction::new().put(key, installation.encode()))
            .await?;
        let generator = Generator::from(installation);
        let entry = Entry {
            generator: generator.clone(),
            plugin: Some(plugin),
        };
        self.shelf.write().insert(generator.digest, entry);
        Ok(generator)
    }

    /// Installs every `*.wasm` of the plugins' directory that is not installed yet. A configured directory must be there; the default one need not.
    pub async fn install_directory(&self, config: &Config) -> anyhow::Result<()> {
        let directory = match &config.plugins {
            Some(directory) => directory.clone(),
            None => match default_directory()? {
                Some(directory) => directory,
                None => return Ok(()),
            },
        };
        let entries = std::fs::read_dir(&directory).with_context(|| {
            format!(
                "cannot read the plugins' directory `{}`",
                directory.display()
            )
        })?;
        let mut paths: Vec<PathBuf> = entries
            .map(|entry| entry.map(|entry| entry.path()))
            .collect::<Result<_, _>>()?;
        paths.retain(|path| {
            path.extension()
                .is_some_and(|extension| extension == "wasm")
        });
        paths.sort();
        for path in paths {
            self.install_file(&path)
                .await
                .with_context(|| format!("cannot install `{}`", path.display()))?;
        }
        Ok(())
    }

    async fn install_file(&self, path: &Path) -> anyhow::Result<()> {
        let size = std::fs::metadata(path)?.len();
        if size > MAX_COMPONENT {
            bail!("it has {size} bytes, a component has at most {MAX_COMPONENT}");
        }
        let component = Bytes::from(std::fs::read(path)?);
        let digest = Digest::of(&component);
        if self.shelf.read().contains_key(&digest) {
            return Ok(());
        }
        let generator = self.install(component).await?;
        tracing::info!(name = %generator.name, version = %generator.version, %digest, "installed a generator");
        Ok(())
    }
}

#[async_trait]
impl Generators for Installed {
    async fn find(
        &self,
        _: &Tenant,
        reference: &PluginRef,
    ) -> Result<Option<Generator>, GeneratorsError> {
        let shelf = self.shelf.read();
        let fitting = shelf
            .values()
            .map(|entry| &entry.generator)
            .filter(|generator| {
                generator.name == reference.name
                    && reference
                        .version
                        .matches(&generator.version, generator.digest)
            });
        Ok(fitting
            .max_by_key(|generator| (numbers(&generator.version), generator.digest))
            .cloned())
    }

    async fn list(&self, _: &Tenant) -> Result<Vec<Generator>, GeneratorsError> {
        let shelf = self.shelf.read();
        let mut all: Vec<_> = shelf
            .values()
            .map(|entry| entry.generator.clone())
            .collect();
        all.sort_by_key(|generator| (generator.name.clone(), Reverse(numbers(&generator.version))));
        Ok(all)
    }

    async fn validate(
        &self,
        generator: &Generator,
        config: &Map<String, Value>,
    ) -> Result<Vec<Fault>, GeneratorsError> {
        let failed = |why: String| GeneratorsError(format!("`{}`: {why}", generator.name));
        let plugin = self
            .plugin(&generator.digest)
            .await
            .map_err(|error| failed(error.to_string()))?;
        let config = Value::Object(config.clone());
        let found = self
            .engine
            .validate(&plugin, None, &config)
            .await
            .map_err(|error| failed(error.to_string()))?;
        Ok(faults(found))
    }
}

/// The errors among what a generator found.
pub fn faults(found: Vec<Diagnostic>) -> Vec<Fault> {
    found
        .into_iter()
        .filter(|diagnostic| diagnostic.severity == Severity::Error)
        .map(|diagnostic| Fault {
            pointer: diagnostic.pointer,
            code: diagnostic.code,
            detail: diagnostic.message,
            hint: diagnostic.hint,
        })
        .collect()
}

// === impl Installation ===

impl Document for Installation {
    const KIND: &'static str = "plugin";
}

impl From<Installation> for Generator {
    fn from(installation: Installation) -> Self {
        Self {
            name: installation.name,
            version: installation.version,
            digest: installation.digest,
            title: installation.title,
            summary: installation.summary,
            stage: installation.stage,
            config_schema: Arc::new(installation.config_schema),
            secrets: installation.secrets,
        }
    }
}

pub(crate) fn stage(stage: contract::Stage) -> Stage {
    match stage {
        contract::Stage::Files => Stage::Files,
        contract::Stage::Packages => Stage::Packages,
        contract::Stage::Late => Stage::Late,
    }
}

/// A version's numbers, for finding the newest; a pre-release comes before its release.
fn numbers(version: &str) -> (Vec<u64>, bool) {
    let core = version.split(['-', '+']).next().unwrap_or_default();
    let parts = core.split('.').map(|part| part.parse().unwrap_or(0));
    (parts.collect(), !version.contains('-'))
}

/// A file in the directory of this executable.
pub(crate) fn beside(name: &str) -> anyhow::Result<PathBuf> {
    let own = std::env::current_exe().context("cannot find this executable")?;
    Ok(own.with_file_name(name))
}

pub(crate) fn default_directory() -> anyhow::Result<Option<PathBuf>> {
    let candidates = [beside("plugins")?, beside("../share/bootsplice/plugins")?];
    Ok(candidates.into_iter().find(|path| path.is_dir()))
}

/// What the operator's grants mean for the fetch layer: roots of `file:` URLs and buckets. Prefixes of `https:` URLs are judged per step.
pub(crate) fn fetch_policy(config: &Config) -> anyhow::Result<FetchPolicy> {
    let mut policy = FetchPolicy::default();
    for url in config.grants.iter().flat_map(|grant| &grant.urls) {
        match url.scheme() {
            "file" => {
                let Ok(path) = url.to_file_path() else {
                    bail!("the grant `{url}` is no path");
                };
                policy.roots.push(path);
            }
            "s3" | "gs" | "az" => {
                let bucket = bucket(url)?;
                policy.buckets.push(bucket);
            }
            _ => {}
        }
    }
    for path in &config.fetch.certificates {
        let pem = std::fs::read(path)
            .with_context(|| format!("`fetch.certificates`: `{}`", path.display()))?;
        policy.extra_roots.push(pem);
    }
    policy.per_origin = config.fetch.per_origin;
    policy.proxy = config.fetch.proxy.as_ref().map(|url| Proxy {
        url: url.clone(),
        direct: config.fetch.direct.clone(),
    });
    for network in &config.private_networks {
        let network = network
            .parse()
            .map_err(|error| anyhow::anyhow!("`private_networks`: `{network}`: {error}"))?;
        policy.allow_networks.push(network);
    }
    Ok(policy)
}

/// A bucket with the credentials of the process's environment.
fn bucket(url: &url::Url) -> anyhow::Result<bootsplice_engine::fetch::Bucket> {
    let root = format!("{}://{}", url.scheme(), url.host_str().unwrap_or_default());
    let options = std::env::vars().map(|(key, value)| (key.to_ascii_lowercase(), value));
    let (store, _) = object_store::parse_url_opts(&url::Url::parse(&root)?, options)
        .with_context(|| format!("cannot open the bucket `{root}`"))?;
    Ok(bootsplice_engine::fetch::Bucket {
        prefix: bootsplice_engine::grant::UrlPrefix::parse(&root)?,
        store: Arc::from(store),
    })
}
