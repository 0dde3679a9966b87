//! Installs what the other chores need: Debian packages and Rust targets.
//!
//! When all is there this asks nobody and takes no time. Otherwise it says what is missing and installs it, as root or
//! by `sudo -n`; where neither works it prints the commands for a person to run.

use std::fmt;
use std::path::Path;

use anyhow::{Context, Result};

use crate::phase::Phases;
use crate::run;

/// A Debian package and a file by which one sees that it is there.
const PACKAGES: &[(&str, &str)] = &[
    ("ca-certificates", "/etc/ssl/certs/ca-certificates.crt"),
    ("curl", "/usr/bin/curl"),
    ("e2fsprogs", "/usr/sbin/debugfs"),
    ("gcc", "/usr/bin/cc"),
    ("gdisk", "/usr/sbin/sgdisk"),
    ("mmdebstrap", "/usr/bin/mmdebstrap"),
    ("musl-tools", "/usr/bin/musl-gcc"),
    ("nginx-light", "/usr/sbin/nginx"),
    ("patch", "/usr/bin/patch"),
    ("qemu-system-x86", "/usr/bin/qemu-system-x86_64"),
    ("qemu-utils", "/usr/bin/qemu-img"),
    ("seabios", "/usr/share/seabios/bios-256k.bin"),
    ("zstd", "/usr/bin/zstd"),
];

const TARGETS: &[&str] = &["wasm32-wasip2", "x86_64-unknown-linux-musl"];

/// Something must be installed by a person first.
#[derive(Debug)]
pub struct Missing(String);

pub fn everything(phases: &mut Phases) -> Result<()> {
    packages(phases, PACKAGES)?;
    let targets = missing_targets()?;
    if !targets.is_empty() {
        phases.run(&format!("rustup target add {}", targets.join(" ")), || {
            let mut rustup = run::command("rustup", &["target", "add"]);
            rustup.args(&targets);
            run::loud(rustup).context("add these Rust targets by hand and run this again")
        })?;
    }
    Ok(())
}

/// Installs the packages whose file is missing.
pub fn packages(phases: &mut Phases, wanted: &[(&'static str, &str)]) -> Result<()> {
    let packages: Vec<&str> = wanted
        .iter()
        .filter(|(_, file)| !Path::new(file).exists())
        .map(|(package, _)| *package)
        .collect();
    if !packages.is_empty() {
        phases.run(&format!("install {}", packages.join(" ")), || {
            install(&packages)
        })?;
    }
    Ok(())
}

fn missing_targets() -> Result<Vec<&'static str>> {
    let sysroot = run::quiet(run::command("rustc", &["--print", "sysroot"]))?;
    let libraries = Path::new(sysroot.trim()).join("lib/rustlib");
    Ok(TARGETS
        .iter()
        .copied()
        .filter(|target| !libraries.join(target).join("lib").is_dir())
        .collect())
}

fn install(packages: &[&str]) -> Result<()> {
    let debian = Path::new("/usr/bin/apt-get").exists();
    if !debian || !run::root_is_reachable() {
        return Err(Missing(packages.join(" ")).into());
    }
    run::loud(apt_get(&["-q", "update"]))?;
    let mut first = apt_get(&["install", "-q", "-y", "--no-install-recommends"]);
    first.args(packages);
    let Err(refused) = run::loud(first) else {
        return Ok(());
    };
    // A qemu-utils from backports declares that it breaks the release's qemu-system-common.
    let Some(release) = codename() else {
        return Err(refused);
    };
    eprintln!(
        "    apt refused; once more with qemu-utils of {release} itself, which may mean an older one"
    );
    let mut second = apt_get(&[
        "install",
        "-q",
        "-y",
        "--no-install-recommends",
        "--allow-downgrades",
    ]);
    second.arg(format!("qemu-utils/{release}"));
    second.args(packages.iter().filter(|package| **package != "qemu-utils"));
    run::loud(second)
}

/// `apt-get` that asks nothing. Services of new packages are not started: nginx is here to be compared with, not to serve.
fn apt_get(arguments: &[&str]) -> std::process::Command {
    let mut words = vec!["DEBIAN_FRONTEND=noninteractive", "RUNLEVEL=1", "apt-get"];
    words.extend(arguments);
    run::as_root("env", &words)
}

fn codename() -> Option<String> {
    let release = std::fs::read_to_string("/etc/os-release").ok()?;
    release
        .lines()
        .find_map(|line| line.strip_prefix("VERSION_CODENAME="))
        .map(|name| name.trim_matches('"').to_owned())
}

// === impl Missing ===

impl fmt::Display for Missing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "these Debian packages are missing and there is neither root nor passwordless sudo; install them by\n\n    apt-get update && apt-get install --no-install-recommends {}\n",
            self.0
        )
    }
}

impl std::error::Error for Missing {}
