//! The layers of a run, written as a launch writes them: one for each step that is shared, then the instance's. They are temporary files.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufWriter, Seek, SeekFrom, Write};
use std::path::Path;
use std::sync::Arc;

use bootsplice_archive::ArchiveError;
use bootsplice_engine::content::{StepContent, Values};
use bootsplice_engine::contract::{Instance, StepLock};
use bootsplice_engine::layer::{
    InstanceBody, InstancePart, LayerError, TemplatePart, write_instance, write_shared,
};
use bootsplice_engine::{Plugin, Secret, Secrets};

use super::outcome::{Layer, StepOutcome};
use crate::launch::lock::PinView;

/// A step that ran.
pub struct Run<'a> {
    pub id: &'a str,
    pub plugin: &'a Plugin,
    /// The insertion point.
    pub at: &'a str,
    /// What it might fetch.
    pub granted: Vec<String>,
    pub lock: &'a StepLock,
    pub content: &'a StepContent,
}

/// What steps made, and the layers that hold it.
pub struct Written {
    pub steps: Vec<StepOutcome>,
    /// What differs per launch.
    pub instance_layer: Option<Layer>,
    /// In the order of an archive.
    pub layers: Layers,
}

pub struct Layers(Vec<File>);

/// Layers cannot be written or read back.
#[derive(Debug, thiserror::Error)]
pub enum MadeError {
    /// The instance lacks a value, or content cannot be read.
    #[error(transparent)]
    Layer(#[from] LayerError),
    #[error("cannot read the layer of `{step}`: {source}")]
    Archive {
        step: String,
        #[source]
        source: ArchiveError,
    },
    #[error("cannot write a temporary file: {0}")]
    Io(#[from] io::Error),
}

// === impl Run ===

impl Run<'_> {
    /// What is known before its content is written.
    fn begin(&self) -> StepOutcome {
        let Self { plugin, lock, .. } = self;
        let descriptor = plugin.descriptor();
        StepOutcome {
            id: self.id.to_owned(),
            generator: format!("{}@{}", descriptor.id, descriptor.version),
            digest: *plugin.digest(),
            at: self.at.to_owned(),
            granted: self.granted.clone(),
            epoch: lock.epoch,
            needs_instance: lock.needs_instance,
            pins: lock.pins.iter().map(PinView::of).collect(),
            tree: Vec::new(),
            actions: Vec::new(),
            notes: Vec::new(),
            reboot_required: false,
            layer: None,
            contents: BTreeMap::new(),
        }
    }
}

// === impl Written ===

impl Written {
    /// Writes the layers of `runs` for one instance, in files without a name on the disk of `scratch`. No secret is known: each one's value is
    /// `secret-NAME`.
    pub fn of(runs: &[Run<'_>], who: &Instance, scratch: &Path) -> Result<Self, MadeError> {
        let scratch = || tempfile::tempfile_in(scratch).map(BufWriter::new);
        let mut written = Self {
            steps: runs.iter().map(Run::begin).collect(),
            instance_layer: None,
            layers: Layers(Vec::new()),
        };
        let templates: Vec<TemplatePart> = runs
            .iter()
            .map(|run| TemplatePart::of(run.content))
            .collect();
        let mut parts = Vec::new();
        for ((run, outcome), template) in runs.iter().zip(&mut written.steps).zip(&templates) {
            let step = run.id;
            if run.lock.needs_instance {
                let body = InstanceBody::Content(run.content);
                parts.push(InstancePart { step, body });
                continue;
            }
            let (out, record) = write_shared(step, run.content, run.lock.epoch, scratch()?)?;
            let mut file = whole(out)?;
            read(outcome, &mut file)?;
            outcome.layer = Some(Layer::of(&record));
            written.layers.0.push(file);
            if !template.is_empty() {
                let body = InstanceBody::Template(template);
                parts.push(InstancePart { step, body });
            }
        }
        if parts.is_empty() {
            return Ok(written);
        }
        let values = Values {
            instance: who.clone(),
            secrets: stand_ins(),
        };
        let mtime = runs.iter().map(|run| run.lock.epoch).max().unwrap_or(0);
        let (out, record) = write_instance(&parts, &values, mtime, scratch()?)?;
        let mut file = whole(out)?;
        for outcome in &mut written.steps {
            read(outcome, &mut file)?;
        }
        written.instance_layer = Some(Layer::of(&record));
        written.layers.0.push(file);
        Ok(written)
    }
}

// === impl Layers ===

impl Layers {
    /// Writes the tar that a launch would carry: every layer's entries and one end.
    pub fn write_tar(&self, out: impl Write) -> io::Result<()> {
        let mut out = BufWriter::new(out);
        for layer in &self.0 {
            let mut layer = layer;
            layer.seek(SeekFrom::Start(0))?;
            io::copy(&mut zstd::stream::read::Decoder::new(layer)?, &mut out)?;
        }
        out.write_all(&[0; 1024])?;
        out.flush()
    }
}

fn read(outcome: &mut StepOutcome, layer: &mut File) -> Result<(), MadeError> {
    outcome.read(layer).map_err(|source| MadeError::Archive {
        step: outcome.id.clone(),
        source,
    })
}

/// No secret is known here: each one's value is its name.
fn stand_ins() -> Secrets {
    Arc::new(|name| Some(Secret::new(format!("secret-{name}"))))
}

fn whole(out: BufWriter<File>) -> io::Result<File> {
    out.into_inner().map_err(io::IntoInnerError::into_error)
}
