//! The generators in other languages than Rust: their tools, and the components of the examples.
//!
//! Tools come from PyPI and npm, checked by the digests that the SDKs' `requirements.txt` and the npm lock files name; Go and Zig are on PyPI
//! too. They lie in `target/venv` and in the packages' own `node_modules`. A component is made again only when something that it is made of is newer.

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
const APART: &[&str] = &[
    "node_modules",
    "tests",
    "testing",
    "build",
    "__pycache__",
    "template",
    "fake",
    "bootsplicetest",
];

/// Where pip's requirements stand.
const REQUIREMENTS: [&str; 4] = ["sdk/python", "sdk/go", "sdk/c", "tests/clients"];

/// A component, and the directories that it is made of.
struct Guest {
    name: &'static str,
    example: &'static str,
    sdk: &'static str,
    build: fn(&Guest, &Path) -> Result<()>,
}

const GUESTS: &[Guest] = &[
    Guest {
        name: "python",
        example: "examples/generator-python",
        sdk: "sdk/python",
        build: Guest::python,
    },
    Guest {
        name: "js",
        example: "examples/generator-js",
        sdk: "sdk/js",
        build: Guest::js,
    },
    Guest {
        name: "go",
        example: "examples/generator-go",
        sdk: "sdk/go",
        build: Guest::go,
    },
    Guest {
        name: "c",
        example: "examples/generator-c",
        sdk: "sdk/c",
        build: Guest::c,
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
            (guest.build)(guest, &output)
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
            // By their names: by itself Node would take the template's too.
            let mut tests = run::command("node", &["--test"]);
            tests
                .args(files(&root.join(place).join("tests"), "js")?)
                .current_dir(root.join(place));
            run::quiet(tests)?;
        }
        let mut types = run::command("npm", &["run", "--silent", "types"]);
        types.current_dir(root.join("sdk/js"));
        run::quiet(types).map(|_| ())
    })?;
    phases.run("test the SDK of Go", || {
        // What `vet` warns of in the bindings is how they work.
        for (place, arguments) in [
            ("sdk/go", &["vet", ".", "./bootsplicetest"][..]),
            ("sdk/go", &["test", "./..."]),
            ("examples/generator-go", &["vet", "./..."]),
            ("examples/generator-go", &["test", "./..."]),
        ] {
            let mut go = go(arguments);
            go.current_dir(root.join(place));
            run::quiet(go)?;
        }
        Ok(())
    })?;
    phases.run("test the SDK of C", || {
        for place in ["sdk/c", "examples/generator-c"] {
            let mut tests = run::command("sh", &["tests/run"]);
            tests.current_dir(root.join(place)).env("PATH", search()?);
            run::quiet(tests)?;
        }
        Ok(())
    })
}

fn python(phases: &mut Phases) -> Result<()> {
    if version("python3").is_none_or(|found| found < PYTHON) {
        setup::packages(phases, &[("python3", "/usr/bin/python3")])?;
    }
    let wanted = REQUIREMENTS.map(|sdk| places::root().join(sdk).join("requirements.txt"));
    let venv = places::target().join("venv");
    let stamp = venv.join("requirements.txt");
    let mut every = Vec::new();
    for file in &wanted {
        every.extend(std::fs::read(file).with_context(|| file.display().to_string())?);
    }
    if std::fs::read(&stamp).is_ok_and(|held| held == every) {
        return Ok(());
    }
    if run::quiet(run::command("python3", &["-c", "import ensurepip"])).is_err() {
        // Debian's interpreter has it in a package of its own, whose files carry its version.
        setup::packages(phases, &[("python3-venv", "/nonexistent")])?;
    }
    phases.run(
        "install componentize-py, Go, Zig and oras into target/venv",
        || {
            run::quiet(run::command(
                "python3",
                &["-m", "venv", "--clear", &path(&venv)],
            ))?;
            let mut pip = run::command(&path(&interpreter()), &["-m", "pip", "install", "--quiet"]);
            pip.args([
                "--disable-pip-version-check",
                "--no-deps",
                "--require-hashes",
            ]);
            for file in &wanted {
                pip.arg("-r").arg(file);
            }
            run::loud(pip)?;
            std::fs::write(&stamp, &every)?;
            Ok(())
        },
    )
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

/// Where programs are looked for: tools of target/venv first.
fn search() -> Result<std::ffi::OsString> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let venv = places::target().join("venv/bin");
    let every = std::iter::once(venv).chain(std::env::split_paths(&path));
    Ok(std::env::join_paths(every)?)
}

/// Go without a network, and without another toolchain than the one that is there.
fn go(arguments: &[&str]) -> std::process::Command {
    let mut go = run::command(&path(&places::target().join("venv/bin/go")), arguments);
    go.envs([
        ("GOFLAGS", "-mod=mod"),
        ("GOPROXY", "off"),
        ("GOTOOLCHAIN", "local"),
    ]);
    go
}

/// Makes the component of a core module, beside it.
fn componentize(module: &Path, output: &Path) -> Result<()> {
    let component = bootsplice_componentize::componentize(&std::fs::read(module)?)
        .with_context(|| module.display().to_string())?;
    std::fs::write(output, component).with_context(|| output.display().to_string())
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
    fn python(&self, output: &Path) -> Result<()> {
        let mut python = run::command(&path(&interpreter()), &["-m", "bootsplice_sdk", "build"]);
        python
            .arg(self.example())
            .arg("-o")
            .arg(output)
            .env("PYTHONPATH", self.sdk())
            .env("PYTHONDONTWRITEBYTECODE", "1");
        run::loud(python)
    }

    fn js(&self, output: &Path) -> Result<()> {
        let program = self.sdk().join("bin/bootsplice-sdk.js");
        let mut node = run::command("node", &[&path(&program), "build"]);
        node.arg(self.example()).arg("-o").arg(output);
        run::loud(node)
    }

    fn go(&self, output: &Path) -> Result<()> {
        let module = output.with_extension("core.wasm");
        let mut go = go(&[
            "build",
            "-buildmode=c-shared",
            "-trimpath",
            "-buildvcs=false",
        ]);
        go.args(["-ldflags=-checklinkname=0 -s -w", "-o"])
            .arg(&module)
            .arg(".")
            .envs([("GOOS", "wasip1"), ("GOARCH", "wasm")])
            .current_dir(self.example());
        run::loud(go)?;
        componentize(&module, output)
    }

    fn c(&self, output: &Path) -> Result<()> {
        let module = output.with_extension("core.wasm");
        let mut zig = run::command(&path(&interpreter()), &["-m", "ziglang", "cc"]);
        zig.arg(format!("@{}", path(&self.sdk().join("flags"))))
            .arg(format!("-I{}", path(&self.sdk().join("include"))))
            .arg("-o")
            .arg(&module)
            .args(files(&self.example().join("src"), "c")?)
            .args(files(&self.sdk().join("src"), "c")?)
            .arg(self.sdk().join("bindings/plugin.c"))
            .current_dir(self.example());
        run::loud(zig)?;
        componentize(&module, output)
    }

    fn example(&self) -> PathBuf {
        places::root().join(self.example)
    }

    fn sdk(&self) -> PathBuf {
        places::root().join(self.sdk)
    }
}

/// The files of a directory with an ending, in the order of their names.
fn files(place: &Path, wanted: &str) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(place).with_context(|| place.display().to_string())? {
        let file = entry?.path();
        if file.extension().is_some_and(|ending| ending == wanted) {
            found.push(file);
        }
    }
    found.sort();
    Ok(found)
}
