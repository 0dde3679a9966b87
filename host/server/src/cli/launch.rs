//! `bootsplice launch`.

use std::path::PathBuf;
use std::time::Duration;

use bootsplice_content::Digest;
use clap::{Subcommand, ValueEnum};
use indicatif::{ProgressBar, ProgressStyle};
use reqwest::Method;
use reqwest::header::HeaderName;
use serde_json::Value;
use tokio::io::AsyncReadExt as _;

use super::exit::Code;
use super::fetch::{confirm, fetch};
use super::request::Request;
use super::wire::{date, segment};
use super::{Failure, Global, Output};
use crate::api::{LaunchList, LaunchView, TimelineView};
use crate::client::Client;

/// How often a command that waits asks.
const ASK: Duration = Duration::from_millis(500);
const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");

#[derive(Subcommand)]
#[expect(clippy::large_enum_variant, reason = "one value a process")]
pub enum LaunchCommand {
    /// Make a personalised volume.
    #[command(after_help = "Examples:
  bootsplice launch create --instance i-0042 --attribute owner=ada --profile web-developer --volume debian-12 --sink disks --as i-0042.raw --wait
  bootsplice launch create -f request.json --idempotency-key 6f1c")]
    Create {
        #[command(flatten)]
        request: Request,
        /// The same key and request give the same launch.
        #[arg(long)]
        idempotency_key: Option<String>,
        /// Wait until the volume is committed, with a progress bar.
        #[arg(long)]
        wait: bool,
    },
    /// Show a launch.
    Get { id: String },
    /// List launches, newest first.
    List,
    /// Wait for a launch: until its volume is committed, or until the guest reported.
    #[command(after_help = "Exits 1 when the launch or one of its steps failed, and names it.")]
    Wait {
        id: String,
        #[arg(long = "for", value_enum, default_value_t = Until::Committed)]
        until: Until,
        /// Give up after this many seconds.
        #[arg(long, default_value_t = 3600)]
        timeout: u64,
    },
    /// Read the volume of a launch without sink, check it, and confirm it.
    #[command(
        after_help = "The file is written as FILE.partial and renamed after the host confirmed its digest. A broken connection is taken up where it was."
    )]
    Fetch {
        id: String,
        #[arg(short, long)]
        file: PathBuf,
    },
    /// Say that the volume was received whole.
    Confirm {
        id: String,
        /// `sha256:` and 64 hex digits.
        sha256: Digest,
    },
    /// Cancel a launch, or delete the record of one that is over.
    Cancel { id: String },
    /// Follow what happens to a launch.
    Events { id: String },
    /// When what happened.
    Timeline { id: String },
    /// Every artefact of a launch, with URL, size and digest.
    Lock { id: String },
    /// What the volume is made of.
    Manifest { id: String },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Until {
    Committed,
    Applied,
}

// === impl LaunchCommand ===

impl LaunchCommand {
    pub async fn run(self, global: &Global, output: &Output) -> Result<(), Failure> {
        let client = global.client()?;
        match self {
            Self::Create {
                request,
                idempotency_key,
                wait,
            } => {
                let body = request.read()?;
                let headers: Vec<_> = idempotency_key
                    .iter()
                    .map(|key| (IDEMPOTENCY_KEY, key.as_str()))
                    .collect();
                let answer = client
                    .json::<_, LaunchView>(Method::POST, "/v1/launches", Some(&body), &headers)
                    .await?;
                let mut launch = answer.value;
                if wait {
                    launch = committed(&client, &launch.id, 3600).await?;
                }
                output.answer(&launch, || describe(&launch));
            }
            Self::Get { id } => {
                let launch: LaunchView = client.get(&path(&id, "")).await?;
                output.answer(&launch, || describe(&launch));
            }
            Self::List => {
                let mut all: LaunchList = client.get("/v1/launches").await?;
                while let Some(before) = all.next.take() {
                    let page: LaunchList = client
                        .get(&format!("/v1/launches?before={}", segment(&before)))
                        .await?;
                    all.launches.extend(page.launches);
                    all.next = page.next;
                }
                let rows = all.launches.iter().map(|launch| {
                    [
                        launch.id.clone(),
                        launch.state.clone(),
                        launch.instance.id.clone(),
                        launch.profile.clone(),
                        launch.volume.clone(),
                        date(launch.created),
                    ]
                });
                output.table(
                    &all.launches,
                    ["ID", "STATE", "INSTANCE", "PROFILE", "VOLUME", "CREATED"],
                    rows.collect(),
                );
            }
            Self::Wait { id, until, timeout } => {
                let launch = match until {
                    Until::Committed => committed(&client, &id, timeout).await?,
                    Until::Applied => applied(&client, &id, timeout).await?,
                };
                output.answer(&launch, || describe(&launch));
            }
            Self::Fetch { id, file } => {
                let launch = fetch(&client, &id, &file).await?;
                output.answer(&launch, || {
                    format!(
                        "{} {}",
                        file.display(),
                        launch.sha256.map(|one| one.to_string()).unwrap_or_default()
                    )
                });
            }
            Self::Confirm { id, sha256 } => {
                let launch = confirm(&client, &id, sha256).await?;
                output.answer(&launch, || describe(&launch));
            }
            Self::Cancel { id } => client.delete(&path(&id, "")).await?,
            Self::Events { id } => events(&client, &id).await?,
            Self::Timeline { id } => {
                let view: TimelineView = client.get(&path(&id, "/timeline")).await?;
                let rows = view.timeline.iter().map(|moment| {
                    let detail = moment.detail.clone().unwrap_or_default();
                    [moment.at.to_string(), moment.event.clone(), detail]
                });
                output.table(&view, ["AT", "EVENT", "DETAIL"], rows.collect());
            }
            Self::Lock { id } => document(&client, output, &path(&id, "/lock")).await?,
            Self::Manifest { id } => document(&client, output, &path(&id, "/manifest")).await?,
        }
        Ok(())
    }
}

async fn document(client: &Client, output: &Output, path: &str) -> Result<(), Failure> {
    let value: Value = client.get(path).await?;
    let text = serde_json::to_string_pretty(&value).unwrap_or_default();
    output.answer(&value, || text);
    Ok(())
}

/// Waits until the launch is final; a launch that did not succeed is a failure with its reason.
async fn committed(client: &Client, id: &str, timeout: u64) -> Result<LaunchView, Failure> {
    let bar = bytes_bar(0, "streaming");
    let waited = wait(client, id, timeout, |launch| {
        bar.set_length(launch.stream.total);
        bar.set_position(launch.stream.bytes);
        bar.set_message(format!(
            "content {}, stream {}",
            launch.content.state, launch.stream.state
        ));
        matches!(launch.state.as_str(), "committed" | "failed" | "cancelled")
    })
    .await;
    bar.finish_and_clear();
    let launch = waited?;
    match launch.state.as_str() {
        "committed" => Ok(launch),
        state => Err(Failure::new(
            Code::Failure,
            format!(
                "launch {id} is {state}: {}",
                launch.detail.clone().unwrap_or_default()
            ),
        )),
    }
}

/// Waits until the guest said how it ended.
async fn applied(client: &Client, id: &str, timeout: u64) -> Result<LaunchView, Failure> {
    let result = |launch: &LaunchView| {
        launch
            .report
            .as_ref()
            .and_then(|report| report["result"].as_str().map(str::to_owned))
    };
    let launch = wait(client, id, timeout, |launch| {
        let over = matches!(launch.state.as_str(), "failed" | "cancelled");
        over || result(launch).is_some_and(|result| result != "running")
    })
    .await?;
    match result(&launch).as_deref() {
        Some("applied") => Ok(launch),
        Some(other) => {
            let steps = launch
                .report
                .as_ref()
                .and_then(|report| report["steps"].as_array().cloned())
                .unwrap_or_default();
            let failed: Vec<_> = steps
                .iter()
                .filter(|step| step["result"] == "failed")
                .map(|step| {
                    let detail = step["detail"].as_str().unwrap_or("no detail");
                    format!(
                        "step `{}` failed: {detail}",
                        step["id"].as_str().unwrap_or("?")
                    )
                })
                .collect();
            Err(Failure::new(
                Code::Failure,
                format!(
                    "the guest of launch {id} reports {other}: {}",
                    failed.join("; ")
                ),
            ))
        }
        None => Err(Failure::new(
            Code::Failure,
            format!(
                "launch {id} is {}: {}",
                launch.state,
                launch.detail.clone().unwrap_or_default()
            ),
        )),
    }
}

async fn wait(
    client: &Client,
    id: &str,
    timeout: u64,
    over: impl Fn(&LaunchView) -> bool,
) -> Result<LaunchView, Failure> {
    let asking = async {
        loop {
            let launch: LaunchView = client.get(&path(id, "")).await?;
            if over(&launch) {
                return Ok(launch);
            }
            tokio::time::sleep(ASK).await;
        }
    };
    match tokio::time::timeout(Duration::from_secs(timeout), asking).await {
        Ok(done) => done,
        Err(_) => Err(Failure::new(
            Code::Unavailable,
            format!("launch {id} was not done after {timeout} s"),
        )),
    }
}

/// Prints server-sent events, a line each, until the host ends them.
async fn events(client: &Client, id: &str) -> Result<(), Failure> {
    let at = path(id, "/events");
    let response = client.send(client.request(Method::GET, &at), &at).await?;
    let mut reader = tokio_util::io::StreamReader::new(futures::StreamExt::map(
        response.bytes_stream(),
        |part| part.map_err(std::io::Error::other),
    ));
    let mut text = Vec::new();
    let mut name = String::new();
    let mut byte = [0; 4096];
    loop {
        let read = reader
            .read(&mut byte)
            .await
            .map_err(|error| Failure::new(Code::Unavailable, error.to_string()))?;
        if read == 0 {
            return Ok(());
        }
        text.extend_from_slice(&byte[..read]);
        while let Some(end) = text.iter().position(|byte| *byte == b'\n') {
            let line: Vec<u8> = text.drain(..=end).collect();
            let line = String::from_utf8_lossy(&line);
            if let Some(event) = line.strip_prefix("event:") {
                event.trim().clone_into(&mut name);
            } else if let Some(data) = line.strip_prefix("data:") {
                println!("{name} {}", data.trim());
            }
        }
    }
}

/// A bar that counts bytes of a volume.
pub(super) fn bytes_bar(total: u64, message: &'static str) -> ProgressBar {
    let style = ProgressStyle::with_template(
        "{msg} [{bar:30}] {binary_bytes}/{binary_total_bytes} {binary_bytes_per_sec} {eta}",
    )
    .unwrap_or_else(|_| ProgressStyle::default_bar());
    ProgressBar::new(total)
        .with_style(style)
        .with_message(message)
}

/// Below `/v1/launches/ID`.
pub(super) fn path(id: &str, rest: &str) -> String {
    format!("/v1/launches/{}{rest}", segment(id))
}

fn describe(launch: &LaunchView) -> String {
    let mut text = format!(
        "{} {}\n  instance {} (launch {} of it), profile {}, volume {}\n  content {}, stream {} {}/{} bytes",
        launch.id,
        launch.state,
        launch.instance.id,
        launch.sequence,
        launch.profile,
        launch.volume,
        launch.content.state,
        launch.stream.state,
        launch.stream.bytes,
        launch.stream.total
    );
    for step in &launch.content.steps {
        text.push_str(&format!(
            "\n  step {} {}",
            step.id,
            serde_json::to_value(step.state)
                .ok()
                .and_then(|state| state.as_str().map(str::to_owned))
                .unwrap_or_default()
        ));
    }
    for warning in &launch.warnings {
        text.push_str(&format!("\n  warning: {warning}"));
    }
    if let Some(detail) = &launch.detail {
        text.push_str(&format!(
            "\n  {}: {detail}",
            launch.reason.as_deref().unwrap_or("failed")
        ));
    }
    if let Some(report) = &launch.report {
        text.push_str(&format!(
            "\n  the guest reports {}",
            report["result"].as_str().unwrap_or("?")
        ));
    }
    text
}
