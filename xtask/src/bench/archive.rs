//! A copy of what resolving needs of this machine's own archive, and apt itself beside it with a base of its own.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use bootsplice_tests::mirror::{self, RELEASE};
use bootsplice_tests::places;

use crate::run;

/// Debian's keys, by their place on a Debian machine and in the image alike.
const KEYRING: &str = "/usr/share/keyrings/debian-archive-keyring.gpg";
const INDEX: &str = "main/binary-amd64/Packages";
const STATUS: &str = "/var/lib/dpkg/status";

/// Suites in a directory: signed Releases with their indexes as they were published.
pub struct Archive {
    folder: PathBuf,
    suites: Vec<(PathBuf, String)>,
}

/// apt with its own state, on the image's package database.
pub struct Apt {
    folder: PathBuf,
}

// === impl Archive ===

impl Archive {
    /// Copies the suites into `folder`.
    pub fn copy(folder: &Path) -> Result<Self> {
        let mut suites = Vec::new();
        for (number, address) in mirror::addresses()?.into_iter().enumerate() {
            let root = folder.join(number.to_string());
            let names: &[&str] = if address.contains("security") {
                &["bookworm-security"]
            } else {
                &[RELEASE, "bookworm-updates"]
            };
            for name in names {
                copy_suite(&address, name, &root)
                    .with_context(|| format!("{name} of {address}"))?;
                suites.push((root.clone(), (*name).to_owned()));
            }
        }
        Ok(Self {
            folder: folder.to_owned(),
            suites,
        })
    }

    /// What an operator grants.
    pub fn address(&self) -> String {
        format!("file://{}/", self.folder.display())
    }

    /// One-line entries; `scheme` is what stands before the path.
    pub fn sources(&self, scheme: &str) -> Vec<String> {
        let line = |(root, suite): &(PathBuf, String)| {
            format!(
                "deb [signed-by={KEYRING}] {scheme}{} {suite} main",
                root.display()
            )
        };
        self.suites.iter().map(line).collect()
    }
}

fn copy_suite(address: &str, suite: &str, root: &Path) -> Result<()> {
    let here = root.join("dists").join(suite);
    fs::create_dir_all(&here)?;
    let release = here.join("InRelease");
    download(&format!("{address}dists/{suite}/InRelease"), &release)?;
    let text = fs::read_to_string(&release)?;
    for end in [".gz", ".xz"] {
        let path = format!("{INDEX}{end}");
        // ` DIGEST SIZE PATH`; the digests of SHA256 are the longest that Debian publishes.
        let row = text.lines().map(str::split_whitespace).find_map(|mut row| {
            let digest = row.next().filter(|word| word.len() == 64)?;
            (row.nth(1) == Some(&path)).then(|| digest.to_owned())
        });
        let Some(digest) = row else { continue };
        let file = here.join(&path);
        let hashed = file.with_file_name("by-hash/SHA256").join(&digest);
        fs::create_dir_all(hashed.parent().context("a parent")?)?;
        download(
            &format!("{address}dists/{suite}/main/binary-amd64/by-hash/SHA256/{digest}"),
            &file,
        )?;
        fs::hard_link(&file, &hashed)?;
    }
    Ok(())
}

/// By apt's own client, which knows this machine's proxies.
fn download(url: &str, to: &Path) -> Result<()> {
    let mut helper = run::command("/usr/lib/apt/apt-helper", &["download-file", url]);
    helper.arg(to);
    run::quiet(helper).map(|_| ())
}

// === impl Apt ===

impl Apt {
    /// Beside `archive`, with the package database of the Debian image.
    pub fn new(folder: &Path, archive: &Archive) -> Result<Self> {
        let database = folder.join("root/var/lib/dpkg");
        fs::create_dir_all(&database)?;
        for part in ["lists/partial", "cache/archives/partial"] {
            fs::create_dir_all(folder.join(part))?;
        }
        fs::write(database.join("status"), image_file(STATUS)?)?;
        // Only what was copied: some machines' apt wants more than packages.
        let sources = archive.sources("file:").join("\n") + "\n";
        let sources = sources.replace("deb [", "deb [target=Packages ");
        fs::write(folder.join("sources.list"), sources)?;
        Ok(Self {
            folder: folder.to_owned(),
        })
    }

    /// The root whose package database is the image's.
    pub fn root(&self) -> PathBuf {
        self.folder.join("root")
    }

    /// Lists and caches are gone.
    pub fn forget(&self) -> Result<()> {
        for part in ["lists", "cache"] {
            fs::remove_dir_all(self.folder.join(part))?;
        }
        for part in ["lists/partial", "cache/archives/partial"] {
            fs::create_dir_all(self.folder.join(part))?;
        }
        Ok(())
    }

    pub fn update(&self) -> Result<()> {
        run::quiet(self.command("apt-get", &["-q", "update"])).map(|_| ())
    }

    /// How many packages `apt-get --print-uris` names.
    pub fn print_uris(&self, packages: &[&str]) -> Result<usize> {
        let mut words = vec![
            "-q",
            "-y",
            "--no-install-recommends",
            "--print-uris",
            "install",
        ];
        words.extend(packages);
        let text = run::quiet(self.command("apt-get", &words))?;
        Ok(text.lines().filter(|line| line.starts_with('\'')).count())
    }

    /// The texts of the indexes.
    pub fn indexes(&self) -> Result<Vec<PathBuf>> {
        let words = [
            "indextargets",
            "--format",
            "$(FILENAME)",
            "Created-By: Packages",
        ];
        let text = run::quiet(self.command("apt-get", &words))?;
        Ok(text.lines().map(PathBuf::from).collect())
    }

    fn command(&self, program: &str, words: &[&str]) -> Command {
        let mut command = run::command(program, words);
        let here = self.folder.display();
        for option in [
            format!("Dir::Etc::sourcelist={here}/sources.list"),
            "Dir::Etc::sourceparts=/dev/null".to_owned(),
            "Dir::Etc::preferencesparts=/dev/null".to_owned(),
            format!("Dir::State::lists={here}/lists"),
            format!("Dir::State::status={here}/root{STATUS}"),
            format!("Dir::State::extended_states={here}/extended_states"),
            format!("Dir::Cache={here}/cache"),
            "Acquire::Languages=none".to_owned(),
            "Acquire::GzipIndexes=false".to_owned(),
            "Debug::NoLocking=1".to_owned(),
            "APT::Sandbox::User=".to_owned(),
        ] {
            command.arg("-o").arg(option);
        }
        command
    }
}

/// A file of the Debian image's root, read without mounting it.
fn image_file(path: &str) -> Result<Vec<u8>> {
    let image = places::image();
    let table = run::quiet({
        let mut sgdisk = run::command("sgdisk", &["-i", "2"]);
        sgdisk.arg(&image);
        sgdisk
    })?;
    let first: u64 = table
        .lines()
        .find_map(|line| line.strip_prefix("First sector: "))
        .and_then(|rest| rest.split_whitespace().next()?.parse().ok())
        .context("the first sector of the root")?;
    let root = format!("{}?offset={}", image.display(), first * 512);
    let output = run::command("debugfs", &["-R", &format!("cat {path}"), &root])
        .output()
        .context("debugfs")?;
    ensure!(!output.stdout.is_empty(), "the image has no {path}");
    Ok(output.stdout)
}
