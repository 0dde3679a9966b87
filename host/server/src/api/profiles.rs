//! `/v1/profiles`: versions that never change, under a name.

use std::collections::BTreeMap;

use axum::extract::{Path, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use bootsplice_content::Digest;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use time::OffsetDateTime;
use utoipa::ToSchema;

use super::{Paging, Preconditions, etag};
use crate::app::AppState;
use crate::auth::{Caller, Verb};
use crate::extract::{Json, Query};
use crate::problem::{Fault, Kind, Problem, ProblemBody};
use crate::profile::{GeneratorsError, Head, Profile, ProfileRef, Put, PutError, Saved, check};
use crate::route::{Access, Route};

pub fn routes() -> Vec<Route> {
    let read = Access::Verb(Verb::ProfilesRead);
    let write = Access::Verb(Verb::ProfilesWrite);
    vec![
        Route::new::<__path_list, _, _>(read, list),
        Route::new::<__path_get, _, _>(read, get),
        Route::new::<__path_put, _, _>(write, put),
        Route::new::<__path_delete, _, _>(write, delete),
        Route::new::<__path_versions, _, _>(read, versions),
    ]
}

/// One version of a profile.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct ProfileView {
    #[serde(flatten)]
    pub profile: Profile,
    /// 1, 2, 3 …
    pub version: u32,
    #[serde(with = "time::serde::rfc3339")]
    #[schema(value_type = String, format = DateTime)]
    pub created: OffsetDateTime,
    /// The digest of each step's generator, by step id, as resolved when this version was saved.
    #[schema(value_type = BTreeMap<String, String>)]
    pub plugins: BTreeMap<String, Digest>,
}

/// A profile in a list.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct ProfileSummary {
    pub name: String,
    /// Its latest version.
    pub version: u32,
    #[serde(with = "time::serde::rfc3339")]
    #[schema(value_type = String, format = DateTime)]
    pub updated: OffsetDateTime,
}

/// A page of profiles.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct ProfileList {
    pub profiles: Vec<ProfileSummary>,
    /// More follow: ask again with `after` set to this.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}

// === impl ProfileView ===

impl From<Saved> for ProfileView {
    fn from(saved: Saved) -> Self {
        Self {
            profile: saved.profile,
            version: saved.version,
            created: saved.created,
            plugins: saved.plugins,
        }
    }
}

impl From<Head> for ProfileSummary {
    fn from(head: Head) -> Self {
        Self {
            name: head.name,
            version: head.latest,
            updated: head.updated,
        }
    }
}

/// Profiles of the caller's tenant, by name.
#[utoipa::path(get, path = "/v1/profiles", tag = "profiles", params(Paging), responses((status = 200, body = ProfileList)))]
async fn list(
    State(app): State<AppState>,
    caller: Caller,
    Query(paging): Query<Paging>,
) -> Result<axum::Json<ProfileList>, Problem> {
    let window = paging.window()?;
    let (heads, more) = app
        .profiles
        .list(&caller.tenant, window.after.as_deref(), window.limit)
        .await?;
    let next = heads.last().filter(|_| more).map(|head| head.name.clone());
    let profiles = heads.into_iter().map(ProfileSummary::from).collect();
    Ok(axum::Json(ProfileList { profiles, next }))
}

/// One profile: its latest version, or `name@version`.
#[utoipa::path(get, path = "/v1/profiles/{name}", tag = "profiles",
    params(("name" = String, Path, description = "`name` or `name@version`"),
        ("If-None-Match" = Option<String>, Header, description = "Answers 304 when the ETag is still this")),
    responses(
        (status = 200, body = ProfileView, headers(("ETag" = String))),
        (status = 304, description = "Not changed"),
        (status = 404, body = ProblemBody, content_type = "application/problem+json")))]
async fn get(
    State(app): State<AppState>,
    caller: Caller,
    Path(name): Path<String>,
    preconditions: Preconditions,
) -> Result<Response, Problem> {
    let missing = || Problem::not_found("profile", &name);
    // What cannot be a profile is not there.
    let reference: ProfileRef = name.parse().map_err(|_| missing())?;
    let found = app.profiles.get(&caller.tenant, &reference).await?;
    let saved = found.ok_or_else(missing)?;
    Ok(match preconditions.judge_read(saved.record) {
        Err(response) => response,
        Ok(()) => answer(StatusCode::OK, saved),
    })
}

/// Saves a profile as a new version. The same document again with the same generators makes none and answers 200.
#[utoipa::path(put, path = "/v1/profiles/{name}", tag = "profiles",
    params(("name" = String, Path, description = "Must be the document's own name"),
        ("If-Match" = Option<String>, Header, description = "Only when the latest version has this ETag"),
        ("If-None-Match" = Option<String>, Header, description = "`*`: only when there is no such profile")),
    request_body = Profile,
    responses(
        (status = 200, body = ProfileView, description = "A new version, or the same as before", headers(("ETag" = String))),
        (status = 201, body = ProfileView, description = "A new name", headers(("ETag" = String), ("Location" = String))),
        (status = 412, body = ProblemBody, content_type = "application/problem+json"),
        (status = 422, body = ProblemBody, description = "Every fault at once", content_type = "application/problem+json")))]
async fn put(
    State(app): State<AppState>,
    caller: Caller,
    Path(name): Path<String>,
    preconditions: Preconditions,
    Json(document): Json<Value>,
) -> Result<Response, Problem> {
    let mut faults = Vec::new();
    if let Some(own) = document.get("name").and_then(Value::as_str)
        && own != name
    {
        let own: String = own.chars().take(80).collect();
        let detail = format!("the document's name is `{own}`, and it was put under `{name}`");
        faults.push(Fault::new("/name", "other-name", detail));
    }
    let checked = check(&document, &caller.tenant, &*app.generators).await?;
    let checked = match checked {
        Ok(checked) if faults.is_empty() => checked,
        Ok(_) => return Err(invalid(faults)),
        Err(found) => {
            faults.extend(found);
            return Err(invalid(faults));
        }
    };
    let put = app
        .profiles
        .put(&caller.tenant, &checked, |current| {
            preconditions.allow(current)
        })
        .await?;
    let saved = put.saved().clone();
    Ok(match put {
        Put::Created(_) => {
            let location = HeaderValue::from_str(&format!("/v1/profiles/{name}"))
                .expect("a profile's name is plain ASCII");
            let mut response = answer(StatusCode::CREATED, saved);
            response.headers_mut().insert(header::LOCATION, location);
            response
        }
        Put::Updated(_) | Put::Unchanged(_) => answer(StatusCode::OK, saved),
    })
}

/// Deletes a profile. Launches that run keep their version; a profile put under the name later goes on counting versions.
#[utoipa::path(delete, path = "/v1/profiles/{name}", tag = "profiles",
    params(("name" = String, Path), ("If-Match" = Option<String>, Header)),
    responses((status = 204), (status = 404, body = ProblemBody, content_type = "application/problem+json"),
        (status = 412, body = ProblemBody, content_type = "application/problem+json")))]
async fn delete(
    State(app): State<AppState>,
    caller: Caller,
    Path(name): Path<String>,
    preconditions: Preconditions,
) -> Result<StatusCode, Problem> {
    if Profile::valid_name(&name).is_err() {
        return Err(Problem::not_found("profile", &name));
    }
    let gone = app
        .profiles
        .delete(&caller.tenant, &name, |current| {
            preconditions.allow(Some(current))
        })
        .await?;
    if gone {
        Ok(StatusCode::NO_CONTENT)
    } else {
        Err(Problem::not_found("profile", &name))
    }
}

/// All versions of a profile, oldest first.
#[utoipa::path(get, path = "/v1/profiles/{name}/versions", tag = "profiles", params(("name" = String, Path), Paging),
    responses((status = 200, body = ProfileList), (status = 404, body = ProblemBody, content_type = "application/problem+json")))]
async fn versions(
    State(app): State<AppState>,
    caller: Caller,
    Path(name): Path<String>,
    Query(paging): Query<Paging>,
) -> Result<axum::Json<ProfileList>, Problem> {
    let missing = || Problem::not_found("profile", &name);
    Profile::valid_name(&name).map_err(|_| missing())?;
    let reference = ProfileRef {
        name: name.clone(),
        version: None,
    };
    let latest = app.profiles.get(&caller.tenant, &reference).await?;
    latest.ok_or_else(missing)?;
    let window = paging.window()?;
    let after = match window.after.as_deref().map(str::parse).transpose() {
        Ok(after) => after,
        Err(_) => {
            let fault = Fault::new("/after", "invalid-value", "`after` is a version here");
            return Err(Problem::new(Kind::InvalidRequest, "").with_faults(vec![fault]));
        }
    };
    let (found, more) = app
        .profiles
        .versions(&caller.tenant, &name, after, window.limit)
        .await?;
    let next = found
        .last()
        .filter(|_| more)
        .map(|saved| saved.version.to_string());
    let profiles = found
        .into_iter()
        .map(|saved| ProfileSummary {
            name: saved.profile.name,
            version: saved.version,
            updated: saved.created,
        })
        .collect();
    Ok(axum::Json(ProfileList { profiles, next }))
}

fn answer(status: StatusCode, saved: Saved) -> Response {
    let headers = [(header::ETAG, etag(saved.record))];
    (status, headers, axum::Json(ProfileView::from(saved))).into_response()
}

fn invalid(faults: Vec<Fault>) -> Problem {
    Problem::new(Kind::InvalidProfile, "").with_faults(faults)
}

impl From<PutError> for Problem {
    fn from(error: PutError) -> Self {
        match error {
            PutError::Precondition => Self::new(Kind::PreconditionFailed, error.to_string()),
            PutError::Store(error) => error.into(),
        }
    }
}

impl From<GeneratorsError> for Problem {
    fn from(error: GeneratorsError) -> Self {
        tracing::error!(%error, "generators cannot be asked");
        Self::new(Kind::Unavailable, error.to_string())
            .retry_after(std::time::Duration::from_secs(5))
    }
}
