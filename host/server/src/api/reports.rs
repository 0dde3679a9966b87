//! `/v1/reports`: what guests say of themselves, each with the token of its launch.

use axum::extract::State;
use axum::http::{HeaderMap, header};
use serde_json::{Value, json};

use crate::app::AppState;
use crate::launch::report::{Report, TokenError};
use crate::problem::{Kind, Problem, ProblemBody};
use crate::route::{Access, Route};

pub fn routes() -> Vec<Route> {
    vec![Route::new::<__path_report, _, _>(Access::Handler, report)]
}

/// A guest's report, with the token of its launch.
#[utoipa::path(post, path = "/v1/reports", tag = "reports", request_body = Report,
    responses((status = 200, description = "Taken, or not newer than one before"), (status = 401, body = ProblemBody, content_type = "application/problem+json"),
        (status = 403, body = ProblemBody, content_type = "application/problem+json", description = "The token is another launch's")))]
async fn report(
    State(app): State<AppState>,
    headers: HeaderMap,
    body: axum::body::Bytes,
) -> Result<axum::Json<Value>, Problem> {
    let launches = app.launches()?;
    let token = headers
        .get(header::AUTHORIZATION)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.strip_prefix("Bearer "))
        .ok_or_else(|| {
            Problem::new(
                Kind::Unauthenticated,
                "a report carries the token of its launch",
            )
        })?;
    let reporter = launches
        .reports
        .check(token, app.clock.now())
        .map_err(|error| match error {
            TokenError::Forged | TokenError::Expired => {
                Problem::new(Kind::Unauthenticated, error.to_string())
            }
        })?;
    let report: Report = crate::extract::parse(&body)?;
    if report.launch != reporter.launch {
        let detail = format!(
            "the token is of launch `{}`, the report of `{}`",
            reporter.launch, report.launch
        );
        return Err(Problem::new(Kind::Forbidden, detail));
    }
    let document = json!(report);
    let at = app.clock.now();
    let (new, _) = launches
        .ledger
        .report(
            &reporter.tenant,
            &reporter.launch,
            report.sequence,
            &document,
            at,
        )
        .await?;
    if new {
        tracing::info!(launch = reporter.launch, tenant = reporter.tenant, result = ?report.result, "a guest reported");
        launches.events.tell(&reporter.launch, "report", document);
    }
    Ok(axum::Json(json!({"taken": new})))
}
