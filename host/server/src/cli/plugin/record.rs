//! `bootsplice plugin record`.

use std::io;
use std::path::{Path, PathBuf};

use clap::Args;
use futures::StreamExt as _;
use reqwest::Method;
use serde::Serialize;
use tempfile::{NamedTempFile, TempDir};
use tokio::io::AsyncWriteExt as _;

use super::replay::words;
use super::run::Inputs;
use crate::author::record::Recorded;
use crate::author::subject::Subject;
use crate::cli::exit::Code;
use crate::cli::output::columns;
use crate::cli::wire::segment;
use crate::cli::{Failure, Global, Output};
use crate::client::ClientError;
use crate::local::progress::Progress;
use crate::recording::pack::{pack, unpack};
use crate::recording::{Head, Recording, RecordingError};

/// Keep all that comes into a run, so that it can be replayed anywhere without a network.
#[derive(Args)]
#[command(after_help = AFTER)]
pub struct Record {
    /// A plugin's directory, or a component.
    #[arg(default_value = ".", value_name = "DIR|FILE.wasm")]
    subject: PathBuf,
    #[command(flatten)]
    inputs: Inputs,
    /// The directory to make; with `.tar` at its end, a file. Holds what the run fetches; of secrets only names.
    #[arg(long, value_name = "DIR|FILE.tar")]
    out: PathBuf,
    /// A launch of the host instead: its generators are run there again from its lock, and what they saw comes here.
    #[arg(long, value_name = "ID", conflicts_with_all = ["subject", "config", "profile"], help_heading = "Host")]
    launch: Option<String>,
    /// Only this step of the launch.
    #[arg(long, value_name = "STEP", requires = "launch", help_heading = "Host")]
    step: Option<String>,
}

const AFTER: &str = "\
A run on this machine is replayed at once, so that a recording is one that can be. A run that fails is recorded too, and fails the same in its replay.

Examples:
  bootsplice plugin record --config case.yaml --out run1
  bootsplice plugin record --launch 01JD8Z… --step users --out launch1
  bootsplice plugin replay launch1 build/users.wasm";

/// What was recorded.
#[derive(Serialize)]
struct Answer<'a> {
    recording: &'a Path,
    #[serde(flatten)]
    head: &'a Head,
}

// === impl Record ===

impl Record {
    pub async fn run(self, global: &Global, output: &Output) -> Result<(), Failure> {
        if self.out.exists() {
            return Err(RecordingError::Exists(self.out.clone()).into());
        }
        // Beside where it goes, so that it is on the same disk.
        let here = match self.out.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent,
            _ => Path::new("."),
        };
        let scratch = TempDir::new_in(here).map_err(|error| disk(here, &error))?;
        let aside = scratch.path().join("recording");
        let (mut recording, failed) = match &self.launch {
            Some(launch) => (self.of_launch(launch, global, &aside).await?, None),
            None => {
                let subject = Subject::open(&self.subject)?;
                let (workshop, _, case) = self.inputs.open(&subject).await?;
                let recorded = Recorded::make(&workshop, &case, &aside).await?;
                (recorded.recording, recorded.failed)
            }
        };
        if self.out.extension().is_some_and(|kind| kind == "tar") {
            let packed = std::fs::File::create_new(&self.out);
            packed
                .and_then(|file| pack(&recording, file))
                .map_err(|error| disk(&self.out, &error))?;
        } else {
            std::fs::rename(&aside, &self.out).map_err(|error| disk(&self.out, &error))?;
        }
        recording.directory.clone_from(&self.out);
        tell(&recording, output);
        match failed {
            Some(failed) => Err(failed.into()),
            None => Ok(()),
        }
    }

    async fn of_launch(
        &self,
        launch: &str,
        global: &Global,
        aside: &Path,
    ) -> Result<Recording, Failure> {
        let client = global.client()?;
        let mut path = format!("/v1/launches/{}/recording", segment(launch));
        if let Some(step) = &self.step {
            path.push_str(&format!("?step={}", segment(step)));
        }
        let progress = Progress::start();
        progress.stage("waiting until the host has run the launch's generators again");
        let response = client
            .send(client.request(Method::GET, &path), &path)
            .await?;
        progress.stage("receiving the recording");
        let here = aside.parent().unwrap_or(aside);
        let packed = NamedTempFile::new_in(here).map_err(|error| disk(here, &error))?;
        let file = packed.reopen().map_err(|error| disk(here, &error))?;
        let mut file = tokio::fs::File::from_std(file);
        let mut body = response.bytes_stream();
        while let Some(piece) = body.next().await {
            let piece = piece.map_err(|error| ClientError::Unreachable {
                url: client.url(&path),
                error: format!("the recording broke off: {error}"),
            })?;
            let written = file.write_all(&piece).await;
            written.map_err(|error| disk(here, &error))?;
        }
        file.flush().await.map_err(|error| disk(here, &error))?;
        let out = aside.to_owned();
        let unpacked = tokio::task::spawn_blocking(move || {
            let file = packed
                .reopen()
                .map_err(|error| disk(packed.path(), &error))?;
            Ok::<_, Failure>(unpack(io::BufReader::new(file), &out)?)
        });
        unpacked
            .await
            .map_err(|error| Failure::new(Code::Failure, error.to_string()))?
    }
}

/// Says what is in a recording.
fn tell(recording: &Recording, output: &Output) {
    let answer = Answer {
        recording: &recording.directory,
        head: &recording.head,
    };
    output.answer(&answer, || {
        let rows: Vec<[String; 3]> = recording
            .head
            .steps
            .iter()
            .map(|step| {
                let outcome = words(&step.outcome);
                [step.id.clone(), step.generator.clone(), outcome]
            })
            .collect();
        let table = columns(["STEP", "GENERATOR", "OUTCOME"], &rows);
        let directory = recording.directory.display();
        format!("{table}\n\nbootsplice plugin replay {directory}")
    });
}

fn disk(path: &Path, error: &io::Error) -> Failure {
    Failure::new(Code::Failure, format!("`{}`: {error}", path.display()))
}
