//! The steps of a profile as jobs for generators, each at its point.

use std::collections::HashMap;

use bootsplice_content::BLOCK_U64;
use bootsplice_engine::Job;
use bootsplice_engine::contract::{OsFamily, Target};
use bootsplice_volume::Point;

use super::access::{Rights, ungranted};
use super::join::{Joined, Placed, join};
use super::{Facts, PreparedPoint, PreparedStep, plugin_gone};
use crate::launch::Launches;
use crate::problem::{Fault, Kind, Problem};
use crate::profile::{Saved, Stage, Step};

/// What agents of this release can do; generators see it in their target.
pub const FEATURES: [&str; 2] = ["edit-v1", "user-units"];

// === impl Launches ===

impl Launches {
    /// Every step with its generator and its job, by point.
    pub(super) async fn steps(
        &self,
        facts: &Facts<'_>,
        profile: &Saved,
        points: &[Point],
    ) -> Result<Vec<Vec<PreparedStep>>, Problem> {
        let mut faults = Vec::new();
        let mut placed = Vec::new();
        let mut plugins = HashMap::new();
        for (index, step) in profile.profile.steps.iter().enumerate() {
            let names = |point: &Point| point.name.as_str() == step.at;
            let Some(point) = points.iter().position(names) else {
                faults.push(unknown_point(facts, points, index, &step.at));
                continue;
            };
            let digest = profile.plugins.get(&step.id).copied().ok_or_else(|| {
                let reference = profile.reference();
                let detail = format!("profile {reference} names no plugin for `{}`", step.id);
                Problem::new(Kind::Internal, detail)
            })?;
            let plugin = self.installed.plugin(&digest).await;
            let plugin = plugin.map_err(|error| plugin_gone(&step.uses, error))?;
            placed.push(Placed {
                step,
                plugin: digest,
                joins: plugin.descriptor().joins_steps,
                point,
            });
            plugins.insert(digest, plugin);
        }
        let refused = |faults| Problem::new(Kind::PlanRefused, "").with_faults(faults);
        if !faults.is_empty() {
            return Err(refused(faults));
        }
        let mut steps: Vec<Vec<PreparedStep>> = points.iter().map(|_| Vec::new()).collect();
        for one in join(&placed).map_err(refused)? {
            let Joined {
                order, step, point, ..
            } = one;
            let (place, point) = (point, &points[point]);
            let plugin = plugins[&placed[order].plugin].clone();
            let config = serde_json::Value::Object(step.with.clone());
            let rights = self.rights(facts.tenant, &step, &plugin, &config).await?;
            let access = rights.access.clone();
            faults.extend(ungranted(order, &step, &plugin, &access));
            let job = self.job(facts, &step, point, rights);
            let own = step
                .stage
                .unwrap_or_else(|| stage_of(plugin.descriptor().stage));
            steps[place].push(PreparedStep {
                order: order as u32,
                stage: own.max(floor_of(point)),
                step,
                plugin,
                job,
                access,
            });
        }
        check_order(&steps, &mut faults);
        if faults.is_empty() {
            Ok(steps)
        } else {
            Err(refused(faults))
        }
    }

    fn job(&self, facts: &Facts<'_>, step: &Step, point: &Point, rights: Rights) -> Job {
        let target = Target {
            os: OsFamily::Linux,
            distro: facts.inventory.distro().to_owned(),
            release: facts.inventory.release().to_owned(),
            arch: facts.inventory.architecture.clone().unwrap_or_default(),
            insertion_point: point.name.to_string(),
            features: FEATURES.map(str::to_owned).to_vec(),
        };
        let config = serde_json::Value::Object(step.with.clone());
        let mut job = Job::new(
            format!("{}/{}", facts.request.profile, step.id),
            facts.tenant.as_str(),
            target,
            config,
        );
        job.grants = rights.grants;
        job.limits = rights.limits;
        job.secrets = facts.secrets.clone();
        job.inventory = facts.files.clone();
        job
    }
}

fn unknown_point(facts: &Facts<'_>, points: &[Point], index: usize, wanted: &str) -> Fault {
    let volume = &facts.request.volume;
    let detail = format!("volume `{volume}` has no insertion point `{wanted}`");
    let names: Vec<_> = points.iter().map(|point| point.name.as_str()).collect();
    Fault::new(
        format!("/profile/steps/{index}/at"),
        "unknown-point",
        detail,
    )
    .hint(format!("it has {}", names.join(", ")))
}

/// `after` never points to a later stage: points may raise the stage that a profile gave.
fn check_order(points: &[Vec<PreparedStep>], faults: &mut Vec<Fault>) {
    let stages: HashMap<&str, Stage> = points
        .iter()
        .flatten()
        .map(|step| (step.step.id.as_str(), step.stage))
        .collect();
    for step in points.iter().flatten() {
        for (index, id) in step.step.after.iter().enumerate() {
            if stages
                .get(id.as_str())
                .is_some_and(|stage| *stage > step.stage)
            {
                let pointer = format!("/profile/steps/{}/after/{index}", step.order);
                faults.push(Fault::new(
                    pointer,
                    "later-stage",
                    format!("`{id}` runs in a later stage than `{}`", step.step.id),
                ));
            }
        }
    }
}

/// Sum of pins and declared outputs against each point's room: before the first byte (rule 5).
pub(super) fn check_capacity(points: &[PreparedPoint]) -> Result<(), Problem> {
    for one in points {
        // Header, manifest layer, instance layer and end take a block each, and each step's layer is rounded up to blocks.
        let overhead = (4 + one.steps.len() as u64) * BLOCK_U64;
        let needed = one.lock.bound().saturating_add(overhead);
        let capacity = one.point.capacity_blocks() * BLOCK_U64;
        if needed > capacity {
            let detail = format!(
                "point `{}` has room for {capacity} bytes, and its {} steps may need {needed}: import the volume with a larger point, or ask for less",
                one.point.name,
                one.steps.len()
            );
            return Err(Problem::new(Kind::CapacityExceeded, detail));
        }
    }
    Ok(())
}

fn stage_of(stage: bootsplice_engine::contract::Stage) -> Stage {
    use bootsplice_engine::contract::Stage as Contract;
    match stage {
        Contract::Files => Stage::Files,
        Contract::Packages => Stage::Packages,
        Contract::Late => Stage::Late,
    }
}

fn floor_of(point: &Point) -> Stage {
    match point.stage {
        bootsplice_volume::Stage::Files => Stage::Files,
        bootsplice_volume::Stage::Packages => Stage::Packages,
        bootsplice_volume::Stage::Late => Stage::Late,
    }
}
