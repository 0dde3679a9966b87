//! What the generators of a launch saw and made, to be replayed elsewhere: `bootsplice plugin record --launch ID`.

use std::io::{self, Seek as _};

use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::{HeaderValue, header};
use axum::response::Response;
use tokio_util::io::ReaderStream;

use super::insert;
use super::launch_view::StepOf;
use crate::app::AppState;
use crate::auth::{Caller, Verb};
use crate::extract::Query;
use crate::problem::{Kind, Problem, ProblemBody};
use crate::recording::pack::pack;
use crate::route::{Access, Route};

/// Bytes that are read at a time.
const PIECE: usize = 256 << 10;

pub fn routes() -> Vec<Route> {
    // As the volume: it is made of the same bytes.
    let read = Access::Verb(Verb::LaunchesRead);
    vec![Route::new::<__path_recording, _, _>(read, recording)]
}

/// A recording of the launch's generators as a tar: `generate` is run again from the lock, with the inputs that it had. Holds what they fetched;
/// of secrets only names.
#[utoipa::path(get, path = "/v1/launches/{id}/recording", tag = "launches", params(("id" = String, Path), StepOf),
    responses((status = 200, content_type = "application/x-tar", body = Vec<u8>), (status = 404, body = ProblemBody, content_type = "application/problem+json"),
        (status = 422, body = ProblemBody, content_type = "application/problem+json", description = "What the launch needs cannot be had any more")))]
async fn recording(
    State(app): State<AppState>,
    caller: Caller,
    Path(id): Path<String>,
    Query(which): Query<StepOf>,
) -> Result<Response, Problem> {
    let launches = app.launches()?;
    let made = launches
        .record(&caller.tenant, &id, which.step.as_deref())
        .await?;
    let packed = tokio::task::spawn_blocking(move || {
        let mut file = tempfile::tempfile_in(&made.recording.directory)?;
        pack(&made.recording, &mut file)?;
        let size = file.stream_position()?;
        file.rewind()?;
        Ok::<_, io::Error>((file, size))
    });
    let (file, size) = packed
        .await
        .map_err(io::Error::other)
        .and_then(|packed| packed)
        .map_err(|error| {
            tracing::error!(%error, "a recording could not be packed");
            Problem::new(Kind::Internal, "the recording could not be packed")
        })?;
    let file = tokio::fs::File::from_std(file);
    let pieces = ReaderStream::with_capacity(file, PIECE);
    let mut response = Response::new(Body::from_stream(pieces));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_LENGTH, size.into());
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    insert(&mut response, header::CONTENT_TYPE, "application/x-tar");
    Ok(response)
}
