//! Where a step's `use:` is looked up.

use std::sync::Arc;

use async_trait::async_trait;
use bootsplice_content::Digest;
use serde_json::{Map, Value};

use super::{PluginRef, Stage};
use crate::auth::Tenant;
use crate::problem::Fault;

/// What the host knows about an installed generator, from its own description.
#[derive(Clone, Debug)]
pub struct Generator {
    pub name: String,
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
}

/// The installed generators. Answers are about what is installed now.
#[async_trait]
pub trait Generators: Send + Sync {
    /// The newest release that `reference` means and `tenant` may use.
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
#[error("generators cannot be looked up: {0}")]
pub struct GeneratorsError(pub String);
