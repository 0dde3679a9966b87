//! A release as it is told.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use time::OffsetDateTime;
use utoipa::ToSchema;

use crate::app::AppState;
use crate::auth::Namespace;
use crate::plugins::Installed;
use crate::plugins::grants::Granted;
use crate::plugins::release::{Pusher, Release, Yank};
use crate::problem::{Kind, Problem};
use crate::profile::Stage;

/// A release in a list.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct PluginSummary {
    /// What `use:` names: `config`, or `acme/hello`.
    pub name: String,
    /// None: it came with the host.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<Namespace>,
    pub version: String,
    /// Of the component's bytes.
    pub digest: String,
    pub title: String,
    pub summary: String,
    /// When its steps run, unless the profile says otherwise.
    pub stage: Stage,
    /// `active`, `yanked`, or `unsigned` while signatures are missing.
    pub state: String,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<String>,
    /// When it was pushed or installed.
    #[serde(with = "time::serde::rfc3339")]
    #[schema(value_type = String, format = DateTime)]
    pub installed: OffsetDateTime,
    /// None: the host itself, from its directory of plugins.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pushed_by: Option<Pusher>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub yanked: Option<Yank>,
    /// Whose signatures are missing before a profile may use it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unsigned: Option<String>,
}

/// A page of releases.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct PluginList {
    pub plugins: Vec<PluginSummary>,
    /// More follow: ask again with `after` set to this.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}

/// A release with everything that it says of itself.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct PluginView {
    #[serde(flatten)]
    pub summary: PluginSummary,
    /// Bytes of the component.
    pub size: u64,
    /// The version of the contract that it speaks.
    pub wit: String,
    pub imports: Vec<String>,
    /// Steps of a profile with this generator are resolved as one.
    pub joins_steps: bool,
    /// What it asks for: URLs, where `${config:POINTER}` stands for what a profile says there.
    pub wants_fetch: Vec<String>,
    /// JSON pointers in the configuration where names of secrets stand.
    pub wants_secrets: Vec<String>,
    /// What an operator granted these bytes. Built-in generators have the configuration's grants.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub grant: Option<Granted>,
    /// JSON Schema 2020-12 of its configuration.
    pub config_schema: Value,
    pub examples: Vec<ExampleView>,
}

#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct ExampleView {
    pub title: String,
    pub config: Value,
}

// === impl PluginSummary ===

impl PluginSummary {
    pub async fn of(
        installed: &Installed,
        release: &Release,
        tags: Vec<String>,
    ) -> Result<Self, Problem> {
        let unsigned = installed.signatures().missing(release).await?;
        let state = match (&release.yanked, &unsigned) {
            (Some(_), _) => "yanked",
            (None, Some(_)) => "unsigned",
            (None, None) => "active",
        };
        Ok(Self {
            name: release.plugin().to_string(),
            namespace: release.namespace.clone(),
            version: release.version.clone(),
            digest: release.digest.to_string(),
            title: release.title.clone(),
            summary: release.summary.clone(),
            stage: release.stage,
            state: state.to_owned(),
            tags,
            installed: release.installed,
            pushed_by: release.pushed_by.clone(),
            yanked: release.yanked.clone(),
            unsigned,
        })
    }

    /// Where a list goes on after it.
    pub fn cursor(release: &Release) -> String {
        format!("{}@{}", release.plugin(), release.digest)
    }
}

// === impl PluginView ===

impl PluginView {
    pub async fn of(app: &AppState, release: &Release) -> Result<Self, Problem> {
        let (name, digest) = (release.plugin(), release.digest);
        let installed = &app.launches()?.installed;
        let plugin = installed.plugin(&digest).await.map_err(|error| {
            let detail = format!("`{}`: {error}", release.reference());
            Problem::new(Kind::Internal, detail)
        })?;
        let (descriptor, inspection) = (plugin.descriptor(), plugin.inspection());
        let examples = descriptor.examples.iter().map(|example| ExampleView {
            title: example.title.clone(),
            config: example.config.clone(),
        });
        Ok(Self {
            summary: PluginSummary::of(installed, release, installed.tags(&name, &digest)).await?,
            size: inspection.size,
            wit: inspection.wit.clone(),
            imports: inspection.imports.clone(),
            joins_steps: descriptor.joins_steps,
            wants_fetch: descriptor.capabilities.fetch.clone(),
            wants_secrets: descriptor.capabilities.secrets.clone(),
            grant: installed.grants().get(&name, &digest).await?,
            config_schema: descriptor.config_schema.clone(),
            examples: examples.collect(),
        })
    }
}
