//! The registry over HTTP: one handler for all of `/v2/`, since its paths are read from the right.

pub(crate) mod answer;
mod blobs;
mod lists;
mod manifests;
mod uploads;

use std::sync::Arc;

use axum::Json;
use axum::Router;
use axum::body::Body;
use axum::extract::{DefaultBodyLimit, Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, Method, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{any, get};
use serde_json::json;

use crate::error::{RegistryError, Result};
use crate::gate::{Action, Caller};
use crate::path::{Endpoint, Query};
use crate::registry::{Inner, Registry};

/// On every answer below `/v2/`.
pub const VERSION: HeaderName = HeaderName::from_static("docker-distribution-api-version");

/// A request whose path and caller are known and whose action is allowed.
struct Call {
    inner: Arc<Inner>,
    caller: Arc<dyn Caller>,
    headers: HeaderMap,
    query: Query,
    head: bool,
}

impl Registry {
    /// `/v2/…` and `/.well-known/wasm-pkg/registry.json`. Its errors are the specification's own; bodies are bounded by the registry's limits.
    pub fn router(&self) -> Router {
        Router::new()
            .route("/v2", any(answer))
            .route("/v2/", any(answer))
            .route("/v2/{*path}", any(answer))
            .route("/.well-known/wasm-pkg/registry.json", get(well_known))
            .layer(DefaultBodyLimit::disable())
            .with_state(self.clone())
    }
}

async fn answer(State(registry): State<Registry>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let answered = dispatch(registry, parts, body).await;
    let mut response = answered.unwrap_or_else(RegistryError::into_response);
    response
        .headers_mut()
        .insert(VERSION, header::HeaderValue::from_static("registry/2.0"));
    response
}

async fn dispatch(registry: Registry, parts: Parts, body: Body) -> Result<Response> {
    let inner = registry.0;
    let authorization = parts.headers.get(header::AUTHORIZATION);
    let authorization = authorization.and_then(|value| value.to_str().ok());
    let caller = inner.gate.authenticate(authorization).await?;
    let path = parts.uri.path();
    let endpoint = Endpoint::parse(path.strip_prefix("/v2/").unwrap_or_default())?;
    let (action, allow) = rights(&endpoint, &parts.method);
    let Some(action) = action else {
        return Err(RegistryError::Method { allow });
    };
    if let Some(repository) = endpoint.repository() {
        inner.admit(&*caller, repository, action).await?;
    }
    let call = Call {
        inner,
        caller,
        query: Query::parse(parts.uri.query()),
        head: parts.method == Method::HEAD,
        headers: parts.headers,
    };
    match (endpoint, parts.method) {
        (Endpoint::Base, _) => Ok((StatusCode::OK, Json(json!({}))).into_response()),
        (Endpoint::Blob(name, digest), Method::DELETE) => call.delete_blob(name, digest).await,
        (Endpoint::Blob(name, digest), _) => call.blob(name, digest).await,
        (Endpoint::Uploads(name), _) => call.begin(name, body).await,
        (Endpoint::Upload(name, id), Method::PATCH) => call.chunk(name, &id, body).await,
        (Endpoint::Upload(name, id), Method::PUT) => call.finish(name, &id, body).await,
        (Endpoint::Upload(name, id), Method::DELETE) => call.cancel(name, &id).await,
        (Endpoint::Upload(name, id), _) => call.status(name, &id).await,
        (Endpoint::Manifest(name, reference), Method::PUT) => {
            call.push(name, reference, body).await
        }
        (Endpoint::Manifest(name, reference), Method::DELETE) => {
            call.delete_manifest(name, reference).await
        }
        (Endpoint::Manifest(name, reference), _) => call.manifest(name, reference).await,
        (Endpoint::Tags(name), _) => call.tags(name).await,
        (Endpoint::Referrers(name, subject), _) => call.referrers(name, subject).await,
    }
}

/// What a method does at an end-point, and all methods that the end-point has.
fn rights(endpoint: &Endpoint, method: &Method) -> (Option<Action>, &'static str) {
    let get = matches!(*method, Method::GET | Method::HEAD);
    let pull = get.then_some(Action::Pull);
    let delete = (*method == Method::DELETE).then_some(Action::Delete);
    let push = |methods: &[Method]| methods.contains(method).then_some(Action::Push);
    match endpoint {
        Endpoint::Base | Endpoint::Tags(_) | Endpoint::Referrers(..) => (pull, "GET, HEAD"),
        Endpoint::Blob(..) => (pull.or(delete), "GET, HEAD, DELETE"),
        Endpoint::Manifest(..) => (
            pull.or(delete).or(push(&[Method::PUT])),
            "GET, HEAD, PUT, DELETE",
        ),
        Endpoint::Uploads(_) => (push(&[Method::POST]), "POST"),
        Endpoint::Upload(..) => {
            let all = [
                Method::GET,
                Method::HEAD,
                Method::PATCH,
                Method::PUT,
                Method::DELETE,
            ];
            (push(&all), "GET, HEAD, PATCH, PUT, DELETE")
        }
    }
}

/// Where `wkg` finds the packages of this host: `acme:hello` is the repository `acme/hello`. Open to all (rule 25).
async fn well_known(headers: HeaderMap) -> Response {
    let host = headers
        .get(header::HOST)
        .and_then(|host| host.to_str().ok());
    let plain =
        |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b':' | b'[' | b']');
    let mut oci = json!({"namespacePrefix": ""});
    if let Some(host) = host.filter(|host| host.len() <= 255 && host.bytes().all(plain)) {
        oci["registry"] = host.into();
    }
    Json(json!({"preferredProtocol": "oci", "oci": oci})).into_response()
}
