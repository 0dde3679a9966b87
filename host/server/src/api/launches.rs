//! `/v1/launches` and `/v1/plans`.

use std::convert::Infallible;
use std::time::Duration;

use axum::extract::{Path, State};
use axum::http::{HeaderMap, HeaderName, StatusCode, header};
use axum::response::sse::{self, Sse};
use axum::response::{IntoResponse as _, Response};
use futures::stream::{self, Stream, StreamExt as _};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::sync::broadcast::error::RecvError;
use utoipa::ToSchema;

use super::launch_view::{lock_digest, view};
use super::{LaunchList, LaunchView, Listing, insert};
use crate::app::AppState;
use crate::auth::{Caller, Verb};
use crate::extract::{Json, Query};
use crate::launch::Launches;
use crate::launch::ledger::{Admission, LedgerError};
use crate::launch::plan::Plan;
use crate::launch::prepare::{LockChoice, Revision, Wanted};
use crate::launch::record::{Launch, Moment, State as LaunchState};
use crate::launch::request::Draft;
use crate::problem::{Fault, Kind, Problem, ProblemBody};
use crate::route::{Access, Route};

const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");

pub fn routes() -> Vec<Route> {
    let read = Access::Verb(Verb::LaunchesRead);
    let write = Access::Verb(Verb::LaunchesWrite);
    vec![
        Route::new::<__path_create, _, _>(write, create),
        Route::new::<__path_list, _, _>(read, list),
        Route::new::<__path_get, _, _>(read, get),
        Route::new::<__path_cancel, _, _>(write, cancel),
        Route::new::<__path_events, _, _>(read, events),
        Route::new::<__path_manifest, _, _>(read, manifest),
        Route::new::<__path_lock, _, _>(read, lock),
        Route::new::<__path_timeline, _, _>(read, timeline),
        Route::new::<__path_plan, _, _>(write, plan),
    ]
}

#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct TimelineView {
    pub timeline: Vec<Moment>,
}

/// Admits a launch. The answer comes when everything is decided that can fail early; the work goes on.
#[utoipa::path(post, path = "/v1/launches", tag = "launches", request_body = Draft,
    params(("Idempotency-Key" = Option<String>, Header, description = "The same key and body give the same launch, for at least 24 hours")),
    responses((status = 202, body = LaunchView, description = "A new launch"), (status = 200, body = LaunchView, description = "The launch of the same request before"),
        (status = 409, body = ProblemBody, content_type = "application/problem+json", description = "The key was used for another request, or the target is leased"),
        (status = 422, body = ProblemBody, content_type = "application/problem+json")))]
async fn create(
    State(app): State<AppState>,
    caller: Caller,
    headers: HeaderMap,
    Json(draft): Json<Draft>,
) -> Result<Response, Problem> {
    let launches = app.launches()?;
    let request = draft
        .check()
        .map_err(|faults| Problem::new(Kind::InvalidRequest, "").with_faults(faults))?;
    let explicit = idempotency_key(&headers)?;
    let tenant = caller.tenant.as_str();
    let now = app.clock.now();
    if let Some(key) = &explicit
        && let Some(launch) = launches
            .ledger
            .look_up(tenant, key, request.digest(), now)
            .await?
    {
        return Ok(told(launches, StatusCode::OK, &launch));
    }
    if let Some(sink) = &request.sink
        && launches.named_sink(tenant, &sink.name).is_none()
    {
        let names: Vec<_> = app
            .config
            .sinks
            .iter()
            .map(|sink| sink.name.as_str())
            .collect();
        let fault = Fault::new(
            "/sink/name",
            "unknown-sink",
            format!("there is no sink `{}`", sink.name),
        );
        let fault = fault.hint(format!("the operator defined [{}]", names.join(", ")));
        return Err(Problem::new(Kind::InvalidRequest, "").with_faults(vec![fault]));
    }
    let unfinished = launches.unfinished_of(tenant).await?;
    if unfinished >= app.config.limits.launches_per_tenant {
        let detail =
            format!("{unfinished} launches of this tenant are not final, and no more are taken");
        return Err(Problem::new(Kind::TooManyRequests, detail).retry_after(Duration::from_secs(5)));
    }
    let prepared = launches
        .prepare(Wanted {
            tenant: &caller.tenant,
            request: &request,
            profile: Revision::Asked,
            base: None,
            locks: LockChoice::InForce,
        })
        .await?;
    let key = explicit
        .clone()
        .unwrap_or_else(|| request.implicit_key(prepared.profile.version, prepared.base.volume));
    let deadline = now
        + time::Duration::seconds(i64::try_from(request.deadline_seconds).unwrap_or(i64::MAX / 4));
    let mut launch = Launch {
        id: app.entropy.ulid(&*app.clock).to_string(),
        tenant: tenant.to_owned(),
        profile_version: prepared.profile.version,
        base: prepared.base.clone(),
        size: prepared.layout.size,
        sequence: 0,
        idempotency_key: key,
        locks: prepared.locks(),
        made: None,
        steps: Vec::new(),
        state: LaunchState::Accepted,
        created: now,
        deadline,
        timeline: Vec::new(),
        report: None,
        request,
    };
    launch.note(now, "accepted", None);
    for warning in &prepared.warnings {
        launch.note(now, "warned", Some(warning.clone()));
    }
    tracing::Span::current().record("launch", &*launch.id);
    match launches
        .ledger
        .admit(launch, explicit.is_some(), now)
        .await?
    {
        Admission::New(launch) => {
            launches.metrics.admitted.inc();
            launches.start(launch.clone(), prepared);
            Ok(told(launches, StatusCode::ACCEPTED, &launch))
        }
        Admission::Same(launch) => Ok(told(launches, StatusCode::OK, &launch)),
    }
}

/// The caller's tenant's launches, newest first.
#[utoipa::path(get, path = "/v1/launches", tag = "launches", params(Listing), responses((status = 200, body = LaunchList)))]
async fn list(
    State(app): State<AppState>,
    caller: Caller,
    Query(listing): Query<Listing>,
) -> Result<axum::Json<LaunchList>, Problem> {
    let launches = app.launches()?;
    let limit = listing.limit.unwrap_or(100);
    if !(1..=500).contains(&limit) {
        let fault = Fault::new(
            "/limit",
            "invalid-value",
            format!("`limit` is 1 to 500, not {limit}"),
        );
        return Err(Problem::new(Kind::InvalidRequest, "").with_faults(vec![fault]));
    }
    let (found, more) = launches
        .ledger
        .list(caller.tenant.as_str(), listing.before.as_deref(), limit)
        .await?;
    Ok(axum::Json(LaunchList {
        next: found
            .last()
            .filter(|_| more)
            .map(|launch| launch.id.clone()),
        launches: found.iter().map(|launch| view(launches, launch)).collect(),
    }))
}

/// One launch.
#[utoipa::path(get, path = "/v1/launches/{id}", tag = "launches", params(("id" = String, Path)), responses((status = 200, body = LaunchView),
    (status = 404, body = ProblemBody, content_type = "application/problem+json")))]
async fn get(
    State(app): State<AppState>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<axum::Json<LaunchView>, Problem> {
    let launches = app.launches()?;
    let launch = launches.ledger.get(caller.tenant.as_str(), &id).await?;
    Ok(axum::Json(view(launches, &launch)))
}

/// Cancels a launch that is not final; deletes one that is.
#[utoipa::path(delete, path = "/v1/launches/{id}", tag = "launches", params(("id" = String, Path)),
    responses((status = 200, body = LaunchView, description = "Cancelled"), (status = 204, description = "The record of a final launch was deleted"),
        (status = 404, body = ProblemBody, content_type = "application/problem+json")))]
async fn cancel(
    State(app): State<AppState>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<Response, Problem> {
    let launches = app.launches()?;
    match launches.cancel(&caller.tenant, &id).await {
        Ok(launch) => Ok(told(launches, StatusCode::OK, &launch)),
        Err(LedgerError::Final { .. }) => {
            launches.forget(&caller.tenant, &id).await?;
            Ok(StatusCode::NO_CONTENT.into_response())
        }
        Err(error) => Err(error.into()),
    }
}

/// What happens to a launch, as server-sent events: `state`, `content`, `stream`, `warning`, `report`. Begins with where it stands, ends when it is final.
#[utoipa::path(get, path = "/v1/launches/{id}/events", tag = "launches", params(("id" = String, Path)),
    responses((status = 200, content_type = "text/event-stream", body = String), (status = 404, body = ProblemBody, content_type = "application/problem+json")))]
async fn events(
    State(app): State<AppState>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<Sse<impl Stream<Item = Result<sse::Event, Infallible>>>, Problem> {
    let launches = app.launches()?;
    let heard = launches.events.listen(&id);
    let launch = launches.ledger.get(caller.tenant.as_str(), &id).await?;
    let now = view(launches, &launch);
    let first = [
        ("state", json!(launch.state)),
        ("content", json!(now.content)),
        ("stream", json!(now.stream)),
    ];
    let warned = now
        .warnings
        .iter()
        .map(|text| ("warning", json!({"detail": text})));
    let over = launch.is_final();
    let first: Vec<_> = first
        .into_iter()
        .chain(warned)
        .map(|(name, data)| Ok(event(name, &data)))
        .collect();
    let first = stream::iter(first);
    let later = stream::unfold((heard, over), |(mut heard, over)| async move {
        if over {
            return None;
        }
        loop {
            match heard.recv().await {
                Ok(told) => {
                    let over = told.name == "state"
                        && matches!(
                            told.data["state"].as_str(),
                            Some("committed" | "failed" | "cancelled")
                        );
                    return Some((Ok(event(told.name, &told.data)), (heard, over)));
                }
                Err(RecvError::Lagged(_)) => {}
                Err(RecvError::Closed) => return None,
            }
        }
    });
    Ok(Sse::new(first.chain(later))
        .keep_alive(sse::KeepAlive::new().interval(Duration::from_secs(15))))
}

/// The launch manifest: base, size, and the archive of each point with its header's content.
#[utoipa::path(get, path = "/v1/launches/{id}/manifest", tag = "launches", params(("id" = String, Path)), responses((status = 200, body = Object),
    (status = 503, body = ProblemBody, content_type = "application/problem+json")))]
async fn manifest(
    State(app): State<AppState>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<axum::Json<Value>, Problem> {
    let launches = app.launches()?;
    let (_, live) = launches.live(&caller.tenant, &id).await?;
    let ready = live.wait_ready().await?;
    let archives: Vec<_> = live
        .archives()
        .unwrap_or_default()
        .iter()
        .map(|archive| {
            let payload = &archive.archive().payload;
            let layers: Vec<_> = payload
                .layers
                .iter()
                .zip(&archive.archive().layers)
                .map(|(layer, made)| {
                    json!({"digest": layer.digest, "blocks": layer.blocks, "steps": layer.steps, "scope": layer.scope,
                        "tar_digest": made.record.tar_digest, "tar_size": made.record.tar_size, "entries": made.record.entries})
                })
                .collect();
            json!({"point": payload.point, "archive": ready.made.archives.get(&payload.point), "partition": payload.partition.to_string(),
                "blocks": payload.blocks, "length": payload.length, "layers": layers})
        })
        .collect();
    Ok(axum::Json(json!({
        "schema": ready.manifest.schema, "digest": ready.made.manifest, "base": ready.manifest.base, "size": ready.manifest.size, "archives": archives,
    })))
}

/// The locks of a launch, by point: every artefact with URL, size and digest.
#[utoipa::path(get, path = "/v1/launches/{id}/lock", tag = "launches", params(("id" = String, Path)), responses((status = 200, body = Object)))]
async fn lock(
    State(app): State<AppState>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<axum::Json<Value>, Problem> {
    let launches = app.launches()?;
    let launch = launches.ledger.get(caller.tenant.as_str(), &id).await?;
    let mut points = serde_json::Map::new();
    for (point, digest) in &launch.locks {
        let lock = launches.locks.get(caller.tenant.as_str(), *digest).await?;
        points.insert(point.clone(), json!({"digest": digest, "lock": lock}));
    }
    Ok(axum::Json(
        json!({"digest": lock_digest(&launch), "points": points}),
    ))
}

/// When what happened.
#[utoipa::path(get, path = "/v1/launches/{id}/timeline", tag = "launches", params(("id" = String, Path)), responses((status = 200, body = TimelineView)))]
async fn timeline(
    State(app): State<AppState>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<axum::Json<TimelineView>, Problem> {
    let launches = app.launches()?;
    let launch = launches.ledger.get(caller.tenant.as_str(), &id).await?;
    Ok(axum::Json(TimelineView {
        timeline: launch.timeline,
    }))
}

/// A dry run of a launch: every step, entry, byte and size against capacity. Nothing is recorded.
#[utoipa::path(post, path = "/v1/plans", tag = "launches", request_body = Draft, responses((status = 200, body = Plan),
    (status = 422, body = ProblemBody, content_type = "application/problem+json")))]
async fn plan(
    State(app): State<AppState>,
    caller: Caller,
    Json(draft): Json<Draft>,
) -> Result<axum::Json<Plan>, Problem> {
    let launches = app.launches()?;
    let request = draft
        .check()
        .map_err(|faults| Problem::new(Kind::InvalidRequest, "").with_faults(faults))?;
    Ok(axum::Json(launches.plan(&caller.tenant, &request).await?))
}

fn told(launches: &Launches, status: StatusCode, launch: &Launch) -> Response {
    let location = format!("/v1/launches/{}", launch.id);
    let mut response = (status, axum::Json(view(launches, launch))).into_response();
    insert(&mut response, header::LOCATION, &location);
    response
}

fn idempotency_key(headers: &HeaderMap) -> Result<Option<String>, Problem> {
    let Some(value) = headers.get(&IDEMPOTENCY_KEY) else {
        return Ok(None);
    };
    match value.to_str() {
        Ok(key) if (1..=255).contains(&key.len()) => Ok(Some(key.to_owned())),
        _ => Err(Problem::new(
            Kind::BadRequest,
            "`Idempotency-Key` has 1 to 255 printable ASCII characters",
        )),
    }
}

fn event(name: &str, data: &Value) -> sse::Event {
    sse::Event::default().event(name).data(data.to_string())
}

// === impl Problem ===

impl From<LedgerError> for Problem {
    fn from(error: LedgerError) -> Self {
        match error {
            LedgerError::KeyUsed { .. } => Self::new(Kind::IdempotencyConflict, error.to_string()),
            LedgerError::Leased { .. } => Self::new(Kind::TargetLeased, error.to_string()),
            LedgerError::Missing { id } => Self::not_found("launch", &id),
            LedgerError::Final { .. } | LedgerError::NotFinal { .. } => {
                Self::new(Kind::Conflict, error.to_string())
            }
            LedgerError::Store(error) => error.into(),
        }
    }
}
