//! `qemu-img` in a child with limits and an empty network namespace.
//!
//! The limits are set by `prlimit` and the namespace by `unshare` (util-linux) before `qemu-img` starts, so no instruction of it runs without them. Where the kernel grants no
//! namespace nothing is run, unless the caller accepts that: then a warning says so.

use std::ffi::OsStr;
use std::process::{Command, Output, Stdio};

use crate::{ImportError, Isolation, Result};

/// Bytes of heap: qemu-img needs some dozens of MiB.
const DATA: u64 = 1 << 30;
/// Seconds of CPU time: hours of conversion, but not for ever.
const CPU: u64 = 4 * 3600;

/// The words that put a command into an empty network namespace: as root, else in a user namespace.
const NAMESPACES: &[&[&str]] = &[
    &["unshare", "--net"],
    &["unshare", "--map-root-user", "--net"],
];

/// What a child is put into.
#[derive(Debug)]
pub(crate) struct Sandbox {
    /// Empty: the network is in reach.
    namespace: &'static [&'static str],
}

// === impl Sandbox ===

impl Sandbox {
    /// Finds out what the kernel grants.
    pub(crate) fn new(isolation: Isolation) -> Result<Self> {
        Self::of(NAMESPACES, isolation)
    }

    fn of(candidates: &'static [&'static [&'static str]], isolation: Isolation) -> Result<Self> {
        let mut reason = String::new();
        for words in candidates {
            match probe(words) {
                Ok(()) => return Ok(Self { namespace: words }),
                Err(refusal) => reason = refusal,
            }
        }
        if isolation == Isolation::Required {
            return Err(ImportError::Isolation(reason));
        }
        tracing::warn!(
            reason,
            "qemu-img runs without a network namespace of its own"
        );
        Ok(Self { namespace: &[] })
    }

    /// What the operator should know about this child.
    pub(crate) fn warning(&self) -> Option<String> {
        self.namespace.is_empty().then(|| {
            "qemu-img ran without a network namespace of its own: a hostile image could have reached the network".to_owned()
        })
    }

    /// Runs `qemu-img`, letting it write files of at most `file_size` bytes.
    pub(crate) fn qemu_img(&self, arguments: &[&OsStr], file_size: u64) -> Result<Output> {
        let output = self.run("qemu-img", arguments, file_size)?;
        // What prlimit and unshare answer when there is no such program.
        if output.status.code() == Some(127) {
            return Err(ImportError::Tool {
                tool: "qemu-img",
                source: std::io::ErrorKind::NotFound.into(),
            });
        }
        Ok(output)
    }

    fn run(&self, program: &str, arguments: &[&OsStr], file_size: u64) -> Result<Output> {
        let mut command = Command::new("prlimit");
        command
            .arg(format!("--data={DATA}"))
            .arg(format!("--cpu={CPU}"))
            .arg(format!("--fsize={file_size}"))
            .arg("--core=0")
            .arg("--")
            .args(self.namespace)
            .arg(program)
            .args(arguments)
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("LC_ALL", "C")
            .stdin(Stdio::null());
        command.output().map_err(|source| ImportError::Tool {
            tool: "prlimit",
            source,
        })
    }
}

/// Whether a command can be put there, or why not.
fn probe(words: &[&str]) -> std::result::Result<(), String> {
    let mut probe = Command::new(words[0]);
    probe.args(&words[1..]).arg("true").stdin(Stdio::null());
    match probe.output() {
        Ok(output) if output.status.success() => Ok(()),
        Ok(output) => {
            let text = String::from_utf8_lossy(&output.stderr);
            Err(text.trim().chars().take(200).collect())
        }
        Err(error) => Err(format!("{}: {error}", words[0])),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    /// What a shell in the sandbox answers.
    fn shell(script: &str, file_size: u64) -> Output {
        let sandbox = Sandbox::new(Isolation::WherePossible).unwrap();
        sandbox
            .run("sh", &["-c".as_ref(), script.as_ref()], file_size)
            .unwrap()
    }

    #[test]
    fn the_child_has_limits_of_memory_time_and_file_size() {
        let output = shell("cat /proc/self/limits", 12_345_678);
        let limits = String::from_utf8(output.stdout).unwrap();
        let of = |name: &str| {
            let line = limits.lines().find(|line| line.starts_with(name)).unwrap();
            let both: Vec<&str> = line[name.len()..].split_whitespace().take(2).collect();
            both.join(" ")
        };
        assert_eq!(of("Max data size"), format!("{DATA} {DATA}"));
        assert_eq!(of("Max cpu time"), format!("{CPU} {CPU}"));
        assert_eq!(of("Max file size"), "12345678 12345678");
        assert_eq!(of("Max core file size"), "0 0");
    }

    #[test]
    fn the_child_cannot_write_more_than_the_image_has() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("out");
        let script = format!("head -c 100000 /dev/zero > {}", file.display());
        assert!(!shell(&script, 5000).status.success());
        assert_eq!(file.metadata().unwrap().len(), 5000);
    }

    #[test]
    fn the_child_sees_no_network_but_a_loopback_that_is_down() {
        let sandbox = Sandbox::new(Isolation::Required);
        // A kernel that grants no namespace must be named; there is then nothing to look at.
        let sandbox = match sandbox {
            Err(ImportError::Isolation(reason)) => {
                assert!(!reason.is_empty());
                return;
            }
            other => other.unwrap(),
        };
        let output = sandbox.run("cat", &["/proc/net/dev".as_ref()], 0).unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        let devices: Vec<&str> = text
            .lines()
            .filter_map(|line| Some(line.split_once(':')?.0.trim()))
            .collect();
        assert_eq!(devices, ["lo"]);
        assert_eq!(sandbox.warning(), None);
    }

    #[test]
    fn without_a_namespace_nothing_runs_unless_that_is_accepted() {
        const NONE: &[&[&str]] = &[&["bootsplice-no-such-program"], &["unshare", "--no-such"]];
        let error = Sandbox::of(NONE, Isolation::Required).unwrap_err();
        let text = error.to_string();
        assert!(matches!(error, ImportError::Isolation(_)));
        assert!(
            text.contains("--allow-network") && text.contains("no-such"),
            "{text}"
        );
        let open = Sandbox::of(NONE, Isolation::WherePossible).unwrap();
        assert!(open.warning().unwrap().contains("network"));
        let output = open.run("true", &[], 0).unwrap();
        assert!(output.status.success());
    }
}
