//! A small Debian repository in a directory: packages made by dpkg-deb, indexes, and a Release that a key of the test's signs.

mod key;
mod web;

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};
use sha2::{Digest as _, Sha256};
use time::OffsetDateTime;
use time::macros::format_description;

pub use key::Key;
pub use web::{Trick, Web};

use crate::base::quiet;

/// A binary package to be made.
#[derive(Clone, Debug)]
pub struct Recipe {
    pub name: String,
    pub version: String,
    pub architecture: String,
    /// More fields of its control file, each line ended.
    pub fields: String,
    /// Bytes in it that do not compress; other ones for each seed.
    pub noise: usize,
    pub seed: u64,
}

/// A package file with its paragraph of an index.
#[derive(Clone, Debug)]
pub struct Deb {
    pub file: PathBuf,
    pub control: String,
    pub size: u64,
    pub sha256: String,
}

/// One suite, with the component `main`, for amd64.
#[derive(Clone, Debug)]
pub struct Suite {
    pub name: String,
    /// Seconds since 1970.
    pub date: u64,
    pub valid_until: Option<u64>,
    pub by_hash: bool,
    /// The architecture of its index.
    pub architecture: String,
    /// The index: paragraphs, each ended by an empty line.
    pub packages: String,
    /// Whether the signature is in the Release itself.
    pub inline: bool,
}

// === impl Recipe ===

impl Recipe {
    pub fn new(name: &str, version: &str) -> Self {
        Self {
            name: name.to_owned(),
            version: version.to_owned(),
            architecture: "amd64".to_owned(),
            fields: String::new(),
            noise: 512,
            seed: 1,
        }
    }

    /// With one more field: `Depends`, `libhello (>= 1.0)`.
    #[must_use]
    pub fn field(mut self, name: &str, value: &str) -> Self {
        self.fields.push_str(&format!("{name}: {value}\n"));
        self
    }

    #[must_use]
    pub fn noise(mut self, bytes: usize) -> Self {
        self.noise = bytes;
        self
    }

    /// Another seed, another file: what a host has by its digest it does not fetch again.
    #[must_use]
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }

    #[must_use]
    pub fn architecture(mut self, architecture: &str) -> Self {
        self.architecture = architecture.to_owned();
        self
    }

    /// Makes the package file in `directory`.
    pub fn build(&self, directory: &Path) -> Result<Deb> {
        let control = format!(
            "Package: {}\nVersion: {}\nArchitecture: {}\nMaintainer: Nobody <nobody@example.org>\n{}Description: made by a test\n",
            self.name, self.version, self.architecture, self.fields
        );
        let tree = tempfile::tempdir()?;
        fs::create_dir_all(tree.path().join("DEBIAN"))?;
        fs::write(tree.path().join("DEBIAN/control"), &control)?;
        let share = tree.path().join("usr/share").join(&self.name);
        fs::create_dir_all(&share)?;
        let mut state = self.seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
        let words = std::iter::repeat_with(|| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state.to_le_bytes()
        });
        let noise: Vec<u8> = words.take(self.noise / 8).flatten().collect();
        fs::write(share.join("noise"), noise)?;
        fs::create_dir_all(directory)?;
        let version = self.version.replace(':', "%3a");
        let file = directory.join(format!("{}_{version}_{}.deb", self.name, self.architecture));
        quiet(
            Command::new("dpkg-deb")
                .args(["--root-owner-group", "-Zgzip", "-z1", "--build"])
                .arg(tree.path())
                .arg(&file)
                .env("SOURCE_DATE_EPOCH", "1700000000"),
        )?;
        let bytes = fs::read(&file)?;
        Ok(Deb {
            file,
            control,
            size: bytes.len() as u64,
            sha256: sha256(&bytes),
        })
    }
}

// === impl Deb ===

impl Deb {
    /// Its name in a pool.
    pub fn name(&self) -> String {
        let name = self.file.file_name().unwrap_or_default();
        name.to_string_lossy().into_owned()
    }

    /// Its paragraph, with this path below the repository.
    pub fn paragraph(&self, filename: &str) -> String {
        format!(
            "{}Filename: {filename}\nSize: {}\nSHA256: {}\n\n",
            self.control, self.size, self.sha256
        )
    }
}

// === impl Suite ===

impl Suite {
    /// A suite without packages, made at `date`.
    pub fn new(name: &str, date: u64) -> Self {
        Self {
            name: name.to_owned(),
            date,
            valid_until: None,
            by_hash: false,
            architecture: "amd64".to_owned(),
            packages: String::new(),
            inline: true,
        }
    }

    /// Puts a package into the pool of the repository at `root` and into the index.
    pub fn add(&mut self, root: &Path, deb: &Deb) -> Result<()> {
        let filename = format!("pool/main/{}", deb.name());
        let place = root.join(&filename);
        fs::create_dir_all(root.join("pool/main"))?;
        fs::copy(&deb.file, &place)?;
        self.packages.push_str(&deb.paragraph(&filename));
        Ok(())
    }

    /// The directory of its Release in the repository at `root`.
    pub fn directory(&self, root: &Path) -> PathBuf {
        root.join("dists").join(&self.name)
    }

    /// Writes index and Release into the repository at `root`, over what is there.
    pub fn publish(&self, root: &Path, key: &Key) -> Result<()> {
        let here = self.directory(root);
        let inside = format!("main/binary-{}", self.architecture);
        let folder = here.join(&inside);
        fs::create_dir_all(folder.join("by-hash/SHA256"))?;
        let plain = folder.join("Packages");
        fs::write(&plain, &self.packages)?;
        quiet(Command::new("gzip").args(["-9nkf"]).arg(&plain))?;
        quiet(Command::new("xz").args(["-kf"]).arg(&plain))?;
        let mut files = String::new();
        for name in ["Packages", "Packages.gz", "Packages.xz"] {
            let bytes = fs::read(folder.join(name))?;
            let digest = sha256(&bytes);
            writeln!(files, " {digest} {} {inside}/{name}", bytes.len())?;
            fs::write(folder.join("by-hash/SHA256").join(digest), bytes)?;
        }
        self.sign(root, key, &self.release(&files)?)
    }

    /// Writes this text as the Release, signed.
    pub fn sign(&self, root: &Path, key: &Key, text: &str) -> Result<()> {
        let here = self.directory(root);
        for name in ["InRelease", "Release", "Release.gpg"] {
            if here.join(name).exists() {
                fs::remove_file(here.join(name))?;
            }
        }
        if self.inline {
            fs::write(here.join("InRelease"), key.clearsigned(text, self.date)?)?;
        } else {
            fs::write(here.join("Release"), text)?;
            let signature = key.detached(text.as_bytes(), self.date)?;
            fs::write(here.join("Release.gpg"), signature)?;
        }
        Ok(())
    }

    fn release(&self, files: &str) -> Result<String> {
        let mut text = format!(
            "Origin: Example\nLabel: Example\nSuite: {}\nCodename: {}\nDate: {}\n",
            self.name,
            self.name,
            written(self.date)?
        );
        if let Some(until) = self.valid_until {
            writeln!(text, "Valid-Until: {}", written(until)?)?;
        }
        if self.by_hash {
            text.push_str("Acquire-By-Hash: yes\n");
        }
        writeln!(text, "Architectures: {}", self.architecture)?;
        write!(text, "Components: main\nSHA256:\n{files}")?;
        Ok(text)
    }
}

/// In lower-case hex.
pub fn sha256(bytes: &[u8]) -> String {
    hex::encode(Sha256::digest(bytes))
}

/// A date as Release files have it.
fn written(seconds: u64) -> Result<String> {
    let format = format_description!(
        "[weekday repr:short], [day] [month repr:short] [year] [hour]:[minute]:[second] UTC"
    );
    let time = OffsetDateTime::from_unix_timestamp(i64::try_from(seconds)?)?;
    time.format(format).context("a date")
}
