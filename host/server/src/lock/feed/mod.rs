//! Known vulnerabilities from files, and which of a lock's packages have them. Nothing is fetched.
//!
//! Two kinds of feed are read: OSV (ossf.github.io/osv-schema), as a file with one entry or a list or as a directory of such files, and the JSON of
//! Debian's security tracker (security-tracker.debian.org/tracker/data/json). Source packages are compared, as Debian files vulnerabilities.

mod cvss;
mod osv;
mod stream;
mod tracker;

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufReader, Read};
use std::path::{Path, PathBuf};

use bootsplice_deb::version;
use serde::Serialize;

use super::document::{LockFile, Source};

/// Largest file of a feed. The tracker's has some 80 MB.
const LARGEST: u64 = 1 << 30;

/// How bad a vulnerability is. `Unknown` is below all others.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Nobody has said yet.
    Unknown,
    /// Debian's `unimportant`.
    Negligible,
    Low,
    Medium,
    High,
    Critical,
}

/// From where on a finding fails a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Threshold {
    Low,
    Medium,
    High,
    Critical,
    /// Whatever is known, rated or not.
    Any,
}

/// One vulnerability of one source package in one release of a distribution.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Advisory {
    id: String,
    package: String,
    severity: Severity,
    affected: Affected,
}

/// Which versions have it.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Affected {
    spans: Vec<Span>,
    versions: Vec<String>,
}

/// Versions in dpkg's order, the first one included.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Span {
    /// `0`: from the very first.
    from: String,
    end: End,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum End {
    /// No version is mended.
    Never,
    /// The first version that does not have it.
    Fixed(String),
    /// The last version that has it.
    Last(String),
}

/// What is known of one release of a distribution, by source package.
#[derive(Debug, Default)]
pub struct Feed {
    advisories: BTreeMap<String, Vec<Advisory>>,
}

/// A package of a lock has a vulnerability.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    pub id: String,
    pub severity: Severity,
    pub source: Source,
    /// The binary packages of the lock that are made from it.
    pub packages: Vec<String>,
    /// The first version without it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fixed: Option<String>,
}

/// A feed cannot be used. Mend or replace the named file.
#[derive(Debug, thiserror::Error)]
pub enum FeedError {
    #[error("cannot read `{}`: {error}", path.display())]
    Read {
        path: PathBuf,
        error: std::io::Error,
    },
    #[error("`{}`, {pointer}: {what}", path.display())]
    Format {
        path: PathBuf,
        pointer: String,
        what: String,
    },
}

/// Which release a feed is read for.
struct Release<'a> {
    codename: &'a str,
    /// `12` of Debian 12.
    number: &'a str,
}

/// Numbers of Debian's releases, which OSV goes by.
const DEBIAN: [(&str, &str); 8] = [
    ("jessie", "8"),
    ("stretch", "9"),
    ("buster", "10"),
    ("bullseye", "11"),
    ("bookworm", "12"),
    ("trixie", "13"),
    ("forky", "14"),
    ("duke", "15"),
];

// === impl Feed ===

impl Feed {
    /// Reads a feed for the release of a distribution: `bookworm`, or `12`.
    pub fn read(path: &Path, release: &str) -> Result<Self, FeedError> {
        let known = DEBIAN
            .iter()
            .find(|(codename, number)| *codename == release || *number == release);
        let release = known.map_or(
            Release {
                codename: release,
                number: release,
            },
            |&(codename, number)| Release { codename, number },
        );
        let mut feed = Self::default();
        let mut found = 0;
        for file in files(path)? {
            let wrong = |(pointer, what): (String, String)| FeedError::Format {
                path: file.clone(),
                pointer,
                what,
            };
            let advisories = stream::read(opened(&file)?, &release).map_err(wrong)?;
            found += 1;
            for advisory in advisories {
                let known = feed.advisories.entry(advisory.package.clone());
                known.or_default().push(advisory);
            }
        }
        if found == 0 {
            return Err(FeedError::Format {
                path: path.to_owned(),
                pointer: "/".into(),
                what: "the directory has no file `*.json`: expected OSV entries".into(),
            });
        }
        Ok(feed)
    }

    /// How many advisories it has for the release.
    pub fn len(&self) -> usize {
        self.advisories.values().map(Vec::len).sum()
    }

    pub fn is_empty(&self) -> bool {
        self.advisories.is_empty()
    }

    /// What the packages of `lock` have, the worst first.
    pub fn findings(&self, lock: &LockFile) -> Vec<Finding> {
        let mut sources: BTreeMap<&Source, Vec<String>> = BTreeMap::new();
        for package in lock.packages() {
            let made = sources.entry(&package.source).or_default();
            made.push(package.name.clone());
        }
        let mut findings = Vec::new();
        for (source, packages) in sources {
            for advisory in self.advisories.get(&source.name).into_iter().flatten() {
                let Some(fixed) = advisory.affected.at(&source.version) else {
                    continue;
                };
                findings.push(Finding {
                    id: advisory.id.clone(),
                    severity: advisory.severity,
                    source: source.clone(),
                    packages: packages.clone(),
                    fixed,
                });
            }
        }
        findings.sort_by(|a, b| {
            let key = |one: &Finding| (std::cmp::Reverse(one.severity), one.source.name.clone());
            (key(a), &a.id).cmp(&(key(b), &b.id))
        });
        findings.dedup();
        findings
    }
}

// === impl Affected ===

impl Affected {
    /// Whether a version has it, and if so which one is the first without it.
    fn at(&self, wanted: &str) -> Option<Option<String>> {
        let order = |other: &str| version::compare(other, wanted);
        for Span { from, end } in &self.spans {
            if from != "0" && order(from).is_gt() {
                continue;
            }
            match end {
                End::Never => return Some(None),
                End::Fixed(version) if order(version).is_gt() => {
                    return Some(Some(version.clone()));
                }
                End::Last(version) if order(version).is_ge() => return Some(None),
                End::Fixed(_) | End::Last(_) => {}
            }
        }
        let listed = self.versions.iter().any(|other| order(other).is_eq());
        listed.then_some(None)
    }
}

// === impl Threshold ===

impl Threshold {
    pub fn fails(self, severity: Severity) -> bool {
        match self {
            Self::Any => true,
            Self::Low => severity >= Severity::Low,
            Self::Medium => severity >= Severity::Medium,
            Self::High => severity >= Severity::High,
            Self::Critical => severity >= Severity::Critical,
        }
    }
}

// === impl Severity ===

impl Severity {
    pub fn word(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::Negligible => "negligible",
            Self::Low => "low",
            Self::Medium => "medium",
            Self::High => "high",
            Self::Critical => "critical",
        }
    }

    /// Of a word in a feed: OSV's databases, Debian's urgencies (`low**`).
    fn named(word: &str) -> Self {
        match word.trim_end_matches('*').to_ascii_lowercase().as_str() {
            "unimportant" | "negligible" | "none" => Self::Negligible,
            "low" => Self::Low,
            "medium" | "moderate" => Self::Medium,
            "high" | "important" => Self::High,
            "critical" => Self::Critical,
            _ => Self::Unknown,
        }
    }
}

fn files(path: &Path) -> Result<Vec<PathBuf>, FeedError> {
    if !path.is_dir() {
        return Ok(vec![path.to_owned()]);
    }
    let unread = |error| FeedError::Read {
        path: path.to_owned(),
        error,
    };
    let mut found = Vec::new();
    for entry in std::fs::read_dir(path).map_err(unread)? {
        let file = entry.map_err(unread)?.path();
        if file.extension().is_some_and(|ending| ending == "json") {
            found.push(file);
        }
    }
    found.sort();
    Ok(found)
}

/// A file of a feed, refused when it is larger than any feed.
fn opened(path: &Path) -> Result<impl Read, FeedError> {
    let unread = |error| FeedError::Read {
        path: path.to_owned(),
        error,
    };
    let file = File::open(path).map_err(unread)?;
    let size = file.metadata().map_err(unread)?.len();
    if size > LARGEST {
        return Err(FeedError::Format {
            path: path.to_owned(),
            pointer: "/".into(),
            what: format!("it has {size} bytes, at most {LARGEST} are read"),
        });
    }
    Ok(BufReader::with_capacity(1 << 20, file.take(LARGEST)))
}

#[cfg(test)]
mod tests;
