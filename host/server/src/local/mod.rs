//! Profiles resolved on this machine, by the generators that a host would run, in the same sandbox, without a host.
//!
//! | room | what is in it |
//! |---|---|
//! | [`base`] | the image to resolve against: a dpkg status file with the settings of an apt, or an imported volume |
//! | [`reach`] | what generators may fetch here |
//! | [`sandbox`], [`shelf`] | the engine; generators beside the command, compiled once and kept |
//! | [`seen`], [`progress`] | the replay guard's memory; what takes long is told |

pub mod base;
pub mod progress;
pub mod reach;
pub mod sandbox;
mod seen;
mod shelf;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context as _;
use bootsplice_engine::blobs::Scope;
use bootsplice_engine::contract::{self, Pin, Severity, StepLock};
use bootsplice_engine::tape::Tape;
use bootsplice_engine::{Job, Observer, Plugin};
use serde_json::Value;

use self::base::Base;
use self::progress::Progress;
use self::reach::Reach;
use self::sandbox::Sandbox;
use self::shelf::Shelf;
use crate::auth::Tenant;
use crate::launch::lock::PinView;
use crate::launch::prepare::join::{Joined, Placed, join};
use crate::launch::prepare::refused;
use crate::launch::prepare::steps::FEATURES;
use crate::lock::document::{LockFile, Of, Package, SCHEMA, Step, Target};
use crate::plugins::beside;
use crate::problem::{Fault, Kind, Problem};
use crate::profile::{self, Checked, check};

/// Where things are.
#[derive(Clone, Debug)]
pub struct Places {
    /// Generators as `NAME.wasm`.
    pub plugins: PathBuf,
    /// The `bootsplice-compile` binary.
    pub compiler: PathBuf,
    /// What can be made again: compiled generators, fetched indexes.
    pub cache: PathBuf,
    /// The dates of repositories that were seen. Losing them loses the guard against replayed ones.
    pub state: PathBuf,
}

/// Resolves profiles on this machine.
pub struct Local {
    sandbox: Arc<Sandbox>,
    shelf: Shelf,
    reach: Reach,
    observer: Arc<dyn Observer>,
    tenant: Tenant,
}

/// A step that was resolved: all that its content is made from.
pub struct LocalStep {
    /// Its position in the profile.
    pub order: usize,
    pub step: profile::Step,
    pub plugin: Plugin,
    pub job: Job,
    pub lock: StepLock,
}

// === impl Places ===

impl Places {
    /// This user's (XDG Base Directory Specification), with what was said otherwise.
    pub fn of_user(
        plugins: PathBuf,
        compiler: Option<&Path>,
        cache: Option<&Path>,
    ) -> anyhow::Result<Self> {
        Ok(Self {
            plugins,
            compiler: match compiler {
                Some(path) => path.to_owned(),
                None => beside("bootsplice-compile")?,
            },
            cache: match cache {
                Some(directory) => directory.to_owned(),
                None => own("XDG_CACHE_HOME", ".cache")?,
            },
            state: own("XDG_STATE_HOME", ".local/state")?,
        })
    }
}

/// A directory of this user (XDG Base Directory Specification: an absolute path, or the default below home).
fn own(variable: &str, default: &str) -> anyhow::Result<PathBuf> {
    let said = std::env::var_os(variable).map(PathBuf::from);
    let base = match said.filter(|path| path.is_absolute()) {
        Some(path) => path,
        None => std::env::home_dir()
            .with_context(|| format!("neither `{variable}` nor `HOME` is set"))?
            .join(default),
    };
    Ok(base.join("bootsplice"))
}

// === impl Local ===

impl Local {
    pub fn open(places: &Places, reach: Reach, progress: Arc<Progress>) -> anyhow::Result<Self> {
        let sandbox = Sandbox::open(places, reach.policy.clone(), progress.clone())?;
        Self::new(Arc::new(sandbox), places, reach, progress)
    }

    pub fn new(
        sandbox: Arc<Sandbox>,
        places: &Places,
        reach: Reach,
        observer: Arc<dyn Observer>,
    ) -> anyhow::Result<Self> {
        Ok(Self {
            shelf: Shelf::new(sandbox.clone(), places.plugins.clone()),
            sandbox,
            reach,
            observer,
            tenant: Tenant::DEFAULT.parse()?,
        })
    }

    /// Uses a generator that is at work, in the place of the directory's.
    pub async fn put(&self, plugin: Plugin) {
        self.shelf.put(plugin).await;
    }

    pub fn sandbox(&self) -> &Sandbox {
        &self.sandbox
    }

    /// The lock of a profile on a base; every step of it. Packages in `keep` stay at their versions where those will do.
    pub async fn lock(
        &self,
        document: &Value,
        base: &Base,
        keep: &[&Package],
    ) -> Result<LockFile, Problem> {
        let profile = self.profile(document).await?;
        let order = self.order(&profile).await?;
        let steps = self.resolve(&profile, order, base, keep, None).await?;
        let steps = steps.iter().map(|one| {
            let pins: Vec<PinView> = one.lock.pins.iter().map(PinView::of).collect();
            let lock = &one.lock;
            Step::new(&one.step.id, lock.plugin, lock.needs_instance, &pins)
        });
        let mut lock = LockFile {
            schema: SCHEMA.to_owned(),
            profile: Of::profile(&profile.profile),
            base: base.digest,
            target: base.target.clone(),
            date: None,
            steps: steps.collect(),
        };
        lock.set_date();
        lock.check()
            .map_err(|error| Problem::new(Kind::Internal, error.to_string()))?;
        Ok(lock)
    }

    /// A profile without a fault.
    pub async fn profile(&self, document: &Value) -> Result<Checked, Problem> {
        check(document, &self.tenant, &self.shelf)
            .await
            .map_err(|error| Problem::new(Kind::Unavailable, error.to_string()))?
            .map_err(|faults| Problem::new(Kind::InvalidProfile, "").with_faults(faults))
    }

    /// The steps in the order that they are run, those of generators that join them made one.
    pub async fn order(&self, checked: &Checked) -> Result<Vec<(Joined, Plugin)>, Problem> {
        let mut placed = Vec::new();
        let mut plugins = Vec::new();
        let mut points: Vec<&str> = Vec::new();
        for (step, generator) in checked.profile.steps.iter().zip(&checked.generators) {
            let plugin = self.shelf.plugin(&generator.name.id).await;
            let plugin = plugin.map_err(|why| Problem::new(Kind::Unavailable, why))?;
            let known = points.iter().position(|point| *point == step.at);
            let point = known.unwrap_or_else(|| {
                points.push(&step.at);
                points.len() - 1
            });
            placed.push(Placed {
                step,
                plugin: generator.digest,
                joins: plugin.descriptor().joins_steps,
                point,
            });
            plugins.push(plugin);
        }
        let joined = join(&placed).map_err(|mut faults| {
            // Of a launch's request the profile is a part; here it is the document.
            for fault in &mut faults {
                fault.pointer = fault.pointer.replacen("/profile/", "/", 1);
            }
            Problem::new(Kind::PlanRefused, "").with_faults(faults)
        })?;
        let with_plugin = joined.into_iter().map(|one| {
            let plugin = plugins[one.order].clone();
            (one, plugin)
        });
        Ok(with_plugin.collect())
    }

    /// Decides every artefact of every step. With a tape, what comes into the runs is recorded, or comes from a recording.
    pub async fn resolve(
        &self,
        checked: &Checked,
        order: Vec<(Joined, Plugin)>,
        base: &Base,
        keep: &[&Package],
        tape: Option<&Arc<Tape>>,
    ) -> Result<Vec<LocalStep>, Problem> {
        let mut steps = Vec::new();
        for (one, plugin) in order {
            let at = format!("/steps/{}", one.order);
            let mut job = self.job(&checked.profile.name, &one.step, &plugin, base);
            // Of a recording also what was granted then: nothing real is reached for now.
            if let Some(begun) = tape.and_then(|tape| tape.begun(steps.len())) {
                job.grants = begun.grants;
            }
            job.tape = tape.cloned();
            self.sandbox.progress().step(&one.step.id);
            self.validate(&plugin, &job, &at, &one.step.id).await?;
            let previous = kept(&plugin, keep);
            let lock = self
                .sandbox
                .engine()
                .resolve(&plugin, &job, Some(&previous))
                .await;
            let lock = lock.map_err(|error| hinted(refused(&one.step.id, &error, &at)))?;
            steps.push(LocalStep {
                order: one.order,
                step: one.step,
                plugin,
                job,
                lock,
            });
        }
        Ok(steps)
    }

    fn job(&self, profile: &str, step: &profile::Step, plugin: &Plugin, base: &Base) -> Job {
        let Target {
            distribution,
            release,
            architecture,
        } = base.target.clone();
        let target = contract::Target {
            os: contract::OsFamily::Linux,
            distro: distribution,
            release,
            arch: architecture,
            insertion_point: step.at.clone(),
            features: FEATURES.map(str::to_owned).to_vec(),
        };
        let config = Value::Object(step.with.clone());
        let name = format!("{profile}/{}", step.id);
        let mut job = Job::new(name, self.tenant.as_str(), target, config);
        job.grants.fetch = self.reach.granted(plugin, &job.config, base);
        job.inventory = base.files.clone();
        job.observer = self.observer.clone();
        job
    }

    async fn validate(
        &self,
        plugin: &Plugin,
        job: &Job,
        at: &str,
        step: &str,
    ) -> Result<(), Problem> {
        let engine = self.sandbox.engine();
        let found = engine.validate(plugin, Some(&job.target), &job.config);
        let found = found.await.map_err(|error| refused(step, &error, at))?;
        let errors = found
            .into_iter()
            .filter(|one| one.severity == Severity::Error);
        let faults: Vec<Fault> = errors
            .map(|one| Fault {
                hint: one.hint,
                ..Fault::new(format!("{at}/with{}", one.pointer), &one.code, one.message)
            })
            .collect();
        if faults.is_empty() {
            Ok(())
        } else {
            Err(Problem::new(Kind::PlanRefused, "").with_faults(faults))
        }
    }
}

/// A lock that says no more than which packages shall stay.
fn kept(plugin: &Plugin, keep: &[&Package]) -> StepLock {
    let pins = keep.iter().map(|package| Pin {
        name: format!("{}_{}", package.name, package.architecture),
        version: package.version.clone(),
        urls: package.urls.clone(),
        digest: package.sha256,
        size: package.size,
        scope: Scope::Public,
        attributes: [
            ("keep", "yes"),
            ("package", &*package.name),
            ("architecture", &*package.architecture),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .to_vec(),
    });
    StepLock {
        plugin: *plugin.digest(),
        epoch: 0,
        pins: pins.collect(),
        state: None,
        needs_instance: false,
        fresh_for: None,
        max_output: 0,
        scope: Scope::Public,
    }
}

/// Says what to do here about what may not be reached.
fn hinted(mut problem: Problem) -> Problem {
    let denied = |fault: &&mut Fault| fault.code == "denied" && fault.hint.is_none();
    let hints = [
        (
            "secret",
            "only a host knows secrets: `bootsplice lock --volume NAME` asks it",
        ),
        (
            "public address",
            "a private network is allowed with `--private-network CIDR`",
        ),
        (
            "no grant",
            "an address that neither the profile nor the apt settings name is allowed with `--grant URL`",
        ),
    ];
    for fault in problem.faults.iter_mut().filter(denied) {
        let known = hints.iter().find(|(word, _)| fault.detail.contains(word));
        fault.hint = known.map(|(_, hint)| (*hint).to_owned());
    }
    problem
}
