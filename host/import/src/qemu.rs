//! `qemu-img` in a child with limits and, where the kernel grants one, an empty network namespace.
//!
//! The limits are set by `prlimit` and the namespace by `unshare` (util-linux) before `qemu-img` starts, so no instruction of it runs without them.

use std::ffi::OsStr;
use std::process::{Command, Output, Stdio};

use crate::{ImportError, Result};

/// Bytes of heap: qemu-img needs some dozens of MiB.
const DATA: u64 = 1 << 30;
/// Seconds of CPU time: hours of conversion, but not for ever.
const CPU: u64 = 4 * 3600;

/// Runs `qemu-img`, letting it write files of at most `file_size` bytes.
pub(crate) fn run(arguments: &[&OsStr], file_size: u64) -> Result<Output> {
    let mut command = Command::new("prlimit");
    command
        .arg(format!("--data={DATA}"))
        .arg(format!("--cpu={CPU}"))
        .arg(format!("--fsize={file_size}"))
        .arg("--core=0")
        .arg("--")
        .args(isolation())
        .arg("qemu-img")
        .args(arguments)
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap_or_default())
        .env("LC_ALL", "C")
        .stdin(Stdio::null());
    let output = command.output().map_err(|source| ImportError::Tool {
        tool: "prlimit",
        source,
    })?;
    // What env, prlimit and unshare answer when there is no such program.
    if output.status.code() == Some(127) {
        return Err(ImportError::Tool {
            tool: "qemu-img",
            source: std::io::ErrorKind::NotFound.into(),
        });
    }
    Ok(output)
}

/// The words that put a command into an empty network namespace: as root, else in a user namespace; none where the kernel grants neither.
pub(crate) fn isolation() -> &'static [&'static str] {
    const AS_ROOT: &[&str] = &["unshare", "--net"];
    const AS_USER: &[&str] = &["unshare", "--map-root-user", "--net"];
    let works = |words: &[&str]| {
        let mut probe = Command::new(words[0]);
        probe.args(&words[1..]).arg("true");
        let probe = probe.stdin(Stdio::null()).stdout(Stdio::null());
        probe
            .stderr(Stdio::null())
            .status()
            .is_ok_and(|status| status.success())
    };
    [AS_ROOT, AS_USER]
        .into_iter()
        .find(|words| works(words))
        .unwrap_or(&[])
}
