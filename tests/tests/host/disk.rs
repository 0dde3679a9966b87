//! Disks as stock programs see them.

use std::fs::File;
use std::io::{Seek, SeekFrom, Write};
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};
use bootsplice_tests::base::quiet;

use crate::place::MIB;

/// Byte ranges of the partitions with their names, by `sgdisk`.
pub fn partitions(disk: &Path) -> Result<Vec<(String, Range<u64>)>> {
    let output = Command::new("sgdisk").arg("--print").arg(disk).output()?;
    let text = String::from_utf8(output.stdout)?;
    let rows = text
        .lines()
        .skip_while(|line| !line.starts_with("Number"))
        .skip(1);
    let mut found = Vec::new();
    for row in rows.filter(|row| !row.trim().is_empty()) {
        let words: Vec<_> = row.split_whitespace().collect();
        let number = words[0];
        let first: u64 = words.get(1).context("a first sector")?.parse()?;
        let last: u64 = words.get(2).context("a last sector")?.parse()?;
        let info = Command::new("sgdisk")
            .arg(format!("--info={number}"))
            .arg(disk)
            .output()?;
        let info = String::from_utf8(info.stdout)?;
        let name = info
            .split("Partition name: '")
            .nth(1)
            .and_then(|rest| rest.split('\'').next())
            .unwrap_or_default();
        found.push((name.to_owned(), first * 512..(last + 1) * 512));
    }
    Ok(found)
}

/// The partitions that are insertion points.
pub fn points(disk: &Path) -> Result<Vec<(String, Range<u64>)>> {
    let mut found = partitions(disk)?;
    found.retain(|(name, _)| name.contains("base") || name.contains("users"));
    if found.len() != 2 {
        bail!(
            "{} has the partitions {:?}",
            disk.display(),
            partitions(disk)?
        );
    }
    Ok(found)
}

/// The first byte in `range` in which two files differ.
pub fn first_difference(one: &Path, other: &Path, range: Range<u64>) -> Result<Option<u64>> {
    let (a, b) = (File::open(one)?, File::open(other)?);
    let mut at = range.start;
    let (mut left, mut right) = (vec![0; MIB as usize], vec![0; MIB as usize]);
    while at < range.end {
        let length = (range.end - at).min(MIB) as usize;
        a.read_exact_at(&mut left[..length], at)?;
        b.read_exact_at(&mut right[..length], at)?;
        if left[..length] != right[..length] {
            let index = (0..length)
                .find(|&index| left[index] != right[index])
                .unwrap_or(0);
            return Ok(Some(at + index as u64));
        }
        at += length as u64;
    }
    Ok(None)
}

/// What is outside these ranges, up to `size`.
pub fn outside(ranges: &[(String, Range<u64>)], size: u64) -> Vec<Range<u64>> {
    let mut sorted: Vec<_> = ranges.iter().map(|(_, range)| range.clone()).collect();
    sorted.sort_by_key(|range| range.start);
    let mut at = 0;
    let mut found = Vec::new();
    for range in sorted {
        found.push(at..range.start);
        at = range.end;
    }
    found.push(at..size);
    found
}

pub fn check_gpt(disk: &Path) -> Result<()> {
    let output = Command::new("sgdisk").arg("--verify").arg(disk).output()?;
    let said = String::from_utf8_lossy(&output.stdout);
    if !output.status.success() || !said.contains("No problems found") {
        bail!("sgdisk --verify {}: {said}", disk.display());
    }
    Ok(())
}

pub fn check_ext4(disk: &Path, offset: u64) -> Result<()> {
    quiet(
        Command::new("e2fsck")
            .arg("-fn")
            .arg(format!("{}?offset={offset}", disk.display())),
    )
}

/// What `zstd -dc` makes of a partition: the tars of all layers. The zeros after the archive end it.
pub fn unpacked(disk: &Path, range: Range<u64>) -> Result<Vec<u8>> {
    let mut dd = Command::new("dd")
        .arg(format!("if={}", disk.display()))
        .args(["bs=512K", "status=none"])
        .arg(format!("skip={}", range.start / (512 << 10)))
        .arg(format!("count={}", (range.end - range.start) / (512 << 10)))
        .stdout(Stdio::piped())
        .spawn()?;
    let zstd = Command::new("zstd")
        .args(["-dcq"])
        .stdin(dd.stdout.take().context("dd's output")?)
        .output()?;
    dd.wait()?;
    Ok(zstd.stdout)
}

/// The names that `zstd -dc | tar -t` finds in a partition.
pub fn tar_names(disk: &Path, range: Range<u64>) -> Result<Vec<String>> {
    let mut tars = tempfile::tempfile()?;
    tars.write_all(&unpacked(disk, range)?)?;
    tars.seek(SeekFrom::Start(0))?;
    let tar = Command::new("tar").arg("-t").stdin(tars).output()?;
    if !tar.status.success() {
        bail!("tar: {}", String::from_utf8_lossy(&tar.stderr));
    }
    Ok(String::from_utf8(tar.stdout)?
        .lines()
        .map(str::to_owned)
        .collect())
}
