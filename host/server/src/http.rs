//! What surrounds every route: request ids, one log line a request, metrics, limits, and problems for everything that went wrong on the way.

use std::any::Any;
use std::time::Instant;

use axum::Router;
use axum::body::Body;
use axum::extract::{DefaultBodyLimit, MatchedPath, Request, State};
use axum::http::{HeaderName, HeaderValue, header};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse as _, Response};
use http_body_util::{BodyExt as _, Limited};
use tower_http::catch_panic::CatchPanicLayer;
use tracing::Instrument as _;

use crate::app::AppState;
use crate::problem::{Kind, Problem};
use crate::route::{Route, router};

/// Carries a request's id, both ways.
pub const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// The id of the request at hand, as an extension of it.
#[derive(Clone, Debug)]
pub struct RequestId(pub String);

/// The host's whole HTTP service.
pub fn service(app: AppState, routes: Vec<Route>) -> Router {
    let body = usize::try_from(app.config.limits.body.0).unwrap_or(usize::MAX);
    let mut service = router(app.clone(), routes);
    if let Some(registry) = app.registry() {
        service = service.merge(registry.router());
    }
    service
        .layer(CatchPanicLayer::custom(panicked))
        .layer(DefaultBodyLimit::max(body))
        .layer(from_fn_with_state(app, around))
}

/// The outermost layer.
async fn around(State(app): State<AppState>, mut request: Request, next: Next) -> Response {
    let started = Instant::now();
    let id = match request.headers().get(&REQUEST_ID).and_then(acceptable) {
        Some(given) => given,
        None => app.entropy.ulid(&*app.clock).to_string(),
    };
    request.extensions_mut().insert(RequestId(id.clone()));
    let method = request.method().clone();
    let path = request.uri().path().to_owned();
    let span = tracing::info_span!(
        "request",
        request = %id,
        method = %method,
        path = %path,
        tenant = tracing::field::Empty,
        token = tracing::field::Empty,
        launch = tracing::field::Empty,
    );
    // `Router::layer` runs after routing, so the matched row is known here.
    let matched = request.extensions().get::<MatchedPath>().cloned();
    let response = next.run(request).instrument(span.clone()).await;
    let mut response = if is_own(&response) {
        response
    } else {
        problematic(response, &id).await
    };
    if let Ok(value) = HeaderValue::from_str(&id) {
        response.headers_mut().insert(REQUEST_ID, value);
    }
    let status = response.status();
    let seconds = started.elapsed().as_secs_f64();
    let route = matched.as_ref().map_or("none", MatchedPath::as_str);
    app.metrics
        .answered(method.as_str(), route, status.as_u16(), seconds);
    span.in_scope(|| {
        if status.is_server_error() {
            tracing::error!(status = status.as_u16(), seconds, "answered");
        } else {
            tracing::info!(status = status.as_u16(), seconds, "answered");
        }
    });
    response
}

/// Whether it is the registry's, whose errors the distribution specification writes.
fn is_own(response: &Response) -> bool {
    response
        .headers()
        .contains_key(bootsplice_registry::VERSION)
}

/// A caller's own id is taken when it is short and plain, so that logs cannot be forged with it.
fn acceptable(value: &HeaderValue) -> Option<String> {
    let text = value.to_str().ok()?;
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    ((1..=64).contains(&text.len()) && text.bytes().all(plain)).then(|| text.to_owned())
}

/// Gives problems the request's id, and makes problems of the errors that axum and its layers answer in plain text.
async fn problematic(response: Response, id: &str) -> Response {
    if let Some(problem) = response.extensions().get::<Problem>() {
        let mut rendered = problem.respond(id);
        // What a handler added to its problem, such as a Content-Range, stays.
        for (name, value) in response.headers() {
            if name != header::CONTENT_LENGTH && !rendered.headers().contains_key(name) {
                rendered.headers_mut().insert(name, value.clone());
            }
        }
        return rendered;
    }
    let status = response.status();
    if !(status.is_client_error() || status.is_server_error()) {
        return response;
    }
    let (parts, body) = response.into_parts();
    let text = match Limited::new(body, 1024).collect().await {
        Ok(collected) => String::from_utf8_lossy(&collected.to_bytes()).into_owned(),
        Err(_) => String::new(),
    };
    let mut rendered = Problem::new(Kind::of_status(status), text).respond(id);
    *rendered.status_mut() = status;
    if let Some(allow) = parts.headers.get(header::ALLOW) {
        rendered.headers_mut().insert(header::ALLOW, allow.clone());
    }
    rendered
}

/// A handler's panic ends its own request and nothing else. What it said goes to the log, never to the client.
fn panicked(payload: Box<dyn Any + Send + 'static>) -> Response<Body> {
    let text = payload
        .downcast_ref::<String>()
        .map(String::as_str)
        .or_else(|| payload.downcast_ref::<&str>().copied())
        .unwrap_or("no message");
    tracing::error!(panic = text, "a handler panicked");
    Problem::new(
        Kind::Internal,
        "a mistake of the host's own; its log has the details under this request's id",
    )
    .into_response()
}
