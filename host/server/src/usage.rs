//! Who uses a release of a generator: revisions of profiles by their index, and the launches of each by theirs.

use bootsplice_content::Digest;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::app::App;
use crate::auth::Tenant;
use crate::plugins::release::Release;
use crate::problem::Problem;
use crate::profile::uses;

/// Most launches that are named for one revision.
const NAMED: usize = 20;
/// Most holders that a refusal names.
const HOLDERS: usize = 10;

/// A page of what uses a release.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct Usage {
    /// `acme/hello@1.2.0`.
    pub plugin: String,
    #[schema(value_type = String)]
    pub digest: Digest,
    pub profiles: Vec<ProfileUse>,
    /// More follow: ask again with `after` set to this.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}

/// One revision of a profile that is pinned to the release.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct ProfileUse {
    pub tenant: Tenant,
    /// `name@version`.
    pub profile: String,
    /// The profile's latest revision.
    pub latest: bool,
    /// The profile was deleted; launches of the revision may still run.
    pub deleted: bool,
    /// Ids of its launches, newest first; at most 20.
    pub launches: Vec<String>,
    /// There are more launches than are named.
    pub more_launches: bool,
}

/// What uses `release`: of one tenant, or of all.
pub async fn usage(
    app: &App,
    release: &Release,
    tenant: Option<&Tenant>,
    after: Option<&str>,
    limit: usize,
) -> Result<Usage, Problem> {
    let (plugin, digest) = (release.plugin(), release.digest);
    let (found, more) = uses::list(&*app.store, &plugin, &digest, tenant, after, limit).await?;
    let ledger = &app.launches()?.ledger;
    let next = found.last().filter(|_| more).map(|one| one.cursor.clone());
    let mut profiles = Vec::with_capacity(found.len());
    for one in found {
        let head = app.profiles.head(&one.tenant, &one.profile).await?;
        let deleted = head.as_ref().is_none_or(|head| head.deleted);
        let (launches, more_launches) = ledger
            .of_revision(one.tenant.as_str(), &one.profile, one.version, NAMED)
            .await?;
        profiles.push(ProfileUse {
            latest: !deleted && head.is_some_and(|head| head.latest == one.version),
            tenant: one.tenant,
            profile: format!("{}@{}", one.profile, one.version),
            deleted,
            launches,
            more_launches,
        });
    }
    Ok(Usage {
        plugin: release.reference(),
        digest,
        profiles,
        next,
    })
}

/// Why a release may not be deleted: revisions of profiles that are there, and launches that are not final. Empty when nothing holds it.
pub async fn holders(app: &App, release: &Release) -> Result<Vec<String>, Problem> {
    let (plugin, digest) = (release.plugin(), release.digest);
    let mut holders = Vec::new();
    let mut after: Option<String> = None;
    loop {
        let page = uses::list(&*app.store, &plugin, &digest, None, after.as_deref(), 500).await?;
        for one in &page.0 {
            let head = app.profiles.head(&one.tenant, &one.profile).await?;
            if head.is_some_and(|head| !head.deleted) {
                holders.push(format!(
                    "profile {}@{} of tenant {}",
                    one.profile, one.version, one.tenant
                ));
            }
            if holders.len() == HOLDERS {
                return Ok(holders);
            }
        }
        after = page.0.last().map(|one| one.cursor.clone());
        if !page.1 {
            break;
        }
    }
    // Launches outlive a deleted profile.
    for launch in app.launches()?.ledger.unfinished().await? {
        let (tenant, profile) = (&launch.tenant, &launch.request.profile);
        let version = launch.profile_version;
        if uses::pins(&*app.store, &plugin, &digest, tenant, profile, version).await? {
            holders.push(format!("launch {} of tenant {tenant}", launch.id));
        }
        if holders.len() == HOLDERS {
            break;
        }
    }
    Ok(holders)
}
