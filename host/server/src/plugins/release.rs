//! One release of a generator, as it is recorded.

use std::sync::Arc;

use bootsplice_content::Digest;
use bootsplice_engine::contract::{self, Descriptor};
use bootsplice_store::Document;
use semver::Version;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use time::OffsetDateTime;
use utoipa::ToSchema;

use crate::auth::{Namespace, Tenant};
use crate::profile::{Generator, PluginName, Stage};

/// What is kept of an installed generator, under `plugin/<name>/<digest>`. Written after the engine has kept everything, so a record always has its
/// component.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Release {
    /// None: it came with the host.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<Namespace>,
    /// The id in its descriptor.
    pub name: String,
    pub version: String,
    pub digest: Digest,
    pub title: String,
    pub summary: String,
    pub stage: Stage,
    pub config_schema: Arc<Value>,
    pub secrets: Vec<String>,
    #[serde(with = "time::serde::rfc3339")]
    pub installed: OffsetDateTime,
    /// None: the host itself, from its directory of plugins.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pushed_by: Option<Pusher>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub yanked: Option<Yank>,
}

/// Who pushed or yanked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Pusher {
    pub tenant: Tenant,
    /// The id of the token.
    pub token: String,
}

/// Why no new revision of a profile may use a release.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Yank {
    #[serde(with = "time::serde::rfc3339")]
    #[schema(value_type = String, format = DateTime)]
    pub at: OffsetDateTime,
    pub by: Pusher,
    pub reason: String,
}

// === impl Release ===

impl Document for Release {
    const KIND: &'static str = "plugin";
}

impl Release {
    pub fn new(
        namespace: Option<Namespace>,
        descriptor: &Descriptor,
        digest: Digest,
        installed: OffsetDateTime,
        pushed_by: Option<Pusher>,
    ) -> Self {
        Self {
            namespace,
            name: descriptor.id.clone(),
            version: descriptor.version.clone(),
            digest,
            title: descriptor.title.clone(),
            summary: descriptor.summary.clone(),
            stage: stage(descriptor.stage),
            config_schema: Arc::new(descriptor.config_schema.clone()),
            secrets: descriptor.capabilities.secrets.clone(),
            installed,
            pushed_by,
            yanked: None,
        }
    }

    pub fn plugin(&self) -> PluginName {
        PluginName {
            namespace: self.namespace.clone(),
            id: self.name.clone(),
        }
    }

    /// `acme/hello@1.2.0`.
    pub fn reference(&self) -> String {
        format!("{}@{}", self.plugin(), self.version)
    }

    pub fn key(&self) -> String {
        key(&self.plugin(), &self.digest)
    }

    /// What orders releases of one generator: by version, then by when they came. A pre-release comes before every release that is one.
    pub fn rank(&self) -> (bool, Option<Version>, OffsetDateTime) {
        let version = Version::parse(&self.version).ok();
        let whole = version
            .as_ref()
            .is_some_and(|version| version.pre.is_empty());
        (whole, version, self.installed)
    }
}

impl From<&Release> for Generator {
    fn from(release: &Release) -> Self {
        Self {
            name: release.plugin(),
            version: release.version.clone(),
            digest: release.digest,
            title: release.title.clone(),
            summary: release.summary.clone(),
            stage: release.stage,
            config_schema: release.config_schema.clone(),
            secrets: release.secrets.clone(),
            yanked: release.yanked.as_ref().map(|yank| yank.reason.clone()),
            unsigned: None,
        }
    }
}

pub fn key(plugin: &PluginName, digest: &Digest) -> String {
    format!("plugin/{plugin}/{}", digest.hex())
}

/// The contract's stages are the profile's.
pub fn stage(stage: contract::Stage) -> Stage {
    match stage {
        contract::Stage::Files => Stage::Files,
        contract::Stage::Packages => Stage::Packages,
        contract::Stage::Late => Stage::Late,
    }
}
