//! From a request to work that can be done: everything looked up, every step locked, every fault found before anything is recorded.

pub mod access;
mod base;
pub mod join;
mod locks;
pub mod steps;
mod values;

use std::collections::BTreeMap;
use std::sync::Arc;

use bootsplice_blocks::{BlocksError, Volume};
use bootsplice_content::Digest;
use bootsplice_engine::blobs::Blob;
use bootsplice_engine::{EngineError, GeneratorError, Job, Plugin, Secrets};
use bootsplice_volume::{Inventory, Layout, Point};

use self::access::StepAccess;
use self::base::{inventory, inventory_files};
use self::steps::check_capacity;
use super::Launches;
use super::lock::PointLock;
use super::record::Base;
use super::request::LaunchRequest;
use crate::auth::Tenant;
use crate::problem::{Fault, Kind, Problem};
use crate::profile::{PluginRef, ProfileRef, Saved, Stage, Step};

/// A launch that can be made.
pub struct Prepared {
    pub tenant: Tenant,
    pub profile: Arc<Saved>,
    pub base: Base,
    pub volume: Arc<Volume>,
    pub inventory: Arc<Inventory>,
    pub layout: Layout,
    /// In the order of the layout's points.
    pub points: Vec<PreparedPoint>,
    pub secrets: Secrets,
    /// What goes on and should not for ever: a generator that was yanked.
    pub warnings: Vec<String>,
}

pub struct PreparedPoint {
    pub point: Point,
    pub lock: PointLock,
    pub steps: Vec<PreparedStep>,
}

/// One step, ready to be generated.
pub struct PreparedStep {
    /// Its position in the profile.
    pub order: u32,
    pub step: Step,
    pub plugin: Plugin,
    pub job: Job,
    /// The stage of generator or profile, not before its point's.
    pub stage: Stage,
    pub access: StepAccess,
}

/// Which locks to use.
pub enum LockChoice<'a> {
    /// Those in force, or new ones.
    InForce,
    /// Those in force, or new ones, for no instance in particular.
    Chosen,
    /// New ones, put in force.
    Renew,
    /// In force or new, but nothing is written: for plans.
    DryRun,
    /// Those of a record.
    Pinned(&'a BTreeMap<String, Digest>),
}

/// Which revision of the profile to use.
pub enum Revision<'a> {
    /// The one that the request means.
    Asked,
    /// That of a record: it outlives its profile.
    Recorded(u32),
    /// One that is not saved yet.
    Given(&'a Saved),
}

/// A request and what a record has already pinned of it.
pub struct Wanted<'a> {
    pub tenant: &'a Tenant,
    pub request: &'a LaunchRequest,
    pub profile: Revision<'a>,
    pub base: Option<&'a Base>,
    pub locks: LockChoice<'a>,
}

/// What a job is made of besides its step.
struct Facts<'a> {
    tenant: &'a Tenant,
    request: &'a LaunchRequest,
    inventory: &'a Inventory,
    files: &'a Arc<BTreeMap<String, Blob>>,
    secrets: &'a Secrets,
}

// === impl Prepared ===

impl Prepared {
    pub fn locks(&self) -> BTreeMap<String, Digest> {
        self.points
            .iter()
            .map(|point| (point.point.name.to_string(), point.lock.digest()))
            .collect()
    }

    /// `name@version`.
    pub fn profile_name(&self) -> String {
        self.profile.reference().to_string()
    }
}

// === impl Launches ===

impl Launches {
    /// Looks everything up and decides every artefact; all faults at once, as a problem with pointers into the request.
    pub async fn prepare(&self, wanted: Wanted<'_>) -> Result<Prepared, Problem> {
        let Wanted {
            tenant, request, ..
        } = &wanted;
        let profile = self.profile(&wanted).await?;
        let volume = self.volume(&wanted).await?;
        let layout = self.layout(&volume, request.size).await?;
        let inventory = inventory(&volume).await?;
        self.check_trust(&inventory, &request.volume)?;
        let files = Arc::new(inventory_files(&volume, &inventory).await?);
        let attributes = match wanted.locks {
            LockChoice::Renew | LockChoice::Chosen => None,
            _ => Some(&request.instance.attributes),
        };
        let secrets = self.secret_values(tenant, &profile, attributes).await?;
        let base = Base {
            name: request.volume.clone(),
            volume: volume.id(),
            placement: volume.placement().version,
        };
        let facts = Facts {
            tenant,
            request,
            inventory: &inventory,
            files: &files,
            secrets: &secrets,
        };
        let steps = self.steps(&facts, &profile, &layout.points).await?;
        let points = self
            .locked(&wanted, &profile, &base, &layout.points, steps)
            .await?;
        check_capacity(&points)?;
        let warnings = self.warnings(&profile);
        Ok(Prepared {
            tenant: (*tenant).clone(),
            profile: Arc::new(profile),
            base,
            volume,
            inventory: Arc::new(inventory),
            layout,
            points,
            secrets,
            warnings,
        })
    }

    /// Generators that were yanked since the revision was saved.
    fn warnings(&self, profile: &Saved) -> Vec<String> {
        let steps = profile.profile.steps.iter();
        let warnings = steps.filter_map(|step| {
            let digest = profile.plugins.get(&step.id)?;
            let release = self.installed.release(&step.uses.name, digest)?;
            let yank = release.yanked.as_ref()?;
            Some(format!(
                "step `{}` uses `{}`, which was yanked: {}",
                step.id,
                release.reference(),
                yank.reason
            ))
        });
        warnings.collect()
    }

    async fn profile(&self, wanted: &Wanted<'_>) -> Result<Saved, Problem> {
        let name = &wanted.request.profile;
        let found = match wanted.profile {
            Revision::Given(profile) => Some(profile.clone()),
            Revision::Recorded(version) => {
                self.app
                    .profiles
                    .version(wanted.tenant, name, version)
                    .await?
            }
            Revision::Asked => {
                let reference = ProfileRef {
                    name: name.clone(),
                    version: wanted.request.profile_version,
                };
                self.app.profiles.get(wanted.tenant, &reference).await?
            }
        };
        found.ok_or_else(|| {
            let shown = match wanted.request.profile_version {
                Some(version) => format!("{name}@{version}"),
                None => name.clone(),
            };
            one(
                "/profile",
                "unknown-profile",
                format!("there is no profile `{shown}`"),
                "`bootsplice profile list` shows what there is",
            )
        })
    }
}

fn one(pointer: &str, code: &str, detail: String, hint: &str) -> Problem {
    let mut fault = Fault::new(pointer, code, detail);
    if !hint.is_empty() {
        fault = fault.hint(hint);
    }
    Problem::new(Kind::PlanRefused, "").with_faults(vec![fault])
}

fn source_problem(error: &BlocksError) -> Problem {
    let kind = if error.is_retryable() {
        Kind::Unavailable
    } else {
        Kind::Upstream
    };
    Problem::new(kind, error.to_string())
}

/// A generator that a saved revision pins cannot be had.
fn plugin_gone(uses: &PluginRef, error: EngineError) -> Problem {
    match error {
        EngineError::NotInstalled(digest) => {
            let detail = format!("`{}@{digest}` is not installed any more", uses.name);
            one(
                "/profile",
                "unknown-generator",
                detail,
                "push it again, or save the profile with another release",
            )
        }
        other => Problem::new(Kind::Unavailable, format!("`{uses}`: {other}")),
    }
}

/// A generator that refused a step while it was planned.
pub fn refused(step: &str, error: &GeneratorError, at: &str) -> Problem {
    let kind = match error {
        GeneratorError::Upstream { .. } => Kind::Upstream,
        GeneratorError::Host(_) => Kind::Internal,
        _ => Kind::PlanRefused,
    };
    let faults = match error {
        GeneratorError::InvalidConfig(found) => found
            .iter()
            .map(|one| {
                let mut fault = Fault::new(
                    format!("{at}/with{}", one.pointer),
                    &one.code,
                    one.message.clone(),
                );
                fault.hint.clone_from(&one.hint);
                fault
            })
            .collect(),
        other => vec![Fault::new(
            at,
            other.code(),
            format!("step `{step}`: {other}"),
        )],
    };
    Problem::new(kind, "").with_faults(faults)
}
