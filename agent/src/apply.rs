//! Applies a launch: everything is verified first, every step is journalled, what was interrupted is taken up, what was done is left alone.

use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use bootsplice_archive::ArchiveError;
use bootsplice_archive::header::Payload;
use bootsplice_archive::keys::VerifyingKey;
use bootsplice_archive::step::{
    Action, Entry, EntryKind, ManifestStep, OnFailure, Stage, StepDocument, paths,
};
use uuid::Uuid;

use crate::action::{self, Context};
use crate::command::{Program, shorten};
use crate::console::Console;
use crate::held::{self, Manager, Systemd};
use crate::journal::{Journal, State, StepResult, StepState};
use crate::plan::{self, PlannedStep};
use crate::points::{self, Found, Point, Trusted};
use crate::record::Record;
use crate::root::Root;
use crate::{AgentError, clock, entry, policy, report, wipe};

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

/// A step's documents, entries by their place in the archive.
struct Loaded {
    actions: Vec<(u32, Action, bool)>,
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

/// Takes the record of this boot into the journal, where it lies until the services were started.
fn remember_held(job: &Job, journal: &mut Journal) -> Result<(), AgentError> {
    let Some(record) = &job.held else {
        return Ok(());
    };
    let failed = |error| AgentError::system(record.display().to_string(), error);
    let found = policy::read(record).map_err(failed)?;
    if found.is_empty() {
        return Ok(());
    }
    for held in found {
        if let Some(step) = journal.steps.get_mut(&held.step)
            && !step.held.contains(&held)
        {
            step.held.push(held);
        }
    }
    journal.save(&job.state)?;
    std::fs::remove_file(record).map_err(failed)
}

/// Starts what the installation of packages would have started, and waits for it: what does not come up is a fault of the step whose package it is.
fn start_held(
    job: &Job,
    steps: &[PlannedStep<'_>],
    journal: &mut Journal,
    manager: &mut dyn Manager,
    console: &mut Console,
) -> Result<(), AgentError> {
    remember_held(job, journal)?;
    for planned in steps {
        let id = &planned.step.id;
        let Some(state) = journal
            .steps
            .get_mut(id)
            .filter(|state| !state.held.is_empty())
        else {
            continue;
        };
        let faults = held::start(manager, &state.held, limit(job, &planned.step), console);
        state.held.clear();
        state.trouble = (!faults.is_empty()).then(|| {
            shorten(&format!(
                "services of its packages did not come up: {}",
                faults.join("; ")
            ))
        });
        journal.save(&job.state)?;
    }
    Ok(())
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

/// Writes down a failure. One that nothing will try again takes secrets and token with it.
fn fail(
    job: &Job,
    journal: &mut Journal,
    launch: &[Trusted],
    console: &mut Console,
    error: &AgentError,
) -> Result<(), AgentError> {
    journal.state = State::Failed;
    let last = job.once || journal.boots >= job.boots;
    if last {
        journal.wipes = wipe::plan(launch);
    }
    conclude(job, journal, console, Some(error.to_string()))?;
    if last {
        finish_wipe(job, journal)?;
        console.say(&format!(
            "launch {} is not tried again: its secrets are overwritten",
            journal.launch
        ));
    }
    Ok(())
}

fn finish_wipe(job: &Job, journal: &mut Journal) -> Result<(), AgentError> {
    wipe::wipe(journal, &job.points, &job.trusted)?;
    journal.wipes.clear();
    journal.report = None;
    journal.save(&job.state)
}

fn spent(
    journal: Option<&Journal>,
    launch: &str,
    sequence: u64,
    console: &mut Console,
) -> Result<Outcome, AgentError> {
    match journal {
        Some(journal)
            if journal.launch == launch
                && matches!(journal.state, State::Applied | State::Degraded) =>
        {
            console.say(&format!(
                "launch {launch} was applied before: nothing to do"
            ));
            Ok(Outcome::AlreadyApplied)
        }
        Some(journal) if journal.launch == launch && journal.state == State::Failed => {
            Err(AgentError::Step {
                step: "-".into(),
                reason: format!(
                    "launch {launch} failed and its secrets were overwritten: launch again"
                ),
            })
        }
        _ => Err(AgentError::refused(
            "*",
            format!(
                "launch {launch} (sequence {sequence}) was applied and overwritten, but this machine's journal does not know it"
            ),
        )),
    }
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

/// Writes down how it ended, tells the console, queues the report.
fn conclude(
    job: &Job,
    journal: &mut Journal,
    console: &mut Console,
    detail: Option<String>,
) -> Result<(), AgentError> {
    journal.reports += 1;
    let report = report::of(journal, detail);
    if let Some(to) = &journal.report {
        report::queue(&job.state, to, report.clone())?;
    }
    write_status(&job.state, &report)?;
    journal.save(&job.state)?;
    console.say(&format!(
        "launch {} result {}",
        journal.launch,
        journal.state.name()
    ));
    Ok(())
}

/// `status.json`: the report without an address.
pub fn write_status(directory: &Path, report: &report::Report) -> Result<(), AgentError> {
    let bytes = serde_json::to_vec_pretty(report)
        .map_err(|error| AgentError::system("status.json", io::Error::from(error)))?;
    crate::journal::write_whole(&directory.join("status.json"), &bytes)
}

fn say_planned(planned: &PlannedStep<'_>, console: &mut Console) {
    let step = &planned.step;
    console.say(&format!(
        "would run step {}/{} (stage {:?}, {}, on failure {:?})",
        planned.trusted.point.name, step.id, step.stage, step.generator, step.on_failure
    ));
}

fn run_step(
    job: &Job,
    root: &Root,
    planned: &PlannedStep<'_>,
    journal: &mut Journal,
    console: &mut Console,
) -> Result<(), AgentError> {
    let step = &planned.step;
    let label = format!("step {}/{}", planned.trusted.point.name, step.id);
    let before = journal.steps.get(&step.id).cloned();
    // A failure under `warn` is final, like a success; one that stopped the launch is tried again when the launch is.
    if let Some(state) = &before
        && (state.result == Some(StepResult::Ok)
            || (state.result.is_some() && step.on_failure == OnFailure::Warn))
    {
        return Ok(());
    }
    let state = StepState {
        stage: step.stage,
        result: None,
        next_action: before.as_ref().map_or(0, |state| state.next_action),
        owed: before.as_ref().and_then(|state| state.owed),
        attempts: before.as_ref().map_or(0, |state| state.attempts),
        started: clock::text(clock::now()),
        seconds: 0.0,
        detail: None,
        held: before.map(|state| state.held).unwrap_or_default(),
        trouble: None,
    };
    journal.steps.insert(step.id.clone(), state);
    let start = Instant::now();
    let tries = if step.on_failure == OnFailure::Retry {
        step.retries.min(10) + 1
    } else {
        1
    };
    let mut wait = u64::from(step.backoff);
    let mut result = Ok(());
    for attempt in 1..=tries {
        edit_state(journal, &step.id, |state| state.attempts += 1);
        journal.save(&job.state)?;
        result = attempt_step(job, root, planned, journal);
        match &result {
            Ok(()) => break,
            Err(reason) if attempt < tries => {
                console.say(&format!(
                    "{label} attempt {attempt} failed, again in {wait} s: {reason}"
                ));
                std::thread::sleep(Duration::from_secs(wait.min(3600)));
                wait = wait.saturating_mul(2);
            }
            Err(_) => {}
        }
    }
    root.sync()
        .map_err(|error| AgentError::system("flushing", error))?;
    let seconds = start.elapsed().as_secs_f64();
    edit_state(journal, &step.id, |state| {
        state.seconds = (seconds * 1000.0).round() / 1000.0;
        state.result = Some(if result.is_ok() {
            StepResult::Ok
        } else {
            StepResult::Failed
        });
        state.detail = result.as_ref().err().map(|reason| shorten(reason));
    });
    journal.save(&job.state)?;
    match result {
        Ok(()) => {
            console.say(&format!("{label} ok {seconds:.2}s"));
            Ok(())
        }
        Err(reason) if step.on_failure == OnFailure::Warn => {
            console.say(&format!("{label} failed {seconds:.2}s (warn): {reason}"));
            Ok(())
        }
        Err(reason) => {
            console.say(&format!("{label} failed {seconds:.2}s: {reason}"));
            Err(AgentError::Step {
                step: step.id.clone(),
                reason,
            })
        }
    }
}

fn edit_state(journal: &mut Journal, id: &str, edit: impl FnOnce(&mut StepState)) {
    if let Some(state) = journal.steps.get_mut(id) {
        edit(state);
    }
}

/// Entries, then actions in their order.
fn attempt_step(
    job: &Job,
    root: &Root,
    planned: &PlannedStep<'_>,
    journal: &mut Journal,
) -> Result<(), String> {
    let step = &planned.step;
    let timeout = limit(job, step);
    let mut changed = Vec::new();
    let mut loaded = Loaded {
        actions: Vec::new(),
    };
    for (layer, instance) in &planned.layers {
        put_layer(
            root,
            planned,
            *layer,
            *instance,
            &journal.launch,
            &mut loaded,
            &mut changed,
        )
        .map_err(|error| error.to_string())?;
    }
    loaded.actions.sort_by_key(|(index, _, _)| *index);
    for (index, action, instance) in &loaded.actions {
        let state = journal.steps.get(&step.id);
        if state.is_some_and(|state| *index < state.next_action) {
            continue;
        }
        let owed = state.is_some_and(|state| state.owed == Some(*index));
        let context = Context {
            root,
            step: &step.id,
            index: *index,
            timeout,
            instance: *instance,
        };
        let path = action::run(context, action, owed, || {
            edit_state(journal, &step.id, |state| state.owed = Some(*index));
            journal.save(&job.state).map_err(io::Error::other)
        })?;
        changed.extend(path);
        root.sync().map_err(|error| error.to_string())?;
        edit_state(journal, &step.id, |state| {
            state.next_action = index + 1;
            state.owed = None;
        });
        journal
            .save(&job.state)
            .map_err(|error| error.to_string())?;
    }
    restore_labels(root, &changed, timeout)
}

/// Streams one layer: its document comes first, then the payloads of its entries.
fn put_layer(
    root: &Root,
    planned: &PlannedStep<'_>,
    layer: usize,
    instance: bool,
    launch: &str,
    loaded: &mut Loaded,
    changed: &mut Vec<String>,
) -> Result<(), ArchiveError> {
    let id = &planned.step.id;
    let mut wanted: Vec<(String, Entry)> = Vec::new();
    let mut seen = false;
    planned.trusted.read_layer(layer, |found, content| {
        if let Some(document) = plan::document(id, instance, &found, content)? {
            let StepDocument {
                entries, actions, ..
            } = document;
            wanted = entries
                .into_iter()
                .map(|entry| (paths::payload(id, instance, &entry.path), entry))
                .collect();
            loaded.actions.extend(
                actions
                    .into_iter()
                    .map(|one| (one.index, one.action, instance)),
            );
            seen = true;
            return Ok(());
        }
        let Some(at) = wanted.iter().position(|(path, _)| *path == found.path) else {
            return Ok(());
        };
        let (_, entry) = wanted.swap_remove(at);
        let path = entry::put(root, &entry, content, launch)?;
        changed.extend(path);
        Ok::<_, ArchiveError>(())
    })?;
    if let Some((path, _)) = wanted
        .iter()
        .find(|(_, entry)| entry.kind == EntryKind::File)
    {
        return Err(ArchiveError::Corrupt {
            what: "layer".into(),
            reason: format!("{path} is in its document and not in it"),
        });
    }
    if !seen {
        return Err(ArchiveError::Corrupt {
            what: "layer".into(),
            reason: format!("it has no document of the step `{id}`"),
        });
    }
    Ok(())
}

/// Gives changed files the labels of the guest's SELinux policy, where one is in force.
fn restore_labels(root: &Root, changed: &[String], timeout: Duration) -> Result<(), String> {
    let enabled = root.is_system() && Path::new("/sys/fs/selinux/enforce").exists();
    if !enabled || changed.is_empty() {
        return Ok(());
    }
    let Some(tool) = ["/usr/sbin/restorecon", "/sbin/restorecon"]
        .into_iter()
        .find(|path| Path::new(path).exists())
    else {
        return Ok(());
    };
    for chunk in changed.chunks(500) {
        let words = [tool, "-F", "--"]
            .into_iter()
            .chain(chunk.iter().map(String::as_str));
        Program::new(words, timeout).run()?;
    }
    Ok(())
}
