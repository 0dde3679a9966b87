//! `/v1/volumes`: the base volumes of the configured store. They belong to the operator and are the same for every tenant.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::response::{IntoResponse as _, Response};
use bootsplice_blocks::open_store;
use bootsplice_import::{ImportError, inspect, list};
use object_store::ObjectStore;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::app::AppState;
use crate::auth::Verb;
use crate::problem::{Kind, Problem, ProblemBody};
use crate::route::{Access, Route};

pub fn routes() -> Vec<Route> {
    let read = Access::Verb(Verb::VolumesRead);
    vec![
        Route::new::<__path_list_volumes, _, _>(read, list_volumes),
        Route::new::<__path_get, _, _>(read, get),
    ]
}

/// A base volume's name and what it stands for.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct VolumeSummary {
    pub name: String,
    /// The digest of its content manifest.
    pub volume: String,
    pub placement: u32,
}

/// All base volumes.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct VolumeList {
    pub volumes: Vec<VolumeSummary>,
}

/// The base volumes that launches may start from.
#[utoipa::path(get, path = "/v1/volumes", operation_id = "list", tag = "volumes", responses((status = 200, body = VolumeList)))]
async fn list_volumes(State(app): State<AppState>) -> Result<axum::Json<VolumeList>, Problem> {
    let names = match store(&app)? {
        None => Vec::new(),
        Some(store) => list(&store).await.map_err(problem)?,
    };
    let volumes = names
        .into_iter()
        .map(|named| VolumeSummary {
            name: named.name,
            volume: named.volume.to_string(),
            placement: named.placement,
        })
        .collect();
    Ok(axum::Json(VolumeList { volumes }))
}

/// One base volume: size, points, and the guest inventory with the keys that it trusts.
#[utoipa::path(get, path = "/v1/volumes/{name}", tag = "volumes", params(("name" = String, Path)),
    responses((status = 200, description = "As `bootsplice volume inspect` shows it"),
        (status = 404, body = ProblemBody, content_type = "application/problem+json")))]
async fn get(State(app): State<AppState>, Path(name): Path<String>) -> Result<Response, Problem> {
    let store = store(&app)?.ok_or_else(|| Problem::not_found("volume", &name))?;
    match inspect(&store, &name).await {
        Ok(found) => Ok(axum::Json(found).into_response()),
        Err(ImportError::NoVolume(_) | ImportError::Invalid { .. }) => {
            Err(Problem::not_found("volume", &name))
        }
        Err(error) => Err(problem(error)),
    }
}

/// None when the operator configured no store.
fn store(app: &AppState) -> Result<Option<Arc<dyn ObjectStore>>, Problem> {
    let Some(url) = &app.config.volumes else {
        return Ok(None);
    };
    open_store(url.as_str(), std::env::vars())
        .map(Some)
        .map_err(|error| {
            tracing::error!(%error, "the store of base volumes cannot be opened");
            Problem::new(Kind::Upstream, "the store of base volumes cannot be opened")
        })
}

/// What went wrong is in the log: a store's own words may hold addresses and bucket names.
fn problem(error: ImportError) -> Problem {
    tracing::error!(%error, "the store of base volumes failed");
    match error {
        ImportError::Damaged { object, .. } => Problem::new(
            Kind::Upstream,
            format!("the stored object `{object}` is damaged"),
        ),
        _ => Problem::new(Kind::Upstream, "the store of base volumes does not answer"),
    }
}
