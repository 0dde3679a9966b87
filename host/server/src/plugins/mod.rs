//! The generators of a host: records in the store, components and artefacts in the engine's directory.
//!
//! | room | what is in it |
//! |---|---|
//! | [`release`], [`shelf`] | one release as it is recorded; which one a reference means |
//! | [`directory`] | built-in generators, from a directory |
//! | [`inspect`] | pushed plugins: what an upload must show before it can be used |
//! | [`judge`] | what of that is the same on its author's machine |
//! | [`namespaces`], [`grants`] | who pushes and sees what; what a pushed plugin may reach |
//! | [`signatures`] | which keys must have signed before a profile takes a release up |
//! | [`state`] | yanked, taken back, deleted |
//! | [`fetch`] | what the configuration means for the fetch layer |
//!
//! Built-in generators pass through the same engine as anyone's (rule 35).

pub mod directory;
pub mod fetch;
pub mod grants;
pub mod inspect;
pub mod judge;
pub mod namespaces;
pub mod release;
pub mod shelf;
pub mod signatures;
pub mod state;

use std::path::PathBuf;
use std::sync::Arc;

use anyhow::Context as _;
use async_trait::async_trait;
use bootsplice_content::Digest;
use bootsplice_engine::contract::{Diagnostic, Severity};
use bootsplice_engine::{Engine, EngineConfig, EngineError, GeneratorError, Plugin};
use bootsplice_store::Store;
use parking_lot::RwLock;
use serde_json::{Map, Value};

use self::grants::PluginGrants;
use self::namespaces::Namespaces;
use self::release::Release;
use self::shelf::Shelf;
use self::signatures::Signatures;
use crate::app::Parts;
use crate::auth::Tenant;
use crate::clock::Clock;
use crate::last_seen::StoredLastSeen;
use crate::problem::Fault;
use crate::profile::{Generator, Generators, GeneratorsError, PluginName, PluginRef};

/// The engine with everything that is installed in it. Cheap to clone.
#[derive(Clone)]
pub struct Installed {
    engine: Engine,
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
    shelf: Arc<RwLock<Shelf>>,
    namespaces: Namespaces,
    grants: PluginGrants,
    signatures: Signatures,
    inspecting: Arc<tokio::sync::Mutex<()>>,
}

// === impl Installed ===

impl Installed {
    /// Starts the engine and reads what is installed: records only, whatever their number.
    pub async fn open(parts: &Parts) -> anyhow::Result<Self> {
        let compiler = match &parts.config.compiler {
            Some(path) => path.clone(),
            None => beside("bootsplice-compile")?,
        };
        let last_seen = Arc::new(StoredLastSeen::new(parts.store.clone()));
        let mut config = EngineConfig::new(parts.state.root(), compiler, last_seen);
        config.fetch = fetch::policy(&parts.config)?;
        config.places = u32::try_from(parts.config.limits.generators).unwrap_or(u32::MAX);
        let engine = Engine::open(config)?;
        let (store, clock) = (parts.store.clone(), parts.clock.clone());
        let shelf = Shelf::read(&*store).await?;
        Ok(Self {
            engine,
            shelf: Arc::new(RwLock::new(shelf)),
            namespaces: Namespaces::new(store.clone(), clock.clone()),
            grants: PluginGrants::new(store.clone(), clock.clone()),
            signatures: Signatures::open(&parts.config.signatures)?,
            inspecting: Arc::default(),
            store,
            clock,
        })
    }

    pub fn engine(&self) -> &Engine {
        &self.engine
    }

    pub fn grants(&self) -> &PluginGrants {
        &self.grants
    }

    pub fn signatures(&self) -> &Signatures {
        &self.signatures
    }

    pub fn namespaces(&self) -> &Namespaces {
        &self.namespaces
    }

    /// The installed plugin with this digest, ready to run.
    pub async fn plugin(&self, digest: &Digest) -> Result<Plugin, EngineError> {
        if let Some(plugin) = self.shelf.read().loaded(digest) {
            return Ok(plugin);
        }
        let plugin = self.engine.load(digest).await?;
        self.shelf.write().keep(plugin.clone());
        Ok(plugin)
    }

    /// A release by name and digest, whoever asks.
    pub fn release(&self, plugin: &PluginName, digest: &Digest) -> Option<Release> {
        self.shelf.read().get(plugin, digest).cloned()
    }

    /// Digests of all releases of one generator.
    pub fn digests(&self, plugin: &PluginName) -> Vec<Digest> {
        let shelf = self.shelf.read();
        shelf.of(plugin).map(|release| release.digest).collect()
    }

    /// Tags of one release.
    pub fn tags(&self, plugin: &PluginName, digest: &Digest) -> Vec<String> {
        let shelf = self.shelf.read();
        let tags = shelf.tags_of(plugin, digest);
        tags.map(str::to_owned).collect()
    }

    /// The release that is spoken of, when `tenant` may see it; yanked or not.
    pub async fn named(
        &self,
        tenant: &Tenant,
        reference: &PluginRef,
    ) -> Result<Option<Release>, GeneratorsError> {
        if !self.sees(tenant, &reference.name).await? {
            return Ok(None);
        }
        Ok(self.shelf.read().named(reference).cloned())
    }

    /// The release that is spoken of, whoever asks.
    pub fn any(&self, reference: &PluginRef) -> Option<Release> {
        self.shelf.read().named(reference).cloned()
    }

    /// All releases that `tenant` may see, by name, of one name the newest first; each with its tags.
    pub async fn releases(
        &self,
        tenant: &Tenant,
    ) -> Result<Vec<(Release, Vec<String>)>, GeneratorsError> {
        let all: Vec<_> = {
            let shelf = self.shelf.read();
            let with_tags = shelf.all().into_iter().map(|release| {
                let tags = shelf.tags_of(&release.plugin(), &release.digest);
                (release.clone(), tags.map(str::to_owned).collect())
            });
            with_tags.collect()
        };
        let mut seen: Vec<(Release, Vec<String>)> = Vec::new();
        let mut last: Option<(PluginName, bool)> = None;
        for (release, tags) in all {
            let name = release.plugin();
            let visible = match &last {
                Some((of, visible)) if of.namespace == name.namespace => *visible,
                _ => self.sees(tenant, &name).await?,
            };
            last = Some((name, visible));
            if visible {
                seen.push((release, tags));
            }
        }
        Ok(seen)
    }

    async fn sees(&self, tenant: &Tenant, plugin: &PluginName) -> Result<bool, GeneratorsError> {
        match &plugin.namespace {
            None => Ok(true),
            Some(namespace) => Ok(self.namespaces.sees(tenant, namespace).await?),
        }
    }
}

#[async_trait]
impl Generators for Installed {
    async fn find(
        &self,
        tenant: &Tenant,
        reference: &PluginRef,
    ) -> Result<Option<Generator>, GeneratorsError> {
        if !self.sees(tenant, &reference.name).await? {
            return Ok(None);
        }
        let Some(release) = self.shelf.read().find(reference).cloned() else {
            return Ok(None);
        };
        let mut generator = Generator::from(&release);
        generator.unsigned = self.signatures.missing(&release).await?;
        Ok(Some(generator))
    }

    async fn list(&self, tenant: &Tenant) -> Result<Vec<Generator>, GeneratorsError> {
        let all = self.releases(tenant).await?;
        Ok(all.iter().map(|(release, _)| release.into()).collect())
    }

    async fn validate(
        &self,
        generator: &Generator,
        config: &Map<String, Value>,
    ) -> Result<Vec<Fault>, GeneratorsError> {
        let plugin = self.plugin(&generator.digest).await.map_err(|error| {
            GeneratorsError(format!(
                "`{}` cannot be run: {error}",
                generator.reference()
            ))
        })?;
        let config = Value::Object(config.clone());
        judged(
            generator,
            self.engine.validate(&plugin, None, &config).await,
        )
    }
}

/// What a generator said of a configuration. One that breaks down while it judges is at fault itself, in its own name; only the host's own failures are
/// nobody's fault.
pub fn judged(
    generator: &Generator,
    found: Result<Vec<Diagnostic>, GeneratorError>,
) -> Result<Vec<Fault>, GeneratorsError> {
    let reference = generator.reference();
    match found {
        Ok(found) => Ok(faults(found)),
        Err(error @ (GeneratorError::Host(_) | GeneratorError::Cancelled)) => Err(GeneratorsError(
            format!("`{reference}` was not asked: {error}"),
        )),
        Err(error) => {
            let detail = format!("`{reference}` broke down in `validate`: {error}");
            let fault = Fault::new("", error.code(), detail);
            Ok(vec![fault.hint(
                "the generator is at fault, not this configuration: tell its author",
            )])
        }
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

/// A file in the directory of this executable.
pub(crate) fn beside(name: &str) -> anyhow::Result<PathBuf> {
    let own = std::env::current_exe().context("cannot find this executable")?;
    Ok(own.with_file_name(name))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::profile::Stage;

    #[test]
    fn a_generator_that_traps_while_it_judges_is_at_fault_in_its_own_name() {
        let generator = Generator {
            name: "acme/hello".parse().unwrap(),
            version: "1.2.0".into(),
            digest: Digest::of(b"x"),
            title: String::new(),
            summary: String::new(),
            stage: Stage::Files,
            config_schema: Arc::new(Value::Bool(true)),
            secrets: Vec::new(),
            yanked: None,
            unsigned: None,
        };
        let message = "unreachable; its last words: panicked at src/lib.rs:12:5".into();
        let faults = judged(&generator, Err(GeneratorError::Trap { message })).unwrap();
        assert_eq!(faults[0].code, "generator-trap");
        for word in ["acme/hello@1.2.0", "src/lib.rs:12"] {
            assert!(faults[0].detail.contains(word), "{}", faults[0].detail);
        }
        let full = Err(GeneratorError::Host("the disk is full".into()));
        let error = judged(&generator, full).unwrap_err().to_string();
        assert!(
            error.contains("acme/hello@1.2.0") && error.contains("full"),
            "{error}"
        );
    }
}
