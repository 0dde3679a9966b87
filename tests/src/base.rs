//! A small disk image that is a base volume in all that a host looks at: GPT, an ext4 root with an inventory, and a
//! trusted key. It does not boot.

use std::fs::{self, File};
use std::io::Write;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, bail};

const MIB: u64 = 1 << 20;

/// What the image holds besides its files.
#[derive(Clone, Copy, Debug)]
pub struct Base<'a> {
    /// The whole disk.
    pub mebibytes: u64,
    /// Bytes that do not compress and do not repeat, so that streaming them is work.
    pub noise: usize,
    /// Whether dpkg's list has the agent.
    pub agent: bool,
    /// PEM of the key to trust.
    pub key: Option<&'a str>,
}

// === impl Base ===

impl Base<'_> {
    /// Fills `tree` with the guest's files and writes them as a disk to `image`. What the tree has already is in the
    /// image too; paragraphs of its dpkg list come before those of the base.
    pub fn write(&self, image: &Path, tree: &Path) -> Result<()> {
        self.fill(tree)?;
        File::create(image)?.set_len(self.mebibytes * MIB)?;
        let root = self.mebibytes - 2;
        quiet(
            Command::new("sgdisk")
                .args(["--clear", "--set-alignment=2048"])
                .arg(format!("--new=1:2048:{}", (1 + root) * 2048 - 1))
                .args(["--typecode=1:8304", "--change-name=1:root"])
                .arg(image),
        )?;
        quiet(
            Command::new("mkfs.ext4")
                .args([
                    "-q",
                    "-F",
                    "-b",
                    "4096",
                    "-O",
                    "^metadata_csum_seed,^orphan_file",
                ])
                .args([
                    "-E",
                    &format!("offset={MIB},lazy_itable_init=0,lazy_journal_init=0,root_owner=0:0"),
                ])
                .arg("-d")
                .arg(tree)
                .arg(image)
                .arg(format!("{root}M")),
        )
    }

    fn fill(&self, tree: &Path) -> Result<()> {
        for folder in [
            "etc/bootsplice/keys.d",
            "etc/default",
            "var/lib/dpkg",
            "home/ada",
            "srv",
        ] {
            fs::create_dir_all(tree.join(folder))?;
        }
        let text = |path: &str, text: &str| fs::write(tree.join(path), text);
        text(
            "etc/os-release",
            "ID=debian\nVERSION_ID=\"12\"\nPRETTY_NAME=\"Debian 12\"\n",
        )?;
        text("etc/default/grub", "# kept\nGRUB_TIMEOUT=5\n")?;
        text(
            "etc/passwd",
            "root:x:0:0:root:/root:/bin/sh\nada:x:1000:1000::/home/ada:/bin/sh\n",
        )?;
        text("etc/group", "root:x:0:\nada:x:1000:\n")?;
        let list = tree.join("var/lib/dpkg/status");
        let mut status = match list.exists() {
            true => fs::read_to_string(&list)?,
            false => String::new(),
        };
        status.push_str(
            "Package: dpkg\nStatus: install ok installed\nArchitecture: amd64\nVersion: 1.21.22\n",
        );
        if self.agent {
            status.push_str(
                "\nPackage: bootsplice-agent\nStatus: install ok installed\nArchitecture: amd64\nVersion: 0.1.0\n",
            );
        }
        fs::write(&list, &status)?;
        if let Some(key) = self.key {
            text("etc/bootsplice/keys.d/host.pem", key)?;
        }
        let mut state = 0x9e37_79b9_7f4a_7c15_u64;
        let mut noise = File::create(tree.join("srv/noise"))?;
        let words: Vec<u8> = std::iter::repeat_with(|| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state.to_le_bytes()
        })
        .take(self.noise / 8)
        .flatten()
        .collect();
        noise.write_all(&words)?;
        Ok(())
    }
}

/// Runs a program to its end; what it printed is only told when it fails.
pub fn quiet(command: &mut Command) -> Result<()> {
    let output = command
        .output()
        .with_context(|| format!("{command:?} does not start"))?;
    if !output.status.success() {
        bail!(
            "{command:?} ended with {}\n{}{}",
            output.status,
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        );
    }
    Ok(())
}
