//! Whether the host lives, whether it can work, what it counts, and what it offers.

use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use utoipa::ToSchema;

use crate::app::AppState;
use crate::auth::Verb;
use crate::problem::{Kind, Problem, ProblemBody};
use crate::route::{Access, Route};

pub fn routes() -> Vec<Route> {
    vec![
        Route::new::<__path_healthz, _, _>(Access::Open, healthz),
        Route::new::<__path_readyz, _, _>(Access::Open, readyz),
        Route::new::<__path_metrics, _, _>(Access::Verb(Verb::MetricsRead), metrics),
        Route::new::<__path_openapi, _, _>(Access::Token, openapi),
    ]
}

/// A health answer.
#[derive(Serialize, ToSchema)]
pub struct Health {
    /// `ok`.
    pub status: &'static str,
    pub version: &'static str,
}

const HEALTH: Health = Health {
    status: "ok",
    version: env!("CARGO_PKG_VERSION"),
};

/// The process answers. Open without a token.
#[utoipa::path(get, path = "/healthz", tag = "host", responses((status = 200, body = Health)))]
async fn healthz() -> axum::Json<Health> {
    axum::Json(HEALTH)
}

/// The host can take work: its store answers and it is not shutting down. Open without a token.
#[utoipa::path(get, path = "/readyz", tag = "host", responses(
    (status = 200, body = Health),
    (status = 503, body = ProblemBody, content_type = "application/problem+json")
))]
async fn readyz(State(app): State<AppState>) -> Result<axum::Json<Health>, Problem> {
    if app.shutdown.is_cancelled() {
        return Err(Problem::new(Kind::Unavailable, "the host is shutting down"));
    }
    app.store.list("token/", None, 1).await?;
    Ok(axum::Json(HEALTH))
}

/// Counters and histograms in the Prometheus text format.
#[utoipa::path(get, path = "/metrics", tag = "host", responses(
    (status = 200, body = String, content_type = "application/openmetrics-text")
))]
async fn metrics(State(app): State<AppState>) -> Result<Response, Problem> {
    let text = app.metrics.render().map_err(|error| {
        tracing::error!(%error, "metrics cannot be rendered");
        Problem::new(Kind::Internal, "metrics cannot be rendered")
    })?;
    let media_type = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    Ok(([(header::CONTENT_TYPE, media_type)], text).into_response())
}

/// This document.
#[utoipa::path(get, path = "/openapi.json", tag = "host", responses((status = 200, description = "OpenAPI 3.1")))]
async fn openapi() -> Response {
    axum::Json(crate::openapi::document()).into_response()
}
