//! The closure of a request: which packages an image lacks, and why each of them comes along.

mod base;
mod catalog;
mod choose;
mod hits;
mod load;
mod near;
mod phase;
mod refusal;
mod relate;
mod sibling;
#[cfg(test)]
mod tests;
mod wish;

use bootsplice_resolver::{Answer, Name, Solvable, SolveError, solve};

use crate::index::Index;
use crate::origin::Origin;
use crate::pins::Preferences;
use crate::policy::{Base, Policy};
use crate::request::Request;
use crate::status::Status;
use crate::{Error, Result};
use catalog::{Catalog, Place};

pub use bootsplice_resolver::Refusal;

/// A package by its own file, with or without a repository.
#[derive(Clone, Debug)]
pub struct Extra {
    /// The caller's name for it; carried to the plan.
    pub id: String,
    /// The text of its control file.
    pub control: String,
    /// Bytes of the `.deb`.
    pub size: u64,
    /// Digest of the `.deb`.
    pub sha256: [u8; 32],
}

/// Everything that decides a closure.
pub struct Input<'a> {
    /// The native architecture first, then the foreign ones (`dpkg --print-foreign-architectures`).
    pub architectures: &'a [String],
    /// The sources, in the order of the sources list.
    pub indexes: &'a [Index<'a>],
    /// What is installed.
    pub status: &'a Status,
    /// Which versions are wanted.
    pub preferences: &'a Preferences,
    /// What is asked for, in order.
    pub requests: &'a [Request],
    /// Packages by their own files: each is asked for.
    pub extras: &'a [Extra],
    /// Versions to stay with where they will do: (name, architecture, version) of a lock.
    pub locked: &'a [(String, String, String)],
    /// The rules.
    pub policy: &'a Policy,
    /// Asked while resolving; `true` ends it with [`Error::Stopped`].
    pub stop: Option<&'a dyn Fn() -> bool>,
}

/// Why a package comes along. Packages by name, with `:architecture` where it is not the native one.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub enum Reason {
    /// This request asked for it.
    Requested(String),
    /// It must be there for this one.
    DependsOf(String),
    /// This one recommends it.
    RecommendsOf(String),
    /// It is installed, and this one needs another version.
    UpgradeFor(String),
    /// It is installed, and moves along with this one of the same source.
    SameSourceAs(String),
    /// It is installed, and the policy wants another version.
    Upgrade,
}

/// One package of a plan.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Package {
    /// Its name.
    pub name: String,
    /// Its architecture; may be `all`.
    pub architecture: String,
    /// Its version.
    pub version: String,
    /// Its source package.
    pub source: String,
    /// Its source's version.
    pub source_version: String,
    /// Its section.
    pub section: String,
    /// KiB once installed.
    pub installed_size: u64,
    /// Bytes of the `.deb`.
    pub size: u64,
    /// Digest of the `.deb`.
    pub sha256: [u8; 32],
    /// Where the `.deb` is.
    pub from: From,
    /// The installed version that it takes the place of.
    pub replaces: Option<String>,
    /// Why.
    pub reason: Reason,
}

/// Where a `.deb` is.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum From {
    /// In a repository, below its root.
    Archive {
        /// Which repository; its id leads back to URLs.
        origin: Box<Origin>,
        /// The path. From the index, and not checked: hostile archives write what they like there.
        filename: String,
    },
    /// One of [`Input::extras`], by its id.
    Extra(String),
}

/// An installed package that goes.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Removal {
    /// Its name.
    pub name: String,
    /// Its architecture.
    pub architecture: String,
    /// Its version.
    pub version: String,
}

/// All that changes in the image.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Plan {
    /// What is installed or upgraded, each after the one that brought it in.
    pub packages: Vec<Package>,
    /// What is removed; empty unless the policy or a request allows it.
    pub removed: Vec<Removal>,
    /// How many packages were looked at.
    pub visited: usize,
}

/// Resolves a request: what apt would install, for the same sources, status and preferences.
///
/// * [`Error::UnknownPackage`], [`Error::NoSuchVersion`]: the request names what is not there.
/// * [`Error::Unsatisfiable`]: no set of packages fits; the story and what would help.
/// * [`Error::Index`], [`Error::Pages`], [`Error::Malformed`]: the sources or the status are damaged.
/// * [`Error::Stopped`]: the deadline.
///
/// The same input gives the same plan, on every machine.
pub fn resolve(input: &Input<'_>) -> Result<Plan> {
    let catalog = Catalog::new(input)?;
    let wishes = wish::wishes(&catalog, input)?;
    catalog.begin(&wishes);
    let answer = settle(&catalog, input, &wishes)?;
    let mut plan = Plan {
        visited: answer.visited,
        ..Plan::default()
    };
    for chosen in &answer.chosen {
        plan.packages.push(package(&catalog, input, chosen)?);
    }
    for &solvable in &answer.removed {
        let version = catalog.version(solvable);
        plan.removed.push(Removal {
            name: catalog.group_name(version.group).to_string(),
            architecture: version.written_architecture(&catalog).to_owned(),
            version: version.text.to_string(),
        });
    }
    Ok(plan)
}

/// At most so often installed packages of a source are moved along before the answer counts.
const MOST_ROUNDS: usize = 16;

/// Solves until every installed package that can move along with another of its source does. What is installed is decided first, and what is soft
/// gives way to it; so the upgrades that an answer calls for are favoured, and the problem is solved again.
fn settle(catalog: &Catalog<'_>, input: &Input<'_>, wishes: &wish::Wishes) -> Result<Answer> {
    let mut rounds = 0;
    loop {
        let answer = match solve(catalog, &catalog.problem(wishes)?) {
            Ok(answer) => answer,
            Err(SolveError::Refused(_)) if catalog.lean.replace(false) => continue,
            Err(SolveError::Refused(story)) => {
                let suggestions = refusal::suggestions(catalog, input, &story)?;
                return Err(Error::Unsatisfiable { story, suggestions });
            }
            Err(SolveError::Stopped) => return Err(Error::Stopped),
            Err(SolveError::Universe(error)) => return Err(error),
        };
        rounds += 1;
        let chosen: Vec<Solvable> = answer.chosen.iter().map(|chosen| chosen.solvable).collect();
        if rounds == MOST_ROUNDS || !catalog.favor_siblings(&chosen)? {
            return Ok(answer);
        }
    }
}

fn package(
    catalog: &Catalog<'_>,
    input: &Input<'_>,
    chosen: &bootsplice_resolver::Chosen,
) -> Result<Package> {
    let version = catalog.version(chosen.solvable);
    let name = catalog.group_name(version.group).to_string();
    let told = |solvable: Solvable| catalog.told(Name(catalog.version(solvable).name(catalog).0));
    let reason = match chosen.reason {
        bootsplice_resolver::Reason::Requested(index) => {
            Reason::Requested(wish::text(input, index))
        }
        bootsplice_resolver::Reason::DependsOf(other) => Reason::DependsOf(told(other)),
        bootsplice_resolver::Reason::RecommendsOf(other) => Reason::RecommendsOf(told(other)),
        bootsplice_resolver::Reason::UpgradeFor(other) => Reason::UpgradeFor(told(other)),
        bootsplice_resolver::Reason::SameSourceAs(other) => Reason::SameSourceAs(told(other)),
        bootsplice_resolver::Reason::Upgrade => Reason::Upgrade,
    };
    let mut package = Package {
        architecture: version.written_architecture(catalog).to_owned(),
        version: version.text.to_string(),
        source: version.source.as_deref().unwrap_or(&name).to_owned(),
        source_version: version
            .source_version
            .as_deref()
            .unwrap_or(&version.text)
            .to_owned(),
        section: String::new(),
        installed_size: 0,
        size: 0,
        sha256: [0; 32],
        from: From::Extra(String::new()),
        replaces: chosen
            .replaces
            .map(|old| catalog.version(old).text.to_string()),
        reason,
        name,
    };
    match version.place {
        Place::Extra(number) => {
            let extra = &input.extras[number];
            package.size = extra.size;
            package.sha256 = extra.sha256;
            package.from = From::Extra(extra.id.clone());
        }
        Place::Index { index, record } => {
            let found = input.indexes[index].record(record)?;
            let (_, origin) = version.origins[0];
            package.section = found.section;
            package.installed_size = found.installed_size;
            package.size = found.size;
            package.sha256 = found.sha256.ok_or_else(|| {
                Error::malformed(
                    format!("package {}", package.name),
                    &package.version,
                    "with a SHA256 in its index",
                )
            })?;
            package.from = From::Archive {
                origin: Box::new(input.indexes[index].origins()[origin as usize].clone()),
                filename: found.filename,
            };
        }
        Place::Installed => return Err(Error::Index("an installed package cannot be fetched")),
    }
    Ok(package)
}

impl Plan {
    /// Bytes of all `.deb`s.
    pub fn size(&self) -> u64 {
        self.packages.iter().map(|package| package.size).sum()
    }
}

/// Whether installed packages may change at all.
fn frozen(policy: &Policy) -> bool {
    policy.base == Base::Frozen
}
