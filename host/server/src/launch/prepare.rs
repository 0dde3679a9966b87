//! From a request to work that can be done: everything looked up, every step locked, every fault found before anything is recorded.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use bootsplice_blocks::{BlockSource as _, BlocksError, Volume};
use bootsplice_content::{BLOCK_U64, Digest};
use bootsplice_engine::blobs::Blob;
use bootsplice_engine::contract::{OsFamily, Severity, StepLock, Target};
use bootsplice_engine::grant::{Grants, UrlPrefix};
use bootsplice_engine::{EngineError, GeneratorError, Job, Plugin, Secret, Secrets};
use bootsplice_volume::{Inventory, Layout, Point, paths};
use futures::future::{join_all, try_join_all};

use super::Launches;
use super::lock::{LOCK_SCHEMA, LockKey, LockedStep, PointLock};
use super::record::Base;
use super::request::LaunchRequest;
use crate::auth::Tenant;
use crate::problem::{Fault, Kind, Problem};
use crate::profile::{Placeholder, ProfileRef, Saved, Stage, Step, placeholders};

/// What agents of this release can do; generators see it in their target.
const FEATURES: [&str; 2] = ["edit-v1", "user-units"];
/// A file of the inventory larger than this is not handed to generators.
const MAX_INVENTORY_FILE: usize = 64 << 20;

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
}

/// Which locks to use.
pub enum LockChoice<'a> {
    /// Those in force, or new ones.
    InForce,
    /// New ones, put in force.
    Renew,
    /// In force or new, but nothing is written: for plans.
    DryRun,
    /// Those of a record.
    Pinned(&'a BTreeMap<String, Digest>),
}

/// A request and what a record has already pinned of it.
pub struct Wanted<'a> {
    pub tenant: &'a Tenant,
    pub request: &'a LaunchRequest,
    pub profile_version: Option<u32>,
    pub base: Option<&'a Base>,
    pub locks: LockChoice<'a>,
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
        let secrets = self.secret_values(tenant, &profile, request).await?;
        let base = Base {
            name: request.volume.clone(),
            volume: volume.id(),
            placement: volume.placement().version,
        };
        let mut faults = Vec::new();
        let mut steps: Vec<Vec<PreparedStep>> = layout.points.iter().map(|_| Vec::new()).collect();
        for (index, step) in profile.profile.steps.iter().enumerate() {
            let at = format!("/profile/steps/{index}");
            let Some(place) = layout
                .points
                .iter()
                .position(|point| point.name.as_str() == step.at)
            else {
                let names: Vec<_> = layout
                    .points
                    .iter()
                    .map(|point| point.name.as_str())
                    .collect();
                let detail = format!(
                    "volume `{}` has no insertion point `{}`",
                    request.volume, step.at
                );
                faults.push(
                    Fault::new(format!("{at}/at"), "unknown-point", detail)
                        .hint(format!("it has {}", names.join(", "))),
                );
                continue;
            };
            let digest = profile.plugins.get(&step.id).copied().ok_or_else(|| {
                Problem::new(
                    Kind::Internal,
                    format!(
                        "profile {} names no plugin for `{}`",
                        profile.reference(),
                        step.id
                    ),
                )
            })?;
            let plugin = self.installed.plugin(&digest).await.map_err(plugin_gone)?;
            let point = &layout.points[place];
            let job = self.job(
                tenant, request, step, &plugin, &inventory, &files, point, &secrets,
            );
            match self
                .installed
                .engine()
                .validate(&plugin, Some(&job.target), &job.config)
                .await
            {
                Ok(found) => faults.extend(
                    found
                        .into_iter()
                        .filter(|one| one.severity == Severity::Error)
                        .map(|one| {
                            let mut fault = Fault::new(
                                format!("{at}/with{}", one.pointer),
                                &one.code,
                                one.message,
                            );
                            fault.hint = one.hint;
                            fault
                        }),
                ),
                Err(error) => return Err(refused(&step.id, &error, &at)),
            }
            let own = step
                .stage
                .unwrap_or_else(|| stage_of(plugin.descriptor().stage));
            steps[place].push(PreparedStep {
                order: index as u32,
                step: step.clone(),
                plugin,
                job,
                stage: own.max(floor_of(point)),
            });
        }
        check_order(&steps, &mut faults);
        if !faults.is_empty() {
            return Err(Problem::new(Kind::PlanRefused, "").with_faults(faults));
        }
        let mut points = Vec::new();
        for (point, steps) in layout.points.iter().cloned().zip(steps) {
            let lock = self.lock(&wanted, &profile, &base, &point, &steps).await?;
            points.push(PreparedPoint { point, lock, steps });
        }
        check_capacity(&points)?;
        Ok(Prepared {
            tenant: (*tenant).clone(),
            profile: Arc::new(profile),
            base,
            volume,
            inventory: Arc::new(inventory),
            layout,
            points,
            secrets,
        })
    }

    async fn profile(&self, wanted: &Wanted<'_>) -> Result<Saved, Problem> {
        let name = &wanted.request.profile;
        let found = match wanted.profile_version {
            // A version that a launch holds outlives its profile.
            Some(version) => {
                self.app
                    .profiles
                    .version(wanted.tenant, name, version)
                    .await?
            }
            None => {
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

    async fn volume(&self, wanted: &Wanted<'_>) -> Result<Arc<Volume>, Problem> {
        let name = &wanted.request.volume;
        let origin = self.origin.clone().ok_or_else(|| {
            Problem::new(
                Kind::Unavailable,
                "this host has no store of base volumes: start it with `--volumes URL`",
            )
        })?;
        let cache = self.cache.clone();
        let opened = match wanted.base {
            Some(base) => Volume::open_id(origin, cache, base.volume, base.placement).await,
            None => Volume::open(origin, cache, name).await,
        };
        match opened {
            Ok(volume) => Ok(self.shared_volume(volume)),
            Err(BlocksError::Missing { .. } | BlocksError::Invalid { .. }) => Err(one(
                "/volume",
                "unknown-volume",
                format!("there is no volume `{name}`"),
                "`bootsplice volume list --store URL` shows what there is",
            )),
            Err(error) => Err(source_problem(&error)),
        }
    }

    async fn layout(&self, volume: &Volume, size: Option<u64>) -> Result<Layout, Problem> {
        let manifest = volume.manifest();
        let head = match size {
            Some(size) if size != manifest.size => volume
                .block(0)
                .await
                .map_err(|error| source_problem(&error))?,
            _ => None,
        };
        let head = head.as_ref().map(|chunk| &chunk.bytes()[..]);
        Layout::new(manifest, size, head)
            .map_err(|error| one("/size", "does-not-fit", error.to_string(), ""))
    }

    /// A plan is refused when the guest could not apply it (RFC 0006).
    fn check_trust(&self, inventory: &Inventory, volume: &str) -> Result<(), Problem> {
        if inventory.agent.is_none() {
            let detail = format!(
                "volume `{volume}` has no bootsplice-agent: install its package in the image and import it again"
            );
            return Err(Problem::new(Kind::PlanRefused, detail));
        }
        let active = self
            .app
            .keys
            .active()
            .map_err(|error| Problem::new(Kind::Internal, error.to_string()))?;
        if active
            .iter()
            .any(|key| inventory.trusted_keys.contains(&key.id))
        {
            return Ok(());
        }
        let mine: Vec<_> = active.iter().map(|key| key.id.as_str()).collect();
        let theirs: Vec<_> = inventory.trusted_keys.iter().map(String::as_str).collect();
        let detail = format!(
            "volume `{volume}` trusts the keys [{}], and this host signs with [{}]: put `bootsplice key export` in the image's /etc/bootsplice/keys.d, \
             or make the key with `bootsplice key new` before",
            theirs.join(", "),
            mine.join(", ")
        );
        Err(Problem::new(Kind::UntrustedBase, detail))
    }

    /// The values of all secrets that the profile names, and the check that every placeholder has a value.
    async fn secret_values(
        &self,
        tenant: &Tenant,
        profile: &Saved,
        request: &LaunchRequest,
    ) -> Result<Secrets, Problem> {
        let mut values = HashMap::new();
        let mut faults = Vec::new();
        for (index, step) in profile.profile.steps.iter().enumerate() {
            let with = format!("/profile/steps/{index}/with");
            let (found, _) = placeholders(&step.with);
            let mut wanted = Vec::new();
            for (pointer, placeholder) in found {
                match placeholder {
                    Placeholder::Attribute(name)
                        if !request.instance.attributes.contains_key(&name) =>
                    {
                        let detail = format!(
                            "`{with}{pointer}` of the profile needs the attribute `{name}`"
                        );
                        faults.push(Fault::new(
                            format!("/instance/attributes/{name}"),
                            "missing-attribute",
                            detail,
                        ));
                    }
                    Placeholder::Secret(name) => wanted.push((pointer, name)),
                    _ => {}
                }
            }
            if let Some(digest) = profile.plugins.get(&step.id) {
                let plugin = self.installed.plugin(digest).await.map_err(plugin_gone)?;
                let config = serde_json::Value::Object(step.with.clone());
                wanted.extend(
                    plugin
                        .secrets_in(&config)
                        .into_iter()
                        .map(|name| (String::new(), name)),
                );
            }
            for (pointer, name) in wanted {
                if values.contains_key(&name) {
                    continue;
                }
                match self.app.secrets.open(tenant, &name).await? {
                    Some(value) => match std::str::from_utf8(value.reveal()) {
                        Ok(text) => drop(values.insert(name, Secret::new(text))),
                        Err(_) => faults.push(Fault::new(
                            format!("{with}{pointer}"),
                            "not-text",
                            format!("secret `{name}` is not UTF-8 text"),
                        )),
                    },
                    None => {
                        let fault = Fault::new(
                            format!("{with}{pointer}"),
                            "unknown-secret",
                            format!("there is no secret `{name}`"),
                        );
                        faults
                            .push(fault.hint(format!("`bootsplice secret put {name}` writes it")));
                    }
                }
            }
        }
        faults.dedup();
        if faults.is_empty() {
            Ok(Arc::new(move |name: &str| values.get(name).cloned()))
        } else {
            Err(Problem::new(Kind::PlanRefused, "").with_faults(faults))
        }
    }

    #[expect(
        clippy::too_many_arguments,
        reason = "each is one fact of the job, and nobody else needs them together"
    )]
    fn job(
        &self,
        tenant: &Tenant,
        request: &LaunchRequest,
        step: &Step,
        plugin: &Plugin,
        inventory: &Inventory,
        files: &Arc<BTreeMap<String, Blob>>,
        point: &Point,
        secrets: &Secrets,
    ) -> Job {
        let target = Target {
            os: OsFamily::Linux,
            distro: inventory.distro().to_owned(),
            release: inventory.release().to_owned(),
            arch: inventory.architecture.clone().unwrap_or_default(),
            insertion_point: point.name.to_string(),
            features: FEATURES.map(str::to_owned).to_vec(),
        };
        let config = serde_json::Value::Object(step.with.clone());
        let mut job = Job::new(
            format!("{}/{}", request.profile, step.id),
            tenant.as_str(),
            target,
            config,
        );
        job.grants = Grants {
            fetch: self.granted(tenant, plugin, &job.config),
            credentials: plugin.secrets_in(&job.config).into_iter().collect(),
        };
        job.secrets = secrets.clone();
        job.inventory = files.clone();
        job
    }

    /// What the operator grants the tenant and the plugin asks for.
    fn granted(
        &self,
        tenant: &Tenant,
        plugin: &Plugin,
        config: &serde_json::Value,
    ) -> Vec<UrlPrefix> {
        let wishes = plugin.fetch_in(config);
        let grants = self.app.config.grants.iter();
        let mine = grants.filter(|grant| grant.tenant.as_ref().is_none_or(|one| one == tenant));
        let mut granted: Vec<UrlPrefix> = Vec::new();
        for url in mine.flat_map(|grant| &grant.urls) {
            let Ok(prefix) = UrlPrefix::parse(url.as_str()) else {
                continue;
            };
            for wish in &wishes {
                let Ok(wish) = UrlPrefix::parse(wish) else {
                    continue;
                };
                if prefix.covers(wish.url()) {
                    granted.push(wish);
                } else if wish.covers(prefix.url()) {
                    granted.push(prefix.clone());
                }
            }
        }
        granted.sort_by(|a, b| a.url().as_str().cmp(b.url().as_str()));
        granted.dedup_by(|a, b| a.url() == b.url());
        granted
    }

    async fn lock(
        &self,
        wanted: &Wanted<'_>,
        profile: &Saved,
        base: &Base,
        point: &Point,
        steps: &[PreparedStep],
    ) -> Result<PointLock, Problem> {
        let tenant = wanted.tenant.as_str();
        if let LockChoice::Pinned(pinned) = &wanted.locks {
            let digest = pinned.get(point.name.as_str()).copied();
            let lock = match digest {
                Some(digest) => self.locks.get(tenant, digest).await?,
                None => None,
            };
            return lock.ok_or_else(|| {
                Problem::new(
                    Kind::Internal,
                    format!("the lock of point `{}` is gone", point.name),
                )
            });
        }
        let key = LockKey {
            tenant,
            profile: &profile.profile.name,
            profile_version: profile.version,
            base: base.volume,
            point: point.name.as_str(),
        };
        let renew = matches!(wanted.locks, LockChoice::Renew);
        let _resolving = self.resolving.lock(format!("{key:?}")).await;
        let before = self.locks.chosen(key).await?;
        if let Some(lock) = &before
            && !renew
        {
            return Ok(lock.clone());
        }
        let runs = steps.iter().map(async |step| {
            let previous = before.as_ref().and_then(|lock| lock.step(&step.step.id));
            let lock = self
                .installed
                .engine()
                .resolve(&step.plugin, &step.job, previous)
                .await;
            let at = format!("/profile/steps/{}", step.order);
            lock.map_err(|error| refused(&step.step.id, &error, &at))
        });
        let locks: Vec<StepLock> = try_join_all(runs).await?;
        let lock = PointLock {
            schema: LOCK_SCHEMA.to_owned(),
            profile: profile.reference().to_string(),
            base: base.volume,
            point: point.name.to_string(),
            resolved: self.app.clock.now(),
            steps: steps
                .iter()
                .zip(locks)
                .map(|(step, lock)| LockedStep {
                    id: step.step.id.clone(),
                    lock,
                })
                .collect(),
        };
        if matches!(wanted.locks, LockChoice::DryRun) {
            return Ok(lock);
        }
        Ok(self.locks.choose(key, lock, renew).await?)
    }
}

async fn inventory(volume: &Volume) -> Result<Inventory, Problem> {
    let digest = volume.manifest().inventory;
    let path = paths::inventory(&digest);
    let chunk = volume
        .document(digest, path.clone(), Inventory::MAX_BYTES)
        .await
        .map_err(|error| source_problem(&error))?;
    serde_json::from_slice(chunk.bytes())
        .map_err(|error| Problem::new(Kind::Upstream, format!("`{path}` is damaged: {error}")))
}

async fn inventory_files(
    volume: &Volume,
    inventory: &Inventory,
) -> Result<BTreeMap<String, Blob>, Problem> {
    let reads = inventory.files.iter().map(async |(name, file)| {
        let path = paths::inventory_file(&file.digest);
        let chunk = volume
            .document(file.digest, path, MAX_INVENTORY_FILE)
            .await?;
        Ok::<_, BlocksError>((name.clone(), Blob::from_bytes(chunk.into_bytes())))
    });
    let read: Result<Vec<_>, _> = join_all(reads).await.into_iter().collect();
    Ok(read
        .map_err(|error| source_problem(&error))?
        .into_iter()
        .collect())
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
fn check_capacity(points: &[PreparedPoint]) -> Result<(), Problem> {
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

fn plugin_gone(error: EngineError) -> Problem {
    Problem::new(Kind::Unavailable, error.to_string())
}

/// A generator that refused a step while it was planned.
fn refused(step: &str, error: &GeneratorError, at: &str) -> Problem {
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
