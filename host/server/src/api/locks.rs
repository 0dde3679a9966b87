//! `/v1/locks`: what was resolved for a profile on a base volume, and how it is resolved anew (RFC 0004).

use std::collections::BTreeMap;

use axum::extract::State;
use bootsplice_content::Digest;
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use utoipa::ToSchema;

use crate::app::AppState;
use crate::auth::{Caller, Verb};
use crate::extract::Json;
use crate::launch::lock::{PinView, PointLock};
use crate::launch::prepare::{LockChoice, Revision, Wanted};
use crate::launch::request::{Draft, Instance};
use crate::problem::{Kind, Problem, ProblemBody};
use crate::route::{Access, Route};

pub fn routes() -> Vec<Route> {
    vec![Route::new::<__path_lock_profile, _, _>(
        Access::Verb(Verb::ProfilesWrite),
        lock_profile,
    )]
}

#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct LockBody {
    /// `name` (the newest version) or `name@version`.
    #[schema(example = "web-developer")]
    pub profile: String,
    /// Name of a base volume.
    #[schema(example = "debian-12")]
    pub volume: String,
    /// Resolve anew and put that in force. Otherwise the lock in force is told, or made when there is none.
    #[serde(default)]
    pub renew: bool,
}

/// The locks of one version of a profile on one base: what its launches put on the disk until they are renewed.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct LockList {
    /// `name@version`.
    pub profile: String,
    /// The volume's id.
    #[schema(value_type = String)]
    pub base: Digest,
    pub points: Vec<LockView>,
}

/// The lock of the steps at one insertion point.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct LockView {
    pub point: String,
    #[schema(value_type = String)]
    pub digest: Digest,
    #[serde(with = "time::serde::rfc3339")]
    #[schema(value_type = String, format = DateTime)]
    pub resolved: OffsetDateTime,
    pub steps: Vec<LockedStepView>,
}

/// What one step is pinned to.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct LockedStepView {
    pub id: String,
    /// Digest of the generator.
    #[schema(value_type = String)]
    pub plugin: Digest,
    pub needs_instance: bool,
    pub pins: Vec<PinView>,
}

/// Tells or renews the lock of a profile on a volume.
#[utoipa::path(post, path = "/v1/locks", tag = "profiles", request_body = LockBody,
    responses((status = 200, body = LockList), (status = 422, body = ProblemBody, content_type = "application/problem+json")))]
async fn lock_profile(
    State(app): State<AppState>,
    caller: Caller,
    Json(body): Json<LockBody>,
) -> Result<axum::Json<LockList>, Problem> {
    let launches = app.launches()?;
    let draft = Draft {
        // A lock is nobody's in particular.
        instance: Instance {
            id: "lock".into(),
            attributes: BTreeMap::new(),
            product_uuid: None,
        },
        profile: body.profile,
        volume: body.volume,
        size: None,
        sink: None,
        labels: BTreeMap::new(),
        deadline_seconds: None,
    };
    let request = draft
        .check()
        .map_err(|faults| Problem::new(Kind::InvalidRequest, "").with_faults(faults))?;
    let prepared = launches
        .prepare(Wanted {
            tenant: &caller.tenant,
            request: &request,
            profile: Revision::Asked,
            base: None,
            locks: if body.renew {
                LockChoice::Renew
            } else {
                LockChoice::Chosen
            },
        })
        .await?;
    Ok(axum::Json(LockList {
        profile: prepared.profile_name(),
        base: prepared.base.volume,
        points: prepared
            .points
            .iter()
            .map(|point| LockView::of(&point.lock))
            .collect(),
    }))
}

// === impl LockView ===

impl LockView {
    fn of(lock: &PointLock) -> Self {
        let steps = lock.steps.iter().map(|step| LockedStepView {
            id: step.id.clone(),
            plugin: step.lock.plugin,
            needs_instance: step.lock.needs_instance,
            pins: step.lock.pins.iter().map(PinView::of).collect(),
        });
        Self {
            point: lock.point.clone(),
            digest: lock.digest(),
            resolved: lock.resolved,
            steps: steps.collect(),
        }
    }
}
