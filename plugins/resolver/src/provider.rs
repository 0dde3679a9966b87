//! A universe in the words of the search engine.

use std::any::Any;
use std::cell::{Cell, RefCell};
use std::fmt::Display;
use std::rc::Rc;

use resolvo::{
    Candidates as SearchCandidates, Condition, ConditionId, Dependencies as SearchDependencies,
    DependencyProvider, HintDependenciesAvailable, Interner, KnownDependencies, NameId,
    Requirement, SolvableId, SolverCache, StringId, VersionSetId, VersionSetUnionId,
};

use rustc_hash::FxHashMap;

use crate::pool::{Entry, Item, Pool};
use crate::universe::{Choice, Dependencies, Dependency, Link, Solvable, Universe};

/// One request's view of a universe.
pub(crate) struct Provider<'a, U: Universe> {
    pub universe: &'a U,
    pub pool: Pool,
    pub stop: Option<&'a dyn Fn() -> bool>,
    /// The first error of the universe; the search is cancelled by it.
    pub failed: RefCell<Option<U::Error>>,
    pub visited: Cell<usize>,
    asked: RefCell<FxHashMap<Solvable, Rc<Dependencies>>>,
    /// Which text stands behind a requirement of the problem itself, for stories.
    wishes: RefCell<Vec<(Requirement, u32)>>,
    /// Which text stands behind what the problem itself rules out.
    forbids: RefCell<Vec<(VersionSetId, u32)>>,
}

/// The search was cancelled; the provider knows why.
pub(crate) struct Cancelled;

// === impl Provider ===

impl<'a, U: Universe> Provider<'a, U> {
    pub fn new(universe: &'a U, stop: Option<&'a dyn Fn() -> bool>) -> Self {
        Self {
            universe,
            pool: Pool::default(),
            stop,
            failed: RefCell::new(None),
            visited: Cell::new(0),
            asked: RefCell::default(),
            wishes: RefCell::default(),
            forbids: RefCell::default(),
        }
    }

    /// What a solvable asks for; the universe is asked once.
    pub fn dependencies(&self, solvable: Solvable) -> Result<Rc<Dependencies>, U::Error> {
        if let Some(known) = self.asked.borrow().get(&solvable) {
            return Ok(known.clone());
        }
        self.visited.set(self.visited.get() + 1);
        let dependencies = Rc::new(self.universe.dependencies(solvable)?);
        self.asked
            .borrow_mut()
            .insert(solvable, dependencies.clone());
        Ok(dependencies)
    }

    /// Remembers the text of a requirement of the problem.
    pub fn label_wish(&self, requirement: Requirement, label: u32) {
        self.wishes.borrow_mut().push((requirement, label));
    }

    /// Remembers the text of what the problem rules out.
    pub fn label_forbidden(&self, set: VersionSetId, label: u32) {
        self.forbids.borrow_mut().push((set, label));
    }

    /// The text of a requirement; none for one that nobody asked for by name.
    pub fn dependency_text(
        &self,
        from: Option<SolvableId>,
        requirement: Requirement,
    ) -> Option<String> {
        let package = self.package(from);
        let label = match package {
            Some(package) => {
                let asked = self.asked.borrow().get(&package)?.clone();
                let mut requires = asked.requires.iter();
                let same = |dependency: &&Dependency| self.asks(dependency) == Some(requirement);
                requires.find(same)?.label
            }
            None if from.is_some() => return None,
            None => {
                let wishes = self.wishes.borrow();
                let found = wishes.iter().find(|(wished, _)| *wished == requirement);
                found?.1
            }
        };
        Some(self.universe.describe_dependency(package, label))
    }

    /// The text of what rules out others.
    pub fn relation_text(&self, from: Option<SolvableId>, set: VersionSetId) -> String {
        let package = self.package(from);
        let label = match package {
            Some(package) => {
                let asked = self
                    .asked
                    .borrow()
                    .get(&package)
                    .cloned()
                    .unwrap_or_default();
                let mut forbids = asked.forbids.iter();
                let same = |(_, choice): &&(u32, Choice)| self.pool.choice(choice, true) == set;
                forbids.find(same).map(|(label, _)| *label)
            }
            None => {
                let forbids = self.forbids.borrow();
                let found = forbids.iter().find(|(forbidden, _)| *forbidden == set);
                found.map(|(_, label)| *label)
            }
        };
        match label {
            Some(label) => self.universe.describe_dependency(package, label),
            None => "conflicts".to_owned(),
        }
    }

    fn package(&self, from: Option<SolvableId>) -> Option<Solvable> {
        match self.pool.item(from?) {
            Item::Package(solvable) => Some(solvable),
            Item::Met(_) | Item::GivenUp(_) => None,
        }
    }

    /// Choices as one requirement; none when nothing is to choose from.
    pub fn requirement(&self, choices: &[Choice]) -> Option<Requirement> {
        let mut sets: Vec<VersionSetId> = Vec::with_capacity(choices.len());
        for choice in choices.iter().filter(|choice| !choice.solvables.is_empty()) {
            let set = self.pool.choice(choice, false);
            if !sets.contains(&set) {
                sets.push(set);
            }
        }
        match sets.as_slice() {
            [] => None,
            [only] => Some(Requirement::Single(*only)),
            _ => Some(Requirement::Union(self.pool.union(sets))),
        }
    }

    /// A requirement that is met when its choices can be, and costs nothing otherwise.
    pub fn soft(&self, dependency: &Dependency) -> Option<Requirement> {
        if dependency
            .choices
            .iter()
            .all(|choice| choice.solvables.is_empty())
        {
            return None;
        }
        let name = self.pool.soft(dependency);
        let Entry::Soft(index) = self.pool.entry(name) else {
            return None;
        };
        let members = vec![
            self.pool.solvable(Item::Met(index), name),
            self.pool.solvable(Item::GivenUp(index), name),
        ];
        Some(Requirement::Single(self.pool.set(name, members, false)))
    }

    /// A dependency as a requirement; none when nothing is to choose from.
    fn asks(&self, dependency: &Dependency) -> Option<Requirement> {
        match dependency.link {
            Link::Depends => self.requirement(&dependency.choices),
            Link::Recommends | Link::SameSource => self.soft(dependency),
        }
    }

    fn fail<T: Default>(&self, error: U::Error) -> T {
        self.failed.borrow_mut().get_or_insert(error);
        T::default()
    }

    fn known(&self, solvable: SolvableId) -> Result<SearchDependencies, U::Error> {
        let mut known = KnownDependencies::default();
        match self.pool.item(solvable) {
            Item::GivenUp(_) => {}
            Item::Met(index) => {
                if let Some(requirement) = self.requirement(&self.pool.choices_of(index)) {
                    known.requirements.push(requirement.into());
                }
            }
            Item::Package(package) => {
                let dependencies = self.dependencies(package)?;
                for dependency in &dependencies.requires {
                    match self.asks(dependency) {
                        Some(requirement) => known.requirements.push(requirement.into()),
                        None if dependency.link == Link::Depends => {
                            let text = self
                                .universe
                                .describe_dependency(Some(package), dependency.label);
                            return Ok(SearchDependencies::Unknown(self.pool.string(text)));
                        }
                        None => {}
                    }
                }
                for (_, choice) in &dependencies.forbids {
                    known.constrains.push(self.pool.choice(choice, true));
                }
            }
        }
        Ok(SearchDependencies::Known(known))
    }
}

// === impl Interner for Provider ===

impl<U: Universe> Interner for Provider<'_, U> {
    type NameId = NameId;
    type SolvableId = SolvableId;

    fn display_solvable(&self, solvable: SolvableId) -> impl Display + '_ {
        match self.pool.item(solvable) {
            Item::Package(package) => self.universe.describe_version(package),
            Item::Met(_) => "met".to_owned(),
            Item::GivenUp(_) => "given up".to_owned(),
        }
    }

    fn display_name(&self, name: NameId) -> impl Display + '_ {
        match self.pool.entry(name) {
            Entry::Package(name) => self.universe.describe_name(name),
            Entry::Soft(index) => format!("wish {index}"),
        }
    }

    fn display_version_set(&self, set: VersionSetId) -> impl Display + '_ {
        format!("set {}", set.0)
    }

    fn display_string(&self, string: StringId) -> impl Display + '_ {
        self.pool.text(string)
    }

    fn version_set_name(&self, set: VersionSetId) -> NameId {
        self.pool.set_name(set)
    }

    fn solvable_name(&self, solvable: SolvableId) -> NameId {
        self.pool.name_of(solvable)
    }

    fn version_sets_in_union(
        &self,
        union: VersionSetUnionId,
    ) -> impl Iterator<Item = VersionSetId> {
        self.pool.members(union).into_iter()
    }

    fn resolve_condition(&self, _: ConditionId) -> Condition {
        unreachable!("no requirement of this provider has a condition")
    }
}

// === impl DependencyProvider for Provider ===

impl<U: Universe> DependencyProvider for Provider<'_, U> {
    async fn filter_candidates(
        &self,
        candidates: &[SolvableId],
        set: VersionSetId,
        inverse: bool,
    ) -> Vec<SolvableId> {
        self.pool.with_set(set, |set| {
            candidates
                .iter()
                .copied()
                .filter(|&candidate| set.contains(candidate) != inverse)
                .collect()
        })
    }

    async fn get_candidates(&self, name: NameId) -> Option<SearchCandidates> {
        match self.pool.entry(name) {
            Entry::Soft(index) => Some(SearchCandidates {
                candidates: vec![
                    self.pool.solvable(Item::Met(index), name),
                    self.pool.solvable(Item::GivenUp(index), name),
                ],
                ..Default::default()
            }),
            Entry::Package(package) => {
                let found = match self.universe.candidates(package) {
                    Ok(found) => found,
                    Err(error) => return self.fail(error),
                };
                if found.solvables.is_empty() {
                    return None;
                }
                let id = |solvable| self.pool.solvable(Item::Package(solvable), name);
                Some(SearchCandidates {
                    candidates: found.solvables.iter().copied().map(id).collect(),
                    favored: found.favored.map(id),
                    locked: found.locked.map(id),
                    hint_dependencies_available: HintDependenciesAvailable::None,
                    excluded: Vec::new(),
                    allow_multiple: found.several,
                })
            }
        }
    }

    async fn sort_candidates(&self, _: &SolverCache<Self>, solvables: &mut [SolvableId]) {
        let Some(&first) = solvables.first() else {
            return;
        };
        // Most names have one solvable that may be chosen, or the two of something soft.
        if solvables.len() == 1 {
            return;
        }
        match self.pool.entry(self.pool.name_of(first)) {
            Entry::Soft(_) => {
                solvables
                    .sort_by_key(|&solvable| !matches!(self.pool.item(solvable), Item::Met(_)));
            }
            Entry::Package(package) => match self.universe.candidates(package) {
                Ok(found) => solvables.sort_by_key(|&solvable| {
                    let item = self.pool.item(solvable);
                    found
                        .solvables
                        .iter()
                        .position(|&other| Item::Package(other) == item)
                }),
                Err(error) => self.fail(error),
            },
        }
    }

    async fn get_dependencies(&self, solvable: SolvableId) -> SearchDependencies {
        match self.known(solvable) {
            Ok(dependencies) => dependencies,
            Err(error) => {
                self.fail::<()>(error);
                SearchDependencies::Known(KnownDependencies::default())
            }
        }
    }

    fn should_cancel_with_value(&self) -> Option<Box<dyn Any>> {
        let stopped = self.failed.borrow().is_some() || self.stop.is_some_and(|stop| stop());
        stopped.then(|| Box::new(Cancelled) as Box<dyn Any>)
    }
}
