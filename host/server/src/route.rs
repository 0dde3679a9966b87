//! The table of routes: method, path, access, handler and documentation in one row.
//!
//! The router, the OpenAPI document and the test that walks every route all read it. Each resource's module offers `routes() -> Vec<Route>`;
//! [`crate::api::table`] puts them together.

use axum::Router;
use axum::extract::Request;
use axum::handler::Handler;
use axum::http::Method;
use axum::middleware::from_fn_with_state;
use axum::routing::{MethodFilter, MethodRouter, on};
use utoipa::openapi::path::{HttpMethod, Operation};
use utoipa::openapi::{RefOr, Schema};

use crate::app::AppState;
use crate::auth::{Verb, authorise};
use crate::problem::{Kind, Problem};

/// Who may use a route.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Anybody: only health and discovery.
    Open,
    /// Any valid token.
    Token,
    /// A valid token with this verb.
    Verb(Verb),
    /// The handler judges credentials of its own kind, such as a one-launch report token, and answers 401 without them.
    Handler,
}

/// One row of the table.
pub struct Route {
    pub method: Method,
    /// In axum's and OpenAPI's common syntax: `/v1/profiles/{name}`.
    pub path: String,
    pub access: Access,
    pub operation: Operation,
    pub http_method: HttpMethod,
    /// Schemas that the operation refers to, by name.
    pub schemas: Vec<(String, RefOr<Schema>)>,
    handler: MethodRouter<AppState>,
}

// === impl Route ===

impl Route {
    /// A row for a handler annotated with `#[utoipa::path]`, which makes `P` (`__path_<handler>`) and gives method and path:
    /// `Route::new::<__path_list, _, _>(Access::Verb(Verb::ProfilesRead), list)`.
    ///
    /// # Panics
    /// When the annotation names no method or one that HTTP/1.1 does not have, which the first run of any test shows.
    pub fn new<P, H, T>(access: Access, handler: H) -> Self
    where
        P: utoipa::Path + utoipa::__dev::SchemaReferences,
        H: Handler<T, AppState>,
        T: 'static,
    {
        let http_method = P::methods()
            .pop()
            .expect("an annotated handler has a method");
        let method = match http_method {
            HttpMethod::Get => Method::GET,
            HttpMethod::Put => Method::PUT,
            HttpMethod::Post => Method::POST,
            HttpMethod::Delete => Method::DELETE,
            HttpMethod::Head => Method::HEAD,
            HttpMethod::Patch => Method::PATCH,
            _ => panic!("no route uses another method"),
        };
        let filter =
            MethodFilter::try_from(method.clone()).expect("each method above has a filter in axum");
        let mut schemas = Vec::new();
        P::schemas(&mut schemas);
        Self {
            method,
            path: P::path(),
            access,
            operation: P::operation(),
            http_method,
            schemas,
            handler: on(filter, handler),
        }
    }
}

/// The router of all `routes`, each behind its guard. A new handler cannot be reached without one.
pub fn router(app: AppState, routes: Vec<Route>) -> Router {
    let mut router = Router::new();
    for route in routes {
        let guard = from_fn_with_state((app.clone(), route.access), authorise);
        router = router.route(&route.path, route.handler.layer(guard));
    }
    router
        .fallback(|request: Request| async move {
            Problem::new(
                Kind::NotFound,
                format!("nothing is at `{}`", request.uri().path()),
            )
        })
        .with_state(app)
}
