//! Runs `bootsplice-compile`, watches its wall clock, and reads what it found.

use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use bootsplice_content::Digest;
use bytes::Bytes;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::process::Command;
use tokio::sync::Semaphore;

use crate::config::fingerprint;
use crate::error::EngineError;
use crate::inspection::{Inspection, MAX_COMPONENT, exit};

/// Last words of the compiler that are kept.
const MAX_WORDS: u64 = 16 * 1024;

/// Functions that it compiles at a time, on a machine with as many processors.
const THREADS: &str = "4";

/// The compiler's binary and the limits that it is run under.
#[derive(Debug)]
pub struct Compiler {
    program: PathBuf,
    wall: Duration,
    /// Whether what it compiles counts its instructions.
    metered: bool,
    /// Compilers at a time: each may take 2 GiB.
    places: Semaphore,
}

// === impl Compiler ===

impl Compiler {
    pub fn new(program: PathBuf, wall: Duration, metered: bool) -> Self {
        Self {
            program,
            wall,
            metered,
            places: Semaphore::new(1),
        }
    }

    /// Compiles a component in a child with nothing of the host's environment. Gives the artefact and what was found.
    pub async fn compile(&self, component: &Bytes) -> Result<(Vec<u8>, Inspection), EngineError> {
        if component.len() as u64 > MAX_COMPONENT {
            return Err(EngineError::Refused(format!(
                "it has {} bytes; {MAX_COMPONENT} are allowed",
                component.len()
            )));
        }
        let _place = self
            .places
            .acquire()
            .await
            .map_err(|error| EngineError::Compiler(error.to_string()))?;
        let scratch =
            tempfile::tempdir().map_err(EngineError::io("making a directory for the compiler"))?;
        let artefact = scratch.path().join("artefact");
        let inspection = scratch.path().join("inspection.json");
        let mut child = Command::new(&self.program)
            .arg("--artefact")
            .arg(&artefact)
            .arg("--inspection")
            .arg(&inspection)
            .args(self.metered.then_some("--meter"))
            .env_clear()
            .env("RAYON_NUM_THREADS", THREADS)
            .current_dir(scratch.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .map_err(|error| {
                EngineError::Compiler(format!("{}: {error}", self.program.display()))
            })?;
        let mut stdin = child.stdin.take();
        let mut stderr = child.stderr.take();
        let work = async {
            let feed = async {
                if let Some(mut stdin) = stdin.take() {
                    // A compiler that refuses early closes its input; its exit tells why.
                    let _ = stdin.write_all(component).await;
                }
            };
            let listen = async {
                let mut words = Vec::new();
                if let Some(stderr) = stderr.take() {
                    let mut bounded = stderr.take(MAX_WORDS);
                    let _ = bounded.read_to_end(&mut words).await;
                    // Whatever follows is read and dropped, so that the child never waits for us.
                    let _ =
                        tokio::io::copy(&mut bounded.into_inner(), &mut tokio::io::sink()).await;
                }
                words
            };
            let ((), words) = tokio::join!(feed, listen);
            (child.wait().await, words)
        };
        let (status, words) = tokio::time::timeout(self.wall, work).await.map_err(|_| {
            EngineError::Refused(format!(
                "compiling it took longer than {} s",
                self.wall.as_secs()
            ))
        })?;
        let status = status.map_err(EngineError::io("waiting for the compiler"))?;
        let words = String::from_utf8_lossy(&words).trim().to_owned();
        if !status.success() {
            return Err(match status.code() {
                Some(exit::REFUSED) => EngineError::Refused(words),
                // Killed by a limit, or an abort inside the compiler: the upload is what did it.
                None => EngineError::Refused(
                    format!("the compiler was stopped by a limit ({status}) {words}")
                        .trim()
                        .to_owned(),
                ),
                Some(_) => EngineError::Compiler(format!("{status}: {words}")),
            });
        }
        let found = tokio::fs::read(&inspection)
            .await
            .map_err(EngineError::io("reading what the compiler found"))?;
        let found: Inspection = serde_json::from_slice(&found).map_err(|error| {
            EngineError::Compiler(format!("its answer is not readable: {error}"))
        })?;
        let bytes = tokio::fs::read(&artefact)
            .await
            .map_err(EngineError::io("reading the compiled form"))?;
        let ours = fingerprint(self.metered);
        if found.fingerprint != ours {
            return Err(EngineError::Compiler(format!(
                "{} belongs to another release: its settings are {}, ours are {ours}",
                self.program.display(),
                found.fingerprint
            )));
        }
        if found.digest != Digest::of(component).to_string()
            || found.artefact != Digest::of(&bytes).to_string()
        {
            return Err(EngineError::Compiler(
                "its answer belongs to other bytes".into(),
            ));
        }
        Ok((bytes, found))
    }
}
