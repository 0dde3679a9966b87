//! A recording run again: by the components that made it, or by other builds that shall do the same.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bootsplice_engine::content::StepContent;
use bootsplice_engine::contract::{Instance, StepLock, Target};
use bootsplice_engine::grant::Grants;
use bootsplice_engine::layer::LayerError;
use bootsplice_engine::tape::{Answer, Asked, Begun, Exchange, Tape};
use bootsplice_engine::{Engine, GeneratorError, Job, Observer, Plugin};
use serde_json::Value;

use super::{Outcome, Recording, RecordingError};
use crate::made::layers::{MadeError, Run};
use crate::made::tree::{Tree, of_run};

/// A recording, ready to be run once.
pub struct Replay {
    tape: Arc<Tape>,
    calls: Vec<Call>,
    steps: Vec<String>,
    observer: Option<Arc<dyn Observer>>,
}

/// What a step made this time.
#[derive(Default)]
pub struct Replayed {
    pub lock: Option<StepLock>,
    pub instance: Option<Instance>,
    /// None until it was asked for content.
    pub made: Option<Result<StepContent, GeneratorError>>,
    /// Why it has no lock.
    pub refused: Option<GeneratorError>,
    /// Wall-clock times of its calls.
    pub resolve: Option<Duration>,
    pub generate: Option<Duration>,
}

/// One call of a generator, as its recording begins. The first `resolve` is the first step's, the second the second's; so it is with `generate`.
struct Call {
    step: usize,
    config: Value,
    target: Target,
    begin: Begin,
}

enum Begin {
    Resolve(Begun),
    Generate(StepLock, Option<Instance>),
}

// === impl Replay ===

impl Replay {
    pub fn open(
        recording: &Recording,
        observer: Option<Arc<dyn Observer>>,
    ) -> Result<Self, RecordingError> {
        let steps = recording.head.steps.iter().map(|step| step.id.clone());
        Self::begin(&recording.directory, steps.collect(), observer)
    }

    /// Of a recording that has no head yet, with the ids of its steps in order.
    pub fn begin(
        directory: &Path,
        steps: Vec<String>,
        observer: Option<Arc<dyn Observer>>,
    ) -> Result<Self, RecordingError> {
        let tape = Tape::replay(directory)?;
        let calls = calls(tape.exchanges(), steps.len()).map_err(|why| {
            let path = directory.to_owned();
            RecordingError::Damaged { path, why }
        })?;
        Ok(Self {
            tape: Arc::new(tape),
            calls,
            steps,
            observer,
        })
    }

    /// Runs every call as it was recorded, until one fails; `plugins` are those of the recording's steps. One answer for each step.
    pub async fn run(self, engine: &Engine, plugins: &[Plugin]) -> Vec<Replayed> {
        let mut steps: Vec<Replayed> = self.steps.iter().map(|_| Replayed::default()).collect();
        for call in self.calls {
            let (plugin, step) = (&plugins[call.step], &mut steps[call.step]);
            let name = format!("replay/{}", self.steps[call.step]);
            let mut job = Job::new(name, "replay", call.target, call.config);
            if let Some(observer) = &self.observer {
                job.observer = observer.clone();
            }
            job.tape = Some(self.tape.clone());
            let began = Instant::now();
            match call.begin {
                Begin::Resolve(begun) => {
                    job.grants = begun.grants;
                    let previous = begun.previous.map(|lock| of(plugin, lock));
                    let lock = engine.resolve(plugin, &job, previous.as_ref()).await;
                    step.resolve = Some(began.elapsed());
                    match lock {
                        Ok(lock) => step.lock = Some(lock),
                        Err(error) => {
                            step.refused = Some(error);
                            break;
                        }
                    }
                }
                Begin::Generate(recorded, instance) => {
                    job.grants = Grants::default();
                    // Without a `resolve` of its own, a launch's, the lock is the recorded one.
                    let lock = step.lock.take().unwrap_or_else(|| of(plugin, recorded));
                    let made = engine
                        .generate(plugin, &job, &lock, instance.as_ref())
                        .await;
                    step.generate = Some(began.elapsed());
                    step.instance = instance;
                    step.lock = Some(lock);
                    let failed = made.is_err();
                    step.made = Some(made);
                    if failed {
                        break;
                    }
                }
            }
        }
        steps
    }
}

// === impl Replayed ===

impl Replayed {
    /// A step that made `content`.
    pub fn of(lock: StepLock, content: StepContent) -> Self {
        Self {
            lock: Some(lock),
            made: Some(Ok(content)),
            ..Self::default()
        }
    }

    /// The files of what the step made, for `who`. None when it made nothing, or something that `who` lacks a value for.
    pub fn tree(
        &self,
        step: &str,
        plugin: &Plugin,
        who: &Instance,
        scratch: &Path,
    ) -> Result<Option<Tree>, MadeError> {
        let (Some(Ok(content)), Some(lock)) = (&self.made, &self.lock) else {
            return Ok(None);
        };
        let run = Run {
            id: step,
            plugin,
            at: "",
            granted: Vec::new(),
            lock,
            content,
        };
        match of_run(&run, who, scratch) {
            Ok(tree) => Ok(Some(tree)),
            Err(MadeError::Layer(LayerError::Fill { .. })) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// How the step with this id ended. None when it was never begun.
    pub fn outcome(&self, step: &str) -> Result<Option<Outcome>, LayerError> {
        Ok(match (&self.made, &self.lock, &self.refused) {
            (Some(Ok(content)), Some(lock), _) => Some(Outcome::made(step, content, lock)?),
            (Some(Err(error)), ..) | (None, _, Some(error)) => Some(Outcome::failed(step, error)),
            (_, Some(_), None) => Some(Outcome::Resolved),
            (_, None, _) => None,
        })
    }
}

fn calls(exchanges: Vec<Exchange>, steps: usize) -> Result<Vec<Call>, String> {
    let (mut resolves, mut generates) = (0, 0);
    let mut calls = Vec::new();
    for exchange in exchanges {
        let number = exchange.number;
        let (config, target, who) = match exchange.asked {
            Asked::Resolve { config, target } => (config, target, None),
            Asked::Generate {
                config,
                target,
                instance,
            } => (config, target, Some(instance)),
            _ => continue,
        };
        let Answer::Given { value, .. } = exchange.answer else {
            return Err(format!("exchange {number} begins a call with a refusal"));
        };
        let count = if who.is_some() {
            &mut generates
        } else {
            &mut resolves
        };
        let step = *count;
        *count += 1;
        if step >= steps {
            return Err(format!("exchange {number} belongs to no step"));
        }
        let begin = match who {
            None => serde_json::from_value(value).map(Begin::Resolve),
            Some(who) => serde_json::from_value(value).map(|lock| Begin::Generate(lock, who)),
        };
        let begin = begin.map_err(|error| format!("exchange {number}: {error}"))?;
        calls.push(Call {
            step,
            config,
            target,
            begin,
        });
    }
    Ok(calls)
}

/// A lock as if this build had made it: another build of the same generator shall do the same with it.
fn of(plugin: &Plugin, mut lock: StepLock) -> StepLock {
    lock.plugin = *plugin.digest();
    lock
}
