//! The agent's `.deb`: what lies in `agent/deb/`, and the static binary.
//!
//! `agent/deb/` mirrors the package's tree, with `DEBIAN/` for the control files (Debian Policy section 5.3). `@VERSION@`
//! in the control file stands for the workspace's version. The same inputs give the same bytes: times are fixed,
//! owners are root, and modes are set here, not taken from the checkout.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use bootsplice_tests::places;

use crate::run;

/// The time of every file in what is built here: 2026-01-01T00:00:00Z.
pub const EPOCH: &str = "1767225600";

/// Where the package ends up.
pub fn package() -> PathBuf {
    places::target().join("image/bootsplice-agent.deb")
}

/// Packs it anew.
pub fn pack() -> Result<PathBuf> {
    let package = package();
    let folder = package.parent().context("the package has no folder")?;
    fs::create_dir_all(folder)?;
    let tree = tempfile::tempdir_in(folder)?;
    fs::set_permissions(tree.path(), fs::Permissions::from_mode(0o755))?;
    copy(&places::root().join("agent/deb"), tree.path())?;
    let control = tree.path().join("DEBIAN/control");
    let text = fs::read_to_string(&control).context("agent/deb/DEBIAN/control")?;
    fs::write(
        &control,
        text.replace("@VERSION@", env!("CARGO_PKG_VERSION")),
    )?;
    let binary = tree.path().join("usr/bin/bootsplice-agent");
    make_folder(binary.parent().context("the binary has no folder")?)?;
    fs::copy(places::agent(), &binary)
        .with_context(|| format!("agent binary {}", places::agent().display()))?;
    fs::set_permissions(&binary, fs::Permissions::from_mode(0o755))?;
    let mut dpkg = run::command(
        "dpkg-deb",
        &["--root-owner-group", "-Zxz", "-z1", "--build"],
    );
    dpkg.arg(tree.path())
        .arg(&package)
        .env("SOURCE_DATE_EPOCH", EPOCH);
    run::quiet(dpkg)?;
    Ok(package)
}

/// Copies a tree; a script keeps its execute bits, and nothing else of the checkout's modes counts.
fn copy(from: &Path, to: &Path) -> Result<()> {
    make_folder(to)?;
    for entry in fs::read_dir(from).with_context(|| format!("folder {}", from.display()))? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        let kind = entry.file_type()?;
        if kind.is_dir() {
            copy(&entry.path(), &target)?;
        } else if kind.is_symlink() {
            std::os::unix::fs::symlink(fs::read_link(entry.path())?, &target)?;
        } else {
            fs::copy(entry.path(), &target)?;
            let mode = entry.metadata()?.permissions().mode();
            fs::set_permissions(
                &target,
                fs::Permissions::from_mode(if mode & 0o100 == 0 { 0o644 } else { 0o755 }),
            )?;
        }
    }
    Ok(())
}

fn make_folder(path: &Path) -> Result<()> {
    if path.is_dir() {
        return Ok(());
    }
    if let Some(parent) = path.parent() {
        make_folder(parent)?;
    }
    fs::create_dir(path).with_context(|| format!("folder {}", path.display()))?;
    Ok(fs::set_permissions(
        path,
        fs::Permissions::from_mode(0o755),
    )?)
}
