//! `/v1/plugins`: the generators that a profile may use.

use axum::extract::State;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use crate::app::AppState;
use crate::auth::{Caller, Verb};
use crate::problem::Problem;
use crate::profile::{Generator, Stage};
use crate::route::{Access, Route};

pub fn routes() -> Vec<Route> {
    vec![Route::new::<__path_list, _, _>(
        Access::Verb(Verb::PluginsRead),
        list,
    )]
}

/// A generator.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct PluginView {
    pub name: String,
    pub version: String,
    /// Of the component's bytes.
    pub digest: String,
    pub title: String,
    pub summary: String,
    /// When its steps run, unless the profile says otherwise.
    pub stage: Stage,
    /// JSON Schema 2020-12 of its configuration.
    pub config_schema: Value,
}

/// All generators.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct PluginList {
    pub plugins: Vec<PluginView>,
}

impl From<Generator> for PluginView {
    fn from(generator: Generator) -> Self {
        Self {
            name: generator.name,
            version: generator.version,
            digest: generator.digest.to_string(),
            title: generator.title,
            summary: generator.summary,
            stage: generator.stage,
            config_schema: Value::clone(&generator.config_schema),
        }
    }
}

/// The generators that the caller's tenant may use.
#[utoipa::path(get, path = "/v1/plugins", tag = "plugins", responses((status = 200, body = PluginList)))]
async fn list(
    State(app): State<AppState>,
    caller: Caller,
) -> Result<axum::Json<PluginList>, Problem> {
    let all = app.generators.list(&caller.tenant).await?;
    let plugins = all.into_iter().map(PluginView::from).collect();
    Ok(axum::Json(PluginList { plugins }))
}
