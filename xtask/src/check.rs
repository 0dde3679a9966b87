//! Tests and lints.

use std::path::PathBuf;

use anyhow::{Context, Result, bail};
use bootsplice_tests::places;

use crate::build::GENERATORS;
use crate::phase::Phases;
use crate::{guests, links, promises, reference, run};

/// Cargo tools that are not part of a Rust toolchain: crate and program.
const TOOLS: &[(&str, &str)] = &[("cargo-deny", "cargo-deny"), ("typos-cli", "typos")];

/// `cargo test` for all that runs on this machine. The binaries and the image must be built.
pub fn test(phases: &mut Phases, arguments: &[String]) -> Result<()> {
    guests::test(phases)?;
    phases.run("test", || {
        // Without the compiler, whose features would join those of the server's sandbox.
        let mut host = run::command(
            "cargo",
            &[
                "test",
                "--workspace",
                "--no-fail-fast",
                "--exclude",
                "bootsplice-compile",
            ],
        );
        host.args(arguments)
            .env("BOOTSPLICE_IMAGE", places::image());
        let mut compiler = run::command(
            "cargo",
            &["test", "--no-fail-fast", "-p", "bootsplice-compile"],
        );
        compiler.args(arguments);
        // Both run to their end, so that one run tells all.
        let answers = [run::loud(host), run::loud(compiler)];
        answers.into_iter().collect::<Result<()>>()
    })?;
    phases.run("check the promises", || promises::check(&places::root()))
}

/// That part of [`test`] alone, for one language or all.
pub fn tutorials(phases: &mut Phases, language: Option<&str>) -> Result<()> {
    phases.run("follow the tutorials", || {
        let arguments = ["test", "-p", "bootsplice-tests", "--test", "tutorials"];
        let mut tutorials = run::command("cargo", &arguments);
        tutorials.args(["--no-fail-fast", "--", "--test-threads=1"]);
        tutorials.args(language.map(|language| format!("the_{language}_tutorial")));
        run::loud(tutorials)
    })
}

/// Everything that reads the code without running it.
pub fn lint(phases: &mut Phases, all: bool) -> Result<()> {
    phases.run("formatting", || {
        run::loud(run::command("cargo", &["fmt", "--all", "--check"]))
    })?;
    phases.run("clippy", || {
        let mut clippy = run::command("cargo", &["clippy", "--all-targets", "--workspace"]);
        clippy.args(["--", "-D", "warnings"]);
        run::loud(clippy)?;
        let mut guests = run::command("cargo", &["clippy", "--target", "wasm32-wasip2"]);
        for generator in GENERATORS {
            guests.args(["-p", &format!("bootsplice-generator-{generator}")]);
        }
        guests.args(["--", "-D", "warnings"]);
        run::loud(guests)
    })?;
    phases.run("no compiler in the server", no_compiler_in_the_server)?;
    phases.run("promises", || promises::check(&places::root()))?;
    phases.run("reference of the contract", || {
        reference::check(&places::root())
    })?;
    phases.run("links between pages", || links::check(&places::root()))?;
    for (package, program) in TOOLS {
        if !all && !tools().join("bin").join(program).is_file() {
            eprintln!("    {program} is not built: `cargo xtask lint --all` builds and runs it");
            continue;
        }
        let tool = tool(phases, package, program)?;
        phases.run(program, || {
            let mut command = std::process::Command::new(&tool);
            if *program == "cargo-deny" {
                command.args([
                    "--workspace",
                    "--all-features",
                    "check",
                    "bans",
                    "licenses",
                    "sources",
                ]);
            }
            command.current_dir(places::root());
            run::loud(command)
        })?;
    }
    Ok(())
}

/// A program of a cargo tool, built when it is missing.
pub fn tool(phases: &mut Phases, package: &str, program: &str) -> Result<PathBuf> {
    tool_in(phases, package, program, "release")
}

/// The same built with a profile of one's choice: `dev` where the build takes longer than the program will ever run.
pub fn tool_in(
    phases: &mut Phases,
    package: &str,
    program: &str,
    profile: &str,
) -> Result<PathBuf> {
    let path = tools().join("bin").join(program);
    if !path.is_file() {
        phases.run(&format!("build {package}"), || {
            let mut install = run::command(
                "cargo",
                &[
                    "install",
                    "--locked",
                    package,
                    "--profile",
                    profile,
                    "--root",
                ],
            );
            install
                .arg(tools())
                .env("CARGO_TARGET_DIR", tools().join("build"));
            run::loud(install)
        })?;
    }
    Ok(path)
}

fn tools() -> PathBuf {
    places::target().join("tools")
}

/// Rule of the architecture: only `bootsplice-compile` can turn a component into machine code.
fn no_compiler_in_the_server() -> Result<()> {
    let tree = run::quiet(run::command(
        "cargo",
        &[
            "tree",
            "-p",
            "bootsplice",
            "-e",
            "normal",
            "--prefix",
            "none",
        ],
    ))
    .context("the server's dependencies")?;
    let compilers: Vec<&str> = tree
        .lines()
        // The sandbox's runtime itself uses some of Cranelift's data structures; what makes machine code is this.
        .filter(|line| {
            line.starts_with("cranelift-codegen")
                || line.starts_with("wasmtime-internal-cranelift")
                || line.contains("winch")
        })
        .collect();
    if !compilers.is_empty() {
        bail!("the server depends on a compiler: {}", compilers.join(", "));
    }
    Ok(())
}
