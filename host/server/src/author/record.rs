//! A case recorded on this machine, and replayed at once: what does not replay here would not replay anywhere.

use std::path::Path;

use bootsplice_engine::Plugin;
use bootsplice_engine::contract::Instance;

use super::AuthorError;
use super::case::Case;
use super::workshop::Workshop;
use crate::local::sandbox::Sandbox;
use crate::problem::Problem;
use crate::recording::replay::{Replay, Replayed};
use crate::recording::{Outcome, Recorder, Recording};

/// A recording, and what its run said.
pub struct Recorded {
    pub recording: Recording,
    /// The generators of its steps, in order.
    pub plugins: Vec<Plugin>,
    /// Why the run failed, if it did: that is recorded too.
    pub failed: Option<AuthorError>,
}

// === impl Recorded ===

impl Recorded {
    /// Runs a case and keeps what came into it in `directory`, which must not exist. Where nothing came into it that could be repeated, nothing is
    /// kept, and the run's own failure is the answer.
    pub async fn make(
        workshop: &Workshop,
        case: &Case,
        directory: &Path,
    ) -> Result<Self, AuthorError> {
        let checked = workshop.profile(case).await?;
        let order = workshop.order(case, &checked).await?;
        let recorder = Recorder::create(directory, None, &case.instance)?;
        let tape = recorder.tape();
        let ended: Result<Vec<Outcome>, Box<Problem>> =
            match workshop.steps(case, &checked, Some(&tape)).await {
                Ok((steps, contents)) => {
                    let outcomes = steps.iter().zip(&contents).map(|(step, content)| {
                        Outcome::made(&step.step.id, content, &step.lock)
                            .map_err(|error| AuthorError::Machine(error.to_string()))
                    });
                    Ok(outcomes.collect::<Result<_, _>>()?)
                }
                Err(AuthorError::Problem(problem)) if !recorder.is_empty() => Err(problem),
                Err(error) => {
                    recorder.discard()?;
                    return Err(error);
                }
            };
        let sandbox = workshop.sandbox();
        sandbox.progress().stage("replaying what was recorded");
        let (recording, plugins) = finish(recorder, sandbox, order, &case.instance).await?;
        let steps = recording.head.steps.iter();
        let again: Vec<&Outcome> = steps.map(|step| &step.outcome).collect();
        let failed = match ended {
            Ok(outcomes) if again.iter().copied().eq(&outcomes) => None,
            Err(problem) if again.last() == Some(&&Outcome::refused(&problem)) => {
                Some(AuthorError::Problem(problem))
            }
            ended => {
                std::fs::remove_dir_all(directory).map_err(AuthorError::io("remove", directory))?;
                return Err(match ended {
                    // Not the generator's own: it stands for itself.
                    Err(problem) => AuthorError::Problem(problem),
                    Ok(_) => AuthorError::Invalid(
                        "the run cannot be repeated from what was recorded: the generator depends on more than its configuration, its target and its host's answers".into(),
                    ),
                });
            }
        };
        Ok(Self {
            recording,
            plugins,
            failed,
        })
    }
}

/// Replays what was recorded, to say in the head how each step ended.
async fn finish(
    mut recorder: Recorder,
    sandbox: &Sandbox,
    order: Vec<(String, Plugin)>,
    who: &Instance,
) -> Result<(Recording, Vec<Plugin>), AuthorError> {
    let (ids, plugins): (Vec<String>, Vec<Plugin>) = order.into_iter().unzip();
    let replay = Replay::begin(recorder.directory(), ids.clone(), None)?;
    let replayed = replay.run(sandbox.engine(), &plugins).await;
    let mut begun = Vec::new();
    for ((id, plugin), step) in ids.iter().zip(plugins).zip(&replayed) {
        // What follows a failure was never begun.
        let scratch = sandbox.scratch();
        let Some(outcome) = note(&mut recorder, id, &plugin, step, who, scratch)? else {
            break;
        };
        recorder.note(id, &plugin, outcome);
        begun.push(plugin);
    }
    Ok((recorder.finish()?, begun))
}

fn note(
    recorder: &mut Recorder,
    id: &str,
    plugin: &Plugin,
    step: &Replayed,
    who: &Instance,
    scratch: &Path,
) -> Result<Option<Outcome>, AuthorError> {
    let machine = |error: &dyn std::fmt::Display| AuthorError::Machine(error.to_string());
    let outcome = step.outcome(id).map_err(|error| machine(&error))?;
    let tree = tokio::task::block_in_place(|| step.tree(id, plugin, who, scratch));
    if let Some(tree) = tree.map_err(|error| machine(&error))? {
        recorder.keep(id, &tree)?;
    }
    Ok(outcome)
}
