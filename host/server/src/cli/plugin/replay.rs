//! `bootsplice plugin replay`.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use bootsplice_engine::Plugin;
use bootsplice_engine::fetch::FetchPolicy;
use clap::Args;
use serde::Serialize;

use super::workplace::Workplace;
use crate::author::project::{FILE, component_of};
use crate::cli::exit::Code;
use crate::cli::output::columns;
use crate::cli::{Failure, Output};
use crate::local::sandbox::{Sandbox, component};
use crate::made::tree;
use crate::plugins::directory::default_directory;
use crate::recording::pack::Opened;
use crate::recording::replay::{Replay as Run, Replayed};
use crate::recording::{Outcome, Recording, name_of};

/// Run a recording again without a network, and compare what comes out.
#[derive(Args)]
#[command(after_help = AFTER)]
pub struct Replay {
    /// What `plugin record` made: a directory, or the tar of one.
    recording: PathBuf,
    /// A plugin's directory, or a component: the build that was recorded, or another that shall do the same. [default: this directory, where it is one]
    #[arg(value_name = "DIR|FILE.wasm")]
    subject: Option<PathBuf>,
    /// Directory of the other generators of a recorded profile. [default: `plugins` beside the executable]
    #[arg(long)]
    plugins: Option<PathBuf>,
    #[command(flatten)]
    workplace: Workplace,
}

const AFTER: &str = "\
Nothing is fetched: every call that leaves the sandbox is answered from the recording, and one that was not recorded ends the run with its number.
Other generators of a recorded profile come from `--plugins`.

Examples:
  bootsplice plugin replay run1
  bootsplice plugin replay run1 build/hello.wasm --output json

What came out differently is told file by file, with the lines.
Exit codes besides the usual: 8 another content came out than was recorded, or another call was made";

/// What came out this time.
#[derive(Serialize)]
struct Answer {
    recording: PathBuf,
    #[serde(skip_serializing_if = "Option::is_none")]
    launch: Option<String>,
    /// Every step ended as it was recorded.
    same: bool,
    steps: Vec<Compared>,
}

#[derive(Serialize)]
struct Compared {
    id: String,
    generator: String,
    /// Another build than the recorded one.
    other_build: bool,
    recorded: Outcome,
    /// None when it was never begun.
    replayed: Option<Outcome>,
    /// A text for each file that is not as recorded.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    differences: Vec<String>,
}

// === impl Replay ===

impl Replay {
    pub async fn run(self, output: &Output) -> Result<(), Failure> {
        let opened = Opened::at(&self.recording)?;
        let recording = &opened.recording;
        let sandbox = self.workplace.open(FetchPolicy::default())?;
        let own = match self.subject {
            Some(path) => Some(component_of(&path)),
            None if Path::new(FILE).is_file() => Some(component_of(Path::new("."))),
            None => None,
        };
        let own = own
            .transpose()
            .map_err(|error| Failure::new(Code::NotFound, error.to_string()))?;
        let directory = match self.plugins {
            Some(directory) => Some(directory),
            None => default_directory()?,
        };
        let plugins = plugins(&sandbox, recording, own.as_deref(), directory.as_deref()).await?;
        sandbox.progress().stage("replaying");
        let run = Run::open(recording, Some(sandbox.progress().clone()))?;
        let replayed = run.run(sandbox.engine(), &plugins).await;
        let mut steps = Vec::new();
        for ((step, plugin), replayed) in recording.head.steps.iter().zip(&plugins).zip(&replayed) {
            let outcome = replayed.outcome(&step.id);
            let outcome =
                outcome.map_err(|error| Failure::new(Code::Failure, error.to_string()))?;
            let differences = match outcome.as_ref() == Some(&step.outcome) {
                true => Vec::new(),
                false => differences(recording, &step.id, plugin, replayed, sandbox.scratch())?,
            };
            steps.push(Compared {
                id: step.id.clone(),
                generator: step.generator.clone(),
                other_build: *plugin.digest() != step.plugin,
                recorded: step.outcome.clone(),
                replayed: outcome,
                differences,
            });
        }
        let same = steps
            .iter()
            .all(|step| step.replayed.as_ref() == Some(&step.recorded));
        let answer = Answer {
            recording: self.recording,
            launch: recording.head.launch.clone(),
            same,
            steps,
        };
        output.answer(&answer, || text(&answer));
        if answer.same {
            Ok(())
        } else {
            Err(Failure::new(Code::Differs, difference(&answer)))
        }
    }
}

/// What a step made this time, against what it made when it was recorded.
fn differences(
    recording: &Recording,
    step: &str,
    plugin: &Plugin,
    replayed: &Replayed,
    scratch: &Path,
) -> Result<Vec<String>, Failure> {
    let after = replayed.tree(step, plugin, &recording.instance(), scratch);
    let Some(after) = after.map_err(|error| Failure::new(Code::Failure, error.to_string()))? else {
        return Ok(Vec::new());
    };
    let before = recording.made()?.tree(&recording.directory, step)?;
    Ok(before.map_or_else(Vec::new, |before| tree::differences(&before, &after)))
}

/// The generator of each recorded step: the given component where it is that one, else `NAME.wasm` of the directory.
pub(super) async fn plugins(
    sandbox: &Sandbox,
    recording: &Recording,
    own: Option<&Path>,
    directory: Option<&Path>,
) -> Result<Vec<Plugin>, Failure> {
    let mut known: Vec<Plugin> = Vec::new();
    if let Some(path) = own {
        known.extend(load(sandbox, path).await?);
    }
    let mut plugins = Vec::new();
    for step in &recording.head.steps {
        let name = name_of(step);
        let is_it = |plugin: &&Plugin| plugin.descriptor().id == name;
        let found = match (known.iter().find(is_it), directory) {
            (Some(plugin), _) => Some(plugin.clone()),
            (None, Some(directory)) => {
                load(sandbox, &directory.join(format!("{name}.wasm"))).await?
            }
            (None, None) => None,
        };
        let plugin = found.ok_or_else(|| {
            let message = format!(
                "step `{}` was made by `{}`, which is neither the given plugin nor among `--plugins`: name its directory or its component behind the recording",
                step.id, step.generator
            );
            Failure::new(Code::NotFound, message)
        })?;
        known.push(plugin.clone());
        plugins.push(plugin);
    }
    Ok(plugins)
}

async fn load(sandbox: &Sandbox, path: &Path) -> Result<Option<Plugin>, Failure> {
    let shown = path.display();
    let failed =
        |error: &dyn std::fmt::Display| Failure::new(Code::Invalid, format!("`{shown}`: {error}"));
    let Some(bytes) = component(path).map_err(|error| failed(&error))? else {
        return Ok(None);
    };
    let plugin = sandbox.load(bytes, &shown.to_string()).await;
    plugin.map(Some).map_err(|error| failed(&error))
}

fn text(answer: &Answer) -> String {
    let rows: Vec<[String; 4]> = answer
        .steps
        .iter()
        .map(|step| {
            let build = if step.other_build {
                "another build"
            } else {
                "the recorded build"
            };
            let same = step.replayed.as_ref() == Some(&step.recorded);
            let result = match &step.replayed {
                Some(outcome) if same => format!("the same: {}", words(outcome)),
                Some(outcome) => words(outcome),
                None => "not begun".to_owned(),
            };
            [
                step.id.clone(),
                step.generator.clone(),
                build.into(),
                result,
            ]
        })
        .collect();
    columns(["STEP", "GENERATOR", "BY", "RESULT"], &rows)
}

fn difference(answer: &Answer) -> String {
    let mut text = String::from("the replay is not what was recorded");
    for step in &answer.steps {
        if step.replayed.as_ref() != Some(&step.recorded) {
            let now = step
                .replayed
                .as_ref()
                .map_or_else(|| "it was not begun".to_owned(), words);
            let _ = write!(
                text,
                "\n  step `{}`\n    recorded: {}\n    now:      {now}",
                step.id,
                words(&step.recorded)
            );
            for line in step.differences.iter().flat_map(|text| text.lines()) {
                let _ = write!(text, "\n    {line}");
            }
        }
    }
    text
}

/// An outcome in a line.
pub(super) fn words(outcome: &Outcome) -> String {
    match outcome {
        Outcome::Resolved => "resolved, without content".to_owned(),
        Outcome::Made {
            content,
            entries,
            actions,
            bytes,
        } => format!("{entries} entries, {actions} actions, {bytes} bytes, {content}"),
        Outcome::Failed { code, message } => format!("failed ({code}): {message}"),
    }
}
