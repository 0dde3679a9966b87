//! What a call of a generator costs: `cargo xtask bench plugins` runs this and prints it.
//!
//! It takes one argument, a [`Request`] as JSON, and prints an [`Answer`] as JSON. Nothing here asserts a time.

#![allow(clippy::print_stdout, reason = "its answer goes to standard output")]

use std::io;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use bootsplice_engine::contract::{OsFamily, Target};
use bootsplice_engine::trust::MemoryLastSeen;
use bootsplice_engine::{Engine, EngineConfig, Job, Plugin};
use serde::{Deserialize, Serialize};
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, Semaphore};

/// Calls of one guest in a round, before the next guest's turn.
const TURN: u32 = 50;
/// A table that the jobs fetch.
const TABLE: &str = "name,uid,full_name,groups,key\nada,2001,Ada Lovelace,sudo,\n";

#[derive(Deserialize)]
struct Request {
    compiler: PathBuf,
    /// Empty; what is compiled goes there.
    state: PathBuf,
    /// Rounds of [`TURN`] calls of `describe` for each guest.
    rounds: u32,
    guests: Vec<Guest>,
    /// Jobs at once, of the guest that has this name.
    jobs: u32,
    jobs_of: String,
}

#[derive(Deserialize)]
struct Guest {
    name: String,
    component: PathBuf,
    /// A program that does nothing, as a process of its own: what others run a plugin in.
    peer: Vec<String>,
}

#[derive(Serialize)]
struct Answer {
    guests: Vec<Measured>,
    jobs: Crowd,
}

#[derive(Serialize)]
struct Measured {
    name: String,
    bytes: usize,
    /// From bytes to a plugin that can run: compiled in the child, asked, kept.
    install_ms: f64,
    describe_us: Spread,
    peer: String,
    peer_us: Spread,
}

/// Times of one kind, in microseconds.
#[derive(Serialize)]
struct Spread {
    p50: f64,
    p95: f64,
    p99: f64,
    most: f64,
}

/// Jobs that were all in the middle of `resolve` at one moment.
#[derive(Serialize)]
struct Crowd {
    of: String,
    jobs: u32,
    /// With everything compiled and loaded.
    before: Memory,
    /// While every one of them waited for its table.
    held: Memory,
    after: Memory,
    /// From the first to the last `generate`.
    seconds: f64,
}

/// What this process has in memory (smaps_rollup of proc(5)), in bytes.
#[derive(Serialize)]
struct Memory {
    /// Each page counted once, however many instances map it.
    pss: u64,
    /// Each page counted for every instance that maps it: a component's own data once for each of its instances.
    rss: u64,
}

/// A server that answers nobody until everyone has asked.
struct Gate {
    address: std::net::SocketAddr,
    asked: Arc<Semaphore>,
    open: Arc<Notify>,
}

fn main() -> Result<()> {
    let argument = std::env::args().find(|argument| argument.starts_with('{'));
    let Some(request) = argument else {
        // `cargo test --benches` and a curious reader.
        eprintln!("`cargo xtask bench plugins` runs this");
        return Ok(());
    };
    let request: Request = serde_json::from_str(&request)?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    let answer = runtime.block_on(measure(request))?;
    println!("{}", serde_json::to_string(&answer)?);
    Ok(())
}

async fn measure(request: Request) -> Result<Answer> {
    let mut config = EngineConfig::new(
        &request.state,
        &request.compiler,
        Arc::new(MemoryLastSeen::default()),
    );
    config.places = request.jobs;
    config.fetch.allow_networks = vec!["127.0.0.0/8".parse()?];
    config.fetch.concurrent = request.jobs as usize;
    config.fetch.per_origin = request.jobs as usize;
    // The gate opens when the last job has come.
    config.fetch.read_timeout = Duration::from_secs(120);
    let engine = Engine::open(config)?;

    let mut installed = Vec::new();
    for guest in &request.guests {
        let bytes = std::fs::read(&guest.component)
            .with_context(|| guest.component.display().to_string())?;
        let (size, started) = (bytes.len(), Instant::now());
        let plugin = engine.install(bytes.into()).await?;
        installed.push((guest, size, started.elapsed(), plugin));
    }
    let guests = describes(&engine, &installed, request.rounds).await?;
    let (.., plugin) = installed
        .iter()
        .find(|(guest, ..)| guest.name == request.jobs_of)
        .context("no such guest")?;
    let jobs = crowd(&engine, plugin, request.jobs).await?;
    Ok(Answer { guests, jobs })
}

/// All guests and their peers take turns in every round.
async fn describes(
    engine: &Engine,
    installed: &[(&Guest, usize, Duration, Plugin)],
    rounds: u32,
) -> Result<Vec<Measured>> {
    let mut times = vec![(Vec::new(), Vec::new()); installed.len()];
    for _ in 0..rounds {
        for ((guest, .., plugin), (ours, theirs)) in installed.iter().zip(&mut times) {
            for _ in 0..TURN {
                let started = Instant::now();
                let told = engine.describe(plugin).await?;
                ours.push(started.elapsed());
                ensure!(told.id == plugin.descriptor().id);
            }
            let started = Instant::now();
            spawn(&guest.peer)?;
            theirs.push(started.elapsed());
        }
    }
    let measured = installed.iter().zip(times);
    Ok(measured
        .map(|((guest, bytes, install, _), (ours, theirs))| Measured {
            name: guest.name.clone(),
            bytes: *bytes,
            install_ms: install.as_secs_f64() * 1e3,
            describe_us: Spread::of(ours),
            peer: guest.peer.join(" "),
            peer_us: Spread::of(theirs),
        })
        .collect())
}

fn spawn(peer: &[String]) -> Result<()> {
    let (program, arguments) = peer.split_first().context("no peer")?;
    let status = Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .status()
        .with_context(|| program.clone())?;
    ensure!(status.success(), "{program} ended with {status}");
    Ok(())
}

/// Runs so many jobs that each wait in `resolve` for a table of their own until all do, then end with content.
async fn crowd(engine: &Engine, plugin: &Plugin, jobs: u32) -> Result<Crowd> {
    let gate = Gate::open().await?;
    let before = Memory::now()?;
    let started = Instant::now();
    let mut running = tokio::task::JoinSet::new();
    for number in 0..jobs {
        let (engine, plugin) = (engine.clone(), plugin.clone());
        let prefix = format!("http://{}/", gate.address);
        running.spawn(async move {
            let config = json!({"source": {"url": format!("{prefix}{number}.csv")}});
            let mut job = Job::new(number.to_string(), "bench", target(), config);
            job.grants.fetch = vec![prefix.try_into()?];
            let lock = engine.resolve(&plugin, &job, None).await?;
            engine.generate(&plugin, &job, &lock, None).await?;
            anyhow::Ok(())
        });
    }
    let mut failed = None;
    tokio::select! {
        everyone = gate.asked.acquire_many(jobs) => everyone?.forget(),
        Some(ended) = running.join_next() => failed = Some(ended?),
    }
    if let Some(failed) = failed {
        failed.context("a job ended before all had begun")?;
    }
    let held = Memory::now()?;
    gate.open.notify_one();
    while let Some(ended) = running.join_next().await {
        ended??;
    }
    Ok(Crowd {
        of: plugin.descriptor().id.clone(),
        jobs,
        before,
        held,
        after: Memory::now()?,
        seconds: started.elapsed().as_secs_f64(),
    })
}

fn target() -> Target {
    Target {
        os: OsFamily::Linux,
        distro: "debian".into(),
        release: "bookworm".into(),
        arch: "amd64".into(),
        insertion_point: "base".into(),
        features: vec!["edit-v1".into()],
    }
}

// === impl Memory ===

impl Memory {
    fn now() -> Result<Self> {
        let rollup = std::fs::read_to_string("/proc/self/smaps_rollup")?;
        let of = |name: &str| {
            let line = rollup.lines().find_map(|line| line.strip_prefix(name));
            let kib = line.with_context(|| format!("no {name} in smaps_rollup"))?;
            anyhow::Ok(kib.trim().trim_end_matches(" kB").parse::<u64>()? << 10)
        };
        Ok(Self {
            pss: of("Pss:")?,
            rss: of("Rss:")?,
        })
    }
}

// === impl Spread ===

impl Spread {
    fn of(mut times: Vec<Duration>) -> Self {
        times.sort_unstable();
        let at = |share: usize| {
            let last = times.len().saturating_sub(1);
            let time = times.get((times.len() * share / 100).min(last));
            time.map_or(f64::NAN, |time| time.as_secs_f64() * 1e6)
        };
        Self {
            p50: at(50),
            p95: at(95),
            p99: at(99),
            most: at(100),
        }
    }
}

// === impl Gate ===

impl Gate {
    async fn open() -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let gate = Self {
            address: listener.local_addr()?,
            asked: Arc::new(Semaphore::new(0)),
            open: Arc::default(),
        };
        let (asked, open) = (gate.asked.clone(), gate.open.clone());
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, asked.clone(), open.clone()));
            }
        });
        Ok(gate)
    }
}

/// Answers one request, when the gate is open.
async fn serve(mut stream: TcpStream, asked: Arc<Semaphore>, open: Arc<Notify>) -> io::Result<()> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut piece = [0; 1024];
        match stream.read(&mut piece).await? {
            0 => return Ok(()),
            count => head.extend_from_slice(&piece[..count]),
        }
    }
    asked.add_permits(1);
    open.notified().await;
    // One wakes the next, and who comes later finds it open.
    open.notify_one();
    let answer = format!(
        "HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{TABLE}",
        TABLE.len()
    );
    stream.write_all(answer.as_bytes()).await?;
    stream.shutdown().await
}
