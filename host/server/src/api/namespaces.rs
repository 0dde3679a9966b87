//! `/v1/namespaces`: whose a namespace is, and who sees what is pushed into it.

use std::collections::BTreeSet;

use axum::extract::{Path, State};
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use utoipa::ToSchema;

use super::Paging;
use crate::app::AppState;
use crate::auth::{Caller, Namespace, Tenant, Verb};
use crate::extract::{Json, Query};
use crate::plugins::namespaces::{ClaimError, Ownership};
use crate::problem::{Kind, Problem, ProblemBody};
use crate::route::{Access, Route};

pub fn routes() -> Vec<Route> {
    vec![
        Route::new::<__path_list, _, _>(Access::Verb(Verb::PluginsRead), list),
        Route::new::<__path_put, _, _>(Access::Verb(Verb::Admin), put),
    ]
}

/// A namespace and who sees it.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct NamespaceView {
    pub namespace: Namespace,
    pub owner: Tenant,
    /// Every tenant may use what is in it.
    pub public: bool,
    /// Other tenants that may use what is in it.
    pub readers: BTreeSet<Tenant>,
    #[serde(with = "time::serde::rfc3339")]
    #[schema(value_type = String, format = DateTime)]
    pub created: OffsetDateTime,
}

/// A page of namespaces.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct NamespaceList {
    pub namespaces: Vec<NamespaceView>,
    /// More follow: ask again with `after` set to this.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}

/// Who shall see a namespace.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct NamespaceBody {
    /// Whose it is. It never changes hands; absent: the owner it has, or the caller's tenant.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub owner: Option<Tenant>,
    pub public: bool,
    /// At most 100.
    pub readers: BTreeSet<Tenant>,
}

impl From<Ownership> for NamespaceView {
    fn from(found: Ownership) -> Self {
        Self {
            namespace: found.namespace,
            owner: found.owner,
            public: found.public,
            readers: found.readers,
            created: found.created,
        }
    }
}

/// Namespaces that the caller's tenant sees; all for an administrator.
#[utoipa::path(get, path = "/v1/namespaces", tag = "plugins", params(Paging), responses((status = 200, body = NamespaceList)))]
async fn list(
    State(app): State<AppState>,
    caller: Caller,
    Query(paging): Query<Paging>,
) -> Result<axum::Json<NamespaceList>, Problem> {
    let window = paging.window()?;
    let after = window.after.as_deref();
    let (found, more) = app.namespaces.list(after, window.limit).await?;
    let next = found
        .last()
        .filter(|_| more)
        .map(|one| one.namespace.to_string());
    let seen = found
        .into_iter()
        .filter(|one| caller.is_admin() || one.is_seen_by(&caller.tenant));
    let namespaces = seen
        .map(NamespaceView::from)
        .map(|mut one| {
            // With whom else it is shared is its owner's and the operator's.
            if !caller.is_admin() && one.owner != caller.tenant {
                one.readers.clear();
            }
            one
        })
        .collect();
    Ok(axum::Json(NamespaceList { namespaces, next }))
}

/// Makes a namespace a tenant's, or says who else sees it.
#[utoipa::path(put, path = "/v1/namespaces/{name}", tag = "plugins", params(("name" = String, Path)), request_body = NamespaceBody,
    responses((status = 200, body = NamespaceView), (status = 404, body = ProblemBody, content_type = "application/problem+json"),
        (status = 409, body = ProblemBody, content_type = "application/problem+json", description = "It is another tenant's")))]
async fn put(
    State(app): State<AppState>,
    caller: Caller,
    Path(name): Path<String>,
    Json(body): Json<NamespaceBody>,
) -> Result<axum::Json<NamespaceView>, Problem> {
    let namespace: Namespace = name
        .parse()
        .map_err(|error| Problem::new(Kind::NotFound, format!("{error}")))?;
    if body.readers.len() > 100 {
        let detail = format!("{} readers; at most 100", body.readers.len());
        return Err(Problem::new(Kind::InvalidRequest, detail));
    }
    let owner = match body.owner {
        Some(owner) => owner,
        None => match app.namespaces.get(&namespace).await? {
            Some(found) => found.owner,
            None => caller.tenant,
        },
    };
    let put = app
        .namespaces
        .put(&namespace, &owner, body.public, body.readers);
    let done = put.await.map_err(|error| match error {
        ClaimError::Store(error) => error.into(),
        error @ ClaimError::Owned { .. } => Problem::new(Kind::Conflict, error.to_string()),
    })?;
    Ok(axum::Json(done.into()))
}
