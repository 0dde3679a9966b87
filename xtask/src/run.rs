//! Programs that a chore calls.

use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

/// A command with its arguments.
pub fn command(program: &str, arguments: &[&str]) -> Command {
    let mut command = Command::new(program);
    command.args(arguments);
    command
}

/// Runs it, its output on this terminal.
pub fn loud(mut command: Command) -> Result<()> {
    let status = command
        .status()
        .with_context(|| format!("{:?} does not start", command.get_program()))?;
    if !status.success() {
        bail!("{} ended with {status}", shown(&command));
    }
    Ok(())
}

/// Runs it and gives its standard output; what it said is shown only when it fails.
pub fn quiet(mut command: Command) -> Result<String> {
    let output = command
        .stdin(Stdio::null())
        .output()
        .with_context(|| format!("{:?} does not start", command.get_program()))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        let lines: Vec<&str> = said.lines().collect();
        let tail = lines[lines.len().saturating_sub(40)..].join("\n");
        bail!("{} ended with {}\n{tail}", shown(&command), output.status);
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// The same command as root: directly, or by `sudo -n`, which never asks.
pub fn as_root(program: &str, arguments: &[&str]) -> Command {
    if rustix::process::geteuid().is_root() {
        return command(program, arguments);
    }
    let mut sudo = command("sudo", &["-n", program]);
    sudo.args(arguments);
    sudo
}

/// Whether [`as_root`] can work here.
pub fn root_is_reachable() -> bool {
    rustix::process::geteuid().is_root() || quiet(command("sudo", &["-n", "true"])).is_ok()
}

fn shown(command: &Command) -> String {
    let mut words = vec![command.get_program().to_string_lossy().into_owned()];
    words.extend(
        command
            .get_args()
            .map(|word| word.to_string_lossy().into_owned()),
    );
    let text = words.join(" ");
    if text.chars().count() > 200 {
        text.chars().take(200).chain("…".chars()).collect()
    } else {
        text
    }
}
