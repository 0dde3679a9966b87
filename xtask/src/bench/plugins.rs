//! `bench plugins`: what a call of a generator costs, what many at once take, and how long an operator or an author waits.
//!
//! Calls and crowds are measured inside a process that holds nothing but the engine (`host/engine/benches/calls.rs`), beside processes that do
//! nothing: what a plugin costs where it is a program of its own. Starts and uploads are measured from outside, on a release build of the host.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use bootsplice_tests::{Host, places};
use clap::Args;
use serde_json::{Value, json};

use super::{Output, median};
use crate::phase::Phases;
use crate::{guests, run};

#[derive(Args)]
pub struct Arguments {
    /// Rounds; each measures 50 calls of every guest, one start with plugins, one without, and every fifth an upload
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..))]
    pairs: u32,
    /// Jobs at once
    #[arg(long, default_value_t = 256, value_parser = clap::value_parser!(u32).range(1..=1024))]
    jobs: u32,
    /// Plugins that are installed when the host starts
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=1000))]
    plugins: u32,
    #[arg(long, value_enum, default_value_t = Output::Table)]
    output: Output,
    /// Use the release build that is there
    #[arg(long)]
    pub(super) no_build: bool,
}

/// A guest, and a program without work to do that its language would be run by.
const GUESTS: [(&str, &[&str]); 5] = [
    ("rust", &["true"]),
    ("c", &["true"]),
    ("go", &["true"]),
    ("js", &["node", "-e", "0"]),
    ("python", &["python3", "-S", "-c", "0"]),
];

/// Of ten plugins, so many are written in each language.
const MIX: [&str; 10] = [
    "rust", "rust", "rust", "rust", "c", "c", "go", "go", "js", "python",
];

pub fn run(arguments: &Arguments, phases: &mut Phases) -> Result<()> {
    guests::build(phases)?;
    let place = places::target().join("bench/plugins");
    if place.exists() {
        fs::remove_dir_all(&place)?;
    }
    fs::create_dir_all(&place)?;
    let calls = phases.run("calls, and jobs at once", || calls(arguments, &place))?;
    let starts = starts(arguments, &place, phases)?;
    let uploads = phases.run("uploads of the Python component", || {
        uploads(arguments.pairs.div_ceil(5), &place)
    })?;
    match arguments.output {
        Output::Json => println!(
            "{:#}",
            json!({
                "bench": "plugins",
                "calls": calls["guests"],
                "jobs": calls["jobs"],
                "start_ms": {"plugins": arguments.plugins, "with": starts.0, "without": starts.1},
                "upload_s": uploads,
            })
        ),
        Output::Table => print(&calls, arguments.plugins, &starts, &uploads),
    }
    Ok(())
}

/// Runs the engine's own bench and gives its answer.
fn calls(arguments: &Arguments, place: &Path) -> Result<Value> {
    let guests: Vec<Value> = GUESTS
        .iter()
        .map(|(name, peer)| json!({"name": name, "component": component(name), "peer": peer}))
        .collect();
    let request = json!({
        "compiler": places::release("bootsplice-compile"),
        "state": place.join("engine"),
        "rounds": arguments.pairs,
        "guests": guests,
        "jobs": arguments.jobs,
        "jobs_of": "python",
    });
    let mut bench = run::command("cargo", &["bench", "--quiet", "-p", "bootsplice-engine"]);
    bench.args(["--bench", "calls", "--", &request.to_string()]);
    let said = run::quiet(bench)?;
    let line = said.lines().find(|line| line.starts_with('{'));
    Ok(serde_json::from_str(line.context("no answer")?)?)
}

/// Milliseconds from the start of the process until it listens: with so many plugins installed, and with none.
fn starts(
    arguments: &Arguments,
    place: &Path,
    phases: &mut Phases,
) -> Result<(Vec<f64>, Vec<f64>)> {
    let (many, none) = (place.join("many"), place.join("none"));
    for directory in [&many, &none] {
        fs::create_dir_all(directory.join("plugins"))?;
    }
    for number in 0..arguments.plugins {
        let language = MIX[number as usize % MIX.len()];
        let path = many.join(format!("plugins/{number}.wasm"));
        fs::write(path, another(&component(language), &number.to_string())?)?;
    }
    let start = |directory: &PathBuf| {
        let config = format!("plugins = {:?}\n", directory.join("plugins"));
        let started = Instant::now();
        let host = Host::start_as(
            &places::release("bootsplice"),
            &directory.join("state"),
            &config,
        )?;
        let took = started.elapsed();
        let list = host.request("GET", "/v1/plugins?limit=1", "")?;
        ensure!(list.status == 200, "{} {}", list.status, list.body);
        anyhow::Ok(took.as_secs_f64() * 1e3)
    };
    let name = format!("first start with {} plugins", arguments.plugins);
    phases.run(&name, || start(&many))?;
    phases.run("starts", || {
        start(&none)?;
        let (mut with, mut without) = (Vec::new(), Vec::new());
        for round in 0..arguments.pairs {
            for turn in 0..2 {
                if (round + turn) % 2 == 0 {
                    with.push(start(&many)?);
                } else {
                    without.push(start(&none)?);
                }
            }
        }
        Ok((with, without))
    })
}

/// Seconds of `bootsplice plugin push` until it ends: by then the plugin was compiled, asked, judged and may be used.
fn uploads(rounds: u32, place: &Path) -> Result<Vec<f64>> {
    let directory = place.join("uploads");
    fs::create_dir_all(directory.join("plugins"))?;
    let config = format!("plugins = {:?}\n", directory.join("plugins"));
    let host = Host::start_as(
        &places::release("bootsplice"),
        &directory.join("state"),
        &config,
    )?;
    let file = directory.join("users.wasm");
    let mut took = Vec::new();
    for round in 0..rounds {
        fs::write(&file, another(&component("python"), &round.to_string())?)?;
        let started = Instant::now();
        let mut push = host.command()?;
        push.args(["plugin", "push"]).arg(&file);
        push.arg(format!("bench{round}/users:0.1.0"));
        run::quiet(push)?;
        took.push(started.elapsed().as_secs_f64());
    }
    Ok(took)
}

fn component(language: &str) -> PathBuf {
    match language {
        "rust" => places::example(),
        other => places::target().join(format!("wasm-guests/{other}.wasm")),
    }
}

/// The component in that file under another digest.
fn another(component: &Path, mark: &str) -> Result<Vec<u8>> {
    let bytes = fs::read(component).with_context(|| component.display().to_string())?;
    marked(bytes, mark)
}

/// The same component with a custom section more (section 5.5.3 of the WebAssembly core specification).
fn marked(mut component: Vec<u8>, mark: &str) -> Result<Vec<u8>> {
    const NAME: &[u8] = b"bench";
    let size = u8::try_from(1 + NAME.len() + mark.len());
    // A number below 128 is its own LEB128.
    let size = size.ok().filter(|size| *size < 128);
    component.extend([0, size.context("a short mark")?, NAME.len() as u8]);
    component.extend_from_slice(NAME);
    component.extend_from_slice(mark.as_bytes());
    Ok(component)
}

fn print(calls: &Value, plugins: u32, starts: &(Vec<f64>, Vec<f64>), uploads: &[f64]) {
    let number = |value: &Value| value.as_f64().unwrap_or(f64::NAN);
    println!("instantiate and `describe`, in microseconds; a process that does nothing beside it");
    println!(
        "{:8} {:>10} {:>10} {:>8} {:>8} {:>8} {:>10} {:>7}  process",
        "guest", "bytes", "ready ms", "p50", "p95", "p99", "process", "ratio"
    );
    for guest in calls["guests"].as_array().into_iter().flatten() {
        let (ours, peer) = (&guest["describe_us"], number(&guest["peer_us"]["p50"]));
        println!(
            "{:8} {:>10} {:>10.0} {:>8.0} {:>8.0} {:>8.0} {:>10.0} {:>7.3}  {}",
            guest["name"].as_str().unwrap_or_default(),
            guest["bytes"],
            number(&guest["install_ms"]),
            number(&ours["p50"]),
            number(&ours["p95"]),
            number(&ours["p99"]),
            peer,
            number(&ours["p50"]) / peer,
            guest["peer"].as_str().unwrap_or_default(),
        );
    }
    let mib = |when: &str, what: &str| number(&calls["jobs"][when][what]) / 1_048_576.0;
    println!(
        "{} jobs of `{}` at once: {:.0} MiB (Rss {:.0}), {:.0} before, {:.0} after; {:.2} s from first to last",
        calls["jobs"]["jobs"],
        calls["jobs"]["of"].as_str().unwrap_or_default(),
        mib("held", "pss"),
        mib("held", "rss"),
        mib("before", "pss"),
        mib("after", "pss"),
        number(&calls["jobs"]["seconds"]),
    );
    let (with, without) = (median(&starts.0), median(&starts.1));
    println!(
        "start with {plugins} plugins installed: {with:.0} ms; with none: {without:.0} ms; ratio {:.2}",
        with / without
    );
    println!(
        "upload to ready, Python: {:.1} s of {uploads:.1?}",
        median(uploads)
    );
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_marked_component_has_the_same_bytes_before_its_mark() {
        let marked = |mark| super::marked(b"\0asm".to_vec(), mark).unwrap();
        assert_eq!(marked("1"), b"\0asm\x00\x07\x05bench1");
        assert_eq!(marked("22"), b"\0asm\x00\x08\x05bench22");
    }
}
