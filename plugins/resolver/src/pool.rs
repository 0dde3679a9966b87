//! Numbers for names, solvables and sets of one request, as the search engine wants them: dense, in the order of first mention.

use std::cell::RefCell;

use resolvo::{NameId, SolvableId, StringId, VersionSetId, VersionSetUnionId};
use rustc_hash::FxHashMap;

use crate::universe::{Choice, Dependency, Name, Solvable};

/// A name of the search: a package's, or one that stands for something that is met if it can be.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub(crate) enum Entry {
    Package(Name),
    /// The soft thing with this index. It has two solvables: met, then given up.
    Soft(u32),
}

/// A solvable of the search.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub(crate) enum Item {
    Package(Solvable),
    /// The soft thing is met.
    Met(u32),
    /// The soft thing is given up.
    GivenUp(u32),
}

/// Solvables of one name, or all others of it.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub(crate) struct Set {
    pub name: NameId,
    /// Sorted.
    pub members: Box<[SolvableId]>,
    /// The set is all but the members.
    pub inverted: bool,
}

/// What is met if it can be.
#[derive(Clone, Debug)]
pub(crate) struct Soft {
    pub choices: Vec<Choice>,
}

#[derive(Default)]
struct Tables {
    entries: Vec<Entry>,
    entry_ids: FxHashMap<Entry, NameId>,
    items: Vec<(Item, NameId)>,
    item_ids: FxHashMap<Item, SolvableId>,
    sets: Vec<Set>,
    set_ids: FxHashMap<Set, VersionSetId>,
    unions: Vec<Vec<VersionSetId>>,
    union_ids: FxHashMap<Vec<VersionSetId>, VersionSetUnionId>,
    strings: Vec<String>,
    softs: Vec<Soft>,
    soft_ids: FxHashMap<Vec<Choice>, u32>,
}

/// The numbers of one request.
#[derive(Default)]
pub(crate) struct Pool(RefCell<Tables>);

// === impl Pool ===

impl Pool {
    pub fn name(&self, entry: Entry) -> NameId {
        let mut tables = self.0.borrow_mut();
        if let Some(&id) = tables.entry_ids.get(&entry) {
            return id;
        }
        let id = NameId::from_raw(tables.entries.len() as u32);
        tables.entries.push(entry);
        tables.entry_ids.insert(entry, id);
        id
    }

    pub fn solvable(&self, item: Item, name: NameId) -> SolvableId {
        let mut tables = self.0.borrow_mut();
        if let Some(&id) = tables.item_ids.get(&item) {
            return id;
        }
        let id = SolvableId::from_raw(tables.items.len() as u32);
        tables.items.push((item, name));
        tables.item_ids.insert(item, id);
        id
    }

    /// The set of a choice's solvables, or of all others of its name.
    pub fn choice(&self, choice: &Choice, inverted: bool) -> VersionSetId {
        let name = self.name(Entry::Package(choice.name));
        let members = choice
            .solvables
            .iter()
            .map(|&solvable| self.solvable(Item::Package(solvable), name))
            .collect();
        self.set(name, members, inverted)
    }

    pub fn set(&self, name: NameId, mut members: Vec<SolvableId>, inverted: bool) -> VersionSetId {
        members.sort_unstable();
        members.dedup();
        let set = Set {
            name,
            members: members.into(),
            inverted,
        };
        let mut tables = self.0.borrow_mut();
        if let Some(&id) = tables.set_ids.get(&set) {
            return id;
        }
        let id = VersionSetId(tables.sets.len() as u32);
        tables.sets.push(set.clone());
        tables.set_ids.insert(set, id);
        id
    }

    pub fn union(&self, sets: Vec<VersionSetId>) -> VersionSetUnionId {
        let mut tables = self.0.borrow_mut();
        if let Some(&id) = tables.union_ids.get(&sets) {
            return id;
        }
        let id = VersionSetUnionId(tables.unions.len() as u32);
        tables.unions.push(sets.clone());
        tables.union_ids.insert(sets, id);
        id
    }

    /// The name of something soft; one for equal choices, so that what several packages recommend is decided once.
    pub fn soft(&self, dependency: &Dependency) -> NameId {
        let mut tables = self.0.borrow_mut();
        let index = match tables.soft_ids.get(&dependency.choices) {
            Some(&index) => index,
            None => {
                let index = tables.softs.len() as u32;
                tables.softs.push(Soft {
                    choices: dependency.choices.clone(),
                });
                tables.soft_ids.insert(dependency.choices.clone(), index);
                index
            }
        };
        drop(tables);
        self.name(Entry::Soft(index))
    }

    pub fn string(&self, text: String) -> StringId {
        let mut tables = self.0.borrow_mut();
        let id = StringId(tables.strings.len() as u32);
        tables.strings.push(text);
        id
    }

    pub fn entry(&self, name: NameId) -> Entry {
        self.0.borrow().entries[name.into_raw() as usize]
    }

    pub fn item(&self, solvable: SolvableId) -> Item {
        self.0.borrow().items[solvable.into_raw() as usize].0
    }

    pub fn name_of(&self, solvable: SolvableId) -> NameId {
        self.0.borrow().items[solvable.into_raw() as usize].1
    }

    pub fn set_name(&self, set: VersionSetId) -> NameId {
        self.0.borrow().sets[set.0 as usize].name
    }

    /// Calls `f` with a set.
    pub fn with_set<T>(&self, set: VersionSetId, f: impl FnOnce(&Set) -> T) -> T {
        f(&self.0.borrow().sets[set.0 as usize])
    }

    pub fn members(&self, union: VersionSetUnionId) -> Vec<VersionSetId> {
        self.0.borrow().unions[union.0 as usize].clone()
    }

    pub fn text(&self, string: StringId) -> String {
        self.0.borrow().strings[string.0 as usize].clone()
    }

    pub fn choices_of(&self, soft: u32) -> Vec<Choice> {
        self.0.borrow().softs[soft as usize].choices.clone()
    }
}

// === impl Set ===

impl Set {
    pub fn contains(&self, solvable: SolvableId) -> bool {
        self.members.binary_search(&solvable).is_ok() != self.inverted
    }
}
