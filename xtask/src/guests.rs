//! The generators in other languages than Rust: their tools, and the components of the examples.
//!
//! Tools come from the languages' registries, checked by the digests that `sdk/python/requirements.txt` and the npm lock files name. They lie in
//! `target/venv` and in the packages' own `node_modules`. A component is made again only when something that it is made of is newer.

use std::path::{Path, PathBuf};
use std::time::SystemTime;

use anyhow::{Context, Result};
use bootsplice_tests::places;

use crate::phase::Phases;
use crate::{run, setup};

/// Oldest releases that the SDKs run on.
const PYTHON: (u32, u32) = (3, 11);
const NODE: (u32, u32) = (18, 20);

/// What is no part of a component.
const APART: &[&str] = &["node_modules", "tests", "testing", "build", "__pycache__"];

/// A component, and the directories that it is made of.
struct Guest {
    name: &'static str,
    example: &'static str,
    sdk: &'static str,
}

const GUESTS: &[Guest] = &[
    Guest {
        name: "python",
        example: "examples/generator-python",
        sdk: "sdk/python",
    },
    Guest {
        name: "js",
        example: "examples/generator-js",
        sdk: "sdk/js",
    },
];

/// Gets the tools that are missing or older than what names them.
pub fn setup(phases: &mut Phases) -> Result<()> {
    python(phases)?;
    node(phases)
}

/// Builds the components whose sources changed, with tools that are got first.
pub fn build(phases: &mut Phases) -> Result<()> {
    setup(phases)?;
    for guest in GUESTS {
        let output = places::target().join(format!("wasm-guests/{}.wasm", guest.name));
        let made_of = [guest.example, guest.sdk, "wit"].map(|part| places::root().join(part));
        if is_newer(&output, &made_of)? {
            continue;
        }
        phases.run(&format!("build the example in {}", guest.name), || {
            std::fs::create_dir_all(output.parent().context("a directory for components")?)?;
            run::loud(guest.command(&output))
        })?;
    }
    Ok(())
}

/// The languages' own tests: SDKs and examples on a fake host, and that the bindings are the contract's.
pub fn test(phases: &mut Phases) -> Result<()> {
    let root = places::root();
    phases.run("test the SDK of Python", || {
        for place in ["sdk/python", "examples/generator-python"] {
            let mut tests = run::command(&path(&interpreter()), &["-m", "unittest", "--quiet"]);
            tests
                .current_dir(root.join(place))
                .env("PYTHONPATH", root.join("sdk/python"))
                .env("PYTHONDONTWRITEBYTECODE", "1");
            run::quiet(tests)?;
        }
        let mut bindings = run::command(
            &path(&interpreter()),
            &["-m", "bootsplice_sdk", "bindings", "--check"],
        );
        bindings.current_dir(root.join("sdk/python"));
        run::quiet(bindings).map(|_| ())
    })?;
    phases.run("test the SDK of JavaScript", || {
        for place in ["sdk/js", "examples/generator-js"] {
            let mut tests = run::command("node", &["--test"]);
            tests.current_dir(root.join(place));
            run::quiet(tests)?;
        }
        let mut types = run::command("npm", &["run", "--silent", "types"]);
        types.current_dir(root.join("sdk/js"));
        run::quiet(types).map(|_| ())
    })
}

fn python(phases: &mut Phases) -> Result<()> {
    if version("python3").is_none_or(|found| found < PYTHON) {
        setup::packages(phases, &[("python3", "/usr/bin/python3")])?;
    }
    let wanted = places::root().join("sdk/python/requirements.txt");
    let venv = places::target().join("venv");
    let stamp = venv.join("requirements.txt");
    if same(&wanted, &stamp) {
        return Ok(());
    }
    if run::quiet(run::command("python3", &["-c", "import ensurepip"])).is_err() {
        // Debian's interpreter has it in a package of its own, whose files carry its version.
        setup::packages(phases, &[("python3-venv", "/nonexistent")])?;
    }
    phases.run("install componentize-py into target/venv", || {
        run::quiet(run::command(
            "python3",
            &["-m", "venv", "--clear", &path(&venv)],
        ))?;
        let mut pip = run::command(&path(&interpreter()), &["-m", "pip", "install", "--quiet"]);
        pip.args([
            "--disable-pip-version-check",
            "--no-deps",
            "--require-hashes",
            "-r",
        ]);
        pip.arg(&wanted);
        run::loud(pip)?;
        std::fs::copy(&wanted, &stamp)?;
        Ok(())
    })
}

fn node(phases: &mut Phases) -> Result<()> {
    if version("node").is_none_or(|found| found < NODE) || version("npm").is_none() {
        setup::packages(
            phases,
            &[("nodejs", "/usr/bin/node"), ("npm", "/usr/bin/npm")],
        )?;
    }
    for package in ["sdk/js", "examples/generator-js"] {
        let package = places::root().join(package);
        let wanted = package.join("package-lock.json");
        let stamp = package.join("node_modules/.bootsplice-lock.json");
        if same(&wanted, &stamp) {
            continue;
        }
        phases.run(&format!("npm install in {}", package.display()), || {
            // Not `npm ci`: that refuses a lock file without the optional packages that were never published, as one of ours has.
            let mut npm = run::command("npm", &["install", "--no-save", "--ignore-scripts"]);
            npm.args(["--no-audit", "--no-fund", "--loglevel=error"]);
            npm.current_dir(&package);
            run::quiet(npm)?;
            std::fs::copy(&wanted, &stamp)?;
            Ok(())
        })?;
    }
    Ok(())
}

/// The interpreter that has componentize-py.
fn interpreter() -> PathBuf {
    places::target().join("venv/bin/python")
}

/// Major and minor release of a program, if it is there.
fn version(program: &str) -> Option<(u32, u32)> {
    let said = run::quiet(run::command(program, &["--version"])).ok()?;
    let digits = said.trim_start_matches(|letter: char| !letter.is_ascii_digit());
    let mut numbers = digits.split('.').map(|number| number.trim().parse().ok());
    Some((numbers.next()??, numbers.next()??))
}

fn same(one: &Path, other: &Path) -> bool {
    let read = |file| std::fs::read(file).ok();
    read(one).is_some_and(|bytes| read(other).is_some_and(|held| held == bytes))
}

/// Whether `output` is newer than every file in `made_of`.
fn is_newer(output: &Path, made_of: &[PathBuf]) -> Result<bool> {
    let Ok(made) = std::fs::metadata(output).and_then(|facts| facts.modified()) else {
        return Ok(false);
    };
    for place in made_of {
        if newest(place)?.is_some_and(|changed| changed > made) {
            return Ok(false);
        }
    }
    Ok(true)
}

/// When a file below `place` changed last.
fn newest(place: &Path) -> Result<Option<SystemTime>> {
    let mut newest_yet = None;
    let entries = std::fs::read_dir(place).with_context(|| place.display().to_string())?;
    for entry in entries {
        let entry = entry?;
        let name = entry.file_name();
        if APART.iter().any(|apart| name == *apart) {
            continue;
        }
        let changed = if entry.file_type()?.is_dir() {
            newest(&entry.path())?
        } else {
            Some(entry.metadata()?.modified()?)
        };
        newest_yet = newest_yet.max(changed);
    }
    Ok(newest_yet)
}

fn path(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}

// === impl Guest ===

impl Guest {
    fn command(&self, output: &Path) -> std::process::Command {
        let root = places::root();
        let (example, sdk) = (root.join(self.example), root.join(self.sdk));
        let mut command = if self.name == "python" {
            let mut python = run::command(&path(&interpreter()), &["-m", "bootsplice_sdk"]);
            python
                .env("PYTHONPATH", sdk)
                .env("PYTHONDONTWRITEBYTECODE", "1");
            python
        } else {
            run::command("node", &[&path(&sdk.join("bin/bootsplice-sdk.js"))])
        };
        command.arg("build").arg(example).arg("-o").arg(output);
        command
    }
}
