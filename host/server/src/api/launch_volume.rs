//! The volume of a launch over HTTP: read in whole or in ranges, confirmed by its digest (RFC 0005).

use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, HeaderName, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bootsplice_content::Digest;
use bootsplice_sinks::{HttpVolume, Requested, content_range};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::launch_view::view;
use super::{LaunchView, insert};
use crate::app::AppState;
use crate::auth::{Caller, Verb};
use crate::extract::Json;
use crate::problem::{Kind, Problem, ProblemBody};
use crate::route::{Access, Route};

const WANT_REPR_DIGEST: HeaderName = HeaderName::from_static("want-repr-digest");
const REPR_DIGEST: HeaderName = HeaderName::from_static("repr-digest");

pub fn routes() -> Vec<Route> {
    vec![
        Route::new::<__path_volume, _, _>(Access::Verb(Verb::LaunchesRead), volume),
        Route::new::<__path_confirm, _, _>(Access::Verb(Verb::LaunchesWrite), confirm),
    ]
}

#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ConfirmBody {
    /// SHA-256 of the volume as it was received: `sha256:` and 64 hex digits.
    #[schema(value_type = String)]
    pub sha256: Digest,
}

/// The personalised volume, raw. With `Range` once the content is made; with `Want-Repr-Digest: sha-256=1` the answer carries its digest.
#[utoipa::path(get, path = "/v1/launches/{id}/volume", tag = "launches", params(("id" = String, Path)),
    responses((status = 200, content_type = "application/octet-stream", body = Vec<u8>), (status = 206, content_type = "application/octet-stream", body = Vec<u8>),
        (status = 416, body = ProblemBody, content_type = "application/problem+json"), (status = 503, body = ProblemBody, content_type = "application/problem+json")))]
async fn volume(
    State(app): State<AppState>,
    caller: Caller,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let launches = app.launches()?;
    let (launch, live) = launches.live(&caller.tenant, &id).await?;
    if launch.request.sink.is_some() && !launch.is_final() {
        return Err(Problem::new(
            Kind::Conflict,
            format!("launch `{id}` goes to a sink; its volume is read there"),
        ));
    }
    let size = live.reader.geometry().size;
    let field = |name: &HeaderName| headers.get(name).and_then(|value| value.to_str().ok());
    let wants_range = headers.contains_key(header::RANGE);
    let wants_digest = field(&WANT_REPR_DIGEST).is_some_and(|value| value.contains("sha-256"));
    let ready = if wants_range || wants_digest {
        Some(live.wait_ready().await?)
    } else {
        live.ready()
    };
    let etag = ready
        .as_ref()
        .map(|ready| format!("\"{}\"", ready.made.manifest));
    // A range of another volume than the client has begun with would be spliced into nonsense.
    let same = field(&header::IF_RANGE).is_none_or(|wanted| Some(wanted) == etag.as_deref());
    let requested = match field(&header::RANGE).filter(|_| same) {
        Some(range) => Requested::parse(Some(range), size),
        None => Requested::Whole,
    };
    let (status, range) = match requested {
        Requested::Whole => (StatusCode::OK, 0..size),
        Requested::Part(range) => (StatusCode::PARTIAL_CONTENT, range),
        Requested::Unsatisfiable => {
            let mut refused = Problem::new(
                Kind::RangeNotSatisfiable,
                format!("the volume has {size} bytes"),
            )
            .into_response();
            insert(
                &mut refused,
                header::CONTENT_RANGE,
                &format!("bytes */{size}"),
            );
            return Ok(refused);
        }
    };
    launches
        .metrics
        .streamed_bytes
        .inc_by(range.end - range.start);
    let body = HttpVolume::new(live.reader.clone(), live.readers.clone(), range.clone());
    let mut response = Response::new(Body::new(body));
    *response.status_mut() = status;
    insert(
        &mut response,
        header::CONTENT_TYPE,
        "application/octet-stream",
    );
    insert(&mut response, header::ACCEPT_RANGES, "bytes");
    if status == StatusCode::PARTIAL_CONTENT {
        insert(
            &mut response,
            header::CONTENT_RANGE,
            &content_range(&range, size),
        );
    }
    if let Some(etag) = etag {
        insert(&mut response, header::ETAG, &etag);
    }
    if wants_digest {
        let digest = launches.volume_digest(&live).await?;
        insert(
            &mut response,
            REPR_DIGEST,
            &format!("sha-256=:{}:", STANDARD.encode(digest.as_bytes())),
        );
    }
    Ok(response)
}

/// Commits a launch whose volume was read over HTTP: the client says what it received.
#[utoipa::path(post, path = "/v1/launches/{id}/confirm", tag = "launches", params(("id" = String, Path)), request_body = ConfirmBody,
    responses((status = 200, body = LaunchView), (status = 409, body = ProblemBody, content_type = "application/problem+json", description = "The digest is not the volume's")))]
async fn confirm(
    State(app): State<AppState>,
    caller: Caller,
    Path(id): Path<String>,
    Json(body): Json<ConfirmBody>,
) -> Result<axum::Json<LaunchView>, Problem> {
    let launches = app.launches()?;
    let launch = launches.confirm(&caller.tenant, &id, body.sha256).await?;
    Ok(axum::Json(view(launches, &launch)))
}
