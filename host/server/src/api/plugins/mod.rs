//! `/v1/plugins`: the generators that profiles may use, and what operators and authors do with them.
//!
//! A release is `/v1/plugins/{namespace}/{name}/{version}`: `-` in the place of the namespace is a built-in generator, `-` in the place of the version the
//! newest; a version is also a tag or a digest.

mod rights;
mod views;

pub use rights::YankBody;
pub use views::{ExampleView, PluginList, PluginSummary, PluginView};

use axum::extract::{Path, State};

use super::Paging;
use crate::app::AppState;
use crate::auth::{Caller, Verb};
use crate::extract::{Json, Query};
use crate::plugins::release::{Pusher, Release};
use crate::problem::{Kind, Problem, ProblemBody};
use crate::profile::PluginRef;
use crate::route::{Access, Route};
use crate::upgrade::{Upgrade, UpgradeBody, upgrade};
use crate::usage::{Usage, usage};

pub fn routes() -> Vec<Route> {
    let read = Access::Verb(Verb::PluginsRead);
    let mut routes = vec![
        Route::new::<__path_list, _, _>(read, list),
        Route::new::<__path_get, _, _>(read, get),
        Route::new::<__path_used, _, _>(read, used),
        Route::new::<__path_renew, _, _>(Access::Verb(Verb::ProfilesWrite), renew),
    ];
    routes.extend(rights::routes());
    routes
}

/// Namespace, name and version of a path.
type Place = (String, String, String);

/// The generators that the caller's tenant may see, by name; of one name the newest release first.
#[utoipa::path(get, path = "/v1/plugins", tag = "plugins", params(Paging), responses((status = 200, body = PluginList)))]
async fn list(
    State(app): State<AppState>,
    caller: Caller,
    Query(paging): Query<Paging>,
) -> Result<axum::Json<PluginList>, Problem> {
    let window = paging.window()?;
    let installed = &app.launches()?.installed;
    let all = installed.releases(&caller.tenant).await?;
    let start = match &window.after {
        None => 0,
        Some(after) => all
            .iter()
            .position(|(release, _)| PluginSummary::cursor(release) == *after)
            .map_or(all.len(), |at| at + 1),
    };
    let more = all.len() - start > window.limit;
    let mut plugins = Vec::new();
    let mut next = None;
    for (release, tags) in all.into_iter().skip(start).take(window.limit) {
        next = more.then(|| PluginSummary::cursor(&release));
        plugins.push(PluginSummary::of(installed, &release, tags).await?);
    }
    Ok(axum::Json(PluginList { plugins, next }))
}

/// One release: what it says of itself, what it imports, what it wishes for and what it was granted.
#[utoipa::path(get, path = "/v1/plugins/{namespace}/{name}/{version}", tag = "plugins",
    params(("namespace" = String, Path, description = "`-` for a built-in generator"), ("name" = String, Path),
        ("version" = String, Path, description = "A version, a tag or a digest; `-` for the newest")),
    responses((status = 200, body = PluginView), (status = 404, body = ProblemBody, content_type = "application/problem+json")))]
async fn get(
    State(app): State<AppState>,
    caller: Caller,
    Path(place): Path<Place>,
) -> Result<axum::Json<PluginView>, Problem> {
    let release = release(&app, &caller, &place).await?;
    Ok(axum::Json(PluginView::of(&app, &release).await?))
}

/// Which revisions of profiles use a release, and their launches: those of the caller's tenant, or of all for an administrator.
#[utoipa::path(get, path = "/v1/plugins/{namespace}/{name}/{version}/usage", tag = "plugins",
    params(("namespace" = String, Path), ("name" = String, Path), ("version" = String, Path), Paging),
    responses((status = 200, body = Usage), (status = 404, body = ProblemBody, content_type = "application/problem+json")))]
async fn used(
    State(app): State<AppState>,
    caller: Caller,
    Path(place): Path<Place>,
    Query(paging): Query<Paging>,
) -> Result<axum::Json<Usage>, Problem> {
    let window = paging.window()?;
    let release = release(&app, &caller, &place).await?;
    let tenant = Some(&caller.tenant).filter(|_| !caller.is_admin());
    let after = window.after.as_deref();
    let found = usage(&app, &release, tenant, after, window.limit).await?;
    Ok(axum::Json(found))
}

/// Brings every profile of the caller's tenant that is pinned to another release to this one: a new revision each. A dry run plans both and tells what differs.
#[utoipa::path(post, path = "/v1/plugins/{namespace}/{name}/{version}/upgrade", tag = "plugins",
    params(("namespace" = String, Path), ("name" = String, Path), ("version" = String, Path)), request_body = UpgradeBody,
    responses((status = 200, body = Upgrade), (status = 404, body = ProblemBody, content_type = "application/problem+json"),
        (status = 409, body = ProblemBody, content_type = "application/problem+json", description = "The release was yanked")))]
async fn renew(
    State(app): State<AppState>,
    caller: Caller,
    Path(place): Path<Place>,
    Json(body): Json<UpgradeBody>,
) -> Result<axum::Json<Upgrade>, Problem> {
    let release = release(&app, &caller, &place).await?;
    let done = upgrade(&app, &caller.tenant, &release, &body).await?;
    Ok(axum::Json(done))
}

/// The release at a path, when the caller may see it. An administrator sees all.
async fn release(app: &AppState, caller: &Caller, place: &Place) -> Result<Release, Problem> {
    let (namespace, name, version) = place;
    let mut text = name.clone();
    if namespace != "-" {
        text = format!("{namespace}/{name}");
    }
    if version != "-" {
        text = format!("{text}@{version}");
    }
    let missing = || Problem::not_found("plugin", &text);
    // What is no reference is not there.
    let reference: PluginRef = text.parse().map_err(|_| missing())?;
    let installed = &app.launches()?.installed;
    let found = if caller.is_admin() {
        installed.any(&reference)
    } else {
        installed.named(&caller.tenant, &reference).await?
    };
    found.ok_or_else(missing)
}

/// Who the caller is, for records.
fn pusher(caller: &Caller) -> Pusher {
    Pusher {
        tenant: caller.tenant.clone(),
        token: caller.token.clone(),
    }
}

/// Refuses who may not push to the release's namespace. Built-in generators are the operator's.
fn owned(caller: &Caller, release: &Release) -> Result<(), Problem> {
    let allowed = match &release.namespace {
        None => caller.is_admin(),
        Some(namespace) => caller.may_push_to(namespace),
    };
    if allowed {
        return Ok(());
    }
    let plugin = release.plugin();
    let detail = format!(
        "the token `{}` was not made for the namespace of `{plugin}`",
        caller.token
    );
    Err(Problem::new(Kind::Forbidden, detail))
}
