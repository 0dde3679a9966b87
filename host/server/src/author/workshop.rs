//! Runs of a generator on this machine: resolve, generate, layers, as a launch does it, without a host.

use std::sync::Arc;

use bootsplice_engine::Plugin;
use bootsplice_engine::content::StepContent;
use bootsplice_engine::contract::Instance;
use bootsplice_engine::layer::LayerError;
use bootsplice_engine::tape::Tape;

use super::AuthorError;
use super::case::Case;
use super::listener::Listener;
use crate::launch::prepare::refused;
use crate::local::reach::Reach;
use crate::local::sandbox::Sandbox;
use crate::local::{Local, LocalStep, Places};
use crate::made::layers::{Layers, MadeError, Run, Written};
use crate::made::outcome::Outcome;
use crate::problem::{Fault, Kind, Problem};
use crate::profile::Checked;

/// Runs cases, one after another.
pub struct Workshop {
    local: Local,
    listener: Arc<Listener>,
}

/// What a case made, and the layers that hold it.
pub struct Made {
    pub outcome: Outcome,
    pub layers: Layers,
}

// === impl Workshop ===

impl Workshop {
    pub fn new(
        sandbox: Arc<Sandbox>,
        places: &Places,
        reach: Reach,
        listener: Arc<Listener>,
    ) -> Result<Self, AuthorError> {
        Ok(Self {
            local: Local::new(sandbox, places, reach, listener.clone())?,
            listener,
        })
    }

    /// The generator that is at work; it comes before an installed one of its name.
    pub async fn put(&self, plugin: Plugin) {
        self.local.put(plugin).await;
    }

    pub fn sandbox(&self) -> &Sandbox {
        self.local.sandbox()
    }

    /// The profile of a case, without a fault.
    pub async fn profile(&self, case: &Case) -> Result<Checked, AuthorError> {
        let checked = self.local.profile(&case.document).await;
        checked.map_err(|problem| case.told(problem).into())
    }

    /// Ids and generators of the steps, in the order that they are run.
    pub async fn order(
        &self,
        case: &Case,
        checked: &Checked,
    ) -> Result<Vec<(String, Plugin)>, AuthorError> {
        let order = self.local.order(checked).await;
        let order = order.map_err(|problem| case.told(problem))?.into_iter();
        Ok(order.map(|(one, plugin)| (one.step.id, plugin)).collect())
    }

    /// Makes everything that a launch of this case would make.
    pub async fn run(&self, case: &Case) -> Result<Made, AuthorError> {
        let checked = self.profile(case).await?;
        let tape = case.replayed()?;
        let (steps, contents) = self.steps(case, &checked, tape.as_ref()).await?;
        let progress = self.local.sandbox().progress();
        progress.stage("writing layers");
        let runs = runs(&steps, &contents);
        let scratch = self.sandbox().scratch();
        let written = tokio::task::block_in_place(|| Written::of(&runs, &case.instance, scratch));
        let written = written.map_err(|error| unfilled(error, &steps, case))?;
        Ok(Made {
            outcome: Outcome {
                profile: checked.profile.name.clone(),
                target: case.base.target.clone(),
                steps: written.steps,
                instance_layer: written.instance_layer,
                fetched: self.listener.take_fetched(),
            },
            layers: written.layers,
        })
    }

    /// Resolves every step, then generates every step.
    pub async fn steps(
        &self,
        case: &Case,
        checked: &Checked,
        tape: Option<&Arc<Tape>>,
    ) -> Result<(Vec<LocalStep>, Vec<StepContent>), AuthorError> {
        let told = |problem: Problem| AuthorError::from(case.told(problem));
        let order = self.local.order(checked).await.map_err(told)?;
        let steps = self
            .local
            .resolve(checked, order, &case.base, &[], tape)
            .await;
        let steps = steps.map_err(told)?;
        let mut contents = Vec::new();
        for step in &steps {
            contents.push(self.content(step, &case.instance).await.map_err(told)?);
        }
        Ok((steps, contents))
    }

    async fn content(&self, step: &LocalStep, who: &Instance) -> Result<StepContent, Problem> {
        let sandbox = self.local.sandbox();
        sandbox.progress().stage("generating");
        let LocalStep {
            plugin, job, lock, ..
        } = step;
        let content = sandbox
            .engine()
            .generate(plugin, job, lock, Some(who))
            .await;
        let at = format!("/steps/{}", step.order);
        content.map_err(|error| refused(&step.step.id, &error, &at))
    }
}

fn runs<'a>(steps: &'a [LocalStep], contents: &'a [StepContent]) -> Vec<Run<'a>> {
    let run = |(step, content): (&'a LocalStep, &'a StepContent)| Run {
        id: &step.step.id,
        plugin: &step.plugin,
        at: &step.step.at,
        granted: step
            .job
            .grants
            .fetch
            .iter()
            .map(ToString::to_string)
            .collect(),
        lock: &step.lock,
        content,
    };
    steps.iter().zip(contents).map(run).collect()
}

fn unfilled(error: MadeError, steps: &[LocalStep], case: &Case) -> AuthorError {
    let MadeError::Layer(LayerError::Fill { step, .. }) = &error else {
        return AuthorError::Machine(error.to_string());
    };
    let order = steps.iter().find(|one| one.step.id == *step);
    let at = format!("/steps/{}", order.map_or(0, |one| one.order));
    case.told(lacking(&error, &at)).into()
}

/// An instance without a value that a generator's output needs.
pub fn lacking(error: &MadeError, at: &str) -> Problem {
    let fault = Fault::new(at, "missing-value", error.to_string());
    let fault = fault.hint("`--attribute NAME=VALUE` gives the instance an attribute");
    Problem::new(Kind::PlanRefused, "").with_faults(vec![fault])
}
