//! Which real packages an alternative means, in apt's order of preference: virtual names resolved to who provides them.

use bootsplice_resolver::{Choice, Name, Solvable};

use super::catalog::{Catalog, Group, Version};
use crate::Result;
use crate::index::Priority;
use crate::relation::Atom;

/// One package that an alternative means.
struct Hit {
    name: Name,
    solvables: Vec<Solvable>,
    rank: Rank,
}

/// apt's order among the packages that one alternative means (`CompareProviders`), the better the smaller; last the name that apt met last.
#[derive(Clone, Copy, Eq, Ord, PartialEq, PartialOrd)]
struct Rank {
    not_installed: bool,
    virtually: bool,
    not_essential: bool,
    not_important: bool,
    foreign: usize,
    priority: Priority,
    order: std::cmp::Reverse<(usize, u32)>,
}

// === impl Catalog ===

impl Catalog<'_> {
    /// The real packages that alternatives mean, in apt's order of preference: what is installed first, then by alternative.
    pub(super) fn choices(&self, of: &Version, atoms: &[(Group, Atom<'_>)]) -> Result<Vec<Choice>> {
        let mut ranked: Vec<(u8, Choice)> = Vec::new();
        for (group, atom) in atoms {
            for hit in self.hits(of.architecture, *group, atom)? {
                let installed = self.candidates_of(hit.name)?.installed;
                let class = match installed {
                    Some(installed) if hit.solvables.contains(&installed) => 0,
                    Some(_) => 1,
                    None => 2,
                };
                ranked.push((
                    class,
                    Choice {
                        name: hit.name,
                        solvables: hit.solvables,
                    },
                ));
            }
        }
        ranked.sort_by_key(|(class, _)| *class);
        Ok(ranked.into_iter().map(|(_, choice)| choice).collect())
    }

    /// The packages that one alternative means, best first.
    fn hits(&self, from: usize, group: Group, atom: &Atom<'_>) -> Result<Vec<Hit>> {
        let mut hits = Vec::new();
        self.each_hit(group, atom, &mut |version, solvable, real| {
            if self.means(atom.qualifier, from, version) {
                self.add_hit(&mut hits, version, solvable, real)?;
            }
            Ok(())
        })?;
        hits.sort_by_key(|hit| hit.rank);
        Ok(hits)
    }

    fn add_hit(
        &self,
        hits: &mut Vec<Hit>,
        version: &Version,
        solvable: Solvable,
        real: bool,
    ) -> Result<()> {
        let name = version.name(self);
        if let Some(known) = hits.iter_mut().find(|hit| hit.name == name) {
            if !known.solvables.contains(&solvable) {
                known.solvables.push(solvable);
            }
            return Ok(());
        }
        let rank = Rank {
            not_installed: self.candidates_of(name)?.installed.is_none(),
            virtually: !real,
            not_essential: !version.essential,
            not_important: !version.important,
            foreign: version.architecture,
            priority: version.priority,
            order: std::cmp::Reverse(self.load(version.group)?.order),
        };
        hits.push(Hit {
            name,
            solvables: vec![solvable],
            rank,
        });
        Ok(())
    }

    /// Calls `f` with every solvable that has or provides a name in a version that the atom admits, and whether it has it.
    pub(super) fn each_hit(
        &self,
        group: Group,
        atom: &Atom<'_>,
        f: &mut dyn FnMut(&Version, Solvable, bool) -> Result<()>,
    ) -> Result<()> {
        let loaded = self.load(group)?;
        for architecture in 0..self.input.architectures.len() {
            if loaded.versions[architecture].is_empty() {
                continue;
            }
            for &solvable in &self
                .candidates_of(self.name(group, architecture))?
                .solvables
            {
                let version = self.version(solvable);
                if atom.admits(&version.text) {
                    f(&version, solvable, true)?;
                }
            }
        }
        for provider in &loaded.providers {
            if !atom.admits_provided(provider.version.as_deref()) || provider.group == group {
                continue;
            }
            let versions = self.load(provider.group)?;
            for architecture in 0..self.input.architectures.len() {
                if versions.versions[architecture].is_empty() {
                    continue;
                }
                for &solvable in &self
                    .candidates_of(self.name(provider.group, architecture))?
                    .solvables
                {
                    let version = self.version(solvable);
                    if self.is_provider(provider, &version) {
                        f(&version, solvable, false)?;
                    }
                }
            }
        }
        Ok(())
    }
}
