//! Yanking a release, and granting it rights.

use axum::extract::{Path, State};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{Place, PluginView, owned, pusher, release};
use crate::app::AppState;
use crate::auth::{Caller, Verb};
use crate::extract::Json;
use crate::plugins::grants::Grant;
use crate::problem::{Fault, Kind, Problem, ProblemBody};
use crate::route::{Access, Route};

pub fn routes() -> Vec<Route> {
    let write = Access::Verb(Verb::PluginsWrite);
    vec![
        Route::new::<__path_yank, _, _>(write, yank),
        Route::new::<__path_unyank, _, _>(write, unyank),
        Route::new::<__path_grant, _, _>(Access::Verb(Verb::Admin), grant),
    ]
}

/// Why a release is yanked.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct YankBody {
    /// For whoever uses it; 1 to 500 bytes.
    pub reason: String,
}

/// Stops new revisions of profiles from using a release. Revisions that are saved run on, with a warning.
#[utoipa::path(put, path = "/v1/plugins/{namespace}/{name}/{version}/yank", tag = "plugins",
    params(("namespace" = String, Path), ("name" = String, Path), ("version" = String, Path)), request_body = YankBody,
    responses((status = 200, body = PluginView), (status = 403, body = ProblemBody, content_type = "application/problem+json"),
        (status = 404, body = ProblemBody, content_type = "application/problem+json"), (status = 422, body = ProblemBody, content_type = "application/problem+json")))]
async fn yank(
    State(app): State<AppState>,
    caller: Caller,
    Path(place): Path<Place>,
    Json(body): Json<YankBody>,
) -> Result<axum::Json<PluginView>, Problem> {
    if body.reason.trim().is_empty() || body.reason.len() > 500 {
        let detail = format!("{} bytes; expected 1 to 500", body.reason.len());
        let fault = Fault::new("/reason", "invalid-value", detail);
        return Err(Problem::new(Kind::InvalidRequest, "").with_faults(vec![fault]));
    }
    set(&app, &caller, &place, Some(body.reason)).await
}

/// Allows new revisions of profiles to use a release again.
#[utoipa::path(delete, path = "/v1/plugins/{namespace}/{name}/{version}/yank", tag = "plugins",
    params(("namespace" = String, Path), ("name" = String, Path), ("version" = String, Path)),
    responses((status = 200, body = PluginView), (status = 403, body = ProblemBody, content_type = "application/problem+json"),
        (status = 404, body = ProblemBody, content_type = "application/problem+json")))]
async fn unyank(
    State(app): State<AppState>,
    caller: Caller,
    Path(place): Path<Place>,
) -> Result<axum::Json<PluginView>, Problem> {
    set(&app, &caller, &place, None).await
}

async fn set(
    app: &AppState,
    caller: &Caller,
    place: &Place,
    reason: Option<String>,
) -> Result<axum::Json<PluginView>, Problem> {
    let found = release(app, caller, place).await?;
    owned(caller, &found)?;
    let yank = reason.map(|reason| (reason, pusher(caller)));
    let installed = &app.launches()?.installed;
    let (plugin, digest) = (found.plugin(), found.digest);
    let done = installed.set_yank(&plugin, &digest, yank).await?;
    let done = done.ok_or_else(|| Problem::not_found("plugin", &found.reference()))?;
    tracing::info!(plugin = %done.reference(), digest = %done.digest, yanked = done.yanked.is_some(), "a plugin's state changed");
    Ok(axum::Json(PluginView::of(app, &done).await?))
}

/// Says what the bytes of a pushed release may reach, in the place of what was said before. A built-in generator has the grants of the configuration.
#[utoipa::path(put, path = "/v1/plugins/{namespace}/{name}/{version}/grant", tag = "plugins",
    params(("namespace" = String, Path), ("name" = String, Path), ("version" = String, Path)), request_body = Grant,
    responses((status = 200, body = PluginView), (status = 404, body = ProblemBody, content_type = "application/problem+json"),
        (status = 409, body = ProblemBody, content_type = "application/problem+json"), (status = 422, body = ProblemBody, content_type = "application/problem+json")))]
async fn grant(
    State(app): State<AppState>,
    caller: Caller,
    Path(place): Path<Place>,
    Json(body): Json<Grant>,
) -> Result<axum::Json<PluginView>, Problem> {
    let found = release(&app, &caller, &place).await?;
    if found.namespace.is_none() {
        let detail = format!(
            "`{}` came with the host: `[[grants]]` in its configuration says what it may fetch",
            found.reference()
        );
        return Err(Problem::new(Kind::Conflict, detail));
    }
    let faults = body.faults(&app.config);
    if !faults.is_empty() {
        return Err(Problem::new(Kind::InvalidRequest, "").with_faults(faults));
    }
    let grants = app.launches()?.installed.grants();
    grants
        .put(&found.plugin(), &found.digest, body, pusher(&caller))
        .await?;
    Ok(axum::Json(PluginView::of(&app, &found).await?))
}
