//! What an image has installed: dpkg's `status` (dpkg-query(1), "Package states") and apt's `extended_states`.

mod ties;

use std::collections::HashSet;
use std::sync::{Arc, OnceLock};

use crate::control::{Stanza, stanzas, text};
use crate::index::{List, MultiArch, Priority};
use crate::relation;
use crate::{Error, Result};
pub(crate) use ties::{About, Tie, Ties, architecture, means};

/// All packages that are unpacked in an image.
#[derive(Clone, Debug, Default)]
pub struct Status {
    packages: Vec<Installed>,
    /// Made when a request first asks, and kept for the next ones.
    ties: OnceLock<Arc<Ties>>,
}

/// One package that is unpacked.
#[derive(Clone, Debug, Default)]
pub struct Installed {
    /// Its name.
    pub name: Box<str>,
    /// Its architecture, `all` among them.
    pub architecture: Box<str>,
    /// Its version.
    pub version: Box<str>,
    /// Its source package; none: of the same name.
    pub source: Option<Box<str>>,
    /// Its source's version; none: the same.
    pub source_version: Option<Box<str>>,
    /// Its `Multi-Arch`.
    pub multi_arch: MultiArch,
    /// `Essential: yes`.
    pub essential: bool,
    /// `Important: yes`.
    pub important: bool,
    /// `Protected: yes`.
    pub protected: bool,
    /// Its `Priority`.
    pub priority: Priority,
    /// `hold`: it must stay in this version.
    pub held: bool,
    /// Unpacked, but not configured yet.
    pub unconfigured: bool,
    /// Installed for others' sake (`Auto-Installed: 1`).
    pub automatic: bool,
    /// What it provides, as it is written.
    pub provides: Box<str>,
    /// Its lists of relations, as they are written, by [`List`].
    pub lists: [Box<str>; 6],
}

/// The states in which a package's files are there, other than `installed`.
const UNCONFIGURED: [&str; 4] = [
    "unpacked",
    "half-configured",
    "triggers-awaited",
    "triggers-pending",
];

// === impl Status ===

impl Status {
    /// Reads dpkg's status. Packages that are not unpacked are left out. A package in a state that dpkg itself cannot go on from
    /// (`half-installed`) is an error that names it: the image must be mended first.
    pub fn parse(status: &[u8]) -> Result<Self> {
        let mut packages = Vec::new();
        for stanza in stanzas(status) {
            let stanza = stanza?;
            if stanza.fields().next().is_some() {
                packages.extend(Installed::read(&stanza)?);
            }
        }
        Ok(Self {
            packages,
            ties: OnceLock::new(),
        })
    }

    /// Adds apt's marks: which packages were installed for others' sake.
    pub fn mark(&mut self, extended_states: &[u8], native: &str) -> Result<()> {
        let mut automatic = HashSet::new();
        for stanza in stanzas(extended_states) {
            let stanza = stanza?;
            let (Some(name), Some("1")) =
                (stanza.field("Package")?, stanza.field("Auto-Installed")?)
            else {
                continue;
            };
            automatic.insert((name, stanza.field("Architecture")?.unwrap_or(native)));
        }
        for package in &mut self.packages {
            let architecture = if &*package.architecture == "all" {
                native
            } else {
                &package.architecture
            };
            package.automatic = automatic.contains(&(&*package.name, architecture));
        }
        Ok(())
    }

    /// The packages, in the file's order.
    pub fn packages(&self) -> &[Installed] {
        &self.packages
    }

    /// What ties the packages together.
    pub(crate) fn ties(&self, architectures: &[String]) -> Result<Arc<Ties>> {
        match self.ties.get() {
            Some(known) if known.architectures == architectures => Ok(known.clone()),
            _ => {
                let ties = Arc::new(Ties::new(self, architectures)?);
                let _ = self.ties.set(ties.clone());
                Ok(ties)
            }
        }
    }
}

// === impl Installed ===

impl Installed {
    /// None: it is not unpacked.
    fn read(stanza: &Stanza<'_>) -> Result<Option<Self>> {
        let (name, status) = (
            stanza.need("Package")?,
            stanza.field("Status")?.unwrap_or_default(),
        );
        let mut words = status.split_ascii_whitespace();
        let (want, flag, state) = (words.next(), words.next(), words.next());
        let place = || format!("dpkg status of {name}");
        let unconfigured = match state {
            Some("installed") => false,
            Some(state) if UNCONFIGURED.contains(&state) => true,
            Some("half-installed") => {
                return Err(Error::malformed(
                    place(),
                    status,
                    "whole: mend the image with dpkg first",
                ));
            }
            Some("not-installed" | "config-files") => return Ok(None),
            _ => {
                return Err(Error::malformed(
                    place(),
                    status,
                    "a state of three words that dpkg knows",
                ));
            }
        };
        if flag == Some("reinstreq") {
            return Err(Error::malformed(
                place(),
                status,
                "whole: it needs to be installed again",
            ));
        }
        let mut package = Self::control(stanza)?;
        package.held = want == Some("hold");
        package.unconfigured = unconfigured;
        Ok(Some(package))
    }

    /// The fields of a package's control file.
    pub(crate) fn control(stanza: &Stanza<'_>) -> Result<Self> {
        let mut package = Self::default();
        let mut source = "";
        for field in stanza.fields() {
            let (name, value) = field?;
            if let Some(list) = List::ALL.into_iter().find(|list| list.field() == name) {
                package.lists[list as usize] = text(name, value)?.into();
                continue;
            }
            let slot = match name {
                "Package" => &mut package.name,
                "Architecture" => &mut package.architecture,
                "Version" => &mut package.version,
                "Provides" => &mut package.provides,
                "Source" => {
                    source = text(name, value)?;
                    continue;
                }
                "Multi-Arch" => {
                    package.multi_arch = MultiArch::parse(text(name, value)?);
                    continue;
                }
                "Priority" => {
                    package.priority = Priority::parse(text(name, value)?);
                    continue;
                }
                "Essential" | "Important" | "Protected" => {
                    let yes = text(name, value)? == "yes";
                    match name {
                        "Essential" => package.essential = yes,
                        "Important" => package.important = yes,
                        _ => package.protected = yes,
                    }
                    continue;
                }
                _ => continue,
            };
            *slot = text(name, value)?.into();
        }
        if !relation::is_name(&package.name)
            || !relation::is_name(&package.architecture)
            || package.version.is_empty()
        {
            return Err(Error::malformed(
                format!("the stanza at byte {}", stanza.offset),
                &package.name,
                "a package with Package, Version and Architecture",
            ));
        }
        let (source, source_version) =
            crate::index::source_of(source, &package.name, &package.version);
        package.source = Some(source).filter(|text| !text.is_empty()).map(Box::from);
        package.source_version = Some(source_version)
            .filter(|text| !text.is_empty())
            .map(Box::from);
        Ok(package)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STATUS: &str = "Package: a\nStatus: install ok installed\nArchitecture: amd64\nVersion: 1\nSource: s (0.9)\nEssential: yes\n\n\
        Package: b\nStatus: hold ok installed\nArchitecture: all\nVersion: 2\nDepends: a\n\n\
        Package: c\nStatus: deinstall ok config-files\nArchitecture: all\nVersion: 2\n";

    #[test]
    fn only_what_is_unpacked_counts_and_holds_are_seen() {
        let status = Status::parse(STATUS.as_bytes()).unwrap();
        let [a, b] = status.packages() else {
            panic!("{status:?}")
        };
        assert!(a.essential && !a.held && b.held);
        assert_eq!(
            (a.source.as_deref(), a.source_version.as_deref()),
            (Some("s"), Some("0.9"))
        );
        assert_eq!(&*b.lists[List::Depends as usize], "a");
    }

    #[test]
    fn marks_of_apt_are_told_by_name_and_architecture() {
        let mut status = Status::parse(STATUS.as_bytes()).unwrap();
        let states = b"Package: b\nArchitecture: amd64\nAuto-Installed: 1\n\nPackage: a\nArchitecture: i386\nAuto-Installed: 1\n";
        status.mark(states, "amd64").unwrap();
        assert!(!status.packages()[0].automatic && status.packages()[1].automatic);
    }

    #[test]
    fn a_package_that_dpkg_left_halfway_is_named() {
        let broken = STATUS.replace("hold ok installed", "install ok half-installed");
        let error = Status::parse(broken.as_bytes()).unwrap_err().to_string();
        assert!(error.contains("dpkg status of b"), "{error}");
    }
}
