//! The Debian 12 image that the demo and the tests boot.
//!
//! Two steps. The *base* is Debian itself, by mmdebstrap from this machine's own apt sources: a tar in the cache
//! directory (`XDG_CACHE_HOME` or `~/.cache`, `/bootsplice`), named by the digest of its recipe. The second step
//! unpacks it, installs the agent's `.deb` and the demo's public key, and writes the disk. An edit of the agent repeats
//! only the second step; with nothing changed the image of the last run stays.

mod base;
mod disk;

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use bootsplice_tests::places;
use sha2::{Digest, Sha256};

use crate::phase::Phases;
use crate::{deb, run};

/// Size of the image. Debian takes 0.4 GB of it; free blocks are zeros and cost nothing.
const SIZE: u64 = 2 << 30;

/// Makes the image unless it is there and made of the same.
pub fn make(phases: &mut Phases) -> Result<()> {
    let image = places::image();
    let folder = image
        .parent()
        .context("the image has no folder")?
        .to_path_buf();
    fs::create_dir_all(&folder)?;
    let key = public_key(phases, &folder)?;
    let recipe = base::recipe()?;
    let agent = deb::package();
    let made_of = made_of(&recipe, &[&key, &agent])?;
    let label = image.with_extension("made-of");
    if image.is_file() && fs::read_to_string(&label).is_ok_and(|old| old == made_of) {
        eprintln!("    the image of the last run is kept: {}", image.display());
        return Ok(());
    }
    let _ = fs::remove_file(&label);
    let tar = base::cached(phases, &recipe)?;
    phases.run("write the image", || {
        let tree = Tree::unpack(&folder, &tar)?;
        tree.install(&agent, &key)?;
        let fresh = image.with_extension("raw.partial");
        disk::write(&fresh, &tree.0, SIZE)?;
        fs::rename(&fresh, &image)?;
        Ok(fs::write(&label, &made_of)?)
    })
}

/// The public half of the key that signs for this image. The state directory that holds the private half stays.
fn public_key(phases: &mut Phases, folder: &Path) -> Result<PathBuf> {
    let public = folder.join("demo-key.pem");
    if !public.is_file() {
        let bootsplice = places::binary("bootsplice");
        let state = places::image_keys();
        phases.run("make the demo's signing key", || {
            let key = |verb: &str| {
                let mut command = std::process::Command::new(&bootsplice);
                command.args(["key", verb, "--state"]).arg(&state);
                run::quiet(command)
            };
            key("new")?;
            Ok(fs::write(&public, key("export")?)?)
        })?;
    }
    Ok(public)
}

fn made_of(recipe: &base::Recipe, files: &[&Path]) -> Result<String> {
    let mut hash = Sha256::new();
    hash.update(&recipe.digest);
    hash.update(SIZE.to_le_bytes());
    hash.update(include_str!("disk.rs"));
    hash.update(include_str!("mod.rs"));
    hash.update(include_str!("../../image/users.cfg"));
    for file in files {
        hash.update(Sha256::digest(
            fs::read(file).with_context(|| format!("file {}", file.display()))?,
        ));
    }
    Ok(hex::encode(hash.finalize()))
}

/// The unpacked root filesystem; it belongs to root, so only root removes it.
struct Tree(PathBuf);

// === impl Tree ===

impl Tree {
    fn unpack(folder: &Path, tar: &Path) -> Result<Self> {
        let tree = Tree(folder.join("tree"));
        tree.remove()?;
        fs::create_dir_all(&tree.0)?;
        let mut unpack = run::as_root(
            "tar",
            &["--numeric-owner", "--xattrs", "--xattrs-include=*", "-xf"],
        );
        unpack.arg(tar).arg("-C").arg(&tree.0);
        run::quiet(unpack)?;
        Ok(tree)
    }

    fn install(&self, agent: &Path, key: &Path) -> Result<()> {
        let root = self.0.display().to_string();
        let agent = agent.display().to_string();
        let key = key.display().to_string();
        let inside = format!("{root}/tmp/agent.deb");
        run::quiet(run::as_root("cp", &["--", &agent, &inside]))?;
        run::quiet(run::as_root(
            "env",
            &[
                "DEBIAN_FRONTEND=noninteractive",
                "chroot",
                &root,
                "dpkg",
                "--install",
                "/tmp/agent.deb",
            ],
        ))
        .context("installing the agent's package in the image")?;
        run::quiet(run::as_root("rm", &["--", &inside]))?;
        let keys = format!("{root}/etc/bootsplice/keys.d/demo.pem");
        run::quiet(run::as_root(
            "install",
            &["-D", "-m", "0644", "--", &key, &keys],
        ))?;
        let users = places::root()
            .join("xtask/image/users.cfg")
            .display()
            .to_string();
        let there = format!("{root}/etc/cloud/cloud.cfg.d/91_users.cfg");
        run::quiet(run::as_root(
            "install",
            &["-D", "-m", "0644", "--", &users, &there],
        ))?;
        // dpkg's log and backups carry the time of the build.
        let leftovers = [
            "/var/log/dpkg.log",
            "/var/lib/dpkg/status-old",
            "/var/cache/ldconfig/aux-cache",
        ];
        let mut remove = run::as_root("rm", &["-f", "--"]);
        remove.args(leftovers.map(|path| format!("{root}{path}")));
        run::quiet(remove)?;
        let touch = format!(
            "find '{root}' -xdev -newermt @{epoch} -print0 | xargs -0 -r touch -h -d @{epoch} --",
            epoch = deb::EPOCH
        );
        run::quiet(run::as_root("sh", &["-c", &touch]))?;
        Ok(())
    }

    fn remove(&self) -> Result<()> {
        let path = self.0.display().to_string();
        run::quiet(run::as_root(
            "rm",
            &["-rf", "--one-file-system", "--", &path],
        ))
        .map(|_| ())
    }
}

impl Drop for Tree {
    fn drop(&mut self) {
        let _ = self.remove();
    }
}
