//! The lock file.

use std::collections::BTreeMap;

use bootsplice_content::Digest;
use bootsplice_engine::key::canonical_digest;
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::launch::lock::PinView;
use crate::profile::Profile;

pub const SCHEMA: &str = "bootsplice/lock-file/v1";

/// What a profile was resolved to on a base. The same inputs give the same bytes: no clock is in it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LockFile {
    pub schema: String,
    pub profile: Of,
    /// The image that it is for: digest of its dpkg status, or id of the volume.
    pub base: Digest,
    pub target: Target,
    /// When the newest repository in use was released, RFC 3339. None where no repository says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub date: Option<String>,
    pub steps: Vec<Step>,
}

/// A document by name and digest.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Of {
    pub name: String,
    /// Of its steps, in canonical JSON.
    pub steps: Digest,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Target {
    /// `ID` of os-release: "debian".
    pub distribution: String,
    /// "bookworm".
    pub release: String,
    /// Debian's name: "amd64".
    pub architecture: String,
}

/// What one step of the profile needs. Steps that a generator joins are one, under the first one's name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Step {
    pub id: String,
    /// Digest of the generator.
    pub generator: Digest,
    pub needs_instance: bool,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub packages: Vec<Package>,
    /// What is no package: files by URL.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub artefacts: Vec<Artefact>,
}

/// A Debian package.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Package {
    pub name: String,
    pub version: String,
    pub architecture: String,
    /// `requested`, `depends-of X`, `recommends-of X`, `upgrade-for X`, `same-source-as X` or `upgrade`.
    pub reason: String,
    pub size: u64,
    pub sha256: Digest,
    /// Where it is, mirrors in order.
    pub urls: Vec<String>,
    pub source: Source,
    /// The installed version that it takes the place of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replaces: Option<String>,
    /// None for a package given by its own file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub repository: Option<Repository>,
}

/// A source package: what Debian's vulnerabilities are filed against.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Source {
    pub name: String,
    pub version: String,
}

/// The suite that vouches for a package.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Repository {
    pub suite: String,
    pub component: String,
    pub origin: String,
    pub codename: String,
    /// When its Release was made, RFC 3339.
    pub released: String,
    /// Fingerprints of the keys that signed it.
    pub signed_by: Vec<String>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Artefact {
    pub name: String,
    pub version: String,
    pub size: u64,
    pub sha256: Digest,
    pub urls: Vec<String>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub attributes: BTreeMap<String, String>,
}

/// A document that is no lock file of this release. Make a new one with `bootsplice lock`.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{pointer}: {what}")]
pub struct LockFileError {
    /// JSON Pointer into the document.
    pub pointer: String,
    pub what: String,
}

// === impl LockFile ===

impl LockFile {
    /// Reads and checks a lock file.
    pub fn parse(text: &str) -> Result<Self, LockFileError> {
        let schema: Result<serde_json::Value, _> = serde_json::from_str(text);
        let said = schema.map_err(|error| LockFileError {
            pointer: "/".into(),
            what: format!("it is not JSON: {error}"),
        })?;
        match said.get("schema").and_then(serde_json::Value::as_str) {
            Some(SCHEMA) => {}
            other => {
                return Err(LockFileError {
                    pointer: "/schema".into(),
                    what: format!(
                        "`{}` is not `{SCHEMA}`: expected a file that `bootsplice lock --out` wrote",
                        other.unwrap_or_default()
                    ),
                });
            }
        }
        let text = &mut serde_json::Deserializer::from_str(text);
        let lock: Self = serde_path_to_error::deserialize(text).map_err(|error| LockFileError {
            pointer: format!(
                "/{}",
                error
                    .path()
                    .to_string()
                    .replace(['.', '['], "/")
                    .replace(']', "")
            ),
            what: error.inner().to_string(),
        })?;
        lock.check()?;
        Ok(lock)
    }

    /// One version of each name and architecture.
    pub fn check(&self) -> Result<(), LockFileError> {
        let mut known: BTreeMap<(&str, &str), &str> = BTreeMap::new();
        for (at, step) in self.steps.iter().enumerate() {
            for (index, package) in step.packages.iter().enumerate() {
                let key = (package.name.as_str(), package.architecture.as_str());
                if let Some(other) = known.insert(key, &package.version) {
                    return Err(LockFileError {
                        pointer: format!("/steps/{at}/packages/{index}/version"),
                        what: format!(
                            "`{}` of {}:{}, which is in the lock as {other} already: expected one version of a name and architecture",
                            package.version, package.name, package.architecture
                        ),
                    });
                }
            }
        }
        Ok(())
    }

    /// Its name: the digest of its canonical JSON.
    pub fn digest(&self) -> Digest {
        canonical_digest(self)
    }

    pub fn to_text(&self) -> String {
        let mut text =
            serde_json::to_string_pretty(self).expect("a lock file has string keys only");
        text.push('\n');
        text
    }

    /// Packages of all steps.
    pub fn packages(&self) -> impl Iterator<Item = &Package> {
        self.steps.iter().flat_map(|step| &step.packages)
    }

    /// Says again what `old` said of a package that is the same file: a lock changes only where it must.
    pub fn keep_words_of(&mut self, old: &Self) {
        for package in self.steps.iter_mut().flat_map(|step| &mut step.packages) {
            let same =
                |other: &&Package| other.sha256 == package.sha256 && other.key() == package.key();
            if let Some(known) = old.packages().find(same) {
                package.urls.clone_from(&known.urls);
                package.repository.clone_from(&known.repository);
            }
        }
        self.set_date();
    }

    /// `date` from the repositories in use.
    pub fn set_date(&mut self) {
        let dates = self
            .packages()
            .filter_map(|package| package.repository.as_ref());
        self.date = dates.map(|repository| repository.released.clone()).max();
    }
}

// === impl Of ===

impl Of {
    pub fn profile(profile: &Profile) -> Self {
        Self {
            name: profile.name.clone(),
            steps: canonical_digest(&profile.steps),
        }
    }
}

// === impl Target ===

impl Target {
    /// What packages themselves say, where nobody else does.
    pub fn guess(&mut self, steps: &[Step]) {
        let packages = || steps.iter().flat_map(|step| &step.packages);
        let own = packages().find(|package| package.architecture != "all");
        if let Some(package) = own {
            self.architecture.clone_from(&package.architecture);
        }
        // A vendor's repository may come first; the image is Debian's where any package is.
        let repositories = || packages().filter_map(|package| package.repository.as_ref());
        let debian = repositories().find(|repository| repository.origin == "Debian");
        if let Some(repository) = debian.or_else(|| repositories().next()) {
            self.distribution = repository.origin.to_lowercase();
            // `bookworm-security` belongs to bookworm.
            let codename = repository.codename.split('-').next();
            self.release = codename.unwrap_or_default().to_owned();
        }
    }
}

// === impl Step ===

impl Step {
    pub fn new(id: &str, generator: Digest, needs_instance: bool, pins: &[PinView]) -> Self {
        let mut packages: Vec<Package> = pins.iter().filter_map(Package::of).collect();
        packages.sort_by(|a, b| a.key().cmp(&b.key()));
        let others = pins.iter().filter(|pin| !is_package(pin));
        let mut artefacts: Vec<Artefact> = others.map(Artefact::of).collect();
        artefacts.sort_by(|a, b| (&a.name, a.sha256).cmp(&(&b.name, b.sha256)));
        Self {
            id: id.to_owned(),
            generator,
            needs_instance,
            packages,
            artefacts,
        }
    }
}

// === impl Package ===

impl Package {
    fn of(pin: &PinView) -> Option<Self> {
        if !is_package(pin) {
            return None;
        }
        let said = |name: &str| pin.attribute(name).to_owned();
        let seconds = pin.attribute("released").parse::<i64>().ok();
        let released =
            seconds.and_then(|seconds| OffsetDateTime::from_unix_timestamp(seconds).ok());
        let repository = (!pin.attribute("suite").is_empty()).then(|| Repository {
            suite: said("suite"),
            component: said("component"),
            origin: said("origin"),
            codename: said("codename"),
            released: released
                .and_then(|date| date.format(&Rfc3339).ok())
                .unwrap_or_default(),
            signed_by: pin
                .attribute("signed-by")
                .split_whitespace()
                .map(str::to_owned)
                .collect(),
        });
        Some(Self {
            name: said("package"),
            version: pin.version.clone(),
            architecture: said("architecture"),
            reason: said("reason"),
            size: pin.size,
            sha256: pin.digest,
            urls: pin.urls.clone(),
            source: Source {
                name: said("source"),
                version: said("source-version"),
            },
            replaces: pin.attributes.get("replaces").cloned(),
            repository,
        })
    }

    /// What there is one of in a lock.
    pub fn key(&self) -> (&str, &str) {
        (&self.name, &self.architecture)
    }

    /// Its reason for people: `depends of nginx`.
    pub fn why(&self) -> String {
        in_words(&self.reason)
    }

    /// The package that brought it in.
    pub fn brought_by(&self) -> Option<&str> {
        let (_, other) = self.reason.split_once(' ')?;
        Some(other)
    }
}

// === impl Artefact ===

impl Artefact {
    fn of(pin: &PinView) -> Self {
        Self {
            name: pin.name.clone(),
            version: pin.version.clone(),
            size: pin.size,
            sha256: pin.digest,
            urls: pin.urls.clone(),
            attributes: pin.attributes.clone(),
        }
    }
}

fn is_package(pin: &PinView) -> bool {
    ["package", "architecture", "source"]
        .iter()
        .all(|name| !pin.attribute(name).is_empty())
}

/// A generator's reason for a package, for people: `depends-of nginx` is `depends of nginx`.
pub fn in_words(reason: &str) -> String {
    reason
        .replacen("-of ", " of ", 1)
        .replacen("-for ", " for ", 1)
        .replacen("-source-as ", " source as ", 1)
}

#[cfg(test)]
pub mod tests;
