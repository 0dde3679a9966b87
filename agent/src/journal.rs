//! What was done of a launch, on the disk before the next thing is begun: one JSON document, replaced whole and flushed.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Write};
use std::ops::Range;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use bootsplice_archive::header::{Payload, ReportAddress};
use bootsplice_archive::step::Stage;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::AgentError;
use crate::policy::Held;

const FORMAT: u32 = 1;

/// The latest launch of this machine.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Journal {
    pub format: u32,
    pub launch: String,
    pub instance: String,
    pub sequence: u64,
    pub state: State,
    /// By step id.
    pub steps: BTreeMap<String, StepState>,
    /// What is to be overwritten on the device once everything was applied, or the launch was given up. Empty when that is done.
    pub wipes: Vec<Wipe>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub report: Option<ReportAddress>,
    /// Reports made so far: the next one's sequence is one more.
    pub reports: u64,
    /// Boots on which it was begun or taken up; by hand, runs.
    #[serde(default)]
    pub boots: u32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_boot: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum State {
    Applying,
    Applied,
    /// Applied, but a step with the policy `warn` failed, or a service of a package did not come up.
    Degraded,
    Failed,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StepState {
    pub stage: Stage,
    /// None while the step runs, or when it was cut short.
    pub result: Option<StepResult>,
    /// Actions below this index are done.
    pub next_action: u32,
    /// The action whose file was changed and whose commands are not yet run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owed: Option<u32>,
    pub attempts: u32,
    /// RFC 3339.
    pub started: String,
    pub seconds: f64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
    /// Services that its packages would have started, until the stage `late` does.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub held: Vec<Held>,
    /// Those that did not come up, and why. The step itself is done.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trouble: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum StepResult {
    Ok,
    Failed,
}

/// Blocks of one point to overwrite.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Wipe {
    pub point: String,
    pub partition: Uuid,
    /// Byte ranges within the point.
    pub instance_layers: Vec<Range<u64>>,
    pub header: Range<u64>,
}

// === impl Journal ===

impl Journal {
    pub fn new(payload: &Payload) -> Self {
        Self {
            format: FORMAT,
            launch: payload.launch.clone(),
            instance: payload.instance.clone(),
            sequence: payload.sequence,
            state: State::Applying,
            steps: BTreeMap::new(),
            wipes: Vec::new(),
            report: payload.report.clone(),
            reports: 0,
            boots: 0,
            last_boot: None,
        }
    }

    /// The journal in `directory`, if there is one.
    pub fn load(directory: &Path) -> Result<Option<Self>, AgentError> {
        let path = path(directory);
        let failed = |error| AgentError::system(path.display().to_string(), error);
        let bytes = match fs::read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(failed(error)),
        };
        let journal: Self = serde_json::from_slice(&bytes).map_err(|error| failed(error.into()))?;
        if journal.format != FORMAT {
            return Err(AgentError::Usage(format!(
                "{} has format {}, this release reads {FORMAT}: install a newer agent",
                path.display(),
                journal.format
            )));
        }
        Ok(Some(journal))
    }

    pub fn save(&self, directory: &Path) -> Result<(), AgentError> {
        let bytes = serde_json::to_vec_pretty(self)
            .map_err(|error| AgentError::system("the journal", io::Error::from(error)))?;
        write_whole(&path(directory), &bytes)
    }
}

impl State {
    pub fn name(self) -> &'static str {
        match self {
            Self::Applying => "applying",
            Self::Applied => "applied",
            Self::Degraded => "degraded",
            Self::Failed => "failed",
        }
    }
}

fn path(directory: &Path) -> PathBuf {
    directory.join("journal.json")
}

/// Writes a file of root's alone (0600), whole or not at all, and durable when this returns.
pub fn write_whole(path: &Path, bytes: &[u8]) -> Result<(), AgentError> {
    let failed = |error| AgentError::system(path.display().to_string(), error);
    let directory = path.parent().unwrap_or(Path::new("."));
    fs::create_dir_all(directory).map_err(failed)?;
    let beside = path.with_extension("new");
    let mut file = File::options()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&beside)
        .map_err(failed)?;
    file.write_all(bytes)
        .and_then(|()| file.sync_all())
        .map_err(failed)?;
    fs::rename(&beside, path).map_err(failed)?;
    File::open(directory)
        .and_then(|directory| directory.sync_all())
        .map_err(failed)
}
