//! Where a step's `use:` is looked up.

use std::sync::Arc;

use async_trait::async_trait;
use bootsplice_content::Digest;
use bootsplice_store::StoreError;
use serde_json::{Map, Value};

use super::{PluginName, PluginRef, Stage};
use crate::auth::Tenant;
use crate::problem::Fault;

/// What the host knows about an installed generator, from its own description.
#[derive(Clone, Debug)]
pub struct Generator {
    pub name: PluginName,
    /// Semantic version.
    pub version: String,
    /// Of the component's bytes.
    pub digest: Digest,
    pub title: String,
    pub summary: String,
    /// When its steps run, unless the profile says otherwise.
    pub stage: Stage,
    /// JSON Schema 2020-12 of its configuration.
    pub config_schema: Arc<Value>,
    /// JSON pointers (`*` for any one segment) in the configuration where names of secrets stand.
    pub secrets: Vec<String>,
    /// Why no new revision of a profile may use it.
    pub yanked: Option<String>,
    /// Which signatures are missing before a new revision of a profile may use it. Told by [`Generators::find`] alone.
    pub unsigned: Option<String>,
}

/// The installed generators. Answers are about what is installed now.
#[async_trait]
pub trait Generators: Send + Sync {
    /// The newest release that `reference` means and `tenant` may see; a yanked one only when no other fits.
    async fn find(
        &self,
        tenant: &Tenant,
        reference: &PluginRef,
    ) -> Result<Option<Generator>, GeneratorsError>;

    /// All that `tenant` may use, by name and version.
    async fn list(&self, tenant: &Tenant) -> Result<Vec<Generator>, GeneratorsError>;

    /// What the generator itself says about a configuration that its schema allows: pointers are into `config`.
    async fn validate(
        &self,
        generator: &Generator,
        config: &Map<String, Value>,
    ) -> Result<Vec<Fault>, GeneratorsError>;
}

/// Generators could not be asked. Trying again can help.
#[derive(Debug, thiserror::Error)]
#[error("a generator could not be asked: {0}")]
pub struct GeneratorsError(pub String);

// === impl Generator ===

impl Generator {
    /// `acme/hello@1.2.0`.
    pub fn reference(&self) -> String {
        format!("{}@{}", self.name, self.version)
    }
}

// === impl GeneratorsError ===

impl From<StoreError> for GeneratorsError {
    fn from(error: StoreError) -> Self {
        Self(error.to_string())
    }
}
