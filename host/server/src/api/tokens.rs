//! `/v1/tokens`: for administrators, over all tenants.

use axum::extract::{Path, State};
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use time::{Duration, OffsetDateTime};
use utoipa::ToSchema;

use super::Paging;
use crate::app::AppState;
use crate::auth::{Caller, Namespace, NewToken, Tenant, Token, Verb};
use crate::extract::{Json, Query};
use crate::plugins::namespaces::ClaimError;
use crate::problem::{Fault, Kind, Problem, ProblemBody};
use crate::route::{Access, Route};

/// Longest life of a token with an expiry, in seconds: ten years.
const LONGEST: i64 = 10 * 366 * 86_400;
const MOST_NAMESPACES: usize = 100;

pub fn routes() -> Vec<Route> {
    let admin = Access::Verb(Verb::Admin);
    vec![
        Route::new::<__path_list, _, _>(admin, list),
        Route::new::<__path_create, _, _>(admin, create),
        Route::new::<__path_revoke, _, _>(admin, revoke),
    ]
}

/// What a new token shall be.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewTokenBody {
    /// Whose things it is for. The caller's own tenant when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tenant: Option<Tenant>,
    /// What it is for, for people; at most 200 bytes.
    #[serde(default)]
    pub label: String,
    /// At least one.
    #[schema(value_type = Vec<String>, example = json!(["profiles:read", "launches:write"]))]
    pub verbs: Vec<Verb>,
    /// Where it may push plugins, with the verb `plugins:write`. One that is nobody's becomes the tenant's.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub namespaces: Vec<Namespace>,
    /// Seconds until it ends; never when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_in: Option<i64>,
}

/// A token without its secret.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct TokenView {
    pub id: String,
    pub tenant: Tenant,
    pub label: String,
    #[schema(value_type = Vec<String>, example = json!(["profiles:read", "launches:write"]))]
    pub verbs: Vec<Verb>,
    /// Where it may push plugins.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub namespaces: Vec<Namespace>,
    #[serde(with = "time::serde::rfc3339")]
    #[schema(value_type = String, format = DateTime)]
    pub created: OffsetDateTime,
    #[serde(
        default,
        with = "time::serde::rfc3339::option",
        skip_serializing_if = "Option::is_none"
    )]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub expires: Option<OffsetDateTime>,
}

/// A new token. This is the only time that its text is shown.
#[derive(Clone, Serialize, Deserialize, ToSchema)]
pub struct TokenCreated {
    #[serde(flatten)]
    pub view: TokenView,
    /// `bst_…`
    pub token: String,
}

/// A page of tokens.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct TokenList {
    pub tokens: Vec<TokenView>,
    /// More follow: ask again with `after` set to this.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}

impl From<Token> for TokenView {
    fn from(token: Token) -> Self {
        Self {
            id: token.id,
            tenant: token.tenant,
            label: token.label,
            verbs: token.verbs,
            namespaces: token.namespaces,
            created: token.created,
            expires: token.expires,
        }
    }
}

/// All tokens of the host.
#[utoipa::path(get, path = "/v1/tokens", tag = "tokens", params(Paging), responses((status = 200, body = TokenList)))]
async fn list(
    State(app): State<AppState>,
    Query(paging): Query<Paging>,
) -> Result<axum::Json<TokenList>, Problem> {
    let window = paging.window()?;
    let (tokens, more) = app
        .tokens
        .list(window.after.as_deref(), window.limit)
        .await?;
    let next = tokens.last().filter(|_| more).map(|token| token.id.clone());
    let tokens = tokens.into_iter().map(TokenView::from).collect();
    Ok(axum::Json(TokenList { tokens, next }))
}

/// Makes a token.
#[utoipa::path(post, path = "/v1/tokens", tag = "tokens", request_body = NewTokenBody,
    responses((status = 201, body = TokenCreated), (status = 422, body = ProblemBody, content_type = "application/problem+json")))]
async fn create(
    State(app): State<AppState>,
    caller: Caller,
    Json(body): Json<NewTokenBody>,
) -> Result<(StatusCode, axum::Json<TokenCreated>), Problem> {
    let mut faults = Vec::new();
    if body.verbs.is_empty() {
        faults.push(Fault::new(
            "/verbs",
            "empty",
            "a token allows at least one verb",
        ));
    }
    if body.label.len() > 200 {
        faults.push(Fault::new(
            "/label",
            "too-long",
            "at most 200 bytes are kept",
        ));
    }
    if let Some(seconds) = body.expires_in
        && !(1..=LONGEST).contains(&seconds)
    {
        let detail = format!("expected 1 to {LONGEST} seconds, found {seconds}");
        faults.push(Fault::new("/expires_in", "invalid-value", detail));
    }
    if body.namespaces.len() > MOST_NAMESPACES {
        let detail = format!("{}; at most {MOST_NAMESPACES}", body.namespaces.len());
        faults.push(Fault::new("/namespaces", "too-many", detail));
    }
    if !body.namespaces.is_empty() && !body.verbs.contains(&Verb::PluginsWrite) {
        let detail = "a token pushes with the verb `plugins:write` only";
        faults.push(Fault::new("/namespaces", "no-effect", detail).hint("add the verb"));
    }
    if !faults.is_empty() {
        return Err(Problem::new(Kind::InvalidRequest, "").with_faults(faults));
    }
    let mut verbs = body.verbs;
    verbs.sort_unstable();
    verbs.dedup();
    let tenant = body.tenant.unwrap_or(caller.tenant);
    for (index, namespace) in body.namespaces.iter().enumerate() {
        match app.namespaces.claim(namespace, &tenant).await {
            Ok(_) => {}
            Err(ClaimError::Store(error)) => return Err(error.into()),
            Err(error) => {
                let pointer = format!("/namespaces/{index}");
                let fault = Fault::new(pointer, "owned-namespace", error.to_string());
                return Err(Problem::new(Kind::InvalidRequest, "").with_faults(vec![fault]));
            }
        }
    }
    let new = NewToken {
        tenant,
        label: body.label,
        verbs,
        namespaces: body.namespaces,
        expires: body
            .expires_in
            .map(|seconds| app.clock.now() + Duration::seconds(seconds)),
    };
    let (token, secret) = app.tokens.create(new).await?;
    let created = TokenCreated {
        view: token.into(),
        token: secret.reveal().to_owned(),
    };
    Ok((StatusCode::CREATED, axum::Json(created)))
}

/// Ends a token at once.
#[utoipa::path(delete, path = "/v1/tokens/{id}", tag = "tokens", params(("id" = String, Path, description = "16 hex digits, as in the list")),
    responses((status = 204), (status = 404, body = ProblemBody, content_type = "application/problem+json")))]
async fn revoke(
    State(app): State<AppState>,
    Path(id): Path<String>,
) -> Result<StatusCode, Problem> {
    if id.len() <= 64 && app.tokens.revoke(&id).await? {
        Ok(StatusCode::NO_CONTENT)
    } else {
        Err(Problem::not_found("token", &id))
    }
}
