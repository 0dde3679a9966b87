//! What is installed, as far as a request moves it.
//!
//! A base has many more packages than a request adds, and most of them have nothing to do with it. So the search begins without them, which
//! loses nothing: an installed package that no part of the answer touches stays as it is, and all that it asks for is there.
//!
//! * What every version that the image may have of a package meets is not asked for at all.
//! * What forbids an installed package, or is forbidden by one, has that package decided with it.
//! * What takes the place of an installed package has those decided with it that depend on the package and that it does not serve itself.
//! * Installed packages that lack something already are decided from the start.
//!
//! It holds while no package may be removed and none is upgraded without cause; otherwise, and to tell why there is no answer, the whole base is
//! decided.

use bootsplice_resolver::{Choice, Dependencies, Dependency, Link, Name, Problem, Solvable};

use super::catalog::{Catalog, Group, Place, Version};
use super::relate::BASE;
use super::wish::Wishes;
use crate::policy::Base;
use crate::relation::{self, Atom};
use crate::status::About;
use crate::{Error, Result};

// === impl Catalog ===

impl<'a> Catalog<'a> {
    /// Leaves out of the search what stays as it is, where that loses nothing.
    pub(super) fn begin(&self, wishes: &Wishes) {
        let policy = self.input.policy;
        let stays = !policy.allow_removals && wishes.removed.is_empty();
        self.lean.set(stays && policy.base != Base::Upgrade);
    }

    /// The problem that the wishes are.
    pub(super) fn problem(&self, wishes: &Wishes) -> Result<Problem<'a>> {
        let mut problem = Problem {
            wishes: wishes.wanted.clone(),
            forbids: wishes.forbidden.clone(),
            stop: self.input.stop,
            ..Problem::default()
        };
        if self.lean.get() {
            let mut numbers: Vec<u32> = self.ties.lacking.clone();
            for &name in &*self.favored.borrow() {
                let installed = self.candidates_of(name)?.installed;
                let number = installed.and_then(|installed| self.version(installed).installed);
                numbers.extend(number.map(|number| number as u32));
            }
            numbers.sort_unstable();
            numbers.dedup();
            for number in numbers {
                let found = self.installed_as(number as usize)?;
                problem.keep.extend(found.map(|(name, _)| name));
            }
            return Ok(problem);
        }
        for (name, installed) in self.installed()? {
            let may_go = self.input.policy.allow_removals && !self.is_vital(installed);
            if may_go || wishes.removed.contains(&name) {
                problem.keep_if_possible.push(name);
            } else {
                problem.keep.push(name);
            }
        }
        Ok(problem)
    }

    /// What alternatives mean, best first. None: the image meets them whatever is chosen.
    pub(super) fn open_choices(
        &self,
        of: &Version,
        atoms: &[(Group, Atom<'_>)],
    ) -> Result<Option<Vec<Choice>>> {
        if self.lean.get() {
            for (group, atom) in atoms {
                if *group != of.group && self.always_has(of.architecture, *group, atom)? {
                    return Ok(None);
                }
            }
        }
        let choices = self.choices(of, atoms)?;
        if self.lean.get() {
            let own = of.name(self);
            for choice in choices.iter().filter(|choice| choice.name != own) {
                let admits = |solvable| choice.solvables.contains(&solvable);
                if self.is_always(choice.name, admits)? {
                    return Ok(None);
                }
            }
        }
        Ok(Some(choices))
    }

    /// Whether a name itself is installed and will do in every version that it may have.
    fn always_has(&self, from: usize, group: Group, atom: &Atom<'_>) -> Result<bool> {
        if !self.ties.has(&self.group_name(group)) {
            return Ok(false);
        }
        for architecture in 0..self.input.architectures.len() {
            let admits = |solvable| {
                let version = self.version(solvable);
                atom.admits(&version.text) && self.means(atom.qualifier, from, &version)
            };
            if self.is_always(self.name(group, architecture), admits)? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Whether all solvables that an installed name may have are so.
    fn is_always(&self, name: Name, is_so: impl Fn(Solvable) -> bool) -> Result<bool> {
        let candidates = self.candidates_of(name)?;
        Ok(match (candidates.installed, candidates.locked) {
            (None, _) => false,
            (Some(_), Some(locked)) => is_so(locked),
            (Some(_), None) => candidates.solvables.iter().all(|&solvable| is_so(solvable)),
        })
    }

    /// Adds that those installed packages are decided, too, which a solvable has to do with.
    pub(super) fn touch(&self, version: &Version, found: &mut Dependencies) -> Result<()> {
        if !self.lean.get() {
            return Ok(());
        }
        let mut touched: Vec<Name> = Vec::new();
        if version.installed.is_none() {
            let mut names = self.provided_by(version)?;
            names.push(version.group);
            for group in names {
                let name = self.group_name(group);
                if let Some(about) = self.ties.about(&name) {
                    self.forbidden_by(about, version, found)?;
                }
            }
            if let Some(old) = self.candidates_of(version.name(self))?.installed {
                self.dependents(&self.version(old), version, &mut touched)?;
            }
        }
        for (_, choice) in &found.forbids {
            let installed = self.candidates_of(choice.name)?.installed;
            if installed.is_some_and(|installed| choice.solvables.contains(&installed)) {
                touched.push(choice.name);
            }
        }
        touched.sort_unstable();
        touched.dedup();
        let mut requires = Vec::with_capacity(touched.len() + found.requires.len());
        for name in touched {
            requires.push(Dependency {
                link: Link::Depends,
                label: BASE,
                choices: vec![Choice {
                    name,
                    solvables: self.candidates_of(name)?.solvables.clone(),
                }],
            });
        }
        requires.append(&mut found.requires);
        found.requires = requires;
        Ok(())
    }

    /// The names that a version provides in the place where it is from.
    fn provided_by(&self, version: &Version) -> Result<Vec<Group>> {
        let text = match version.place {
            Place::Index { index, .. } => {
                let numbers = version.provides.iter();
                return numbers
                    .map(|&number| self.group_of(index, number))
                    .collect();
            }
            Place::Extra(number) => &self.extras[number].provides,
            Place::Installed => match version.installed {
                Some(number) => &self.input.status.packages()[number].provides,
                None => return Err(Error::Index("an installed version without its status")),
            },
        };
        let atoms = relation::parse(text)?.into_iter().flatten();
        Ok(atoms.map(|atom| self.group(atom.name)).collect())
    }

    /// Adds that a version does not go together with the installed packages that forbid a name of it.
    fn forbidden_by(
        &self,
        about: &About,
        version: &Version,
        found: &mut Dependencies,
    ) -> Result<()> {
        for tie in &about.forbidden {
            let Some((name, installed)) = self.installed_as(tie.package as usize)? else {
                continue;
            };
            let of = self.version(installed);
            if of.group == version.group {
                continue;
            }
            let mut forbidden = Dependencies::default();
            let atoms = self.tied(tie)?;
            self.forbid(&of, BASE, &atoms, &mut forbidden)?;
            let own = version.name(self);
            let meant = forbidden.forbids.iter().any(|(_, choice)| {
                choice.name == own
                    && choice
                        .solvables
                        .iter()
                        .any(|&solvable| std::ptr::eq(&*self.version(solvable), version))
            });
            if meant {
                let solvables = vec![installed];
                found.forbids.push((BASE, Choice { name, solvables }));
            }
        }
        Ok(())
    }

    /// The installed packages that depend on `old` and that `new`, in its place, does not serve.
    fn dependents(&self, old: &Version, new: &Version, touched: &mut Vec<Name>) -> Result<()> {
        let mut names = self.provided_by(old)?;
        names.push(old.group);
        let own = new.name(self);
        for group in names {
            let name = self.group_name(group);
            let about = self.ties.about(&name);
            for tie in about.into_iter().flat_map(|about| &about.needed) {
                let Some((name, installed)) = self.installed_as(tie.package as usize)? else {
                    continue;
                };
                if name == own || touched.contains(&name) {
                    continue;
                }
                let of = self.version(installed);
                let serves = |(group, atom): &(Group, Atom<'_>)| {
                    *group == new.group
                        && atom.admits(&new.text)
                        && self.means(atom.qualifier, of.architecture, new)
                };
                let atoms = self.tied(tie)?;
                if atoms.iter().any(serves) {
                    continue;
                }
                let choices = self.choices(&of, &atoms)?;
                let served = choices.iter().any(|choice| {
                    choice.name == own
                        && choice
                            .solvables
                            .iter()
                            .any(|&solvable| std::ptr::eq(&*self.version(solvable), new))
                });
                if !served {
                    touched.push(name);
                }
            }
        }
        Ok(())
    }

    fn tied(&self, tie: &crate::status::Tie) -> Result<Vec<(Group, Atom<'a>)>> {
        let atoms = tie.atoms(self.input.status.packages())?;
        let numbered = atoms.into_iter().map(|atom| (self.group(atom.name), atom));
        Ok(numbered.collect())
    }
}
