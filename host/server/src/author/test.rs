//! The cases of a project against what they should make: `cases/NAME/expected/`.
//!
//! Every case is run twice: what differs between two runs of the same inputs would not be shared between launches.

use std::fs;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, UNIX_EPOCH};

use bootsplice_engine::clock::Clock;
use bootsplice_engine::layer::LayerError;
use bootsplice_engine::{GeneratorError, Plugin};
use serde::Serialize;

use super::AuthorError;
use super::case::{self, ONLY};
use super::cases::{CaseDirectory, Inputs};
use super::expected;
use super::record::Recorded;
use super::workshop::{Workshop, lacking};
use crate::launch::prepare::refused;
use crate::made::layers::{MadeError, Run, Written};
use crate::made::tree::{Tree, differences, of_outcome, of_problem, of_steps};
use crate::problem::Problem;
use crate::recording::Recording;
use crate::recording::replay::Replay;

/// How a case ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    Passed,
    Failed,
    /// What it makes is what is expected from now on.
    Blessed,
}

#[derive(Clone, Debug, Serialize)]
pub struct Tested {
    pub case: String,
    pub verdict: Verdict,
    /// What it fetched was recorded anew.
    pub recorded: bool,
    /// A text for each file that is not as expected.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub differences: Vec<String>,
}

/// The clock of tests: what the case's target says.
#[derive(Clone, Default)]
pub struct TestClock(Arc<AtomicU64>);

/// What is to be done with a case besides running it.
#[derive(Clone, Copy, Debug, Default)]
pub struct Renew {
    /// What it makes now is what is expected.
    pub bless: bool,
    /// What comes into it now is what comes into it from now on.
    pub record: bool,
}

/// What a run made; or why its recording does not go with it.
enum Ran {
    Made(Tree),
    Unanswered(String),
}

// === impl TestClock ===

impl TestClock {
    pub fn clock(&self) -> Clock {
        let epoch = self.0.clone();
        Arc::new(move || UNIX_EPOCH + Duration::from_secs(epoch.load(Ordering::Relaxed)))
    }

    pub fn set(&self, epoch: u64) {
        self.0.store(epoch, Ordering::Relaxed);
    }
}

/// Runs one case.
pub async fn test(
    workshop: &Workshop,
    clock: &TestClock,
    plugin: &Plugin,
    case: &CaseDirectory,
    renew: Renew,
) -> Result<Tested, AuthorError> {
    let recorded = renew.record && record(workshop, clock, plugin, case).await?;
    let tested = |verdict, differences| Tested {
        case: case.name(),
        verdict,
        recorded,
        differences,
    };
    let made = match run(workshop, clock, plugin, case).await? {
        Ran::Made(tree) => tree,
        Ran::Unanswered(why) => return Ok(tested(Verdict::Failed, vec![why])),
    };
    let changing = match run(workshop, clock, plugin, case).await? {
        Ran::Made(again) => differences(&made, &again),
        Ran::Unanswered(why) => vec![why],
    };
    if !changing.is_empty() {
        let mut told = vec![
            "two runs of the same inputs made different bytes: is there a hash map, a set or a random name in the output?".to_owned(),
        ];
        told.extend(changing);
        return Ok(tested(Verdict::Failed, told));
    }
    let place = case.path().join("expected");
    let known = expected::read(&place)?;
    if renew.bless {
        if known.as_ref() == Some(&made) {
            return Ok(tested(Verdict::Passed, Vec::new()));
        }
        expected::write(&place, &made)?;
        return Ok(tested(Verdict::Blessed, Vec::new()));
    }
    let Some(known) = known else {
        let told = "nothing is expected yet: look at what it makes with `bootsplice plugin run`, then `bootsplice plugin test --bless`";
        return Ok(tested(Verdict::Failed, vec![told.to_owned()]));
    };
    let differences = differences(&known, &made);
    let verdict = match differences.is_empty() {
        true => Verdict::Passed,
        false => Verdict::Failed,
    };
    Ok(tested(verdict, differences))
}

async fn run(
    workshop: &Workshop,
    clock: &TestClock,
    plugin: &Plugin,
    case: &CaseDirectory,
) -> Result<Ran, AuthorError> {
    let own = match case.inputs(&plugin.descriptor().id)? {
        Inputs::Own(own) => own,
        Inputs::Recorded(opened) => return replayed(workshop, plugin, &opened.recording).await,
    };
    clock.set(own.epoch);
    match workshop.run(&own.case).await {
        Ok(made) => Ok(Ran::Made(of_outcome(&made.outcome))),
        Err(AuthorError::Problem(problem)) => Ok(ended(&problem)),
        Err(error) => Err(error),
    }
}

/// A case that is all recording.
async fn replayed(
    workshop: &Workshop,
    plugin: &Plugin,
    recording: &Recording,
) -> Result<Ran, AuthorError> {
    let id = &plugin.descriptor().id;
    let steps = &recording.head.steps;
    let foreign = |step: &&_| crate::recording::name_of(step) != id;
    if let Some(step) = steps.iter().find(foreign) {
        return Err(AuthorError::Invalid(format!(
            "`{}` has the step `{}`, made by `{}`: a case tests `{id}` alone; `bootsplice plugin record --launch ID --step STEP` records one step",
            recording.directory.display(),
            step.id,
            step.generator
        )));
    }
    let replay = Replay::open(recording, None)?;
    let plugins = vec![plugin.clone(); steps.len()];
    let replayed = replay.run(workshop.sandbox().engine(), &plugins).await;
    let mut runs = Vec::new();
    for (step, replayed) in steps.iter().zip(&replayed) {
        let failed: Option<&GeneratorError> = match (&replayed.made, &replayed.refused) {
            (Some(Err(error)), _) | (_, Some(error)) => Some(error),
            _ => None,
        };
        if let Some(error) = failed {
            return Ok(ended(&case::of_config(refused(&step.id, error, ONLY))));
        }
        if let (Some(Ok(content)), Some(lock)) = (&replayed.made, &replayed.lock) {
            runs.push(Run {
                id: &step.id,
                plugin,
                at: "",
                granted: Vec::new(),
                lock,
                content,
            });
        }
    }
    let (who, scratch) = (recording.instance(), workshop.sandbox().scratch());
    match tokio::task::block_in_place(|| Written::of(&runs, &who, scratch)) {
        Ok(written) => Ok(Ran::Made(of_steps(&written.steps))),
        Err(error @ MadeError::Layer(LayerError::Fill { .. })) => {
            Ok(ended(&case::of_config(lacking(&error, ONLY))))
        }
        Err(error) => Err(AuthorError::Machine(error.to_string())),
    }
}

/// A run that failed: as it is expected, unless its recording was no answer to it.
fn ended(problem: &Problem) -> Ran {
    let mut faults = problem.faults.iter();
    match faults.find(|fault| fault.code == "replay-mismatch") {
        None => Ran::Made(of_problem(problem)),
        Some(fault) => Ran::Unanswered(format!(
            "it asks for something else than was recorded: {}\nwhere that is meant, `bootsplice plugin test --record` records the case anew",
            fault.detail
        )),
    }
}

/// Runs a case with the network and keeps what came from there. False where nothing did, or where the case has no inputs but a recording's.
async fn record(
    workshop: &Workshop,
    clock: &TestClock,
    plugin: &Plugin,
    case: &CaseDirectory,
) -> Result<bool, AuthorError> {
    let Some(own) = case.own(&plugin.descriptor().id)? else {
        return Ok(false);
    };
    clock.set(own.epoch);
    let aside = tempfile::TempDir::new_in(case.path());
    let aside = aside.map_err(AuthorError::io("make a directory in", case.path()))?;
    let made = match Recorded::make(workshop, &own.case, &aside.path().join("recording")).await {
        Ok(recorded) if recorded.recording.reaches_out()? => Some(recorded.recording),
        // Nothing came into it, or it failed before anything did.
        Ok(_) | Err(AuthorError::Problem(_)) => None,
        Err(error) => return Err(error),
    };
    let place = case.path().join("recording");
    gone(fs::remove_dir_all(&place), &place)?;
    let packed = case.path().join("recording.tar");
    gone(fs::remove_file(&packed), &packed)?;
    let Some(recording) = made else {
        return Ok(false);
    };
    fs::rename(&recording.directory, &place).map_err(AuthorError::io("make", &place))?;
    Ok(true)
}

fn gone(removed: io::Result<()>, path: &Path) -> Result<(), AuthorError> {
    match removed {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(AuthorError::io("remove", path)(error))
        }
        _ => Ok(()),
    }
}
