//! One reader at a terminal: a bash session in a directory of its own, in which the commands of some pages are run in order.

use std::fs::{self, File};
use std::net::TcpListener;
use std::os::unix::fs::symlink;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use bootsplice_tests::places;
use serde_json::Value;
use tempfile::TempDir;

use crate::page::blocks;

/// How long all of a tutorial may take on a busy machine. It promises its reader ten minutes.
const PATIENCE: Duration = Duration::from_secs(600);

/// What is left of a session.
pub struct Session {
    dir: TempDir,
    /// From the first command to the last.
    pub took: Duration,
}

// === impl Session ===

impl Session {
    /// Runs the pages' commands as they stand there. The first that fails is the error, with all that was printed.
    pub fn follow(pages: &[&str]) -> Result<Self> {
        let dir = tempfile::tempdir()?;
        let work = dir.path().join("work");
        fs::create_dir(&work)?;
        let script = dir.path().join("session.sh");
        fs::write(&script, script_of(pages, dir.path())?)?;
        let printed = dir.path().join("printed");
        let output = File::create(&printed)?;
        let url = format!("http://127.0.0.1:{}", free_port()?);
        let mut session = Command::new("bash");
        session
            .arg(&script)
            .current_dir(&work)
            .env("PATH", path(dir.path())?)
            .env("BOOTSPLICE_URL", url)
            .env_remove("BOOTSPLICE_TOKEN")
            // A reader's shell knows nothing of the build that runs this test.
            .env_remove("CARGO_TARGET_DIR")
            .env_remove("CARGO_MANIFEST_DIR")
            .stdin(Stdio::null())
            .stdout(output.try_clone()?)
            .stderr(output)
            .process_group(0);
        let started = Instant::now();
        let mut child = session.spawn().context("bash does not start")?;
        let ended = wait(&mut child, started);
        let session = Self {
            took: started.elapsed(),
            dir,
        };
        match ended? {
            Some(status) if status.success() => Ok(session),
            Some(status) => bail!("{status}\n{}", session.told()),
            None => bail!("still busy after {PATIENCE:?}\n{}", session.told()),
        }
    }

    /// The launches that its host had in the end.
    pub fn launches(&self) -> Result<Vec<Value>> {
        let text = fs::read_to_string(self.dir.path().join("launches.json"))?;
        let list: Value = serde_json::from_str(&text).with_context(|| text.clone())?;
        list.as_array()
            .or_else(|| list["launches"].as_array())
            .cloned()
            .with_context(|| format!("no list of launches in {text}"))
    }

    /// A file of the archive that was spliced into a disk, read with stock tools.
    pub fn file(&self, disk: &str, path: &str) -> Result<String> {
        let disk = self.dir.path().join("work").join(disk);
        let pipe = r#"set -eu
            set -- "$1" "$2" $(partx --show --noheadings --output START,SECTORS,NAME "$1" | grep bootsplice:base)
            dd if="$1" bs=512 skip="$3" count="$4" status=none | zstd -dcq | tar -xO --wildcards "*/$2""#;
        let output = Command::new("sh")
            .args(["-c", pipe, "sh"])
            .args([&disk, Path::new(path)])
            .output()?;
        if !output.status.success() {
            let said = String::from_utf8_lossy(&output.stderr);
            bail!("{path} in {}: {said}", disk.display());
        }
        Ok(String::from_utf8(output.stdout)?)
    }

    /// What was printed, and the end of the host's log.
    fn told(&self) -> String {
        let read = |path: PathBuf| fs::read_to_string(path).unwrap_or_default();
        let log = read(self.dir.path().join("work/host.log"));
        let lines: Vec<_> = log
            .lines()
            .filter(|line| !line.contains("\"answered\""))
            .collect();
        let tail = lines[lines.len().saturating_sub(20)..].join("\n");
        format!(
            "{}\n--- host.log\n{tail}",
            read(self.dir.path().join("printed"))
        )
    }
}

/// The whole session: each block says where it stands before it runs, and the host is asked for its launches in the end.
fn script_of(pages: &[&str], dir: &Path) -> Result<String> {
    let mut script =
        "set -euo pipefail\ntrap 'kill $(jobs -p) 2>/dev/null || true' EXIT\n".to_owned();
    for page in pages {
        for block in blocks(&places::root().join("docs/plugins").join(page))? {
            script.push_str(&format!("echo '--- {}'\n{}", block.place, block.commands));
        }
    }
    script.push_str(&format!(
        "bootsplice launch list --output json > {:?}\n",
        dir.join("launches.json")
    ));
    Ok(script)
}

/// The built commands, then what the machine has.
fn path(dir: &Path) -> Result<std::ffi::OsString> {
    let bin = dir.join("bin");
    fs::create_dir(&bin)?;
    for name in ["bootsplice", "bootsplice-compile"] {
        let binary = places::binary(name);
        if !binary.is_file() {
            bail!(
                "{} is not there: `cargo xtask build` builds it",
                binary.display()
            );
        }
        symlink(binary, bin.join(name))?;
    }
    let own = std::env::var_os("PATH").unwrap_or_default();
    let parts = [bin].into_iter().chain(std::env::split_paths(&own));
    Ok(std::env::join_paths(parts)?)
}

/// A port that nobody has. Not one that the kernel would choose: a client that tries before the host listens could be given that very port, and would
/// then be connected with itself.
fn free_port() -> Result<u16> {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let first = 20_000 + u16::try_from(std::process::id() % 10_000)?;
    loop {
        let port = first + NEXT.fetch_add(1, Ordering::Relaxed);
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return Ok(port);
        }
    }
}

/// Its status, or none when it had to be ended with all that it started.
fn wait(child: &mut Child, started: Instant) -> Result<Option<std::process::ExitStatus>> {
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(Some(status));
        }
        if started.elapsed() > PATIENCE {
            let group = rustix::process::Pid::from_child(child);
            rustix::process::kill_process_group(group, rustix::process::Signal::KILL)?;
            child.wait()?;
            return Ok(None);
        }
        std::thread::sleep(Duration::from_millis(100));
    }
}
