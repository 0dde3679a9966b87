//! From a project's sources to its component, by the language's own tools (`sdk/README.md` is the table that this follows).

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Instant;

use serde::Serialize;
use tokio::process::Command;

use super::AuthorError;
use super::project::{Language, Project};

/// A component that was made.
#[derive(Clone, Debug, Serialize)]
pub struct Built {
    pub component: PathBuf,
    pub size: u64,
    /// What was run, in the project's directory.
    pub command: Vec<String>,
    pub seconds: f64,
}

/// A program with its arguments and what its environment has besides.
#[derive(Debug, PartialEq, Eq)]
struct Plan {
    words: Vec<String>,
    environment: BTreeMap<&'static str, String>,
    /// Where the tool leaves what it made, when that is not where the component belongs.
    leaves: Option<PathBuf>,
    /// A core module, to be made a component of.
    core: bool,
}

/// Builds a project. What its tools say goes to the error stream.
pub async fn build(project: &Project) -> Result<Built, AuthorError> {
    let began = Instant::now();
    let component = project.component();
    if let Some(directory) = component.parent() {
        std::fs::create_dir_all(directory).map_err(AuthorError::io("make", directory))?;
    }
    let build = project.directory.join("build");
    std::fs::create_dir_all(&build).map_err(AuthorError::io("make", &build))?;
    // What an older build left would be taken for this one's.
    let core = build.join(format!("{}.core.wasm", project.name()));
    for old in [&core, &component] {
        match std::fs::remove_file(old) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                return Err(AuthorError::io("remove", old)(error));
            }
            _ => {}
        }
    }
    let plan = Plan::of(project).await?;
    run(project, &plan).await?;
    if let Some(left) = &plan.leaves {
        let left = project.directory.join(left);
        std::fs::copy(&left, &component).map_err(AuthorError::io("copy", &left))?;
    }
    if plan.core || core.is_file() {
        componentize(&core, &component)?;
    }
    let size = std::fs::metadata(&component).map(|meta| meta.len());
    let size = size.map_err(|_| {
        AuthorError::Tool(format!(
            "`{}` ended well and left no `{}`: does `build.component` name where it is?",
            plan.words.join(" "),
            component.display()
        ))
    })?;
    Ok(Built {
        component,
        size,
        command: plan.words,
        seconds: began.elapsed().as_secs_f64(),
    })
}

// === impl Plan ===

impl Plan {
    fn new(words: &[&str]) -> Self {
        Self {
            words: words.iter().map(ToString::to_string).collect(),
            environment: BTreeMap::new(),
            leaves: None,
            core: false,
        }
    }

    async fn of(project: &Project) -> Result<Self, AuthorError> {
        let (name, directory) = (project.name(), project.directory.as_path());
        if let Some(command) = &project.document.build.command {
            let words: Vec<&str> = command.iter().map(String::as_str).collect();
            if words.is_empty() {
                return Err(AuthorError::Invalid(
                    "`build.command` is empty: expected a program and its arguments, such as [\"make\"]".into(),
                ));
            }
            return Ok(Self::new(&words));
        }
        let out = format!("build/{name}.wasm");
        Ok(match project.document.plugin.language {
            Language::Rust => {
                rust_target().await?;
                let words =
                    "cargo build --release --target wasm32-wasip2 --target-dir build/target";
                let mut plan = Self::new(&words.split(' ').collect::<Vec<_>>());
                let file = format!("{}.wasm", name.replace('-', "_"));
                plan.leaves = Some(Path::new("build/target/wasm32-wasip2/release").join(file));
                plan
            }
            Language::Python => {
                let python = python(directory).await?;
                let mut plan =
                    Self::new(&[&python, "-m", "bootsplice_sdk", "build", ".", "-o", &out]);
                let path = match std::env::var("PYTHONPATH") {
                    Ok(more) if !more.is_empty() => format!("sdk:{more}"),
                    _ => "sdk".to_owned(),
                };
                plan.environment.insert("PYTHONPATH", path);
                plan.environment
                    .insert("PYTHONDONTWRITEBYTECODE", "1".into());
                plan
            }
            Language::Js => {
                if !directory.join("sdk/node_modules").is_dir() {
                    eprintln!(
                        "bootsplice: `sdk/node_modules` is not there yet: npm install --prefix sdk"
                    );
                    run(project, &Self::new(&["npm", "install", "--prefix", "sdk"])).await?;
                }
                Self::new(&[
                    "node",
                    "sdk/bin/bootsplice-sdk.js",
                    "build",
                    ".",
                    "-o",
                    &out,
                ])
            }
            Language::Go => {
                let core = format!("build/{name}.core.wasm");
                let words = "go build -buildmode=c-shared -trimpath -buildvcs=false -ldflags=-checklinkname=0 -o";
                let mut words: Vec<&str> = words.split(' ').collect();
                words.extend([core.as_str(), "."]);
                let mut plan = Self::new(&words);
                plan.environment.insert("GOOS", "wasip1".into());
                plan.environment.insert("GOARCH", "wasm".into());
                for (key, value) in [
                    ("GOFLAGS", "-mod=mod"),
                    ("GOPROXY", "off"),
                    ("GOTOOLCHAIN", "local"),
                ] {
                    if std::env::var_os(key).is_none() {
                        plan.environment.insert(key, value.into());
                    }
                }
                plan.core = true;
                plan
            }
            Language::C => {
                let core = format!("build/{name}.core.wasm");
                let mut words: Vec<String> = match answers("zig", &["version"]).await {
                    true => vec!["zig".into()],
                    false => ["python3", "-m", "ziglang"].map(String::from).to_vec(),
                };
                words.extend(["cc", "@sdk/flags", "-Isdk/include", "-o"].map(String::from));
                words.push(core);
                words.extend(sources(directory, "src")?);
                words.extend(sources(directory, "sdk/src")?);
                words.push("sdk/bindings/plugin.c".into());
                Self {
                    words,
                    core: true,
                    ..Self::new(&[])
                }
            }
        })
    }
}

/// `*.c` of a directory of the project, in order of their names.
fn sources(directory: &Path, below: &str) -> Result<Vec<String>, AuthorError> {
    let path = directory.join(below);
    let entries = std::fs::read_dir(&path).map_err(AuthorError::io("read", &path))?;
    let names = entries
        .filter_map(Result::ok)
        .map(|entry| entry.file_name().to_string_lossy().into_owned());
    let mut names: Vec<String> = names
        .filter(|name| name.ends_with(".c"))
        .map(|name| format!("{below}/{name}"))
        .collect();
    names.sort();
    Ok(names)
}

async fn run(project: &Project, plan: &Plan) -> Result<(), AuthorError> {
    let (program, arguments) = plan
        .words
        .split_first()
        .ok_or_else(|| AuthorError::Invalid("there is nothing to run".into()))?;
    let status = Command::new(program)
        .args(arguments)
        .envs(&plan.environment)
        .current_dir(&project.directory)
        .stdin(Stdio::null())
        // Standard output is the answer's.
        .stdout(std::io::stderr())
        .kill_on_drop(true)
        .status()
        .await;
    let shown = plan.words.join(" ");
    match status {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(AuthorError::Tool(format!(
            "`{shown}` failed ({status}){}",
            missing_module(project, &plan.words)
        ))),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Err(AuthorError::Tool(
            format!("there is no program `{program}`: {}", remedy(program)),
        )),
        Err(error) => Err(AuthorError::Tool(format!("`{shown}`: {error}"))),
    }
}

/// What to install.
fn remedy(program: &str) -> &'static str {
    match program {
        "cargo" => "install Rust from https://rustup.rs",
        "node" | "npm" => "install Node.js 18.20 or later, with npm",
        "go" => {
            "install Go 1.25 or later from https://go.dev/dl, or `pip install --no-deps --require-hashes -r sdk/requirements.txt`"
        }
        "zig" | "python3" | "python" => "install Python 3.11 or later",
        _ => "`build.command` in bootsplice-plugin.toml names it",
    }
}

fn missing_module(project: &Project, words: &[String]) -> &'static str {
    let ziglang = words.get(2).is_some_and(|word| word == "ziglang");
    if ziglang && project.document.plugin.language == Language::C {
        ": where Zig is missing, `pip install --no-deps --require-hashes -r sdk/requirements.txt` installs it"
    } else {
        ""
    }
}

/// Whether a program is there and ends well.
async fn answers(program: &str, arguments: &[&str]) -> bool {
    let status = Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .await;
    status.is_ok_and(|status| status.success())
}

async fn rust_target() -> Result<(), AuthorError> {
    let asked = Command::new("rustc")
        .args(["--print", "target-libdir", "--target", "wasm32-wasip2"])
        .output()
        .await;
    let path = asked.ok().map(|output| output.stdout);
    let path = path.map(|path| String::from_utf8_lossy(&path).trim().to_owned());
    match path {
        Some(path) if Path::new(&path).is_dir() => Ok(()),
        Some(_) => Err(AuthorError::Tool(
            "Rust cannot build for `wasm32-wasip2` yet: `rustup target add wasm32-wasip2`".into(),
        )),
        None => Err(AuthorError::Tool(format!(
            "there is no program `rustc`: {}",
            remedy("cargo")
        ))),
    }
}

/// An interpreter that has componentize-py: the one that is named, the project's own, or python3; the project's own is made where none has it.
async fn python(directory: &Path) -> Result<String, AuthorError> {
    const TEST: [&str; 2] = ["-c", "import componentize_py"];
    if let Ok(named) = std::env::var("BOOTSPLICE_PYTHON")
        && !named.is_empty()
    {
        if answers(&named, &TEST).await {
            return Ok(named);
        }
        return Err(AuthorError::Tool(format!(
            "`BOOTSPLICE_PYTHON` is `{named}`, which has no componentize-py: `{named} -m pip install --no-deps --require-hashes -r sdk/requirements.txt`"
        )));
    }
    // Below the project; the program is looked for from there.
    let own = std::path::absolute(directory.join(".venv/bin/python"))
        .map_err(AuthorError::io("find", directory))?;
    let own = own.display().to_string();
    for one in [own.as_str(), "python3"] {
        if answers(one, &TEST).await {
            return Ok(one.to_owned());
        }
    }
    eprintln!(
        "bootsplice: componentize-py is not there yet: it is installed in `.venv`, from sdk/requirements.txt"
    );
    let requirements = directory.join("sdk/requirements.txt");
    let requirements = requirements.display().to_string();
    let venv = directory.join(".venv").display().to_string();
    let steps: [(&str, Vec<&str>); 2] = [
        ("python3", vec!["-m", "venv", &venv]),
        (
            &own,
            vec![
                "-m",
                "pip",
                "install",
                "--quiet",
                "--no-deps",
                "--require-hashes",
                "-r",
                &requirements,
            ],
        ),
    ];
    for (program, arguments) in steps {
        let status = Command::new(program)
            .args(&arguments)
            .stdin(Stdio::null())
            .stdout(std::io::stderr())
            .status()
            .await;
        let shown = format!("{program} {}", arguments.join(" "));
        match status {
            Ok(status) if status.success() => {}
            Ok(status) => return Err(AuthorError::Tool(format!("`{shown}` failed ({status})"))),
            Err(error) => {
                let remedy = remedy("python3");
                return Err(AuthorError::Tool(format!("`{shown}`: {error}: {remedy}")));
            }
        }
    }
    Ok(own)
}

fn componentize(core: &Path, component: &Path) -> Result<(), AuthorError> {
    let module = std::fs::read(core).map_err(AuthorError::io("read", core))?;
    let made = bootsplice_componentize::componentize(&module)
        .map_err(|error| AuthorError::Tool(format!("`{}`: {error}", core.display())))?;
    std::fs::write(component, made).map_err(AuthorError::io("write", component))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn project(language: &str, build: &str) -> (tempfile::TempDir, Project) {
        let scratch = tempfile::tempdir().unwrap();
        let text = format!("[plugin]\nname = \"my-one\"\nlanguage = \"{language}\"\n{build}");
        std::fs::write(scratch.path().join(super::super::project::FILE), text).unwrap();
        let project = Project::read(scratch.path()).unwrap();
        (scratch, project)
    }

    #[tokio::test]
    async fn a_command_of_the_project_is_run_in_its_directory_and_must_leave_the_component() {
        let good = "[build]\ncommand = [\"sh\", \"-c\", \"echo -n x > build/my-one.wasm\"]\n";
        let (_scratch, one) = project("c", good);
        let built = build(&one).await.unwrap();
        assert_eq!(built.size, 1);
        for (command, told) in [
            ("[\"true\"]", "left no"),
            ("[\"false\"]", "failed"),
            ("[\"no-such-program\"]", "no program `no-such-program`"),
            ("[]", "empty"),
        ] {
            let (_scratch, one) = project("c", &format!("[build]\ncommand = {command}\n"));
            let error = build(&one).await.unwrap_err().to_string();
            assert!(error.contains(told), "{command}: {error}");
        }
    }

    #[tokio::test]
    async fn sources_of_c_are_named_one_by_one_in_order() {
        let (scratch, one) = project("c", "");
        for path in ["src/b.c", "src/a.c", "src/a.h", "sdk/src/z.c"] {
            let path = scratch.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, "").unwrap();
        }
        let plan = Plan::of(&one).await.unwrap();
        let words = plan.words.join(" ");
        let end = "cc @sdk/flags -Isdk/include -o build/my-one.core.wasm src/a.c src/b.c sdk/src/z.c sdk/bindings/plugin.c";
        assert!(words.ends_with(end), "{words}");
        assert!(plan.core);
    }
}
