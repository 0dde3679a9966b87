//! All packages of a request under one numbering: those of the indexes, the installed ones and those by their own files. Loaded by name, when asked.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;

use bootsplice_resolver::{Candidates, Choice, Name, Solvable};
use rustc_hash::{FxHashMap, FxHashSet};

use super::{Extra, Input};
use crate::control::Stanza;
use crate::index::{MultiArch, OriginId, Priority};
use crate::relation::{self, Qualifier};
use crate::status::{self, Installed, Ties};
use crate::{Error, Result};

/// A number for a name, whatever the architecture.
pub(super) type Group = u32;

/// All packages of one request.
pub(super) struct Catalog<'a> {
    pub input: &'a Input<'a>,
    /// Control files of the extras.
    pub extras: Vec<Installed>,
    pub(super) tables: RefCell<Tables>,
    /// What the installed packages have to do with each other.
    pub ties: Arc<Ties>,
    /// Whether what is installed and stays as it is is left out of the search; see [`base`](super::base).
    pub(super) lean: Cell<bool>,
    pub(super) candidates: RefCell<FxHashMap<Name, Rc<Candidates>>>,
    /// Candidates that requests chose.
    pub(super) chosen: RefCell<FxHashMap<Name, Solvable>>,
    /// Installed names whose candidate is tried before what is installed.
    pub(super) favored: RefCell<FxHashSet<Name>>,
    pub(super) siblings: RefCell<FxHashMap<Group, Rc<Vec<Choice>>>>,
}

/// What was loaded so far.
#[derive(Default)]
pub(super) struct Tables {
    names: Vec<Rc<str>>,
    numbers: FxHashMap<Rc<str>, Group>,
    pub loaded: FxHashMap<Group, Rc<Loaded>>,
    /// Numbers of an index's names, by index, and back.
    local: Vec<FxHashMap<u32, Group>>,
    back: Vec<FxHashMap<Group, u32>>,
    pub versions: Vec<Rc<Version>>,
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
    pub place: Place,
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
    pub places: Vec<Place>,
    pub origins: Vec<(usize, OriginId)>,
    /// The names that it provides in its place, by that place's numbers: an index's, or none for other places.
    pub provides: Vec<u32>,
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
        let ties = input.status.ties(input.architectures)?;
        let count = input.indexes.len();
        let tables = Tables {
            local: vec![FxHashMap::default(); count],
            back: vec![FxHashMap::default(); count],
            ..Tables::default()
        };
        Ok(Self {
            input,
            extras,
            ties,
            lean: Cell::new(false),
            tables: RefCell::new(tables),
            candidates: RefCell::default(),
            chosen: RefCell::default(),
            favored: RefCell::default(),
            siblings: RefCell::default(),
        })
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
        let group = self.input.indexes[index].with_text(local, |name| self.group(name))?;
        let mut tables = self.tables.borrow_mut();
        tables.local[index].insert(local, group);
        tables.back[index].insert(group, local);
        Ok(group)
    }

    /// The number that an index has for a name.
    pub fn number_in(&self, index: usize, group: Group) -> Result<Option<u32>> {
        if let Some(&local) = self.tables.borrow().back[index].get(&group) {
            return Ok(Some(local));
        }
        let Some(local) = self.input.indexes[index].find(&self.group_name(group))? else {
            return Ok(None);
        };
        let mut tables = self.tables.borrow_mut();
        tables.local[index].insert(local, group);
        tables.back[index].insert(group, local);
        Ok(Some(local))
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
        for index in self.input.indexes {
            let packages = self.input.status.packages().iter();
            index.prefetch(packages.map(|package| &*package.name))?;
        }
        let mut found = Vec::with_capacity(self.input.status.packages().len());
        for number in 0..self.input.status.packages().len() {
            found.extend(self.installed_as(number)?);
        }
        Ok(found)
    }

    /// What a package of the status is here. None: of an architecture that is not the image's.
    pub fn installed_as(&self, number: usize) -> Result<Option<(Name, Solvable)>> {
        let group = self.group(&self.input.status.packages()[number].name);
        let loaded = self.load(group)?;
        for (architecture, versions) in loaded.versions.iter().enumerate() {
            for &solvable in versions {
                if self.version(solvable).installed == Some(number) {
                    return Ok(Some((self.name(group, architecture), solvable)));
                }
            }
        }
        Ok(None)
    }

    /// Whether the image does not work without it.
    pub fn is_vital(&self, solvable: Solvable) -> bool {
        let version = self.version(solvable);
        version.essential || version.important || version.protected
    }

    /// The solvables among `candidates` that a provider means.
    pub fn is_provider(&self, provider: &Provides, version: &Version) -> bool {
        match provider.place {
            Place::Installed => version.installed.is_some(),
            place => version.places.contains(&place),
        }
    }

    /// The number of an architecture, and whether it is `all`.
    pub fn architecture(&self, name: &str) -> Option<(usize, bool)> {
        status::architecture(name, self.input.architectures)
    }

    /// Whether a relation of a package of architecture `from` means a package of this architecture.
    pub fn means(&self, qualifier: Qualifier<'_>, from: usize, version: &Version) -> bool {
        status::means(
            qualifier,
            from,
            version.architecture,
            version.multi_arch,
            self.input.architectures,
        )
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
