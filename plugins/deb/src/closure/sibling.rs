//! Installed packages whose candidate is of the same source and version as another package: they move along with it.

use std::rc::Rc;

use bootsplice_resolver::{Choice, Name, Solvable};

use super::catalog::{Catalog, Group, Version};
use super::frozen;
use crate::Result;

// === impl Catalog ===

impl Catalog<'_> {
    /// The upgrades of other installed packages of the same source and version.
    pub(super) fn siblings_of(&self, version: &Version) -> Result<Vec<Choice>> {
        let source = self.source_of(version);
        let own = version.name(self);
        let mut found = Vec::new();
        for choice in self.waiting(source)?.iter() {
            let candidate = self.version(choice.solvables[0]);
            if choice.name != own && source_version(&candidate) == source_version(version) {
                found.push(choice.clone());
            }
        }
        Ok(found)
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

    fn source_of(&self, version: &Version) -> Group {
        match &version.source {
            Some(source) => self.group(source),
            None => version.group,
        }
    }

    /// The upgrades that installed packages wait for and that are of a source, in the status' order.
    fn waiting(&self, source: Group) -> Result<Rc<Vec<Choice>>> {
        if let Some(known) = self.siblings.borrow().get(&source) {
            return Ok(known.clone());
        }
        let mut built: Vec<Group> = vec![source];
        for (index, indexed) in self.input.indexes.iter().enumerate() {
            if let Some(local) = self.number_in(index, source)? {
                for name in indexed.built(local)? {
                    if indexed.with_text(name, |name| self.ties.has(name))? {
                        built.push(self.group_of(index, name)?);
                    }
                }
            }
        }
        // What comes by its own file may be of any source.
        built.extend(self.extras.iter().map(|extra| self.group(&extra.name)));
        let mut installed: Vec<usize> = Vec::new();
        for group in built {
            let name = self.group_name(group);
            let about = self.ties.about(&name);
            installed.extend(
                about
                    .into_iter()
                    .flat_map(|about| &about.installed)
                    .map(|&number| number as usize),
            );
        }
        installed.sort_unstable();
        installed.dedup();
        let mut waiting = Vec::new();
        for number in installed {
            if let Some((name, solvable)) = self.installed_as(number)? {
                waiting.extend(self.upgrade(name, solvable, source)?);
            }
        }
        let waiting = Rc::new(waiting);
        self.siblings.borrow_mut().insert(source, waiting.clone());
        Ok(waiting)
    }

    /// The candidate of an installed package, if it is another version and of this source.
    fn upgrade(&self, name: Name, installed: Solvable, source: Group) -> Result<Option<Choice>> {
        let candidates = self.candidates_of(name)?;
        let first = candidates.solvables.first().copied();
        let Some(candidate) = first.filter(|&first| first != installed) else {
            return Ok(None);
        };
        let of_it = self.source_of(&self.version(candidate)) == source;
        Ok(of_it.then(|| Choice {
            name,
            solvables: vec![candidate],
        }))
    }
}

fn source_version(version: &Version) -> &str {
    version.source_version.as_deref().unwrap_or(&version.text)
}
