//! The disk: a GPT with a BIOS boot partition and an ext4 root, and GRUB in its places.
//!
//! No loop device, no mount: mke2fs fills the filesystem from a directory (`-d`), and GRUB's two images are written by
//! their documented layout (grub-core/boot/i386/pc/boot.S and diskboot.S) as grub-bios-setup would write them. GUIDs
//! are constants, so the same tree gives the same disk.

use std::fs::{self, File, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::Path;

use anyhow::{Context, Result, bail};

use crate::{deb, run};

const SECTOR: u64 = 512;
/// The BIOS boot partition: 1 MiB for GRUB's core image.
const BOOT: std::ops::Range<u64> = 2048..4096;
const DISK_GUID: &str = "6f0c1d3a-7f52-4c0e-9f11-5b1d2e3f4a50";
const BOOT_GUID: &str = "6f0c1d3a-7f52-4c0e-9f11-5b1d2e3f4a51";
const ROOT_GUID: &str = "6f0c1d3a-7f52-4c0e-9f11-5b1d2e3f4a52";
const ROOT_UUID: &str = "6f0c1d3a-7f52-4c0e-9f11-5b1d2e3f4a53";

/// Offsets in boot.img: where the core begins, and the jump over the check of the drive that the firmware names.
const BOOT_CORE_SECTOR: usize = 0x5c;
const BOOT_DRIVE_CHECK: usize = 0x66;
/// The code part of the first sector; the protective partition table follows it.
const BOOT_CODE: usize = 440;
/// Offset in the core's first sector: where the rest of the core begins.
const CORE_NEXT_SECTOR: usize = 0x1f4;

/// Writes `tree` as a bootable disk of `size` bytes to `image`.
pub fn write(image: &Path, tree: &Path, size: u64) -> Result<()> {
    let _ = fs::remove_file(image);
    File::create(image)?.set_len(size)?;
    let from = BOOT.end * SECTOR;
    // Whole MiB, and the last one left for the backup GPT.
    let root = (size - from) / (1 << 20) - 1;
    partition(image, BOOT.end + root * (1 << 20) / SECTOR)?;
    filesystem(image, tree, from, root)?;
    boot_loader(image, tree)?;
    Ok(())
}

/// `end` is the sector after the root partition.
fn partition(image: &Path, end: u64) -> Result<()> {
    let mut sgdisk = run::command("sgdisk", &["--clear", "--set-alignment=2048"]);
    sgdisk.arg(format!("--disk-guid={DISK_GUID}"));
    sgdisk
        .arg(format!("--new=1:{}:{}", BOOT.start, BOOT.end - 1))
        .arg("--typecode=1:ef02");
    sgdisk
        .arg(format!("--partition-guid=1:{BOOT_GUID}"))
        .arg("--change-name=1:bios");
    sgdisk
        .arg(format!("--new=2:{}:{}", BOOT.end, end - 1))
        .arg("--typecode=2:8304");
    sgdisk
        .arg(format!("--partition-guid=2:{ROOT_GUID}"))
        .arg("--change-name=2:root");
    sgdisk.arg(image);
    run::quiet(sgdisk).map(|_| ())
}

fn filesystem(image: &Path, tree: &Path, offset: u64, mebibytes: u64) -> Result<()> {
    // Features that GRUB 2.06 cannot read are off, whatever the building machine's defaults.
    let extended = format!(
        "offset={offset},lazy_itable_init=0,lazy_journal_init=0,nodiscard,root_owner=0:0,hash_seed={ROOT_UUID}"
    );
    let mut words = vec![
        format!("SOURCE_DATE_EPOCH={}", deb::EPOCH),
        format!("E2FSPROGS_FAKE_TIME={}", deb::EPOCH),
    ];
    words.extend(
        [
            "mkfs.ext4",
            "-q",
            "-F",
            "-L",
            "root",
            "-U",
            ROOT_UUID,
            "-m",
            "1",
        ]
        .map(str::to_owned),
    );
    words.extend(["-O", "^metadata_csum_seed,^orphan_file", "-E"].map(str::to_owned));
    words.push(extended);
    words.extend([
        "-d".to_owned(),
        tree.display().to_string(),
        image.display().to_string(),
        format!("{mebibytes}M"),
    ]);
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    run::quiet(run::as_root("env", &words)).map(|_| ())
}

fn boot_loader(image: &Path, tree: &Path) -> Result<()> {
    let modules = tree.join("boot/grub/i386-pc");
    let mut boot = fs::read(modules.join("boot.img")).context("GRUB's boot.img")?;
    let mut core = fs::read(modules.join("core.img")).context("GRUB's core.img")?;
    let room = (BOOT.end - BOOT.start) * SECTOR;
    if boot.len() != 512 || core.len() < 1024 || core.len() as u64 > room {
        bail!(
            "GRUB's images have sizes {} and {}; expected 512 and 1024 to {room}",
            boot.len(),
            core.len()
        );
    }
    boot[BOOT_CORE_SECTOR..BOOT_CORE_SECTOR + 8].copy_from_slice(&BOOT.start.to_le_bytes());
    // Two no-operations: the drive that the firmware names is checked, for firmware that names a wrong one.
    boot[BOOT_DRIVE_CHECK..BOOT_DRIVE_CHECK + 2].copy_from_slice(&[0x90, 0x90]);
    core[CORE_NEXT_SECTOR..CORE_NEXT_SECTOR + 8].copy_from_slice(&(BOOT.start + 1).to_le_bytes());
    let disk = OpenOptions::new().write(true).open(image)?;
    disk.write_all_at(&boot[..BOOT_CODE], 0)?;
    disk.write_all_at(&core, BOOT.start * SECTOR)?;
    Ok(())
}
