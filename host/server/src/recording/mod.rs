//! Recordings of runs: all that came into a run from outside and what it made of that, so that it can be repeated anywhere, without a network, for ever.
//!
//! A recording is a directory:
//!
//! | file | what is in it |
//! |---|---|
//! | `recording.json` | the [`Head`]: which steps were run by which generators, and what each made |
//! | `exchanges.jsonl` | every call that left the sandbox with its answer, in order (the engine's [`Tape`]) |
//! | `made.json` | the files of what each step made ([`made`]); without it a replay says only whether the content is the same |
//! | `blobs/<hex>` | the bytes of answers and of files, by SHA-256 |
//!
//! It holds what the run fetched, private bytes and URLs included; of secrets only their names. [`pack`] sends one over the wire, [`replay`] runs it again.

pub mod made;
pub mod pack;
pub mod replay;

use std::collections::BTreeMap;
use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bootsplice_content::Digest;
use bootsplice_engine::content::StepContent;
use bootsplice_engine::contract::{Instance, StepLock};
use bootsplice_engine::key::canonical_digest;
use bootsplice_engine::layer::{LayerError, TemplatePart, write_shared};
use bootsplice_engine::tape::{Answer, Asked, Tape, TapeError};
use bootsplice_engine::{GeneratorError, Plugin};
use serde::{Deserialize, Serialize};

use self::made::MadeFiles;
use crate::launch::prepare::refused;
use crate::made::tree::Tree;
use crate::problem::Problem;

pub const SCHEMA: &str = "bootsplice.recording.v1";
const FILE: &str = "recording.json";
const EXCHANGES: &str = "exchanges.jsonl";
const BLOBS: &str = "blobs";
/// Largest head, in bytes.
const MAX_HEAD: u64 = 4 << 20;

/// `recording.json`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Head {
    pub schema: String,
    /// Of the bootsplice that recorded it.
    pub version: String,
    /// Of a host's launch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub launch: Option<String>,
    /// For whom it was. Shared steps do not see it; the host fills it into what they made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instance: Option<Instance>,
    /// In the order that they were run.
    pub steps: Vec<RecordedStep>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RecordedStep {
    pub id: String,
    /// `name@version`.
    pub generator: String,
    /// The component's digest.
    pub plugin: Digest,
    pub outcome: Outcome,
}

/// How a step's run ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Outcome {
    /// Its artefacts were decided; then another step failed.
    Resolved,
    Made {
        /// Of everything that the step puts into an archive: see [`content_digest`].
        content: Digest,
        entries: usize,
        actions: usize,
        bytes: u64,
    },
    Failed {
        /// As in a launch's problem document.
        code: String,
        message: String,
    },
}

/// A recording in the making.
pub struct Recorder {
    directory: PathBuf,
    tape: Arc<Tape>,
    head: Head,
    made: MadeFiles,
}

/// A recording that is there.
#[derive(Clone, Debug)]
pub struct Recording {
    pub directory: PathBuf,
    pub head: Head,
}

/// A recording cannot be made, read or replayed.
#[derive(Debug, thiserror::Error)]
pub enum RecordingError {
    /// Record into another directory, or remove that one.
    #[error("`{}` is there already: a recording is made in a new directory", .0.display())]
    Exists(PathBuf),
    /// Name a directory that `plugin record` made.
    #[error("`{}` is no recording: it is no directory with `{FILE}` and no tar of one", .0.display())]
    NotThere(PathBuf),
    /// It was changed or cut short, or another release made it. Record anew.
    #[error("`{}`: {why}", path.display())]
    Damaged { path: PathBuf, why: String },
    #[error(transparent)]
    Tape(#[from] TapeError),
    /// The disk failed.
    #[error("`{}`: {source}", path.display())]
    Io {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
}

// === impl Recorder ===

impl Recorder {
    /// Begins one in `directory`, which must not exist.
    pub fn create(
        directory: impl Into<PathBuf>,
        launch: Option<&str>,
        instance: &Instance,
    ) -> Result<Self, RecordingError> {
        let directory = directory.into();
        let failed = RecordingError::io(&directory);
        match fs::create_dir(&directory) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                return Err(RecordingError::Exists(directory));
            }
            Err(error) => return Err(failed(error)),
        }
        let tape = Arc::new(Tape::record(&directory)?);
        let head = Head {
            schema: SCHEMA.to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            launch: launch.map(str::to_owned),
            instance: Some(instance.clone()),
            steps: Vec::new(),
        };
        Ok(Self {
            directory,
            tape,
            head,
            made: MadeFiles::default(),
        })
    }

    /// What the jobs of the steps are given, one after another.
    pub fn tape(&self) -> Arc<Tape> {
        self.tape.clone()
    }

    /// Notes how a step ended. Steps are noted in the order that they were run.
    pub fn note(&mut self, id: &str, plugin: &Plugin, outcome: Outcome) {
        self.head.steps.push(RecordedStep {
            id: id.to_owned(),
            generator: generator_of(plugin),
            plugin: *plugin.digest(),
            outcome,
        });
    }

    /// Keeps the files of what a step made.
    pub fn keep(&mut self, id: &str, tree: &Tree) -> Result<(), RecordingError> {
        self.made.put(&self.directory, id, tree)
    }

    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// True while no call of a generator began: there is nothing to repeat.
    pub fn is_empty(&self) -> bool {
        fs::metadata(self.directory.join(EXCHANGES)).is_ok_and(|meta| meta.len() == 0)
    }

    /// Removes what is there of it.
    pub fn discard(self) -> Result<(), RecordingError> {
        fs::remove_dir_all(&self.directory).map_err(RecordingError::io(&self.directory))
    }

    /// Writes the head: from now on it is a recording.
    pub fn finish(self) -> Result<Recording, RecordingError> {
        self.made.write(&self.directory)?;
        let path = self.directory.join(FILE);
        let mut text = serde_json::to_vec_pretty(&self.head).map_err(io::Error::from);
        if let Ok(text) = &mut text {
            text.push(b'\n');
        }
        let written = text.and_then(|text| {
            let mut options = OpenOptions::new();
            let mut file = options.write(true).create_new(true).open(&path)?;
            file.write_all(&text)?;
            file.sync_all()
        });
        written.map_err(RecordingError::io(&path))?;
        Ok(Recording {
            directory: self.directory,
            head: self.head,
        })
    }
}

// === impl Recording ===

impl Recording {
    pub fn open(directory: impl Into<PathBuf>) -> Result<Self, RecordingError> {
        let directory = directory.into();
        let path = directory.join(FILE);
        let size = match fs::metadata(&path) {
            Ok(meta) => meta.len(),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Err(RecordingError::NotThere(directory));
            }
            Err(error) => return Err(RecordingError::io(&path)(error)),
        };
        let damaged = |why: String| RecordingError::Damaged {
            path: path.clone(),
            why,
        };
        if size > MAX_HEAD {
            return Err(damaged(format!(
                "{size} bytes; at most {MAX_HEAD} are read"
            )));
        }
        let text = fs::read(&path).map_err(RecordingError::io(&path))?;
        let head: Head =
            serde_json::from_slice(&text).map_err(|error| damaged(error.to_string()))?;
        if head.schema != SCHEMA {
            return Err(damaged(format!(
                "its schema is `{}`, this release reads `{SCHEMA}`",
                head.schema
            )));
        }
        Ok(Self { directory, head })
    }

    /// Whether it answers for something outside the machine, now or in an earlier run: without it a run may end otherwise elsewhere.
    pub fn reaches_out(&self) -> Result<bool, RecordingError> {
        let exchanges = Tape::replay(&self.directory)?.exchanges();
        Ok(exchanges.iter().any(|one| match &one.asked {
            Asked::Fetch { .. } | Asked::Scope { .. } => true,
            Asked::CacheGet { .. } => matches!(&one.answer, Answer::Given { blob: Some(_), .. }),
            _ => false,
        }))
    }

    /// For whom it was; one that does not say was for nobody in particular.
    pub fn instance(&self) -> Instance {
        self.head.instance.clone().unwrap_or_else(|| Instance {
            id: "instance-1".into(),
            profile: "profile@1".into(),
            attributes: BTreeMap::new(),
        })
    }

    /// The files of what its steps made.
    pub fn made(&self) -> Result<MadeFiles, RecordingError> {
        MadeFiles::read(&self.directory)
    }
}

// === impl Outcome ===

impl Outcome {
    pub fn made(step: &str, content: &StepContent, lock: &StepLock) -> Result<Self, LayerError> {
        Ok(Self::Made {
            content: content_digest(step, content, lock.epoch)?,
            entries: content.entries.len(),
            actions: content.actions.len(),
            bytes: content.bytes,
        })
    }

    pub fn failed(step: &str, error: &GeneratorError) -> Self {
        Self::refused(&refused(step, error, ""))
    }

    /// The same, where it was told already.
    pub fn refused(problem: &Problem) -> Self {
        let first = problem.faults.first();
        let details: Vec<&str> = problem
            .faults
            .iter()
            .map(|fault| fault.detail.as_str())
            .collect();
        Self::Failed {
            code: first.map_or_else(String::new, |fault| fault.code.clone()),
            message: details.join("; "),
        }
    }
}

// === impl RecordingError ===

impl RecordingError {
    fn io(path: &Path) -> impl FnOnce(io::Error) -> Self + use<> {
        let path = path.to_owned();
        move |source| Self::Io { path, source }
    }
}

/// `name@version`.
pub fn generator_of(plugin: &Plugin) -> String {
    let descriptor = plugin.descriptor();
    format!("{}@{}", descriptor.id, descriptor.version)
}

/// The name of a step's generator, without its version.
pub fn name_of(step: &RecordedStep) -> &str {
    step.generator
        .split_once('@')
        .map_or(step.generator.as_str(), |(name, _)| name)
}

/// One name for all bytes of a step's content: the tar entries of its layer, and the part that is filled per launch. It does not depend on the
/// release of the compressor.
pub fn content_digest(step: &str, content: &StepContent, epoch: u64) -> Result<Digest, LayerError> {
    let (_, record) = write_shared(step, content, epoch, io::sink())?;
    Ok(canonical_digest(&(
        record.tar_digest,
        TemplatePart::of(content),
    )))
}
