//! A launch's generators run again from its lock, and recorded: for whoever wants to see on another machine what they saw.
//!
//! `generate` is hermetic, so running it again gives what the launch got, or fails as the launch failed. Values of secrets are no part of it: they are
//! filled in afterwards.

use std::io;

use bootsplice_engine::content::StepContent;
use bootsplice_engine::contract::{Instance, StepLock};
use tempfile::TempDir;

use super::Launches;
use super::content::Recipient;
use super::prepare::PreparedStep;
use super::record::Launch;
use crate::auth::Tenant;
use crate::made::layers::MadeError;
use crate::made::tree::Tree;
use crate::problem::{Fault, Kind, Problem};
use crate::recording::replay::Replayed;
use crate::recording::{Outcome, Recorder, Recording, RecordingError};

/// A recording that is gone with this value.
pub struct LaunchRecording {
    pub recording: Recording,
    _scratch: TempDir,
}

// === impl Launches ===

impl Launches {
    /// Records every step of a launch, or one. Of one tenant one is made at a time: it may be large.
    pub async fn record(
        &self,
        tenant: &Tenant,
        id: &str,
        step: Option<&str>,
    ) -> Result<LaunchRecording, Problem> {
        let launch = self.ledger.get(tenant.as_str(), id).await?;
        let _alone = self.reviving.lock(format!("recordings of {tenant}")).await;
        let scratch = TempDir::new_in(&self.recordings).map_err(|error| failed(&error))?;
        let who = Recipient::of(&launch, None).instance;
        let recorder = Recorder::create(scratch.path().join("recording"), Some(id), &who);
        let recorder = recorder.map_err(|error| failed(&error))?;
        let recording = self.record_steps(&launch, &who, recorder, step).await?;
        Ok(LaunchRecording {
            recording,
            _scratch: scratch,
        })
    }

    async fn record_steps(
        &self,
        launch: &Launch,
        who: &Instance,
        mut recorder: Recorder,
        wanted: Option<&str>,
    ) -> Result<Recording, Problem> {
        let prepared = self.prepare_again(launch).await?;
        let mut known = Vec::new();
        for point in &prepared.points {
            for step in &point.steps {
                let id = step.step.id.as_str();
                known.push(id);
                if wanted.is_some_and(|wanted| wanted != id) {
                    continue;
                }
                let lock = point.lock.step(id).ok_or_else(|| {
                    Problem::new(Kind::Internal, format!("the lock has no step `{id}`"))
                })?;
                let mut job = step.job.clone();
                job.tape = Some(recorder.tape());
                let engine = self.installed.engine();
                let made = engine.generate(&step.plugin, &job, lock, Some(who)).await;
                let outcome = match made {
                    Ok(content) => {
                        let (outcome, tree) = self.noted(step, lock, content, who).await?;
                        if let Some(tree) = tree {
                            recorder.keep(id, &tree).map_err(|error| failed(&error))?;
                        }
                        outcome
                    }
                    Err(error) => Outcome::failed(id, &error),
                };
                let over = matches!(outcome, Outcome::Failed { .. });
                recorder.note(id, &step.plugin, outcome);
                // As in the launch: what follows a failure is not run.
                if over {
                    return recorder.finish().map_err(|error| failed(&error));
                }
            }
        }
        if let Some(wanted) = wanted.filter(|wanted| !known.contains(wanted)) {
            let detail = format!("launch `{}` has no step `{wanted}`", launch.id);
            let fault = Fault::new("/step", "unknown-step", detail);
            let fault = fault.hint(format!("it has {}", known.join(", ")));
            return Err(Problem::new(Kind::InvalidRequest, "").with_faults(vec![fault]));
        }
        recorder.finish().map_err(|error| failed(&error))
    }

    /// What a recording says of what a step made.
    async fn noted(
        &self,
        step: &PreparedStep,
        lock: &StepLock,
        content: StepContent,
        who: &Instance,
    ) -> Result<(Outcome, Option<Tree>), Problem> {
        let (id, plugin) = (step.step.id.clone(), step.plugin.clone());
        let (lock, who) = (lock.clone(), who.clone());
        let scratch = self.recordings.clone();
        let noted = tokio::task::spawn_blocking(move || {
            let outcome = Outcome::made(&id, &content, &lock)?;
            let made = Replayed::of(lock, content);
            Ok::<_, MadeError>((outcome, made.tree(&id, &plugin, &who, &scratch)?))
        });
        noted
            .await
            .map_err(|error| failed(&error))?
            .map_err(|error| failed(&error))
    }
}

fn failed(error: &(dyn std::error::Error + 'static)) -> Problem {
    tracing::error!(%error, "a launch could not be recorded");
    let io = error
        .downcast_ref::<io::Error>()
        .or(match error.downcast_ref() {
            Some(RecordingError::Io { source, .. }) => Some(source),
            _ => None,
        });
    match io.map(io::Error::kind) {
        Some(io::ErrorKind::StorageFull) => Problem::new(
            Kind::Unavailable,
            "the state directory has no room for the recording",
        ),
        _ => Problem::new(Kind::Internal, "the recording could not be written"),
    }
}
