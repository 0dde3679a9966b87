//! The generators beside the command.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use async_trait::async_trait;
use bootsplice_engine::Plugin;
use serde_json::{Map, Value};
use tokio::sync::Mutex;

use super::sandbox::{Sandbox, component};
use crate::auth::Tenant;
use crate::plugins::judged;
use crate::plugins::release::stage;
use crate::problem::Fault;
use crate::profile::{Generator, Generators, GeneratorsError, PluginName, PluginRef};

/// `NAME.wasm` of one directory, each compiled when it is first used.
pub struct Shelf {
    sandbox: Arc<Sandbox>,
    directory: PathBuf,
    loaded: Mutex<BTreeMap<String, Plugin>>,
    /// Those that the command itself brought.
    given: Mutex<BTreeMap<String, Plugin>>,
}

// === impl Shelf ===

impl Shelf {
    pub fn new(sandbox: Arc<Sandbox>, directory: PathBuf) -> Self {
        Self {
            sandbox,
            directory,
            loaded: Mutex::default(),
            given: Mutex::default(),
        }
    }

    /// The generator `name`; the error is for people.
    pub async fn plugin(&self, name: &str) -> Result<Plugin, String> {
        let found = self.load(name).await?;
        found.ok_or_else(|| self.absent(name))
    }

    /// A generator that comes before the directory's of the same name.
    pub async fn put(&self, plugin: Plugin) {
        let id = plugin.descriptor().id.clone();
        self.given.lock().await.insert(id, plugin);
    }

    /// None when there is no such file.
    async fn load(&self, name: &str) -> Result<Option<Plugin>, String> {
        if let Some(plugin) = self.given.lock().await.get(name) {
            return Ok(Some(plugin.clone()));
        }
        let mut loaded = self.loaded.lock().await;
        if let Some(plugin) = loaded.get(name) {
            return Ok(Some(plugin.clone()));
        }
        let path = self.directory.join(format!("{name}.wasm"));
        let failed = |error: &dyn std::fmt::Display| format!("`{}`: {error}", path.display());
        let Some(component) = component(&path).map_err(|error| failed(&error))? else {
            return Ok(None);
        };
        let plugin = self.sandbox.load(component, name).await;
        let plugin = plugin.map_err(|error| failed(&error))?;
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
        // A namespace is a host's: here it can only mean what the command itself brought, never a built-in generator.
        let id = &reference.name.id;
        let plugin = match &reference.name.namespace {
            Some(_) => self.given.lock().await.get(id).cloned(),
            None => self.load(id).await.map_err(GeneratorsError)?,
        };
        let generator = plugin.map(|plugin| Generator {
            name: reference.name.clone(),
            ..generator(&plugin)
        });
        Ok(generator.filter(|generator| {
            let version = &reference.version;
            generator.name.id == *id && version.matches(&generator.version, generator.digest, [])
        }))
    }

    async fn list(&self, tenant: &Tenant) -> Result<Vec<Generator>, GeneratorsError> {
        let mut names: Vec<String> = Vec::new();
        let entries = std::fs::read_dir(&self.directory);
        for entry in entries.into_iter().flatten().flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            names.extend(name.strip_suffix(".wasm").map(str::to_owned));
        }
        names.extend(self.given.lock().await.keys().cloned());
        names.extend(self.loaded.lock().await.keys().cloned());
        names.sort();
        names.dedup();
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
        let plugin = self.plugin(&generator.name.id).await;
        let plugin = plugin.map_err(GeneratorsError)?;
        let config = Value::Object(config.clone());
        let found = self.sandbox.engine().validate(&plugin, None, &config).await;
        judged(generator, found)
    }
}

fn generator(plugin: &Plugin) -> Generator {
    let descriptor = plugin.descriptor();
    Generator {
        name: PluginName::built_in(&descriptor.id),
        version: descriptor.version.clone(),
        digest: *plugin.digest(),
        title: descriptor.title.clone(),
        summary: descriptor.summary.clone(),
        stage: stage(descriptor.stage),
        config_schema: Arc::new(descriptor.config_schema.clone()),
        secrets: descriptor.capabilities.secrets.clone(),
        yanked: None,
        unsigned: None,
    }
}
