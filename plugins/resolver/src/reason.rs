//! Why each chosen solvable is there, found by walking from the wishes; what nothing asks for is left out.
//!
//! The search may leave a package in its answer that it once tried and no longer needs. A walk over what is asked for, in the order of
//! preference, reaches all that is needed: what it does not reach can be left out, for everything reached has what it asks for among the reached
//! and the installed.

use std::collections::VecDeque;
use std::rc::Rc;

use rustc_hash::FxHashMap;

use crate::answer::{Answer, Chosen, Reason};
use crate::problem::Problem;
use crate::provider::Provider;
use crate::universe::{Choice, Dependencies, Link, Name, Solvable, Universe};

/// The walk.
struct Walk<'p, 'a, U: Universe> {
    provider: &'p Provider<'a, U>,
    /// The chosen solvables, and which of them are installed already.
    chosen: FxHashMap<Solvable, bool>,
    by_name: FxHashMap<Name, Solvable>,
    /// Replaced installed solvable, by the chosen one.
    replaces: FxHashMap<Solvable, Solvable>,
    names: FxHashMap<Solvable, Name>,
    reached: FxHashMap<Solvable, Reason>,
    order: Vec<Solvable>,
    hard: VecDeque<Solvable>,
    soft: VecDeque<(Solvable, Reason)>,
}

/// The answer for what the search chose. `names[i]` is the name of `chosen[i]`.
pub(crate) fn explain<U: Universe>(
    provider: &Provider<'_, U>,
    problem: &Problem<'_>,
    chosen: &[Solvable],
    names: &[Name],
) -> Result<Answer, U::Error> {
    let mut walk = Walk {
        provider,
        chosen: FxHashMap::default(),
        by_name: FxHashMap::default(),
        replaces: FxHashMap::default(),
        names: FxHashMap::default(),
        reached: FxHashMap::default(),
        order: Vec::new(),
        hard: VecDeque::new(),
        soft: VecDeque::new(),
    };
    for (&solvable, &name) in chosen.iter().zip(names) {
        let installed = provider.universe.candidates(name)?.installed;
        walk.chosen.insert(solvable, installed == Some(solvable));
        walk.by_name.insert(name, solvable);
        walk.names.insert(solvable, name);
        if let Some(old) = installed.filter(|&old| old != solvable) {
            walk.replaces.insert(solvable, old);
        }
    }
    for (index, wish) in problem.wishes.iter().enumerate() {
        if let Some(solvable) = walk.wanted(&wish.choices) {
            walk.reach(solvable, Reason::Requested(index));
        }
    }
    walk.run()?;

    // What stays may need something new, and what is replaced has a cause; the search's order decides between several.
    let kept: Vec<Solvable> = chosen
        .iter()
        .copied()
        .filter(|solvable| walk.chosen[solvable])
        .collect();
    for solvable in kept {
        walk.follow(solvable)?;
        walk.run()?;
    }
    let replaced: Vec<Solvable> = chosen
        .iter()
        .copied()
        .filter(|solvable| walk.replaces.contains_key(solvable))
        .collect();
    for solvable in replaced {
        if !walk.reached.contains_key(&solvable) {
            let reason = walk.cause(solvable)?;
            walk.reach(solvable, reason);
            walk.run()?;
        }
    }

    let mut removed = Vec::new();
    for &name in &problem.keep_if_possible {
        if !walk.by_name.contains_key(&name) {
            removed.extend(provider.universe.candidates(name)?.installed);
        }
    }
    Ok(Answer {
        chosen: walk
            .order
            .iter()
            .map(|&solvable| Chosen {
                solvable,
                name: walk.names[&solvable],
                replaces: walk.replaces.get(&solvable).copied(),
                reason: walk.reached[&solvable],
            })
            .collect(),
        removed,
        visited: provider.visited.get(),
    })
}

// === impl Walk ===

impl<U: Universe> Walk<'_, '_, U> {
    fn dependencies(&self, solvable: Solvable) -> Result<Rc<Dependencies>, U::Error> {
        self.provider.dependencies(solvable)
    }

    /// The chosen solvable that meets the choices: none where an installed one or one that was reached already does.
    fn wanted(&self, choices: &[Choice]) -> Option<Solvable> {
        let mut first = None;
        for choice in choices {
            let Some(&solvable) = self.by_name.get(&choice.name) else {
                continue;
            };
            if !choice.solvables.contains(&solvable) {
                continue;
            }
            if self.chosen[&solvable] || self.reached.contains_key(&solvable) {
                return None;
            }
            first = first.or(Some(solvable));
        }
        first
    }

    fn reach(&mut self, solvable: Solvable, reason: Reason) {
        if self.chosen.get(&solvable) != Some(&false) || self.reached.contains_key(&solvable) {
            return;
        }
        self.reached.insert(solvable, reason);
        self.order.push(solvable);
        self.hard.push_back(solvable);
    }

    /// Reaches all that the reached ask for: what must be there first, then what is recommended.
    fn run(&mut self) -> Result<(), U::Error> {
        loop {
            if let Some(solvable) = self.hard.pop_front() {
                self.follow(solvable)?;
            } else if let Some((solvable, reason)) = self.soft.pop_front() {
                self.reach(solvable, reason);
            } else {
                return Ok(());
            }
        }
    }

    fn follow(&mut self, from: Solvable) -> Result<(), U::Error> {
        let dependencies = self.dependencies(from)?;
        for dependency in &dependencies.requires {
            let Some(solvable) = self.wanted(&dependency.choices) else {
                continue;
            };
            let upgrade = self.replaces.contains_key(&solvable);
            match dependency.link {
                Link::Depends if upgrade => self.reach(solvable, Reason::UpgradeFor(from)),
                Link::Depends => self.reach(solvable, Reason::DependsOf(from)),
                Link::Recommends => self.soft.push_back((solvable, Reason::RecommendsOf(from))),
                Link::SameSource => self.soft.push_back((solvable, Reason::SameSourceAs(from))),
            }
        }
        Ok(())
    }

    /// Why the installed solvable that `new` replaces could not stay.
    fn cause(&self, new: Solvable) -> Result<Reason, U::Error> {
        let old = self.replaces[&new];
        for &other in &self.order {
            let ruled_out = |choice: &Choice| choice.solvables.contains(&old);
            if self
                .dependencies(other)?
                .forbids
                .iter()
                .any(|(_, choice)| ruled_out(choice))
            {
                return Ok(Reason::UpgradeFor(other));
            }
        }
        let dependencies = self.dependencies(old)?;
        for dependency in dependencies
            .requires
            .iter()
            .filter(|dependency| dependency.link == Link::Depends)
        {
            let chosen = |choice: &Choice| self.by_name.get(&choice.name).copied();
            let met = |choice: &Choice| {
                chosen(choice).is_some_and(|solvable| choice.solvables.contains(&solvable))
            };
            if dependency.choices.iter().any(met) {
                continue;
            }
            if let Some(other) = dependency.choices.iter().find_map(chosen) {
                return Ok(Reason::UpgradeFor(other));
            }
        }
        for (_, choice) in &dependencies.forbids {
            if let Some(other) = self
                .by_name
                .get(&choice.name)
                .filter(|other| choice.solvables.contains(other))
            {
                return Ok(Reason::UpgradeFor(*other));
            }
        }
        Ok(Reason::Upgrade)
    }
}
