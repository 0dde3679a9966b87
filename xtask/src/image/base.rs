//! Debian itself: a tar of a root filesystem, made once per recipe.
//!
//! The recipe is `xtask/image/packages`, the files under `xtask/image/tree` (put in place before any package is
//! configured, so that the initial RAM disk is built by them) and this file. The mirror is not part of it: packages
//! come from the apt sources of the machine that builds.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use bootsplice_tests::mirror::{self, RELEASE};
use bootsplice_tests::places;
use sha2::{Digest, Sha256};

use crate::phase::Phases;
use crate::{deb, run};

/// Drivers of the disks that virtual machines have.
const DISK_DRIVERS: &str =
    "virtio_pci virtio_blk virtio_scsi nvme xen_blkfront sd_mod ahci ata_piix ext4";

pub struct Recipe {
    packages: Vec<String>,
    tree: PathBuf,
    boot_menu: PathBuf,
    /// Names the result.
    pub digest: Vec<u8>,
}

pub fn recipe() -> Result<Recipe> {
    let folder = places::root().join("xtask/image");
    let list = fs::read_to_string(folder.join("packages")).context("xtask/image/packages")?;
    let packages = list
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty() && !line.starts_with('#'));
    let packages: Vec<String> = packages.map(str::to_owned).collect();
    let tree = folder.join("tree");
    let mut files = Vec::new();
    walk(&tree, &mut files)?;
    files.sort();
    let boot_menu = folder.join("grub.cfg");
    let mut hash = Sha256::new();
    hash.update(fs::read(&boot_menu).context("xtask/image/grub.cfg")?);
    hash.update(include_str!("base.rs"));
    hash.update(packages.join(" "));
    for file in files {
        hash.update(file.strip_prefix(&tree)?.as_os_str().as_encoded_bytes());
        hash.update(Sha256::digest(fs::read(&file)?));
    }
    Ok(Recipe {
        packages,
        tree,
        boot_menu,
        digest: hash.finalize().to_vec(),
    })
}

/// The tar of this recipe, made now if the cache has none.
pub fn cached(phases: &mut Phases, recipe: &Recipe) -> Result<PathBuf> {
    let cache = cache_folder();
    fs::create_dir_all(&cache).with_context(|| format!("cache directory {}", cache.display()))?;
    let tar = cache.join(format!(
        "{RELEASE}-{}.tar",
        &hex::encode(&recipe.digest)[..16]
    ));
    if tar.is_file() {
        return Ok(tar);
    }
    phases.run("make Debian 12 by mmdebstrap", || {
        let fresh = tempfile::Builder::new()
            .prefix("base")
            .suffix(".tar")
            .tempfile_in(&cache)?;
        mmdebstrap(recipe, fresh.path())?;
        fresh
            .persist(&tar)
            .map(|_| ())
            .context("keeping the base in the cache")
    })?;
    Ok(tar)
}

fn mmdebstrap(recipe: &Recipe, tar: &Path) -> Result<()> {
    let tree = recipe.tree.display();
    let include = format!("--include={}", recipe.packages.join(","));
    let early = format!(
        "--essential-hook=tar --owner=0 --group=0 --numeric-owner --mode=u=rwX,go=rX -C '{tree}' -c . | tar -C \"$1\" -x --no-same-permissions --keep-directory-symlink"
    );
    let drivers = format!(
        "--essential-hook=printf '%s\\n' {DISK_DRIVERS} > \"$1/etc/initramfs-tools/modules\""
    );
    let epoch = format!("SOURCE_DATE_EPOCH={}", deb::EPOCH);
    let mut words = vec![
        epoch.as_str(),
        "mmdebstrap",
        "--mode=root",
        "--variant=minbase",
        "--format=tar",
    ];
    words.extend([
        "--aptopt=APT::Install-Recommends \"false\"",
        "--dpkgopt=force-confold",
    ]);
    for path in ["man", "locale", "doc", "info"] {
        words.push(match path {
            "man" => "--dpkgopt=path-exclude=/usr/share/man/*",
            "locale" => "--dpkgopt=path-exclude=/usr/share/locale/*",
            "doc" => "--dpkgopt=path-exclude=/usr/share/doc/*",
            _ => "--dpkgopt=path-exclude=/usr/share/info/*",
        });
    }
    words.extend([
        "--dpkgopt=path-include=/usr/share/doc/*/copyright",
        &include,
        &early,
        &drivers,
    ]);
    // The image boots by BIOS: GRUB's core finds its modules and configuration in /boot/grub of the root partition.
    words.extend([
        "--customize-hook=mkdir -p \"$1/boot/grub/i386-pc\" && cp \"$1\"/usr/lib/grub/i386-pc/*.mod \"$1\"/usr/lib/grub/i386-pc/*.lst \"$1\"/usr/lib/grub/i386-pc/boot.img \"$1/boot/grub/i386-pc/\"",
        "--customize-hook=chroot \"$1\" grub-mkimage -O i386-pc -p '(,gpt2)/boot/grub' -o /boot/grub/i386-pc/core.img biosdisk part_gpt ext2 normal configfile search search_label linux echo test",
        "--customize-hook=chroot \"$1\" systemctl enable systemd-networkd.service",
        "--customize-hook=chroot \"$1\" systemctl disable apt-daily.timer apt-daily-upgrade.timer dpkg-db-backup.timer e2scrub_all.timer e2scrub_reap.service fstrim.timer",
        "--customize-hook=: > \"$1/etc/machine-id\"; rm -f \"$1/var/lib/dbus/machine-id\" \"$1/etc/resolv.conf\"",
    ]);
    // Last: while there is one, each kernel's installation calls update-grub, which cannot look at a disk here.
    let boot_menu = format!(
        "--customize-hook=install -m 0644 '{}' \"$1/boot/grub/grub.cfg\"",
        recipe.boot_menu.display()
    );
    words.push(&boot_menu);
    let tar = tar.display().to_string();
    words.extend([RELEASE, &tar]);
    let sources = mirror::sources()?;
    let sources: Vec<String> = sources
        .iter()
        .map(|file| file.display().to_string())
        .collect();
    words.extend(sources.iter().map(String::as_str));
    run::quiet(run::as_root("env", &words))?;
    if !run::root_is_reachable() {
        bail!("root is needed to read the base");
    }
    let owner = format!(
        "{}:{}",
        rustix::process::geteuid().as_raw(),
        rustix::process::getegid().as_raw()
    );
    run::quiet(run::as_root("chown", &[&owner, &tar])).map(|_| ())
}

fn cache_folder() -> PathBuf {
    let home = || std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".cache"));
    match std::env::var_os("XDG_CACHE_HOME")
        .map(PathBuf::from)
        .or_else(home)
    {
        Some(cache) => cache.join("bootsplice"),
        None => places::target().join("cache"),
    }
}

fn walk(folder: &Path, files: &mut Vec<PathBuf>) -> Result<()> {
    for entry in fs::read_dir(folder).with_context(|| format!("folder {}", folder.display()))? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            walk(&entry.path(), files)?;
        } else {
            files.push(entry.path());
        }
    }
    Ok(())
}
