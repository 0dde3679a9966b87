//! Cases measured: recorded and timed in an engine like a host's, then counted in one that counts. One of them has the cache at a time.

use std::sync::Arc;

use bootsplice_content::Digest;
use bootsplice_engine::Plugin;
use serde::Serialize;
use tempfile::TempDir;

use super::AuthorError;
use super::case::Case;
use super::cases::{CaseDirectory, Inputs, Own};
use super::meter::{Counts, Heard, Measured, Times, measured};
use super::record::Recorded;
use super::test::TestClock;
use super::workshop::Workshop;
use crate::local::progress::Progress;
use crate::local::sandbox::Sandbox;
use crate::recording::pack::Opened;
use crate::recording::{Outcome, RecordedStep, Recording, generator_of};

/// Cases on their way to be counted.
pub struct Bench {
    /// None once everything is recorded.
    workshop: Option<Workshop>,
    plugin: Plugin,
    scratch: TempDir,
    timed: Vec<Timed>,
    pub skipped: Vec<Skipped>,
}

/// What a case's calls used.
#[derive(Clone, Debug, Serialize)]
pub struct CaseUse {
    pub case: String,
    pub calls: Vec<Measured>,
}

/// A case that ended without content.
#[derive(Clone, Debug, Serialize)]
pub struct Skipped {
    pub case: String,
    pub why: String,
}

struct Timed {
    case: String,
    recording: Recording,
    /// What it is read from, while this lives.
    _opened: Option<Opened>,
    /// Of its steps, in order.
    components: Vec<Digest>,
    times: Times,
}

// === impl Bench ===

impl Bench {
    pub fn new(workshop: Workshop, plugin: Plugin) -> Result<Self, AuthorError> {
        let scratch = TempDir::new().map_err(|source| AuthorError::Io {
            doing: "cannot make a temporary directory".into(),
            source,
        })?;
        Ok(Self {
            workshop: Some(workshop),
            plugin,
            scratch,
            timed: Vec::new(),
            skipped: Vec::new(),
        })
    }

    /// `name@version` and digest of what is measured.
    pub fn generator(&self) -> (String, Digest) {
        (generator_of(&self.plugin), *self.plugin.digest())
    }

    /// Records and times a case of a project. One that fails is skipped.
    pub async fn case(
        &mut self,
        case: &CaseDirectory,
        clock: &TestClock,
        runs: usize,
    ) -> Result<(), AuthorError> {
        let name = case.name();
        let ended = match case.inputs(&self.plugin.descriptor().id)? {
            Inputs::Own(own) => {
                clock.set(own.epoch);
                match own.case.recording {
                    Some(_) => self.own(&name, *own, runs).await,
                    None => self.run(&name, &own.case, runs).await,
                }
            }
            Inputs::Recorded(opened) => self.recorded(&name, *opened, runs).await,
        };
        match ended {
            Err(AuthorError::Problem(problem)) => {
                let faults = problem.faults.iter().map(|fault| fault.detail.as_str());
                let why = faults.collect::<Vec<_>>().join("; ");
                self.skipped.push(Skipped { case: name, why });
                Ok(())
            }
            ended => ended,
        }
    }

    /// Records and times a run.
    pub async fn run(&mut self, name: &str, case: &Case, runs: usize) -> Result<(), AuthorError> {
        let workshop = self.workshop()?;
        let directory = self.scratch.path().join(self.timed.len().to_string());
        let recorded = Recorded::make(workshop, case, &directory).await?;
        if let Some(failed) = recorded.failed {
            std::fs::remove_dir_all(&directory).map_err(AuthorError::io("remove", &directory))?;
            return Err(failed);
        }
        let (recording, plugins) = (recorded.recording, recorded.plugins);
        self.time(name, recording, None, &plugins, runs).await
    }

    /// Times a case with a recording, which must still answer what it asks.
    async fn own(&mut self, name: &str, own: Own, runs: usize) -> Result<(), AuthorError> {
        self.workshop()?.run(&own.case).await?;
        match own.opened {
            Some(opened) => self.recorded(name, opened, runs).await,
            None => Ok(()),
        }
    }

    /// Times a case that is all recording.
    async fn recorded(
        &mut self,
        name: &str,
        opened: Opened,
        runs: usize,
    ) -> Result<(), AuthorError> {
        let recording = opened.recording.clone();
        let steps = &recording.head.steps;
        let failed = |step: &&RecordedStep| !matches!(step.outcome, Outcome::Made { .. });
        if let Some(step) = steps.iter().find(failed) {
            let why = format!("its recording's step `{}` made nothing", step.id);
            let case = name.to_owned();
            self.skipped.push(Skipped { case, why });
            return Ok(());
        }
        let plugins = vec![self.plugin.clone(); steps.len()];
        self.time(name, recording, Some(opened), &plugins, runs)
            .await
    }

    async fn time(
        &mut self,
        name: &str,
        recording: Recording,
        opened: Option<Opened>,
        plugins: &[Plugin],
        runs: usize,
    ) -> Result<(), AuthorError> {
        let sandbox = self.workshop()?.sandbox();
        sandbox.progress().stage("taking times");
        let times = Times::of(&recording, sandbox.engine(), plugins, runs).await;
        self.timed.push(Timed {
            case: name.to_owned(),
            recording,
            _opened: opened,
            components: plugins.iter().map(|plugin| *plugin.digest()).collect(),
            times: times?,
        });
        Ok(())
    }

    /// Leaves the workshop, so that another sandbox can have its cache.
    pub fn leave(&mut self) -> Arc<Progress> {
        match self.workshop.take() {
            Some(workshop) => workshop.sandbox().progress().clone(),
            None => Progress::start(),
        }
    }

    /// Counts what was timed, in a sandbox that tells `heard`.
    pub async fn count(
        &mut self,
        sandbox: &Sandbox,
        heard: &Heard,
    ) -> Result<Vec<CaseUse>, AuthorError> {
        let mut used = Vec::new();
        for one in &self.timed {
            let mut plugins = Vec::new();
            for digest in &one.components {
                sandbox
                    .progress()
                    .stage("compiling the generator so that it counts, once for each release");
                plugins.push(sandbox.engine().load(digest).await?);
            }
            sandbox.progress().stage("counting");
            let counts = Counts::of(&one.recording, sandbox.engine(), &plugins, heard).await?;
            used.push(CaseUse {
                case: one.case.clone(),
                calls: measured(&one.recording, counts, &one.times),
            });
        }
        Ok(used)
    }

    fn workshop(&self) -> Result<&Workshop, AuthorError> {
        let gone = || AuthorError::Machine("the workshop was left".into());
        self.workshop.as_ref().ok_or_else(gone)
    }
}
