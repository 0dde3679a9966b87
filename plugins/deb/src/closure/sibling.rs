//! Installed packages whose candidate is of the same source and version as another package: they move along with it.

use std::collections::HashMap;
use std::rc::Rc;

use bootsplice_resolver::{Choice, Solvable};

use super::catalog::{Catalog, Version};
use super::frozen;
use crate::Result;

/// By source and its version: the upgrades that are waiting.
pub(super) type Siblings = HashMap<(Box<str>, Box<str>), Vec<Choice>>;

// === impl Catalog ===

impl Catalog<'_> {
    /// The upgrades of other installed packages of the same source and version.
    pub(super) fn siblings_of(&self, version: &Version) -> Result<Vec<Choice>> {
        let waiting = self.waiting()?;
        if waiting.is_empty() {
            return Ok(Vec::new());
        }
        let own = version.name(self);
        let found = waiting.get(&self.source_key(version)).into_iter().flatten();
        Ok(found.filter(|choice| choice.name != own).cloned().collect())
    }

    /// Favours the upgrades of installed packages that these should take along. False: none is new.
    pub(super) fn favor_siblings(&self, chosen: &[Solvable]) -> Result<bool> {
        if !self.input.policy.upgrade_by_source || frozen(self.input.policy) {
            return Ok(false);
        }
        let mut changed = false;
        for &solvable in chosen {
            for choice in self.siblings_of(&self.version(solvable))? {
                let moved = choice.solvables.iter().any(|other| chosen.contains(other));
                if !moved && self.favored.borrow_mut().insert(choice.name) {
                    self.candidates.borrow_mut().remove(&choice.name);
                    changed = true;
                }
            }
        }
        Ok(changed)
    }

    fn source_key(&self, version: &Version) -> (Box<str>, Box<str>) {
        let source = version.source.clone();
        let source_version = version.source_version.clone();
        (
            source.unwrap_or_else(|| Box::from(&*self.group_name(version.group))),
            source_version.unwrap_or_else(|| version.text.clone()),
        )
    }

    fn waiting(&self) -> Result<Rc<Siblings>> {
        if let Some(known) = &*self.siblings.borrow() {
            return Ok(known.clone());
        }
        let mut waiting = Siblings::new();
        for (name, installed) in self.installed()? {
            let candidates = self.candidates_of(name)?;
            let Some(&candidate) = candidates
                .solvables
                .first()
                .filter(|&&first| first != installed)
            else {
                continue;
            };
            waiting
                .entry(self.source_key(&self.version(candidate)))
                .or_default()
                .push(Choice {
                    name,
                    solvables: vec![candidate],
                });
        }
        let waiting = Rc::new(waiting);
        *self.siblings.borrow_mut() = Some(waiting.clone());
        Ok(waiting)
    }
}
