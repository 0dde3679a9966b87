//! `/v1/secrets`: write-only. A value goes in and never comes out here.

use axum::extract::{Path, State};
use axum::http::StatusCode;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use utoipa::ToSchema;

use super::Paging;
use crate::app::AppState;
use crate::auth::{Caller, Verb};
use crate::extract::{Json, Query};
use crate::problem::{Fault, Kind, Problem, ProblemBody};
use crate::route::{Access, Route};
use crate::secret::{MAX_SECRET, SecretValue, Secrets};

pub fn routes() -> Vec<Route> {
    let read = Access::Verb(Verb::SecretsRead);
    let write = Access::Verb(Verb::SecretsWrite);
    vec![
        Route::new::<__path_list, _, _>(read, list),
        Route::new::<__path_put, _, _>(write, put),
        Route::new::<__path_delete, _, _>(write, delete),
    ]
}

/// A secret's value, as text or as base64.
#[derive(Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SecretBody {
    /// UTF-8 text. At most 64 KiB.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<String>,
    /// Any bytes, in standard base64.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub base64: Option<String>,
}

/// A secret without its value.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct SecretView {
    pub name: String,
    #[serde(with = "time::serde::rfc3339")]
    #[schema(value_type = String, format = DateTime)]
    pub updated: OffsetDateTime,
}

/// A page of secrets.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct SecretList {
    pub secrets: Vec<SecretView>,
    /// More follow: ask again with `after` set to this.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}

/// Names of the caller's tenant's secrets.
#[utoipa::path(get, path = "/v1/secrets", tag = "secrets", params(Paging), responses((status = 200, body = SecretList)))]
async fn list(
    State(app): State<AppState>,
    caller: Caller,
    Query(paging): Query<Paging>,
) -> Result<axum::Json<SecretList>, Problem> {
    let window = paging.window()?;
    let (infos, more) = app
        .secrets
        .list(&caller.tenant, window.after.as_deref(), window.limit)
        .await?;
    let next = infos.last().filter(|_| more).map(|info| info.name.clone());
    let secrets = infos
        .into_iter()
        .map(|info| SecretView {
            name: info.name,
            updated: info.updated,
        })
        .collect();
    Ok(axum::Json(SecretList { secrets, next }))
}

/// Writes a secret. It cannot be read back.
#[utoipa::path(put, path = "/v1/secrets/{name}", tag = "secrets",
    params(("name" = String, Path, description = "1 to 64 letters, digits, `_`, `.` and `-`")), request_body = SecretBody,
    responses((status = 201, description = "A new name"), (status = 204, description = "The value was replaced"),
        (status = 422, body = ProblemBody, content_type = "application/problem+json")))]
async fn put(
    State(app): State<AppState>,
    caller: Caller,
    Path(name): Path<String>,
    Json(body): Json<SecretBody>,
) -> Result<StatusCode, Problem> {
    let refused = |pointer: &str, code: &str, detail: String| {
        let fault = Fault::new(pointer, code, detail);
        Problem::new(Kind::InvalidRequest, "").with_faults(vec![fault])
    };
    if !Secrets::valid_name(&name) {
        let shown: String = name.chars().take(80).collect();
        let detail = format!(
            "`{shown}` is not the name of a secret: expected 1 to 64 letters, digits, `_`, `.` and `-`"
        );
        return Err(refused("", "invalid-name", detail));
    }
    // No answer may quote the value: it would end in somebody's log.
    let bytes = match (body.value, body.base64) {
        (Some(text), None) => text.into_bytes(),
        (None, Some(text)) => STANDARD.decode(text).map_err(|_| {
            refused(
                "/base64",
                "invalid-value",
                "it is not standard base64".to_owned(),
            )
        })?,
        _ => {
            let detail = "give exactly one of `value` and `base64`".to_owned();
            return Err(refused("", "missing-key", detail));
        }
    };
    if bytes.len() > MAX_SECRET {
        let detail = format!(
            "the value has {} bytes, at most {MAX_SECRET} are kept",
            bytes.len()
        );
        return Err(refused("", "too-long", detail));
    }
    let value = SecretValue::new(bytes);
    let new = app.secrets.put(&caller.tenant, &name, &value).await?;
    Ok(if new {
        StatusCode::CREATED
    } else {
        StatusCode::NO_CONTENT
    })
}

/// Deletes a secret. Launches that need it fail from now on.
#[utoipa::path(delete, path = "/v1/secrets/{name}", tag = "secrets", params(("name" = String, Path)),
    responses((status = 204), (status = 404, body = ProblemBody, content_type = "application/problem+json")))]
async fn delete(
    State(app): State<AppState>,
    caller: Caller,
    Path(name): Path<String>,
) -> Result<StatusCode, Problem> {
    if Secrets::valid_name(&name) && app.secrets.delete(&caller.tenant, &name).await? {
        Ok(StatusCode::NO_CONTENT)
    } else {
        Err(Problem::not_found("secret", &name))
    }
}
