//! Every fuzz target for some seconds, with the nightly toolchain and libFuzzer.
//!
//! What a target finds stays below `target/fuzz/<crate>`: inputs that reach new code in `corpus`, inputs that break a promise in `found`. The seeds beside
//! the targets are read and never written.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use bootsplice_tests::places;

use crate::check::tool;
use crate::phase::Phases;
use crate::run;

/// Crates with fuzz targets, each a workspace of its own in `fuzz`.
const CRATES: &[&str] = &[
    "agent/edit",
    "host/archive",
    "host/engine",
    "host/import",
    "host/registry",
    "host/volume",
];

/// Where a crate keeps inputs to start from.
const SEEDS: &[&str] = &["corpus", "seeds"];

/// MiB of memory and seconds of one input beyond which it is a finding.
const MEMORY: u32 = 2048;
const LONGEST: u32 = 20;

/// Runs every target whose name or crate has `filter` in it for `seconds`; all are run before a finding fails the chore.
pub fn everything(phases: &mut Phases, seconds: u32, filter: Option<&str>) -> Result<()> {
    run::quiet(run::command("rustup", &["run", "nightly", "rustc", "-V"]))
        .context("fuzzing needs a nightly compiler: rustup toolchain install nightly")?;
    tool(phases, "cargo-fuzz", "cargo-fuzz")?;
    let (mut ran, mut findings) = (0, Vec::new());
    for name in CRATES {
        let folder = places::root().join(name);
        let mut list = fuzz(&folder, "list");
        list.current_dir(&folder);
        let targets = run::quiet(list).with_context(|| format!("the fuzz targets of {name}"))?;
        for target in targets.lines() {
            let title = format!("{name} {target}");
            if filter.is_some_and(|filter| !title.contains(filter)) {
                continue;
            }
            ran += 1;
            let kept = places::target().join("fuzz").join(name);
            let answer = phases.run(&format!("fuzz {title}"), || {
                one(&folder, target, &kept, seconds)
            });
            if let Err(error) = answer {
                eprintln!("{title}: {error:#}");
                findings.push(title);
            }
        }
    }
    if ran == 0 {
        bail!("no fuzz target has `{}` in its name", filter.unwrap_or(""));
    }
    if !findings.is_empty() {
        let list = findings.join(", ");
        bail!("of {ran} fuzz targets these failed: {list}; what they found is in target/fuzz");
    }
    println!("{ran} fuzz targets ran {seconds} s each and found nothing");
    Ok(())
}

fn one(folder: &Path, target: &str, kept: &Path, seconds: u32) -> Result<()> {
    let (corpus, found) = (kept.join("corpus").join(target), kept.join("found"));
    for new in [&corpus, &found] {
        std::fs::create_dir_all(new).with_context(|| new.display().to_string())?;
    }
    let mut command = fuzz(folder, "run");
    // Safe Rust: what the address sanitizer would find is in libraries whose authors run it.
    command.args(["--sanitizer", "none", target]).arg(&corpus);
    let seeds = SEEDS
        .iter()
        .map(|name| folder.join("fuzz").join(name).join(target));
    command.args(seeds.filter(|seeds: &PathBuf| seeds.is_dir()));
    command.arg("--");
    command.arg(format!("-max_total_time={seconds}"));
    command.arg(format!("-rss_limit_mb={MEMORY}"));
    command.arg(format!("-timeout={LONGEST}"));
    command.arg("-verbosity=0").arg("-print_final_stats=1");
    command.arg(format!("-artifact_prefix={}/{target}-", found.display()));
    run::loud(command)
}

/// `cargo fuzz VERB` in a crate, all builds in one place.
fn fuzz(folder: &Path, verb: &str) -> std::process::Command {
    let bin = places::target().join("tools/bin");
    let path = std::env::var_os("PATH").unwrap_or_default();
    let paths = std::iter::once(bin).chain(std::env::split_paths(&path));
    // Without the tools the search goes on in PATH as it was.
    let path = std::env::join_paths(paths).unwrap_or(path);
    let mut command = run::command("rustup", &["run", "nightly", "cargo", "fuzz", verb]);
    command
        .current_dir(folder)
        .env("PATH", path)
        .env("CARGO_TARGET_DIR", places::target().join("fuzz/build"))
        .env_remove("RUSTUP_TOOLCHAIN");
    command
}
