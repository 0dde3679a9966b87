//! What a package asks for and rules out, as the resolver wants it.

use std::rc::Rc;

use bootsplice_resolver::{
    Candidates, Choice, Dependencies, Dependency, Link, Name, Solvable, Universe,
};

use super::catalog::{Catalog, Group, Place, Version};
use super::frozen;
use crate::index::{AtomId, List, MultiArch};
use crate::relation::{self, Atom};
use crate::{Error, Result};

/// Labels from here on are not those of a relation but of an upgrade along with a package of the same source.
const SIBLING: u32 = 1 << 30;

/// Labels of the rule that equal versions of all architectures go together.
const LOCKSTEP: u32 = SIBLING + 1;

/// Labels of what follows from packages that are installed.
pub(super) const BASE: u32 = SIBLING + 2;

/// What is called with each group of relations: its list, its number within all lists, its alternatives.
type EachGroup<'f> = dyn FnMut(List, u32, &[(Group, Atom<'_>)]) -> Result<()> + 'f;

// === impl Universe for Catalog ===

impl Universe for Catalog<'_> {
    type Error = Error;

    fn candidates(&self, name: Name) -> Result<Rc<Candidates>> {
        self.candidates_of(name)
    }

    fn dependencies(&self, solvable: Solvable) -> Result<Dependencies> {
        self.relations(solvable)
    }

    fn describe_name(&self, name: Name) -> String {
        self.told(name)
    }

    fn describe_version(&self, solvable: Solvable) -> String {
        self.version(solvable).text.to_string()
    }

    fn describe_dependency(&self, solvable: Option<Solvable>, label: u32) -> String {
        match solvable {
            None => super::wish::text(self.input, label as usize),
            Some(_) if label == SIBLING => "the same version of its source".to_owned(),
            Some(_) if label == LOCKSTEP => "equal versions in all architectures".to_owned(),
            Some(_) if label == BASE => "what is installed to stay".to_owned(),
            Some(solvable) => self.relation_text(solvable, label).unwrap_or_default(),
        }
    }
}

// === impl Catalog ===

impl Catalog<'_> {
    fn relations(&self, solvable: Solvable) -> Result<Dependencies> {
        let version = self.version(solvable);
        let mut found = Dependencies::default();
        let installed = version.installed.is_some();
        if installed && frozen(self.input.policy) {
            // What is installed stays as it is; only what it rules out counts.
            self.each_group(&version, &mut |list, label, atoms| match list {
                List::Conflicts | List::Breaks => self.forbid(&version, label, atoms, &mut found),
                _ => Ok(()),
            })?;
            self.touch(&version, &mut found)?;
            return Ok(found);
        }
        let name = self.group_name(version.group);
        let recommends = self.input.policy.follows_recommends_of(&name);
        let suggests = self.input.policy.suggests;
        let before = self.before(&version)?;
        let mut soft = Vec::new();
        self.each_group(&version, &mut |list, label, atoms| match list {
            List::PreDepends | List::Depends => {
                let Some(choices) = self.open_choices(&version, atoms)? else {
                    return Ok(());
                };
                // An image whose own packages lack something is taken as it is.
                if !(installed && choices.is_empty()) {
                    found.requires.push(Dependency {
                        link: Link::Depends,
                        label,
                        choices,
                    });
                }
                Ok(())
            }
            List::Recommends | List::Suggests => {
                let follows = if list == List::Recommends {
                    recommends
                } else {
                    suggests
                };
                if installed || !follows || !self.is_news(&before, atoms)? {
                    return Ok(());
                }
                if let Some(choices) = self.open_choices(&version, atoms)? {
                    soft.push(Dependency {
                        link: Link::Recommends,
                        label,
                        choices,
                    });
                }
                Ok(())
            }
            List::Conflicts | List::Breaks => self.forbid(&version, label, atoms, &mut found),
        })?;
        if !installed {
            self.along(&version, &mut found)?;
        }
        found.requires.append(&mut soft);
        self.lockstep(&version, &mut found)?;
        self.touch(&version, &mut found)?;
        Ok(found)
    }

    /// The installed version that a new one takes the place of.
    fn before(&self, version: &Version) -> Result<Option<Solvable>> {
        if version.installed.is_some() {
            return Ok(None);
        }
        Ok(self.candidates_of(version.name(self))?.installed)
    }

    /// Whether what an upgrade recommends is to be followed: it was not recommended before, or was there (apt's rule for upgrades).
    fn is_news(&self, before: &Option<Solvable>, atoms: &[(Group, Atom<'_>)]) -> Result<bool> {
        let Some(before) = before else {
            return Ok(true);
        };
        let before = self.version(*before);
        let target = atoms.first().map(|(group, _)| *group);
        let mut known = false;
        let mut satisfied = false;
        self.each_group(&before, &mut |list, _, atoms| {
            let same = atoms.iter().any(|(group, _)| Some(*group) == target);
            if matches!(list, List::Recommends | List::Suggests) && same {
                known = true;
                for choice in self.choices(&before, atoms)? {
                    let installed = self.candidates_of(choice.name)?.installed;
                    satisfied |=
                        installed.is_some_and(|installed| choice.solvables.contains(&installed));
                }
            }
            Ok(())
        })?;
        Ok(!known || satisfied)
    }

    /// Adds what a Conflicts or Breaks rules out. A package never stands in conflict with itself, whatever it provides and in whichever version.
    pub(super) fn forbid(
        &self,
        of: &Version,
        label: u32,
        atoms: &[(Group, Atom<'_>)],
        found: &mut Dependencies,
    ) -> Result<()> {
        use crate::relation::Qualifier;
        for (group, atom) in atoms {
            let mut by_name: Vec<Choice> = Vec::new();
            self.each_hit(*group, atom, &mut |version, solvable, _| {
                let meant = match atom.qualifier {
                    Qualifier::Implicit | Qualifier::Any => true,
                    Qualifier::Native | Qualifier::Architecture(_) => {
                        self.means(atom.qualifier, of.architecture, version)
                    }
                };
                if version.group == of.group || !meant {
                    return Ok(());
                }
                let name = version.name(self);
                match by_name.iter_mut().find(|choice| choice.name == name) {
                    Some(choice) => choice.solvables.push(solvable),
                    None => by_name.push(Choice {
                        name,
                        solvables: vec![solvable],
                    }),
                }
                Ok(())
            })?;
            found
                .forbids
                .extend(by_name.into_iter().map(|choice| (label, choice)));
        }
        Ok(())
    }

    /// Adds that installed packages of the same source move along.
    fn along(&self, version: &Version, found: &mut Dependencies) -> Result<()> {
        if !self.input.policy.upgrade_by_source || frozen(self.input.policy) {
            return Ok(());
        }
        for choice in self.siblings_of(version)? {
            found.requires.push(Dependency {
                link: Link::SameSource,
                label: SIBLING,
                choices: vec![choice],
            });
        }
        Ok(())
    }

    /// Adds that a package is only beside itself in other architectures where both are `Multi-Arch: same`, and then in equal versions.
    fn lockstep(&self, of: &Version, found: &mut Dependencies) -> Result<()> {
        for architecture in 0..self.input.architectures.len() {
            if architecture == of.architecture
                || self.load(of.group)?.versions[architecture].is_empty()
            {
                continue;
            }
            let name = self.name(of.group, architecture);
            let together = |other: &Version| {
                of.multi_arch == MultiArch::Same
                    && other.multi_arch == MultiArch::Same
                    && of.text == other.text
            };
            let solvables: Vec<Solvable> = self
                .candidates_of(name)?
                .solvables
                .iter()
                .copied()
                .filter(|&solvable| !together(&self.version(solvable)))
                .collect();
            if !solvables.is_empty() {
                found.forbids.push((LOCKSTEP, Choice { name, solvables }));
            }
        }
        Ok(())
    }

    /// Calls `f` with each group of a version's relations: its list, its number within all, and its alternatives.
    pub(super) fn each_group(&self, version: &Version, f: &mut EachGroup<'_>) -> Result<()> {
        let own = match (version.installed, version.place) {
            (Some(number), _) => &self.input.status.packages()[number],
            (None, Place::Extra(number)) => &self.extras[number],
            (None, Place::Index { index, record }) => {
                let mut each = |list, label, atoms: &[AtomId<'_>]| {
                    let mut named = Vec::with_capacity(atoms.len());
                    for atom in atoms {
                        named.push((self.group_of(index, atom.name)?, atom.named("")));
                    }
                    f(list, label, &named)
                };
                return self.input.indexes[index].relations(record, &mut each);
            }
            (None, Place::Installed) => {
                return Err(Error::Index("an installed version without its status"));
            }
        };
        let mut label = 0;
        for list in List::ALL {
            for atoms in relation::parse(&own.lists[list as usize])? {
                let named: Vec<(Group, Atom<'_>)> = atoms
                    .iter()
                    .map(|atom| (self.group(atom.name), *atom))
                    .collect();
                f(list, label, &named)?;
                label += 1;
            }
        }
        Ok(())
    }

    fn relation_text(&self, solvable: Solvable, wanted: u32) -> Result<String> {
        let mut text = String::new();
        let version = self.version(solvable);
        self.each_group(&version, &mut |list, label, atoms| {
            if label == wanted {
                let names: Vec<_> = atoms
                    .iter()
                    .map(|(group, _)| self.group_name(*group))
                    .collect();
                let atoms: Vec<Atom<'_>> = atoms
                    .iter()
                    .zip(&names)
                    .map(|((_, atom), name)| Atom { name, ..*atom })
                    .collect();
                text = relation::write_group(&atoms);
                if matches!(list, List::Conflicts | List::Breaks) {
                    text = format!("{}: {text}", list.field());
                }
            }
            Ok(())
        })?;
        Ok(text)
    }
}
