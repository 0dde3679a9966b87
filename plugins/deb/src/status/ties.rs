//! What ties the installed packages together, by the names that they speak of: so that a request looks at those that it moves, and at no others.

use rustc_hash::FxHashMap;

use super::{Installed, Status};
use crate::Result;
use crate::index::{List, MultiArch};
use crate::relation::{self, Atom, Qualifier};

/// The relations of all installed packages, read once for a status and its architectures.
#[derive(Clone, Debug)]
pub(crate) struct Ties {
    pub architectures: Vec<String>,
    names: FxHashMap<Box<str>, About>,
    /// Packages that depend on what is not installed, in the status' order.
    pub lacking: Vec<u32>,
}

/// What the installed packages have to do with a name. Packages by their number in the status.
#[derive(Clone, Debug, Default)]
pub(crate) struct About {
    /// Who has the name.
    pub installed: Vec<u32>,
    /// Who provides it, in which version.
    pub provided: Vec<(u32, Option<Box<str>>)>,
    /// Who depends on it.
    pub needed: Vec<Tie>,
    /// Who conflicts with it or breaks it.
    pub forbidden: Vec<Tie>,
}

/// One group of relations, by its place.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Tie {
    pub package: u32,
    pub list: List,
    /// Its text in the list.
    start: u32,
    end: u32,
}

/// Whether a relation of a package of architecture `from` means one of this architecture; both by number, the native one's is 0.
pub(crate) fn means(
    qualifier: Qualifier<'_>,
    from: usize,
    architecture: usize,
    multi_arch: MultiArch,
    architectures: &[String],
) -> bool {
    match qualifier {
        Qualifier::Implicit => architecture == from || multi_arch == MultiArch::Foreign,
        Qualifier::Any => architecture == from || multi_arch == MultiArch::Allowed,
        Qualifier::Native => architecture == 0,
        Qualifier::Architecture(name) => architectures[architecture] == name,
    }
}

/// The number of an architecture, and whether it is `all`. None: it is not among them.
pub(crate) fn architecture(name: &str, architectures: &[String]) -> Option<(usize, bool)> {
    if name == "all" {
        return Some((0, true));
    }
    let number = architectures.iter().position(|known| known == name)?;
    Some((number, false))
}

// === impl Ties ===

impl Ties {
    pub fn new(status: &Status, architectures: &[String]) -> Result<Self> {
        let packages = status.packages();
        let mut names: FxHashMap<Box<str>, About> = FxHashMap::default();
        let mut about = |name: &str, add: &mut dyn FnMut(&mut About)| match names.get_mut(name) {
            Some(known) => add(known),
            None => add(names.entry(name.into()).or_default()),
        };
        let mut needs: Vec<(u32, Vec<Atom<'_>>)> = Vec::with_capacity(packages.len() * 8);
        for (number, package) in (0..).zip(packages) {
            about(&package.name, &mut |about| about.installed.push(number));
            for atom in relation::parse(&package.provides)?.into_iter().flatten() {
                let version = atom.constraint.map(|(_, version)| Box::from(version));
                about(atom.name, &mut |about| {
                    about.provided.push((number, version.clone()));
                });
            }
            for list in List::ALL {
                let needed = match list {
                    List::PreDepends | List::Depends => true,
                    List::Conflicts | List::Breaks => false,
                    List::Recommends | List::Suggests => continue,
                };
                let text = &*package.lists[list as usize];
                let mut start = 0;
                for group in text.split(',') {
                    let end = start + group.len();
                    let tie = Tie {
                        package: number,
                        list,
                        start: start as u32,
                        end: end as u32,
                    };
                    start = end + 1;
                    if group.trim().is_empty() {
                        continue;
                    }
                    let atoms = relation::group(group)?;
                    for atom in &atoms {
                        about(atom.name, &mut |about| {
                            let ties = if needed {
                                &mut about.needed
                            } else {
                                &mut about.forbidden
                            };
                            ties.push(tie);
                        });
                    }
                    if needed {
                        needs.push((number, atoms));
                    }
                }
            }
        }
        let mut ties = Self {
            architectures: architectures.to_vec(),
            names,
            lacking: Vec::new(),
        };
        for (number, atoms) in &needs {
            let lacking = ties.lacking.last() == Some(number);
            if !lacking && !ties.met(packages, *number, atoms) {
                ties.lacking.push(*number);
            }
        }
        Ok(ties)
    }

    /// None: no installed package has to do with the name.
    pub fn about(&self, name: &str) -> Option<&About> {
        self.names.get(name)
    }

    /// Whether a package of this name is installed.
    pub fn has(&self, name: &str) -> bool {
        self.about(name)
            .is_some_and(|about| !about.installed.is_empty())
    }

    /// Whether the installed packages meet a group.
    fn met(&self, packages: &[Installed], of: u32, atoms: &[Atom<'_>]) -> bool {
        let native = |package: &Installed| architecture(&package.architecture, &self.architectures);
        let Some((from, _)) = native(&packages[of as usize]) else {
            return true;
        };
        let means = |qualifier: Qualifier<'_>, number: u32| {
            let package = &packages[number as usize];
            native(package).is_some_and(|(architecture, _)| {
                means(
                    qualifier,
                    from,
                    architecture,
                    package.multi_arch,
                    &self.architectures,
                )
            })
        };
        atoms.iter().any(|atom| {
            self.about(atom.name).is_some_and(|about| {
                about.installed.iter().any(|&number| {
                    atom.admits(&packages[number as usize].version) && means(atom.qualifier, number)
                }) || about.provided.iter().any(|(number, version)| {
                    atom.admits_provided(version.as_deref()) && means(atom.qualifier, *number)
                })
            })
        })
    }
}

// === impl Tie ===

impl Tie {
    /// Its alternatives.
    pub fn atoms<'s>(&self, packages: &'s [Installed]) -> Result<Vec<Atom<'s>>> {
        let text = &packages[self.package as usize].lists[self.list as usize];
        relation::group(&text[self.start as usize..self.end as usize])
    }
}
