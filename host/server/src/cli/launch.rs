//! `bootsplice launch` and `bootsplice plan`.

use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use bootsplice_content::{Digest, Hasher};
use clap::{Args, Subcommand, ValueEnum};
use indicatif::{ProgressBar, ProgressStyle};
use reqwest::header::{ETAG, HeaderName, IF_RANGE, RANGE};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use tokio::fs::{File, OpenOptions};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::exit::Code;
use super::wire::{date, segment};
use super::{Failure, Global, Output};
use crate::api::{ConfirmBody, LaunchList, LaunchView, TimelineView};
use crate::client::Client;
use crate::launch::plan::Plan;

/// How often a command that waits asks.
const ASK: Duration = Duration::from_millis(500);
/// How often `fetch` goes on after the connection broke.
const RESUMES: u32 = 5;
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

/// Show what a launch would do: every step, entry, byte and size. Nothing is recorded.
#[derive(Args)]
#[command(
    after_help = "Example: bootsplice plan --instance i-0042 --profile web-developer --volume debian-12"
)]
pub struct PlanCommand {
    #[command(flatten)]
    request: Request,
}

/// A launch request, by flags or from a file.
#[derive(Args)]
pub struct Request {
    /// The request as JSON; `-` reads standard input. Flags win over it.
    #[arg(short, long)]
    file: Option<PathBuf>,
    #[arg(long)]
    instance: Option<String>,
    /// NAME=VALUE; several times for several.
    #[arg(long = "attribute", value_parser = pair)]
    attributes: Vec<(String, String)>,
    /// The machine's DMI product UUID; the agent then refuses any other machine.
    #[arg(long)]
    product_uuid: Option<String>,
    /// `name` or `name@version`.
    #[arg(long)]
    profile: Option<String>,
    #[arg(long)]
    volume: Option<String>,
    /// Of the volume: `40GiB`. Absent: the base's own.
    #[arg(long)]
    size: Option<String>,
    /// A sink of the operator's. Absent: the volume is read by `launch fetch`.
    #[arg(long, requires = "target")]
    sink: Option<String>,
    /// The file or device in the sink.
    #[arg(long = "as", id = "target")]
    target: Option<String>,
    /// NAME=VALUE; several times for several.
    #[arg(long = "label", value_parser = pair)]
    labels: Vec<(String, String)>,
    /// Seconds.
    #[arg(long)]
    deadline: Option<u64>,
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

// === impl PlanCommand ===

impl PlanCommand {
    pub async fn run(self, global: &Global, output: &Output) -> Result<(), Failure> {
        let client = global.client()?;
        let body = self.request.read()?;
        let plan = client
            .json::<_, Plan>(Method::POST, "/v1/plans", Some(&body), &[])
            .await?
            .value;
        output.answer(&plan, || plan_text(&plan));
        Ok(())
    }
}

// === impl Request ===

impl Request {
    fn read(self) -> Result<Value, Failure> {
        let mut body = match &self.file {
            None => json!({"instance": {}}),
            Some(path) => {
                let text = if path == Path::new("-") {
                    let mut text = String::new();
                    std::io::stdin()
                        .take(4 << 20)
                        .read_to_string(&mut text)
                        .map(|_| text)
                } else {
                    std::fs::read_to_string(path)
                };
                let text = text.map_err(|error| {
                    Failure::usage(format!("cannot read `{}`: {error}", path.display()))
                })?;
                serde_json::from_str(&text).map_err(|error| {
                    Failure::usage(format!("`{}` is not JSON: {error}", path.display()))
                })?
            }
        };
        let mut set = |pointer: &[&str], value: Option<Value>| {
            let Some(value) = value else { return };
            let mut place = &mut body;
            for key in pointer {
                place = &mut place[*key];
            }
            *place = value;
        };
        set(&["instance", "id"], self.instance.map(Value::from));
        set(
            &["instance", "product_uuid"],
            self.product_uuid.map(Value::from),
        );
        for (name, value) in self.attributes {
            set(&["instance", "attributes", &name], Some(value.into()));
        }
        set(&["profile"], self.profile.map(Value::from));
        set(&["volume"], self.volume.map(Value::from));
        set(&["size"], self.size.map(Value::from));
        set(&["sink", "name"], self.sink.map(Value::from));
        set(&["sink", "as"], self.target.map(Value::from));
        for (name, value) in self.labels {
            set(&["labels", &name], Some(value.into()));
        }
        set(&["deadline_seconds"], self.deadline.map(Value::from));
        Ok(body)
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

/// Reads the volume into `file.partial`, confirms its digest and renames it. Zero blocks stay holes.
async fn fetch(client: &Client, id: &str, file: &Path) -> Result<LaunchView, Failure> {
    let mut name = file.as_os_str().to_owned();
    name.push(".partial");
    let partial = PathBuf::from(name);
    let io = |action: &str, error: std::io::Error| {
        Failure::new(
            Code::Failure,
            format!("{action} `{}`: {error}", partial.display()),
        )
    };
    let launch: LaunchView = client.get(&path(id, "")).await?;
    let bar = bytes_bar(launch.size, "fetching");
    let mut open = OpenOptions::new();
    let open = open.create(true).truncate(true).write(true).read(true);
    let mut out = open
        .open(&partial)
        .await
        .map_err(|error| io("making", error))?;
    let mut hasher = Hasher::new();
    let (mut done, mut etag, mut resumes) = (0, None, 0);
    while done < launch.size {
        match receive(
            client,
            id,
            &mut out,
            &mut hasher,
            &mut done,
            &mut etag,
            &bar,
        )
        .await
        {
            Ok(()) if done == launch.size => break,
            // Short of its length: the host failed late, or the connection broke. What was received stays received.
            Ok(())
            | Err(Failure {
                code: Code::Unavailable,
                ..
            }) if resumes < RESUMES => {
                resumes += 1;
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
            Ok(()) => {
                return Err(Failure::new(
                    Code::Failure,
                    format!("the volume ended after {done} of {} bytes", launch.size),
                ));
            }
            Err(failure) => return Err(failure),
        }
    }
    bar.finish_and_clear();
    out.set_len(launch.size)
        .await
        .map_err(|error| io("sizing", error))?;
    out.sync_all().await.map_err(|error| io("syncing", error))?;
    let confirmed = confirm(client, id, hasher.finish()).await?;
    tokio::fs::rename(&partial, file)
        .await
        .map_err(|error| io("renaming", error))?;
    Ok(confirmed)
}

async fn receive(
    client: &Client,
    id: &str,
    out: &mut File,
    hasher: &mut Hasher,
    done: &mut u64,
    etag: &mut Option<String>,
    bar: &ProgressBar,
) -> Result<(), Failure> {
    use tokio::io::AsyncSeekExt as _;
    let at = path(id, "/volume");
    let mut request = client.request(Method::GET, &at);
    if *done > 0 {
        request = request.header(RANGE, format!("bytes={done}-"));
        if let Some(etag) = etag {
            request = request.header(IF_RANGE, etag.as_str());
        }
    }
    let mut response = client.send(request, &at).await?;
    if *done > 0 && response.status() != StatusCode::PARTIAL_CONTENT {
        return Err(Failure::new(
            Code::Failure,
            "the volume is another one than before; fetch it again",
        ));
    }
    if let Some(value) = response
        .headers()
        .get(ETAG)
        .and_then(|value| value.to_str().ok())
    {
        *etag = Some(value.to_owned());
    }
    let io =
        |error: std::io::Error| Failure::new(Code::Failure, format!("writing the volume: {error}"));
    loop {
        let chunk = match response.chunk().await {
            Ok(Some(chunk)) => chunk,
            Ok(None) | Err(_) => return Ok(()),
        };
        hasher.update(&chunk);
        out.seek(std::io::SeekFrom::Start(*done))
            .await
            .map_err(io)?;
        if !bootsplice_content::is_zero(&chunk) {
            out.write_all(&chunk).await.map_err(io)?;
        }
        *done += chunk.len() as u64;
        bar.set_position(*done);
    }
}

async fn confirm(client: &Client, id: &str, sha256: Digest) -> Result<LaunchView, Failure> {
    let answer = client
        .json::<_, LaunchView>(
            Method::POST,
            &path(id, "/confirm"),
            Some(&ConfirmBody { sha256 }),
            &[],
        )
        .await?;
    Ok(answer.value)
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

fn bytes_bar(total: u64, message: &'static str) -> ProgressBar {
    let style = ProgressStyle::with_template(
        "{msg} [{bar:30}] {binary_bytes}/{binary_total_bytes} {binary_bytes_per_sec} {eta}",
    )
    .unwrap_or_else(|_| ProgressStyle::default_bar());
    ProgressBar::new(total)
        .with_style(style)
        .with_message(message)
}

fn path(id: &str, rest: &str) -> String {
    format!("/v1/launches/{}{rest}", segment(id))
}

fn pair(text: &str) -> Result<(String, String), String> {
    let (name, value) = text
        .split_once('=')
        .ok_or_else(|| format!("`{text}` is not NAME=VALUE"))?;
    Ok((name.to_owned(), value.to_owned()))
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

fn plan_text(plan: &Plan) -> String {
    let mut text = format!("{} on {}, {} bytes", plan.profile, plan.base, plan.size);
    for point in &plan.points {
        text.push_str(&format!(
            "\npoint {}: {} of {} bytes",
            point.name, point.needed, point.capacity
        ));
        for step in &point.steps {
            text.push_str(&format!(
                "\n  {} ({}, stage {}): {} entries, {} bytes",
                step.id, step.generator, step.stage, step.entries, step.bytes
            ));
            for pin in &step.pins {
                text.push_str(&format!(
                    "\n    pinned {} {} ({} bytes)",
                    pin.name, pin.digest, pin.size
                ));
            }
            for entry in &step.paths {
                let own = if entry.instance { ", per instance" } else { "" };
                text.push_str(&format!("\n    {} ({} bytes{own})", entry.path, entry.size));
            }
            for action in &step.actions {
                text.push_str(&format!("\n    {action}"));
            }
            for note in &step.notes {
                text.push_str(&format!("\n    note: {note}"));
            }
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_make_the_request_of_the_design() {
        let request = Request {
            file: None,
            instance: Some("i-0042".into()),
            attributes: vec![("owner".into(), "ada".into())],
            product_uuid: None,
            profile: Some("web-developer@3".into()),
            volume: Some("debian-12".into()),
            size: Some("40GiB".into()),
            sink: Some("disks".into()),
            target: Some("i-0042.raw".into()),
            labels: vec![("team".into(), "web".into())],
            deadline: None,
        };
        let expected = json!({
            "instance": {"id": "i-0042", "attributes": {"owner": "ada"}}, "profile": "web-developer@3", "volume": "debian-12",
            "size": "40GiB", "sink": {"name": "disks", "as": "i-0042.raw"}, "labels": {"team": "web"}
        });
        assert_eq!(request.read().unwrap(), expected);
    }
}
