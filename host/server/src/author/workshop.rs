//! Runs of a generator on this machine: resolve, generate, layers, as a launch does it, without a host.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufWriter, Seek, SeekFrom, Write};
use std::sync::Arc;

use bootsplice_engine::content::{StepContent, Values};
use bootsplice_engine::layer::{
    InstanceBody, InstancePart, LayerError, TemplatePart, write_instance, write_shared,
};
use bootsplice_engine::{Plugin, Secret, Secrets};

use super::AuthorError;
use super::case::Case;
use super::listener::Listener;
use super::outcome::{Layer, Outcome, StepOutcome};
use crate::launch::lock::PinView;
use crate::launch::prepare::refused;
use crate::local::reach::Reach;
use crate::local::sandbox::Sandbox;
use crate::local::{Local, LocalStep, Places};
use crate::problem::{Fault, Kind, Problem};

/// Runs cases, one after another.
pub struct Workshop {
    local: Local,
    listener: Arc<Listener>,
}

/// What a case made, and the layers that hold it.
pub struct Made {
    pub outcome: Outcome,
    /// In the order of an archive: one for each step that is shared, then the instance's. Temporary files.
    layers: Vec<File>,
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

    /// Makes everything that a launch of this case would make.
    pub async fn run(&self, case: &Case) -> Result<Made, AuthorError> {
        let told = |problem: Problem| AuthorError::from(case.told(problem));
        let checked = self.local.profile(&case.document).await.map_err(told)?;
        let steps = self.local.resolve(&checked, &case.base, &[]).await;
        let steps = steps.map_err(told)?;
        let mut contents = Vec::new();
        for step in &steps {
            contents.push(self.content(step, case).await.map_err(told)?);
        }
        let progress = self.local.sandbox().progress();
        progress.stage("writing layers");
        let mut made = Made {
            outcome: Outcome {
                profile: checked.profile.name.clone(),
                target: case.base.target.clone(),
                steps: steps.iter().map(begin).collect(),
                instance_layer: None,
                fetched: self.listener.take_fetched(),
            },
            layers: Vec::new(),
        };
        tokio::task::block_in_place(|| made.write(&steps, &contents, case))?;
        Ok(made)
    }

    async fn content(&self, step: &LocalStep, case: &Case) -> Result<StepContent, Problem> {
        let sandbox = self.local.sandbox();
        sandbox.progress().stage("generating");
        let LocalStep {
            plugin, job, lock, ..
        } = step;
        let content = sandbox
            .engine()
            .generate(plugin, job, lock, Some(&case.instance))
            .await;
        let at = format!("/steps/{}", step.order);
        content.map_err(|error| refused(&step.step.id, &error, &at))
    }
}

/// Of a step what is known before its content is written.
fn begin(step: &LocalStep) -> StepOutcome {
    let descriptor = step.plugin.descriptor();
    let granted = step.job.grants.fetch.iter();
    StepOutcome {
        id: step.step.id.clone(),
        generator: format!("{}@{}", descriptor.id, descriptor.version),
        digest: *step.plugin.digest(),
        at: step.step.at.clone(),
        granted: granted.map(ToString::to_string).collect(),
        epoch: step.lock.epoch,
        needs_instance: step.lock.needs_instance,
        pins: step.lock.pins.iter().map(PinView::of).collect(),
        tree: Vec::new(),
        actions: Vec::new(),
        notes: Vec::new(),
        reboot_required: false,
        layer: None,
        contents: BTreeMap::new(),
    }
}

// === impl Made ===

impl Made {
    fn write(
        &mut self,
        steps: &[LocalStep],
        contents: &[StepContent],
        case: &Case,
    ) -> Result<(), AuthorError> {
        let templates: Vec<TemplatePart> = contents.iter().map(TemplatePart::of).collect();
        let mut parts = Vec::new();
        for ((step, content), template) in steps.iter().zip(contents).zip(&templates) {
            let id = step.step.id.as_str();
            if step.lock.needs_instance {
                let body = InstanceBody::Content(content);
                parts.push(InstancePart { step: id, body });
                continue;
            }
            let mtime = step.lock.epoch;
            let (out, record) = write_shared(id, content, mtime, scratch()?)
                .map_err(|error| layer_error(error, steps, case))?;
            let mut file = whole(out)?;
            let outcomes = self.outcome.steps.iter_mut();
            for outcome in outcomes.filter(|outcome| outcome.id == id) {
                outcome.read(&mut file)?;
                outcome.layer = Some(Layer::of(&record));
            }
            self.layers.push(file);
            if !template.is_empty() {
                let body = InstanceBody::Template(template);
                parts.push(InstancePart { step: id, body });
            }
        }
        if parts.is_empty() {
            return Ok(());
        }
        let values = Values {
            instance: case.instance.clone(),
            secrets: stand_ins(),
        };
        let mtime = steps.iter().map(|step| step.lock.epoch).max().unwrap_or(0);
        let (out, record) = write_instance(&parts, &values, mtime, scratch()?)
            .map_err(|error| layer_error(error, steps, case))?;
        let mut file = whole(out)?;
        for outcome in &mut self.outcome.steps {
            outcome.read(&mut file)?;
        }
        self.outcome.instance_layer = Some(Layer::of(&record));
        self.layers.push(file);
        Ok(())
    }

    /// Writes the tar that a launch would carry: every layer's entries and one end.
    pub fn write_tar(&self, out: impl Write) -> std::io::Result<()> {
        let mut out = BufWriter::new(out);
        for layer in &self.layers {
            let mut layer = layer;
            layer.seek(SeekFrom::Start(0))?;
            std::io::copy(&mut zstd::stream::read::Decoder::new(layer)?, &mut out)?;
        }
        out.write_all(&[0; 1024])?;
        out.flush()
    }
}

/// No secret is known here: each one's value is its name.
fn stand_ins() -> Secrets {
    Arc::new(|name| Some(Secret::new(format!("secret-{name}"))))
}

fn scratch() -> Result<BufWriter<File>, AuthorError> {
    let file = tempfile::tempfile().map_err(|source| AuthorError::Io {
        doing: "cannot make a temporary file".into(),
        source,
    })?;
    Ok(BufWriter::new(file))
}

fn whole(out: BufWriter<File>) -> Result<File, AuthorError> {
    out.into_inner().map_err(|error| AuthorError::Io {
        doing: "cannot write a layer".into(),
        source: error.into_error(),
    })
}

fn layer_error(error: LayerError, steps: &[LocalStep], case: &Case) -> AuthorError {
    let LayerError::Fill { step, .. } = &error else {
        return AuthorError::Machine(error.to_string());
    };
    let order = steps.iter().find(|one| one.step.id == *step);
    let at = format!("/steps/{}", order.map_or(0, |one| one.order));
    let fault = Fault::new(at, "missing-value", error.to_string());
    let fault = fault.hint("`--attribute NAME=VALUE` gives the instance an attribute");
    let problem = Problem::new(Kind::PlanRefused, "").with_faults(vec![fault]);
    case.told(problem).into()
}
