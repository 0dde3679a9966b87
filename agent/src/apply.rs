//! Applies a launch: everything is verified first, every step is journalled, what was interrupted is taken up, what was done is left alone.

mod end;
mod services;
mod step;

use std::path::PathBuf;
use std::time::Duration;

use bootsplice_archive::header::Payload;
use bootsplice_archive::keys::VerifyingKey;
use bootsplice_archive::step::{ManifestStep, Stage};
use uuid::Uuid;

pub use self::end::write_status;
use self::end::{conclude, fail, finish_wipe, spent};
use self::services::{remember_held, start_held};
use self::step::run_step;
use crate::console::Console;
use crate::held::{Manager, Systemd};
use crate::journal::{Journal, State, StepResult};
use crate::plan::{self, PlannedStep};
use crate::points::{self, Found, Point, Trusted};
use crate::record::Record;
use crate::root::Root;
use crate::{AgentError, clock, wipe};

/// What to apply, and where.
#[derive(Debug)]
pub struct Job {
    pub points: Vec<Point>,
    pub trusted: Vec<VerifyingKey>,
    /// The guest's root directory.
    pub root: PathBuf,
    /// Where journal, status and reports lie.
    pub state: PathBuf,
    pub product_uuid: Option<Uuid>,
    pub allow_unspliced: bool,
    /// None: all of them.
    pub stage: Option<Stage>,
    pub scale: u32,
    pub dry_run: bool,
    /// A launch that failed stays failed. Else it is tried again.
    pub once: bool,
    /// Boots after which a launch that did not come to its end is given up.
    pub boots: u32,
    /// Where the record of what this boot verified lies. None: everything is verified.
    pub record: Option<PathBuf>,
    /// Where services lie that the stage `packages` kept from starting. None: nothing keeps them.
    pub held: Option<PathBuf>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// All stages are done.
    Done(State),
    /// The asked stage is done, others follow.
    StageDone,
    AlreadyApplied,
    Unspliced,
    DryRun,
}

/// Verifies all points, then runs the steps of the job's stages.
pub fn apply(job: &Job, console: &mut Console) -> Result<Outcome, AgentError> {
    apply_with(job, &mut Systemd::default(), console)
}

/// As [`apply`], with services started by `manager`.
pub fn apply_with(
    job: &Job,
    manager: &mut dyn Manager,
    console: &mut Console,
) -> Result<Outcome, AgentError> {
    let mut journal = Journal::load(&job.state)?;
    if let Some(journal) = &mut journal
        && !journal.wipes.is_empty()
        && !job.dry_run
    {
        finish_wipe(job, journal)?;
    }
    let record = job.record.as_deref().and_then(Record::load);
    let found = points::verify(&job.points, &job.trusted, job.product_uuid, record.as_ref())?;
    let launch = match found {
        Found::Launch(launch) => {
            remember(job, &launch, record.as_ref(), console)?;
            launch
        }
        Found::Spent { launch, sequence } => {
            return spent(journal.as_ref(), &launch, sequence, console);
        }
        Found::Unspliced(reason) if job.allow_unspliced => {
            console.say(&format!(
                "nothing to apply: {reason}, and `allow-unspliced` is set"
            ));
            return Ok(Outcome::Unspliced);
        }
        Found::Unspliced(reason) => {
            let name = job.points.first().map_or("*", |point| point.name.as_str());
            return Err(AgentError::refused(
                name,
                format!("{reason}; set `allow-unspliced` if that is meant"),
            ));
        }
    };
    let steps = plan::plan(&launch)?;
    let payload = &launch[0].payload;
    let mut journal = take_up(job, journal, payload, &launch)?;
    if job.dry_run {
        for planned in &steps {
            say_planned(planned, console);
        }
        return Ok(Outcome::DryRun);
    }
    match journal.state {
        State::Applied | State::Degraded => {
            console.say(&format!(
                "launch {} was applied before: nothing to do",
                journal.launch
            ));
            return Ok(Outcome::AlreadyApplied);
        }
        State::Failed if job.once => {
            return Err(AgentError::Step {
                step: "-".into(),
                reason: format!(
                    "launch {} failed before and is not repeated by itself",
                    journal.launch
                ),
            });
        }
        State::Failed => journal.state = State::Applying,
        State::Applying => {}
    }
    if !count_boot(job, &mut journal) {
        let error = AgentError::Step {
            step: "-".into(),
            reason: format!(
                "launch {} did not come to its end in {} boots and is given up: launch again",
                journal.launch, journal.boots
            ),
        };
        fail(job, &mut journal, &launch, console, &error)?;
        return Err(error);
    }
    journal.save(&job.state)?;
    let root = Root::open(&job.root)
        .map_err(|error| AgentError::system(job.root.display().to_string(), error))?;
    if job.stage == Some(Stage::Late) && job.held.is_some() {
        start_held(job, &steps, &mut journal, manager, console)?;
    }
    for planned in &steps {
        if job.stage.is_some_and(|stage| stage != planned.step.stage) {
            continue;
        }
        if let Err(error) = run_step(job, &root, planned, &mut journal, console) {
            fail(job, &mut journal, &launch, console, &error)?;
            return Err(error);
        }
    }
    if job.stage.is_some_and(|stage| stage != Stage::Late) {
        remember_held(job, &mut journal)?;
        return Ok(Outcome::StageDone);
    }
    let unfinished = steps.iter().find(|planned| {
        let state = journal.steps.get(&planned.step.id);
        state.is_none_or(|state| state.result.is_none())
    });
    if let Some(planned) = unfinished {
        let error = AgentError::Step {
            step: planned.step.id.clone(),
            reason: "its stage did not run".into(),
        };
        fail(job, &mut journal, &launch, console, &error)?;
        return Err(error);
    }
    let failed = journal
        .steps
        .values()
        .any(|step| step.result == Some(StepResult::Failed) || step.trouble.is_some());
    journal.state = if failed {
        State::Degraded
    } else {
        State::Applied
    };
    journal.wipes = wipe::plan(&launch);
    conclude(job, &mut journal, console, None)?;
    finish_wipe(job, &mut journal)?;
    Ok(Outcome::Done(journal.state))
}

/// How long anything of a step may take.
fn limit(job: &Job, step: &ManifestStep) -> Duration {
    Duration::from_secs(u64::from(step.timeout.clamp(1, 86_400)) * u64::from(job.scale))
}

/// Says what was verified, and writes it down for the later units of this boot.
fn remember(
    job: &Job,
    launch: &[Trusted],
    record: Option<&Record>,
    console: &mut Console,
) -> Result<(), AgentError> {
    let Some(path) = &job.record else {
        return Ok(());
    };
    let now = Record::of(launch).map_err(|error| AgentError::system("the points", error))?;
    if now.is_none() || now.as_ref() == record {
        return Ok(());
    }
    for one in launch {
        console.say(&format!(
            "point {} verified: launch {}, {} layers",
            one.point.name,
            one.payload.launch,
            one.layers.len()
        ));
    }
    now.map_or(Ok(()), |now| now.save(path))
}

/// Counts this boot; every run by hand counts as one. False when the launch had all that it may have.
fn count_boot(job: &Job, journal: &mut Journal) -> bool {
    let boot = job.once.then(clock::boot_id).flatten();
    if boot.is_some() && boot == journal.last_boot {
        return true;
    }
    if journal.boots >= job.boots {
        return false;
    }
    journal.boots += 1;
    journal.last_boot = boot;
    true
}

/// The journal of this launch: the one there is, or a new one when the launch may follow it.
fn take_up(
    job: &Job,
    journal: Option<Journal>,
    payload: &Payload,
    launch: &[Trusted],
) -> Result<Journal, AgentError> {
    let Some(journal) = journal else {
        return Ok(Journal::new(payload));
    };
    if journal.launch == payload.launch {
        return Ok(journal);
    }
    if journal.instance == payload.instance && payload.sequence <= journal.sequence {
        let reason = format!(
            "its sequence {} is not above {}, which this machine has seen: it is an old archive (journal in {})",
            payload.sequence,
            journal.sequence,
            job.state.display()
        );
        return Err(AgentError::refused(&launch[0].point.name, reason));
    }
    Ok(Journal::new(payload))
}

fn say_planned(planned: &PlannedStep<'_>, console: &mut Console) {
    let step = &planned.step;
    console.say(&format!(
        "would run step {}/{} (stage {:?}, {}, on failure {:?})",
        planned.trusted.point.name, step.id, step.stage, step.generator, step.on_failure
    ));
}
