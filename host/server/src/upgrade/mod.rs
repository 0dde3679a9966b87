//! Profiles brought to another release of a generator: planned with the old and the new one, compared, and saved as new revisions.

pub mod diff;

use std::collections::{BTreeMap, BTreeSet};

use bootsplice_content::Digest;
use bootsplice_store::Version;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use self::diff::Difference;
use crate::app::App;
use crate::auth::Tenant;
use crate::launch::prepare::Revision;
use crate::launch::record::Launch;
use crate::launch::request::{Draft, Instance, LaunchRequest};
use crate::plugins::Installed;
use crate::plugins::release::Release;
use crate::problem::{Fault, Kind, Problem};
use crate::profile::{
    Checked, Placeholder, Profile, PutError, Saved, check_with, placeholders, uses,
};

/// Profiles in one answer: each is planned twice.
const PROFILES: usize = 5;

/// How profiles shall be upgraded.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct UpgradeBody {
    /// Plan and compare; save nothing.
    pub dry_run: bool,
    /// Plan on this volume. The one of each profile's last launch when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub volume: Option<String>,
    /// Profiles after this one, as `next` said.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub after: Option<String>,
}

/// What an upgrade does, or did.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct Upgrade {
    /// `acme/hello@1.3.0`: what profiles are brought to.
    pub to: String,
    #[schema(value_type = String)]
    pub digest: Digest,
    pub dry_run: bool,
    /// Profiles of the caller's tenant whose latest revision is pinned to another release.
    pub profiles: Vec<UpgradedProfile>,
    /// More follow: ask again with `after` set to this.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}

#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct UpgradedProfile {
    pub name: String,
    /// Its latest revision before.
    pub version: u32,
    /// The revision that was saved; none in a dry run, or when there are faults.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub saved: Option<u32>,
    pub steps: Vec<UpgradedStep>,
    /// Why the profile cannot have the new release as it stands.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub faults: Vec<Fault>,
    /// The volume that both plans were made on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub volume: Option<String>,
    /// Why there are no plans to compare.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unplanned: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub difference: Option<Difference>,
}

#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct UpgradedStep {
    pub id: String,
    /// `acme/hello@1.2.0`; the digest where that release is gone.
    pub from: String,
    /// Its `use:` from now on.
    #[serde(rename = "use")]
    pub uses: String,
}

/// A profile with the new release in it, before it is judged.
struct Candidate {
    saved: Saved,
    document: Value,
    pins: BTreeMap<String, Digest>,
    steps: Vec<UpgradedStep>,
}

/// Brings the profiles of `tenant` to the release `to`, or shows what that would change.
pub async fn upgrade(
    app: &App,
    tenant: &Tenant,
    to: &Release,
    body: &UpgradeBody,
) -> Result<Upgrade, Problem> {
    if let Some(yank) = &to.yanked {
        let detail = format!("`{}` was yanked: {}", to.reference(), yank.reason);
        return Err(Problem::new(Kind::Conflict, detail));
    }
    let installed = &app.launches()?.installed;
    let mut profiles = Vec::new();
    let mut next = None;
    for name in affected(app, installed, tenant, to).await? {
        if body.after.as_ref().is_some_and(|after| name <= *after) {
            continue;
        }
        if profiles.len() == PROFILES {
            next = profiles
                .last()
                .map(|one: &UpgradedProfile| one.name.clone());
            break;
        }
        let Some(saved) = latest(app, tenant, &name).await? else {
            continue;
        };
        let candidate = Candidate::of(installed, saved, to);
        if !candidate.steps.is_empty() {
            profiles.push(candidate.run(app, tenant, body).await?);
        }
    }
    Ok(Upgrade {
        to: to.reference(),
        digest: to.digest,
        dry_run: body.dry_run,
        profiles,
        next,
    })
}

/// Names of profiles with a revision that pins another release of the same generator.
async fn affected(
    app: &App,
    installed: &Installed,
    tenant: &Tenant,
    to: &Release,
) -> Result<BTreeSet<String>, Problem> {
    let plugin = to.plugin();
    let mut names = BTreeSet::new();
    for digest in installed.digests(&plugin) {
        if digest == to.digest {
            continue;
        }
        let mut after: Option<String> = None;
        loop {
            let store = &*app.store;
            let of = Some(tenant);
            let (found, more) =
                uses::list(store, &plugin, &digest, of, after.as_deref(), 500).await?;
            after = found.last().map(|one| one.cursor.clone());
            names.extend(found.into_iter().map(|one| one.profile));
            if !more {
                break;
            }
        }
    }
    Ok(names)
}

async fn latest(app: &App, tenant: &Tenant, name: &str) -> Result<Option<Saved>, Problem> {
    let reference = crate::profile::ProfileRef {
        name: name.to_owned(),
        version: None,
    };
    Ok(app.profiles.get(tenant, &reference).await?)
}

// === impl Candidate ===

impl Candidate {
    /// The profile with every step of the generator pinned to `to`. A `use:` that does not mean the new release names it from now on.
    fn of(installed: &Installed, saved: Saved, to: &Release) -> Self {
        let plugin = to.plugin();
        let mut pins = saved.plugins.clone();
        let mut profile = saved.profile.clone();
        let mut steps = Vec::new();
        for step in &mut profile.steps {
            let Some(pin) = pins.get_mut(&step.id) else {
                continue;
            };
            if step.uses.name != plugin || *pin == to.digest {
                continue;
            }
            let from = installed.release(&plugin, pin);
            let from = from.map_or_else(|| format!("{plugin}@{pin}"), |from| from.reference());
            let tags = installed.tags(&plugin, &to.digest);
            let tags = tags.iter().map(String::as_str);
            if !step.uses.version.matches(&to.version, to.digest, tags)
                && let Ok(uses) = to.reference().parse()
            {
                step.uses = uses;
            }
            *pin = to.digest;
            steps.push(UpgradedStep {
                id: step.id.clone(),
                from,
                uses: step.uses.to_string(),
            });
        }
        Self {
            document: document(&profile),
            saved,
            pins,
            steps,
        }
    }

    async fn run(
        self,
        app: &App,
        tenant: &Tenant,
        body: &UpgradeBody,
    ) -> Result<UpgradedProfile, Problem> {
        let generators = &*app.generators;
        let checked = check_with(&self.document, tenant, generators, &self.pins).await?;
        let mut told = UpgradedProfile {
            name: self.saved.profile.name.clone(),
            version: self.saved.version,
            saved: None,
            steps: self.steps,
            faults: Vec::new(),
            volume: None,
            unplanned: None,
            difference: None,
        };
        let checked = match checked {
            Ok(checked) => checked,
            Err(faults) => {
                told.faults = faults;
                return Ok(told);
            }
        };
        if body.dry_run {
            compare(app, tenant, &self.saved, &checked, body, &mut told).await?;
            return Ok(told);
        }
        let unchanged = |found: Option<Version>| found == Some(self.saved.record);
        match app.profiles.put(tenant, &checked, unchanged).await {
            Ok(put) => told.saved = Some(put.saved().version),
            Err(PutError::Precondition) => {
                let detail = "somebody saved another revision meanwhile";
                let fault = Fault::new("", "changed-meanwhile", detail);
                told.faults.push(fault.hint("upgrade again"));
            }
            Err(PutError::Store(error)) => return Err(error.into()),
        }
        Ok(told)
    }
}

/// Plans both revisions and tells what differs, or why that cannot be told.
async fn compare(
    app: &App,
    tenant: &Tenant,
    old: &Saved,
    new: &Checked,
    body: &UpgradeBody,
    told: &mut UpgradedProfile,
) -> Result<(), Problem> {
    let launches = app.launches()?;
    let name = &old.profile.name;
    let last = launches.ledger.last_of(tenant.as_str(), name).await?;
    let volume = last.as_ref().map(|launch| launch.request.volume.clone());
    let Some(volume) = body.volume.clone().or(volume) else {
        told.unplanned = Some("it was never launched: name a volume to plan it on".into());
        return Ok(());
    };
    told.volume = Some(volume.clone());
    let request = match request(old, volume, last.as_ref()) {
        Ok(request) => request,
        Err(faults) => {
            told.unplanned = Some(in_words(&faults));
            return Ok(());
        }
    };
    let next = Saved {
        profile: new.profile.clone(),
        version: old.version + 1,
        plugins: new.plugins(),
        ..old.clone()
    };
    let mut plans = Vec::new();
    for (which, revision) in [("now", old), ("upgraded", &next)] {
        let plan = launches.plan_revision(tenant, &request, Revision::Given(revision));
        match plan.await {
            Ok(plan) => plans.push(plan),
            Err(problem) => {
                let faults = in_words(&problem.faults);
                let words = [problem.detail.as_str(), &faults].join(" ");
                told.unplanned = Some(format!("as it is {which}: {}", words.trim()));
                return Ok(());
            }
        }
    }
    if let [old, new] = plans.as_slice() {
        told.difference = Some(Difference::between(old, new));
    }
    Ok(())
}

/// A launch like the last one, or for nobody: what it needs to know of its instance stands in for itself.
fn request(
    profile: &Saved,
    volume: String,
    last: Option<&Launch>,
) -> Result<LaunchRequest, Vec<Fault>> {
    let mut instance = match last {
        Some(launch) => launch.request.instance.clone(),
        None => Instance {
            id: "upgrade".into(),
            attributes: BTreeMap::new(),
            product_uuid: None,
        },
    };
    for step in &profile.profile.steps {
        for (_, placeholder) in placeholders(&step.with).0 {
            if let Placeholder::Attribute(name) = placeholder {
                let value = name.clone();
                instance.attributes.entry(name).or_insert(value);
            }
        }
    }
    let draft = Draft {
        instance,
        profile: profile.reference().to_string(),
        volume,
        size: None,
        sink: None,
        labels: BTreeMap::new(),
        deadline_seconds: None,
    };
    let mut request = draft.check()?;
    request.size = last.and_then(|launch| launch.request.size);
    Ok(request)
}

fn document(profile: &Profile) -> Value {
    serde_json::to_value(profile).unwrap_or_default()
}

fn in_words(faults: &[Fault]) -> String {
    let lines: Vec<_> = faults
        .iter()
        .map(|fault| format!("{}: {} [{}]", fault.pointer, fault.detail, fault.code))
        .collect();
    lines.join("; ")
}
