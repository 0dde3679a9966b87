//! `bench resolve`: from a request to a lock, by the apt generator in its sandbox, beside apt and libsolv on the same base and the same indexes.
//!
//! Warm: the indexes are prepared, `apt-get --print-uris` has its caches, libsolv has everything in its process. Ours is the whole request over
//! HTTP: the Releases are read and their signatures verified again, the generator runs in a new instance, the lock is stored. Cold: nothing is
//! prepared, and apt begins with `apt-get update`. Each round measures every one of them once.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use bootsplice_tests::{Host, places};
use clap::Args;
use serde_json::{Value, json};

use super::archive::{Apt, Archive};
use super::{Output, median};
use crate::phase::Phases;
use crate::{build, image, run, setup};

const SETS: [(&str, &[&str]); 4] = [
    ("nginx", &["nginx"]),
    (
        "five roles",
        &[
            "nginx",
            "postgresql",
            "redis-server",
            "python3-venv",
            "build-essential",
        ],
    ),
    ("texlive-full", &["texlive-full"]),
    ("gnome", &["gnome"]),
];
const LIBSOLV: &[(&str, &str)] = &[("python3-solv", "/usr/lib/python3/dist-packages/solv.py")];

#[derive(Args)]
pub struct Arguments {
    /// Rounds; each measures every program once
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..))]
    pairs: u32,
    #[arg(long, value_enum, default_value_t = Output::Table)]
    output: Output,
    /// Use the release build that is there
    #[arg(long)]
    pub(super) no_build: bool,
}

/// What was seen of one set, in seconds.
#[derive(Default)]
struct Seen {
    packages: [usize; 3],
    ours: Vec<f64>,
    apt: Vec<f64>,
    libsolv: Vec<f64>,
}

/// libsolv in a process of its own.
struct Libsolv {
    child: Child,
    asks: ChildStdin,
    answers: BufReader<ChildStdout>,
}

pub fn run(arguments: Arguments, phases: &mut Phases) -> Result<()> {
    setup::packages(phases, LIBSOLV)?;
    // The base is the demo's image, which has the agent.
    if !arguments.no_build {
        build::everything(phases)?;
    }
    image::make(phases)?;
    let place = places::target().join("bench/resolve");
    if place.exists() {
        fs::remove_dir_all(&place)?;
    }
    fs::create_dir_all(&place)?;
    let archive = phases.run("copy the archive's indexes", || {
        Archive::copy(&place.join("archive"))
    })?;
    let apt = Apt::new(&place.join("apt"), &archive)?;
    phases.run("apt-get update", || apt.update())?;
    let mut libsolv = phases.run("load libsolv", || {
        Libsolv::start(&apt.root(), &apt.indexes()?)
    })?;
    let stand = phases.run("set up the host", || Stand::new(&place, &archive))?;
    let host = stand.start("warm")?;
    let mut seen: Vec<Seen> = SETS.iter().map(|_| Seen::default()).collect();
    phases.run("prepare everybody", || {
        for (set, (name, packages)) in seen.iter_mut().zip(SETS) {
            set.packages = [
                stand.lock(&host, name)?,
                apt.print_uris(packages)?,
                libsolv.solve(packages)?.1,
            ];
        }
        Ok(())
    })?;
    phases.run("measure warm", || {
        for round in 0..arguments.pairs {
            for (set, (name, packages)) in seen.iter_mut().zip(SETS) {
                for turn in 0..3 {
                    match (round + turn) % 3 {
                        0 => set.ours.push(timed(|| stand.lock(&host, name))?),
                        1 => set.apt.push(timed(|| apt.print_uris(packages))?),
                        _ => set.libsolv.push(libsolv.solve(packages)?.0),
                    }
                }
            }
        }
        Ok(())
    })?;
    let memory = stand.memory(&host)?;
    drop(host);
    let mut cold = Seen::default();
    phases.run("measure cold", || {
        for round in 0..arguments.pairs {
            let host = stand.start("cold")?;
            let mut ours = || -> Result<()> {
                cold.ours.push(timed(|| stand.lock(&host, SETS[0].0))?);
                Ok(())
            };
            if round % 2 == 0 {
                ours()?;
            }
            apt.forget()?;
            cold.apt.push(timed(|| {
                apt.update()?;
                apt.print_uris(SETS[0].1)
            })?);
            if round % 2 == 1 {
                ours()?;
            }
        }
        Ok(())
    })?;
    match arguments.output {
        Output::Table => table(&seen, &cold, memory),
        Output::Json => println!("{:#}", report(&seen, &cold, memory)),
    }
    Ok(())
}

fn timed<T>(work: impl FnOnce() -> Result<T>) -> Result<f64> {
    let begin = Instant::now();
    work()?;
    Ok(begin.elapsed().as_secs_f64())
}

/// A host whose generators are compiled, with one profile a set.
struct Stand {
    place: PathBuf,
    config: String,
    sources: Vec<String>,
}

// === impl Stand ===

impl Stand {
    fn new(place: &Path, archive: &Archive) -> Result<Self> {
        let store = format!("file://{}", place.join("volumes").display());
        fs::create_dir_all(place.join("volumes"))?;
        let mut import = Command::new(places::release("bootsplice"));
        import.args(["volume", "import"]).arg(places::image());
        import.args(["--store", &store, "--name", "debian"]);
        import.args(["--point", "base=8GiB"]);
        run::quiet(import)?;
        let plugins = place.join("plugins");
        fs::create_dir(&plugins)?;
        fs::copy(places::component("apt"), plugins.join("apt.wasm"))?;
        let stand = Stand {
            place: place.to_owned(),
            config: format!(
                "volumes = {store:?}\nplugins = {plugins:?}\n[[grants]]\nurls = [{:?}]\n",
                archive.address()
            ),
            sources: archive.sources("file://"),
        };
        // The image trusts one key. The first start compiles.
        run::quiet({
            let mut copy = run::command("cp", &["-a", "-T", "--"]);
            copy.arg(places::image_keys()).arg(place.join("state"));
            copy
        })?;
        Host::start_as(
            &places::release("bootsplice"),
            &place.join("state"),
            &stand.config,
        )?
        .kill();
        Ok(stand)
    }

    /// A host that has resolved nothing yet.
    fn start(&self, name: &str) -> Result<Host> {
        let state = self.place.join(name).join("state");
        if state.exists() {
            fs::remove_dir_all(&state)?;
        }
        fs::create_dir_all(&state)?;
        run::quiet({
            let mut copy = run::command("cp", &["-a", "-T", "--"]);
            copy.arg(self.place.join("state")).arg(&state);
            copy
        })?;
        let host = Host::start_as(&places::release("bootsplice"), &state, &self.config)?;
        for (name, packages) in SETS {
            let name = slug(name);
            let profile = json!({"name": name, "steps": [{"id": "packages", "use": "apt", "at": "base", "with": {
                "packages": packages, "sources": self.sources, "recommends": false}}]});
            let answer =
                host.request("PUT", &format!("/v1/profiles/{name}"), &profile.to_string())?;
            ensure!(answer.status == 201, "{} {}", answer.status, answer.body);
        }
        Ok(host)
    }

    /// Resolves anew; how many packages were pinned.
    fn lock(&self, host: &Host, set: &str) -> Result<usize> {
        let body = json!({"profile": slug(set), "volume": "debian", "renew": true});
        let answer = host.request("POST", "/v1/locks", &body.to_string())?;
        ensure!(answer.status == 200, "{} {}", answer.status, answer.body);
        let lock: Value = serde_json::from_str(&answer.body)?;
        let pins = &lock["points"][0]["steps"][0]["pins"];
        Ok(pins.as_array().context("no pins")?.len())
    }

    /// The most linear memory that a run of a generator had.
    fn memory(&self, host: &Host) -> Result<u64> {
        let answer = host.request("GET", "/metrics", "")?;
        answer
            .body
            .lines()
            .find_map(|line| line.strip_prefix("bootsplice_generator_memory_bytes "))
            .and_then(|value| value.parse().ok())
            .context("the host does not tell its generators' memory")
    }
}

fn slug(name: &str) -> String {
    name.replace(' ', "-")
}

// === impl Libsolv ===

impl Libsolv {
    fn start(root: &Path, indexes: &[PathBuf]) -> Result<Self> {
        let mut child = Command::new("/usr/bin/python3")
            .arg(places::root().join("xtask/bench/libsolv.py"))
            .arg(root)
            .args(indexes)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .context("python3")?;
        let asks = child.stdin.take().context("no input")?;
        let answers = BufReader::new(child.stdout.take().context("no output")?);
        let mut libsolv = Libsolv {
            child,
            asks,
            answers,
        };
        let said = libsolv.answer()?;
        ensure!(said == "ready", "libsolv said {said:?}");
        Ok(libsolv)
    }

    /// Seconds and packages.
    fn solve(&mut self, packages: &[&str]) -> Result<(f64, usize)> {
        writeln!(self.asks, "{}", packages.join(" "))?;
        let said = self.answer()?;
        match said.split_once(' ') {
            Some(("-1", why)) => bail!("libsolv: {why}"),
            Some((seconds, count)) => Ok((seconds.parse()?, count.parse()?)),
            None => bail!("libsolv said {said:?}"),
        }
    }

    fn answer(&mut self) -> Result<String> {
        let mut line = String::new();
        self.answers.read_line(&mut line)?;
        Ok(line.trim().to_owned())
    }
}

impl Drop for Libsolv {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// For each round ours over theirs.
fn ratios(ours: &[f64], theirs: &[f64]) -> Vec<f64> {
    ours.iter()
        .zip(theirs)
        .map(|(our, their)| our / their)
        .collect()
}

fn milliseconds(values: &[f64]) -> String {
    let least = values.iter().copied().fold(f64::INFINITY, f64::min);
    let most = values.iter().copied().fold(0.0, f64::max);
    let [middle, least, most] =
        [median(values), least, most].map(|seconds| Duration::from_secs_f64(seconds).as_micros());
    let one = |micros: u128| format!("{}.{}", micros / 1000, micros % 1000 / 100);
    format!("{} ({}–{})", one(middle), one(least), one(most))
}

fn table(seen: &[Seen], cold: &Seen, memory: u64) {
    println!(
        "set            packages (apt, libsolv)  ours ms                  apt ms                   libsolv ms               ours/apt"
    );
    for (set, (name, _)) in seen.iter().zip(SETS) {
        let [ours, apt, libsolv] = set.packages;
        println!(
            "{name:14} {:23}  {:23}  {:23}  {:23}  {:.2}",
            format!("{ours} ({apt}, {libsolv})"),
            milliseconds(&set.ours),
            milliseconds(&set.apt),
            milliseconds(&set.libsolv),
            median(&ratios(&set.ours, &set.apt)),
        );
    }
    println!(
        "cold, {:8} {:23}  {:23}  {:23}  {:23}  {:.2}",
        SETS[0].0,
        "",
        milliseconds(&cold.ours),
        milliseconds(&cold.apt),
        "",
        median(&ratios(&cold.ours, &cold.apt)),
    );
    println!("linear memory of a run, at most: {} MiB", memory >> 20);
}

fn report(seen: &[Seen], cold: &Seen, memory: u64) -> Value {
    let sets = seen.iter().zip(SETS).map(|(set, (name, _))| {
        json!({
            "set": name,
            "packages": {"ours": set.packages[0], "apt": set.packages[1], "libsolv": set.packages[2]},
            "seconds": {"ours": set.ours, "apt": set.apt, "libsolv": set.libsolv},
            "ours_over_apt": median(&ratios(&set.ours, &set.apt)),
        })
    });
    json!({
        "warm": sets.collect::<Vec<_>>(),
        "cold": {"ours": cold.ours, "apt": cold.apt, "ours_over_apt": median(&ratios(&cold.ours, &cold.apt))},
        "linear_memory": memory,
    })
}
