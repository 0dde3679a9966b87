//! All packages of a request under one numbering: those of the indexes, the installed ones and those by their own files. Loaded by name, when asked.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;

use bootsplice_resolver::{Candidates, Name, Solvable};
use rustc_hash::{FxHashMap, FxHashSet};

use super::{Extra, Input};
use crate::control::Stanza;
use crate::index::{Index, MultiArch, OriginId, Priority};
use crate::relation::{self, Qualifier};
use crate::status::Installed;
use crate::version;
use crate::{Error, Result};

/// A number for a name, whatever the architecture.
pub(super) type Group = u32;

/// All packages of one request.
pub(super) struct Catalog<'a> {
    pub input: &'a Input<'a>,
    /// Control files of the extras.
    pub extras: Vec<Installed>,
    tables: RefCell<Tables>,
    /// Which of the status' packages, and which extras, have a name.
    by_name: HashMap<&'a str, Vec<usize>>,
    extras_by_name: HashMap<String, Vec<usize>>,
    /// What the installed and the extras provide: (name's number, own name, version, of which).
    provided: FxHashMap<Group, Vec<OwnProvider>>,
    pub(super) candidates: RefCell<FxHashMap<Name, Rc<Candidates>>>,
    /// Candidates that requests chose.
    pub(super) chosen: RefCell<FxHashMap<Name, Solvable>>,
    /// Installed names whose candidate is tried before what is installed.
    pub(super) favored: RefCell<FxHashSet<Name>>,
    pub(super) siblings: RefCell<Option<Rc<super::sibling::Siblings>>>,
}

#[derive(Default)]
struct Tables {
    names: Vec<Rc<str>>,
    numbers: HashMap<Rc<str>, Group>,
    loaded: FxHashMap<Group, Rc<Loaded>>,
    /// Numbers of an index's names, by index.
    local: Vec<FxHashMap<u32, Group>>,
    versions: Vec<Rc<Version>>,
}

#[derive(Clone)]
struct OwnProvider {
    group: Group,
    version: Option<Box<str>>,
    place: Place,
}

/// One name, all architectures.
pub(super) struct Loaded {
    /// By architecture: versions, the newest first.
    pub versions: Vec<Vec<Solvable>>,
    /// Who provides the name.
    pub providers: Vec<Provides>,
    /// When apt would have met the name first: (index, number there).
    pub order: (usize, u32),
}

/// Who provides a name.
#[derive(Clone)]
pub(super) struct Provides {
    pub group: Group,
    pub version: Option<Box<str>>,
    place: Place,
}

/// Where a version is from.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Place {
    Installed,
    Extra(usize),
    Index { index: usize, record: u32 },
}

/// One version.
pub(super) struct Version {
    pub group: Group,
    /// Number among the input's architectures; that of `all` is the native one, 0.
    pub architecture: usize,
    pub all: bool,
    pub text: Box<str>,
    pub multi_arch: MultiArch,
    pub essential: bool,
    pub important: bool,
    pub protected: bool,
    pub priority: Priority,
    pub phased: Option<u8>,
    pub source: Option<Box<str>>,
    pub source_version: Option<Box<str>>,
    /// Its number in the status.
    pub installed: Option<usize>,
    /// Where the best copy is. For what is installed and also in an index: installed.
    pub place: Place,
    /// All places, for providers.
    places: Vec<Place>,
    pub origins: Vec<(usize, OriginId)>,
}

// === impl Catalog ===

impl<'a> Catalog<'a> {
    pub fn new(input: &'a Input<'a>) -> Result<Self> {
        if input.architectures.is_empty()
            || !input
                .architectures
                .iter()
                .all(|name| relation::is_name(name) && name != "all")
        {
            return Err(Error::malformed(
                "architectures",
                &input.architectures.join(" "),
                "the native architecture, then foreign ones",
            ));
        }
        let extras = input
            .extras
            .iter()
            .map(control)
            .collect::<Result<Vec<_>>>()?;
        let mut by_name: HashMap<&str, Vec<usize>> = HashMap::new();
        for (number, package) in input.status.packages().iter().enumerate() {
            by_name.entry(&*package.name).or_default().push(number);
        }
        let mut extras_by_name: HashMap<String, Vec<usize>> = HashMap::new();
        for (number, package) in extras.iter().enumerate() {
            extras_by_name
                .entry(package.name.to_string())
                .or_default()
                .push(number);
        }
        let mut catalog = Self {
            input,
            extras,
            tables: RefCell::default(),
            by_name,
            extras_by_name,
            provided: FxHashMap::default(),
            candidates: RefCell::default(),
            chosen: RefCell::default(),
            favored: RefCell::default(),
            siblings: RefCell::default(),
        };
        catalog.tables.borrow_mut().local = vec![FxHashMap::default(); input.indexes.len()];
        catalog.gather_provided()?;
        for index in input.indexes {
            index.prefetch(input.status.packages().iter().map(|package| &*package.name))?;
        }
        Ok(catalog)
    }

    fn gather_provided(&mut self) -> Result<()> {
        let mut provided: FxHashMap<Group, Vec<OwnProvider>> = FxHashMap::default();
        let installed = self
            .input
            .status
            .packages()
            .iter()
            .map(|package| (package, Place::Installed));
        let extras = self
            .extras
            .iter()
            .enumerate()
            .map(|(number, package)| (package, Place::Extra(number)));
        for (package, place) in installed.chain(extras) {
            if package.provides.is_empty() {
                continue;
            }
            let group = self.group(&package.name);
            for atom in relation::parse(&package.provides)?.into_iter().flatten() {
                provided
                    .entry(self.group(atom.name))
                    .or_default()
                    .push(OwnProvider {
                        group,
                        version: atom.constraint.map(|(_, version)| version.into()),
                        place,
                    });
            }
        }
        self.provided = provided;
        Ok(())
    }

    /// The number of a name.
    pub fn group(&self, name: &str) -> Group {
        let mut tables = self.tables.borrow_mut();
        if let Some(&group) = tables.numbers.get(name) {
            return group;
        }
        let group = tables.names.len() as Group;
        let name: Rc<str> = name.into();
        tables.names.push(name.clone());
        tables.numbers.insert(name, group);
        group
    }

    /// The number of an index's name.
    pub fn group_of(&self, index: usize, local: u32) -> Result<Group> {
        if let Some(&group) = self.tables.borrow().local[index].get(&local) {
            return Ok(group);
        }
        let group = self.group(&self.input.indexes[index].name(local)?);
        self.tables.borrow_mut().local[index].insert(local, group);
        Ok(group)
    }

    pub fn group_name(&self, group: Group) -> Rc<str> {
        self.tables.borrow().names[group as usize].clone()
    }

    pub fn version(&self, solvable: Solvable) -> Rc<Version> {
        self.tables.borrow().versions[solvable.0 as usize].clone()
    }

    /// The resolver's name of a group in an architecture.
    pub fn name(&self, group: Group, architecture: usize) -> Name {
        Name(group * self.input.architectures.len() as u32 + architecture as u32)
    }

    /// Group and architecture of a resolver's name.
    pub fn parts(&self, name: Name) -> (Group, usize) {
        let architectures = self.input.architectures.len() as u32;
        (name.0 / architectures, (name.0 % architectures) as usize)
    }

    /// A name as people write it: the architecture only where it is not the native one.
    pub fn told(&self, name: Name) -> String {
        let (group, architecture) = self.parts(name);
        match architecture {
            0 => self.group_name(group).to_string(),
            other => format!(
                "{}:{}",
                self.group_name(group),
                self.input.architectures[other]
            ),
        }
    }

    /// What is installed, in the status' order.
    pub fn installed(&self) -> Result<Vec<(Name, Solvable)>> {
        let mut found = Vec::with_capacity(self.input.status.packages().len());
        for (number, package) in self.input.status.packages().iter().enumerate() {
            let group = self.group(&package.name);
            let loaded = self.load(group)?;
            for (architecture, versions) in loaded.versions.iter().enumerate() {
                for &solvable in versions {
                    if self.version(solvable).installed == Some(number) {
                        found.push((self.name(group, architecture), solvable));
                    }
                }
            }
        }
        Ok(found)
    }

    /// Whether the image does not work without it.
    pub fn is_vital(&self, solvable: Solvable) -> bool {
        let version = self.version(solvable);
        version.essential || version.important || version.protected
    }

    /// Everything of a name.
    pub fn load(&self, group: Group) -> Result<Rc<Loaded>> {
        if let Some(loaded) = self.tables.borrow().loaded.get(&group) {
            return Ok(loaded.clone());
        }
        let name = self.group_name(group);
        let mut found: Vec<Version> = Vec::new();
        let mut providers = Vec::new();
        let mut order = (usize::MAX, u32::MAX);
        for &number in self.by_name.get(&*name).into_iter().flatten() {
            let package = &self.input.status.packages()[number];
            found.extend(self.own(group, package, Place::Installed, Some(number)));
        }
        for &number in self.extras_by_name.get(&*name).into_iter().flatten() {
            let package = &self.extras[number];
            let version = self.own(group, package, Place::Extra(number), None);
            merge(&mut found, version);
        }
        for (index, indexed) in self.input.indexes.iter().enumerate() {
            let Some(local) = indexed.find(&name)? else {
                continue;
            };
            order = order.min((index, local));
            self.tables.borrow_mut().local[index].insert(local, group);
            let (entries, provides) = indexed.entries(local)?;
            for entry in entries {
                let version = self.indexed(group, index, indexed, entry);
                merge(&mut found, version);
            }
            for provider in provides {
                providers.push(Provides {
                    group: self.group_of(index, provider.name)?,
                    version: provider.version,
                    place: Place::Index {
                        index,
                        record: provider.record,
                    },
                });
            }
        }
        for own in self.provided.get(&group).into_iter().flatten() {
            providers.push(Provides {
                group: own.group,
                version: own.version.clone(),
                place: own.place,
            });
        }
        let mut tables = self.tables.borrow_mut();
        let mut versions = vec![Vec::new(); self.input.architectures.len()];
        // Stable: of equal versions the installed one first, then in the order of the sources.
        found.sort_by(|a, b| version::compare(&b.text, &a.text));
        for version in found {
            let solvable = Solvable(tables.versions.len() as u32);
            versions[version.architecture].push(solvable);
            tables.versions.push(Rc::new(version));
        }
        let loaded = Rc::new(Loaded {
            versions,
            providers,
            order,
        });
        tables.loaded.insert(group, loaded.clone());
        Ok(loaded)
    }

    /// The solvables among `candidates` that a provider means.
    pub fn is_provider(&self, provider: &Provides, version: &Version) -> bool {
        match provider.place {
            Place::Installed => version.installed.is_some(),
            place => version.places.contains(&place),
        }
    }

    /// None: of an architecture that is not the image's.
    fn own(
        &self,
        group: Group,
        package: &Installed,
        place: Place,
        installed: Option<usize>,
    ) -> Option<Version> {
        let (architecture, all) = self.architecture(&package.architecture)?;
        Some(Version {
            group,
            architecture,
            all,
            text: package.version.clone(),
            multi_arch: package.multi_arch,
            essential: package.essential,
            important: package.important,
            protected: package.protected,
            priority: package.priority,
            phased: None,
            source: package.source.clone(),
            source_version: package.source_version.clone(),
            installed,
            place,
            places: vec![place],
            origins: Vec::new(),
        })
    }

    fn indexed(
        &self,
        group: Group,
        index: usize,
        indexed: &Index<'_>,
        entry: crate::index::Entry,
    ) -> Option<Version> {
        let (architecture, all) =
            self.architecture(&indexed.architectures()[usize::from(entry.architecture)])?;
        let place = Place::Index {
            index,
            record: entry.record,
        };
        Some(Version {
            group,
            architecture,
            all,
            text: entry.version,
            multi_arch: entry.multi_arch,
            essential: entry.essential,
            important: entry.important,
            protected: entry.protected,
            priority: entry.priority,
            phased: entry.phased,
            source: entry.source,
            source_version: entry.source_version,
            installed: None,
            place,
            places: vec![place],
            origins: entry
                .origins
                .into_iter()
                .map(|origin| (index, origin))
                .collect(),
        })
    }

    /// The number of an architecture, and whether it is `all`.
    pub fn architecture(&self, name: &str) -> Option<(usize, bool)> {
        if name == "all" {
            return Some((0, true));
        }
        let number = self
            .input
            .architectures
            .iter()
            .position(|known| known == name)?;
        Some((number, false))
    }

    /// Whether a relation of a package of architecture `from` means a package of this architecture.
    pub fn means(&self, qualifier: Qualifier<'_>, from: usize, version: &Version) -> bool {
        match qualifier {
            Qualifier::Implicit => {
                version.architecture == from || version.multi_arch == MultiArch::Foreign
            }
            Qualifier::Any => {
                version.architecture == from || version.multi_arch == MultiArch::Allowed
            }
            Qualifier::Native => version.architecture == 0,
            Qualifier::Architecture(name) => self.input.architectures[version.architecture] == name,
        }
    }
}

/// Adds a version, or its places to an equal one's.
fn merge(found: &mut Vec<Version>, version: Option<Version>) {
    let Some(version) = version else {
        return;
    };
    let equal = found
        .iter_mut()
        .find(|known| known.text == version.text && known.architecture == version.architecture);
    match equal {
        Some(known) => {
            known.places.extend_from_slice(&version.places);
            known.origins.extend_from_slice(&version.origins);
            known.phased = known.phased.or(version.phased);
        }
        None => found.push(version),
    }
}

fn control(extra: &Extra) -> Result<Installed> {
    Installed::control(&Stanza::only(extra.control.as_bytes())?)
}

// === impl Version ===

impl Version {
    /// Whether this place has it.
    pub fn is_at(&self, place: Place) -> bool {
        self.places.contains(&place)
    }

    pub fn name(&self, catalog: &Catalog<'_>) -> Name {
        catalog.name(self.group, self.architecture)
    }

    /// Its architecture as its control file has it.
    pub fn written_architecture<'c>(&self, catalog: &'c Catalog<'_>) -> &'c str {
        if self.all {
            "all"
        } else {
            &catalog.input.architectures[self.architecture]
        }
    }
}
