//! What a disk is asked by the tools of others.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};

pub fn sgdisk_finds_no_fault(disk: &Path) -> Result<()> {
    let output = Command::new("sgdisk")
        .arg("-v")
        .arg(disk)
        .output()
        .context("sgdisk")?;
    let said = String::from_utf8_lossy(&output.stdout);
    ensure!(said.contains("No problems found"), "{said}");
    Ok(())
}

/// The root as a person would check it after a switch-off.
pub fn e2fsck_finds_no_fault(disk: &Path) -> Result<()> {
    let sectors = shell(
        "sgdisk -i 2 \"$1\" | sed -n 's/^First sector: \\([0-9]*\\).*/\\1/p'",
        &[disk.as_os_str()],
    )?;
    let first: u64 = String::from_utf8_lossy(&sectors)
        .trim()
        .parse()
        .context("the first sector of the root")?;
    let root = format!("{}?offset={}", disk.display(), first * 512);
    let output = Command::new("e2fsck").args(["-fn", &root]).output()?;
    let said = String::from_utf8_lossy(&output.stdout);
    ensure!(output.status.success(), "{said}");
    Ok(())
}

/// Whether the text stands anywhere on a disk in the clear: in a file, a journal, what a file left behind.
pub fn holds(disk: &Path, text: &str) -> Result<bool> {
    // Without the zeros: to grep a hole of gigabytes is one line.
    let found = shell(
        "tr -d '\\0' < \"$1\" | grep -caF -- \"$2\" || true",
        &[disk.as_os_str(), text.as_ref()],
    )?;
    Ok(String::from_utf8_lossy(&found).trim() != "0")
}

/// Whether the text stands in the archive at a point, read as a rescuer would.
pub fn archive_holds(disk: &Path, point: &str, text: &str) -> Result<bool> {
    let table = Command::new("sgdisk")
        .arg("-p")
        .arg(disk)
        .output()
        .context("sgdisk")?;
    let table = String::from_utf8_lossy(&table.stdout).into_owned();
    let label = format!("bootsplice:{point}");
    let row = table
        .lines()
        .find(|line| line.ends_with(&label))
        .context(table.clone())?;
    let number = |index: usize| {
        let word = row.split_whitespace().nth(index);
        word.and_then(|word| word.parse::<u64>().ok())
            .with_context(|| row.to_owned())
    };
    let (first, last) = (number(1)?, number(2)?);
    let unpacked = shell(
        "set -o pipefail; dd if=\"$1\" bs=512 skip=$2 count=$3 status=none | zstd -dc",
        &[
            disk.as_os_str(),
            first.to_string().as_ref(),
            (last - first + 1).to_string().as_ref(),
        ],
    )?;
    Ok(unpacked
        .windows(text.len())
        .any(|part| part == text.as_bytes()))
}

fn shell(script: &str, arguments: &[&std::ffi::OsStr]) -> Result<Vec<u8>> {
    let output = Command::new("bash")
        .args(["-c", script, "bash"])
        .args(arguments)
        .output()
        .context("bash")?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{script}: {said}");
    Ok(output.stdout)
}
