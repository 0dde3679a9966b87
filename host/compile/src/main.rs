//! Compiles and inspects an uploaded component, under limits, in a process of its own.
//!
//! Compiling foreign code is where time and memory can be made to run away, and a compiler's panic is not a fault that wasmtime promises to
//! avoid. So it happens here, once per upload: the server never holds a compiler. The process limits itself before it reads a byte; its
//! parent watches the wall clock.
//!
//! It refuses what is no plugin (exit 65) and says on standard error which rule was broken; exit 70 is a failure of its own.

#![forbid(unsafe_code)]

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use bootsplice_content::Digest;
use clap::Parser;

mod census;
/// Shared with the engine by file: see its module docs.
#[path = "../../engine/src/config.rs"]
mod config;
#[path = "../../engine/src/inspection.rs"]
mod inspection;
mod limits;
mod world;

use inspection::{Inspection, MAX_COMPONENT, exit};

/// The exit for a failure that is not the upload's fault (`EX_SOFTWARE` of sysexits.h).
const FAILED: i32 = 70;

/// Compile a bootsplice plugin.
#[derive(Debug, Parser)]
#[command(version, about)]
struct Arguments {
    /// The component; standard input when absent or `-`.
    component: Option<PathBuf>,
    /// Where the compiled form goes. Must not exist.
    #[arg(long)]
    artefact: PathBuf,
    /// Where what was found goes, as JSON. Must not exist.
    #[arg(long)]
    inspection: PathBuf,
    /// MiB of memory for the compiler.
    #[arg(long, default_value_t = 2048)]
    memory: u64,
    /// Seconds of processor time.
    #[arg(long, default_value_t = 60)]
    cpu: u64,
    /// Count instructions: for authors, never for a host that serves.
    #[arg(long)]
    meter: bool,
}

/// Why there is no artefact.
#[derive(Debug, thiserror::Error)]
enum Failure {
    /// The upload is at fault.
    #[error("{0}")]
    Refused(String),
    #[error("{doing}: {source}")]
    Io {
        doing: String,
        #[source]
        source: io::Error,
    },
    #[error("{0}")]
    Internal(String),
}

fn main() -> ExitCode {
    match run(&Arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("{failure}");
            let code = match failure {
                Failure::Refused(_) => exit::REFUSED,
                Failure::Io { .. } | Failure::Internal(_) => FAILED,
            };
            ExitCode::from(u8::try_from(code).unwrap_or(1))
        }
    }
}

fn run(arguments: &Arguments) -> Result<(), Failure> {
    limits::apply(arguments.memory << 20, arguments.cpu)
        .map_err(Failure::io("limiting the compiler"))?;
    let component = read(arguments.component.as_deref())?;
    let (artefact, inspection) = compile(&component, arguments.meter)?;
    write_new(&arguments.artefact, &artefact)?;
    let text = serde_json::to_vec_pretty(&inspection)
        .map_err(|error| Failure::Internal(error.to_string()))?;
    write_new(&arguments.inspection, &text)
}

fn compile(component: &[u8], metered: bool) -> Result<(Vec<u8>, Inspection), Failure> {
    world::refuse_other_kinds(component)?;
    census::take(component)?;
    let mut config = config::config(metered);
    config.cranelift_nan_canonicalization(true);
    let engine =
        wasmtime::Engine::new(&config).map_err(|error| Failure::Internal(format!("{error:#}")))?;
    let compiled = wasmtime::component::Component::from_binary(&engine, component)
        .map_err(|error| Failure::Refused(format!("it is not a valid component: {error:#}")))?;
    let world = world::World::of(&engine, &compiled)?;
    let artefact = compiled
        .serialize()
        .map_err(|error| Failure::Internal(format!("{error:#}")))?;
    if artefact.len() as u64 > limits::MAX_FILE {
        return Err(Failure::Refused(format!(
            "its compiled form has {} bytes; {} are allowed",
            artefact.len(),
            limits::MAX_FILE
        )));
    }
    let inspection = Inspection {
        digest: Digest::of(component).to_string(),
        size: component.len() as u64,
        wit: world.version,
        imports: world.imports,
        exports: world.exports,
        artefact: Digest::of(&artefact).to_string(),
        fingerprint: config::fingerprint(metered).to_owned(),
    };
    Ok((artefact, inspection))
}

fn read(path: Option<&Path>) -> Result<Vec<u8>, Failure> {
    let (from, name): (Box<dyn Read>, _) = match path {
        Some(path) if path != Path::new("-") => {
            let file =
                File::open(path).map_err(Failure::io(format!("opening {}", path.display())))?;
            (Box::new(file), path.display().to_string())
        }
        _ => (Box::new(io::stdin().lock()), "standard input".to_owned()),
    };
    let mut bytes = Vec::new();
    from.take(MAX_COMPONENT + 1)
        .read_to_end(&mut bytes)
        .map_err(Failure::io(format!("reading {name}")))?;
    if bytes.len() as u64 > MAX_COMPONENT {
        return Err(Failure::Refused(format!(
            "it is larger than {MAX_COMPONENT} bytes"
        )));
    }
    Ok(bytes)
}

fn write_new(path: &Path, bytes: &[u8]) -> Result<(), Failure> {
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
        .map_err(Failure::io(format!("making {}", path.display())))?;
    let written = file.write_all(bytes).and_then(|()| file.sync_all());
    written.map_err(|source| {
        // Half a file is nothing that anyone should find.
        let _ = fs::remove_file(path);
        Failure::io(format!("writing {}", path.display()))(source)
    })
}

// === impl Failure ===

impl Failure {
    fn io(doing: impl Into<String>) -> impl FnOnce(io::Error) -> Self {
        let doing = doing.into();
        move |source| Self::Io { doing, source }
    }
}
