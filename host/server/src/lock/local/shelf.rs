//! The generators beside the command.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use async_trait::async_trait;
use bootsplice_content::Digest;
use bootsplice_engine::{Engine, EngineError, MAX_COMPONENT, Plugin};
use bytes::Bytes;
use serde_json::{Map, Value};
use tokio::sync::Mutex;

use super::Progress;
use crate::auth::Tenant;
use crate::plugins::{self, stage};
use crate::problem::Fault;
use crate::profile::{Generator, Generators, GeneratorsError, PluginRef};

/// `NAME.wasm` of one directory, each compiled when it is first used.
pub struct Shelf {
    engine: Engine,
    directory: PathBuf,
    progress: Arc<Progress>,
    loaded: Mutex<BTreeMap<String, Plugin>>,
}

// === impl Shelf ===

impl Shelf {
    pub fn new(engine: Engine, directory: PathBuf, progress: Arc<Progress>) -> Self {
        Self {
            engine,
            directory,
            progress,
            loaded: Mutex::default(),
        }
    }

    /// The generator `name`; the error is for people.
    pub async fn plugin(&self, name: &str) -> Result<Plugin, String> {
        let found = self.load(name).await?;
        found.ok_or_else(|| self.absent(name))
    }

    /// None when there is no such file.
    async fn load(&self, name: &str) -> Result<Option<Plugin>, String> {
        let mut loaded = self.loaded.lock().await;
        if let Some(plugin) = loaded.get(name) {
            return Ok(Some(plugin.clone()));
        }
        let path = self.directory.join(format!("{name}.wasm"));
        let failed = |error: &dyn std::fmt::Display| format!("`{}`: {error}", path.display());
        let size = match std::fs::metadata(&path) {
            Ok(meta) => meta.len(),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(failed(&error)),
        };
        if size > MAX_COMPONENT {
            return Err(failed(&format!(
                "{size} bytes; a component has at most {MAX_COMPONENT}"
            )));
        }
        let component = Bytes::from(std::fs::read(&path).map_err(|error| failed(&error))?);
        let plugin = match self.engine.load(&Digest::of(&component)).await {
            Ok(plugin) => plugin,
            Err(EngineError::NotInstalled(_) | EngineError::Artefact { .. }) => {
                let stage = format!("compiling the generator `{name}`, once for each release");
                self.progress.stage(&stage);
                let installed = self.engine.install(component).await;
                installed.map_err(|error| failed(&error))?
            }
            Err(error) => return Err(failed(&error)),
        };
        loaded.insert(name.to_owned(), plugin.clone());
        Ok(Some(plugin))
    }

    fn absent(&self, name: &str) -> String {
        format!(
            "there is no generator `{name}` in `{}`: `--plugins DIR` names the directory with `{name}.wasm`",
            self.directory.display()
        )
    }
}

#[async_trait]
impl Generators for Shelf {
    async fn find(
        &self,
        _: &Tenant,
        reference: &PluginRef,
    ) -> Result<Option<Generator>, GeneratorsError> {
        let plugin = self.load(&reference.name).await.map_err(GeneratorsError)?;
        let generator = plugin.map(|plugin| generator(&plugin));
        Ok(generator.filter(|generator| {
            let version = &reference.version;
            generator.name == reference.name
                && version.matches(&generator.version, generator.digest)
        }))
    }

    async fn list(&self, tenant: &Tenant) -> Result<Vec<Generator>, GeneratorsError> {
        let mut names: Vec<String> = Vec::new();
        let entries = std::fs::read_dir(&self.directory);
        for entry in entries.into_iter().flatten().flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            names.extend(name.strip_suffix(".wasm").map(str::to_owned));
        }
        names.sort();
        let mut found = Vec::new();
        for name in names {
            if let Ok(reference) = name.parse() {
                found.extend(self.find(tenant, &reference).await?);
            }
        }
        Ok(found)
    }

    async fn validate(
        &self,
        generator: &Generator,
        config: &Map<String, Value>,
    ) -> Result<Vec<Fault>, GeneratorsError> {
        let plugin = self.plugin(&generator.name).await;
        let plugin = plugin.map_err(GeneratorsError)?;
        let config = Value::Object(config.clone());
        let found = self.engine.validate(&plugin, None, &config).await;
        let found = found.map_err(|error| GeneratorsError(error.to_string()))?;
        Ok(plugins::faults(found))
    }
}

fn generator(plugin: &Plugin) -> Generator {
    let descriptor = plugin.descriptor();
    Generator {
        name: descriptor.id.clone(),
        version: descriptor.version.clone(),
        digest: *plugin.digest(),
        title: descriptor.title.clone(),
        summary: descriptor.summary.clone(),
        stage: stage(descriptor.stage),
        config_schema: Arc::new(descriptor.config_schema.clone()),
        secrets: descriptor.capabilities.secrets.clone(),
    }
}
