//! Runs programs for a step: bounded in time, never waiting for input, the end of their output kept.

use std::ffi::OsString;
use std::io::Read;
use std::os::unix::process::CommandExt as _;
use std::process::{Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal};

/// Bytes of output that a report keeps.
const TAIL: usize = 4096;
/// How often a running program is looked at.
const LOOK: Duration = Duration::from_millis(20);

/// A program to run.
#[derive(Debug)]
pub struct Program {
    pub words: Vec<OsString>,
    pub environment: Vec<(String, String)>,
    pub directory: Option<std::path::PathBuf>,
    pub timeout: Duration,
    /// Values that must not stand in what is kept of the output.
    pub secrets: Vec<String>,
}

// === impl Program ===

impl Program {
    pub fn new<S: Into<OsString>>(words: impl IntoIterator<Item = S>, timeout: Duration) -> Self {
        Self {
            words: words.into_iter().map(Into::into).collect(),
            environment: Vec::new(),
            directory: None,
            timeout,
            secrets: Vec::new(),
        }
    }

    /// Runs it to its end. The error says what happened, with the end of the output.
    pub fn run(&self) -> Result<(), String> {
        self.output().map(drop)
    }

    /// Runs it to its end, for the end of its output.
    pub fn output(&self) -> Result<String, String> {
        let (program, arguments) = self.words.split_first().ok_or("no program to run")?;
        let name = program.to_string_lossy();
        let (reader, writer) = std::io::pipe().map_err(|error| error.to_string())?;
        let errors = writer.try_clone().map_err(|error| error.to_string())?;
        let mut command = Command::new(program);
        command
            .args(arguments)
            .env_clear()
            .env(
                "PATH",
                "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
            )
            .env("LANG", "C.UTF-8")
            .env("HOME", "/root")
            .envs(self.environment.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null())
            .stdout(writer)
            .stderr(errors)
            .process_group(0);
        if let Some(directory) = &self.directory {
            command.current_dir(directory);
        }
        let mut child = command
            .spawn()
            .map_err(|error| format!("cannot run {name}: {error}"))?;
        // The parent's ends of the pipe go with the command, so that the reader sees the end.
        drop(command);
        let tail = Arc::new(Mutex::new(Vec::new()));
        let (ended, end) = mpsc::channel::<()>();
        let reading = Arc::clone(&tail);
        std::thread::spawn(move || {
            read_tail(reader, &reading);
            drop(ended);
        });
        let status = self.wait(&mut child);
        // Whatever it left behind may hold the pipe open: what was said until now counts.
        let _ = end.recv_timeout(Duration::from_secs(1));
        let output = {
            let tail = tail.lock().unwrap_or_else(PoisonError::into_inner);
            self.redact(&String::from_utf8_lossy(&tail))
        };
        let outcome = match status {
            Ok(status) if status.success() => return Ok(output),
            Ok(status) => format!("ended with {status}"),
            Err(reason) => reason,
        };
        Err(match output.trim() {
            "" => format!("{name} {outcome}"),
            said => format!("{name} {outcome}; its output ends: {said}"),
        })
    }

    fn wait(&self, child: &mut std::process::Child) -> Result<ExitStatus, String> {
        let start = Instant::now();
        loop {
            match child.try_wait() {
                Ok(Some(status)) => return Ok(status),
                Ok(None) if start.elapsed() < self.timeout => std::thread::sleep(LOOK),
                Ok(None) => break,
                Err(error) => return Err(format!("cannot be waited for: {error}")),
            }
        }
        let group = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
        if let Some(group) = group {
            // The group is gone when everything in it ended just now.
            let _ = rustix::process::kill_process_group(group, Signal::KILL);
        }
        child
            .wait()
            .map_err(|error| format!("cannot be waited for: {error}"))?;
        Err(format!(
            "ran longer than {} s and was ended",
            self.timeout.as_secs()
        ))
    }

    fn redact(&self, text: &str) -> String {
        let mut secrets: Vec<&String> = self
            .secrets
            .iter()
            .filter(|secret| !secret.is_empty())
            .collect();
        secrets.sort_by_key(|secret| std::cmp::Reverse(secret.len()));
        secrets.iter().fold(text.to_owned(), |text, secret| {
            text.replace(secret.as_str(), "[redacted]")
        })
    }
}

fn read_tail(mut reader: impl Read, tail: &Mutex<Vec<u8>>) {
    let mut buffer = [0; 4096];
    while let Ok(count @ 1..) = reader.read(&mut buffer) {
        let mut tail = tail.lock().unwrap_or_else(PoisonError::into_inner);
        tail.extend_from_slice(&buffer[..count]);
        if tail.len() > 16 * TAIL {
            let old = tail.len() - 8 * TAIL;
            tail.drain(..old);
        }
    }
}

/// The last bytes of a text that a report has room for.
pub fn shorten(text: &str) -> String {
    let start = text.len().saturating_sub(TAIL);
    let start = (start..text.len())
        .find(|at| text.is_char_boundary(*at))
        .unwrap_or(text.len());
    text[start..].to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(text: &str) -> Program {
        Program::new(["/bin/sh", "-c", text], Duration::from_secs(30))
    }

    #[test]
    fn a_failing_program_is_reported_with_its_output_and_without_secrets() {
        let mut program = shell("echo the key is $KEY; exit 3");
        program.environment = vec![("KEY".into(), "canary".into())];
        program.secrets = vec!["canary".into()];
        let error = program.run().unwrap_err();
        assert!(
            error.contains("exit status: 3") && error.contains("[redacted]"),
            "{error}"
        );
        assert!(!error.contains("canary"), "{error}");
    }

    #[test]
    fn what_a_program_said_is_kept_though_a_daemon_of_its_holds_its_output_open() {
        let start = Instant::now();
        let error = shell("echo no room; sleep 60 & exit 4").run().unwrap_err();
        assert!(error.ends_with("its output ends: no room"), "{error}");
        assert!(start.elapsed() < Duration::from_secs(20));
    }

    #[test]
    fn a_program_that_runs_too_long_is_ended_with_its_children() {
        let mut program = shell("sleep 600 & sleep 600");
        program.timeout = Duration::from_millis(200);
        let start = Instant::now();
        assert!(program.run().unwrap_err().contains("was ended"));
        assert!(start.elapsed() < Duration::from_secs(20));
    }
}
