//! Requests as the resolver wants them; what they name must be there.

use bootsplice_resolver::{Choice, Name, Solvable, Wish};

use super::catalog::{Catalog, Group, Version};
use super::{Input, frozen, near};
use crate::index::List;
use crate::pins::glob_matches;
use crate::request::{Request, Wanted};
use crate::{Error, Result};

/// All requests.
#[derive(Default)]
pub(super) struct Wishes {
    pub wanted: Vec<Wish>,
    pub forbidden: Vec<(u32, Choice)>,
    /// Names that a request wants away.
    pub removed: Vec<Name>,
}

/// The text of the wish with this number: requests first, then packages by their own files.
pub(super) fn text(input: &Input<'_>, number: usize) -> String {
    match input.requests.get(number) {
        Some(request) => request.to_string(),
        None => match input.extras.get(number - input.requests.len()) {
            Some(extra) => extra.id.clone(),
            None => String::new(),
        },
    }
}

/// The wishes of an input. Versions and suites that requests choose become candidates first, for other packages depend on them, too.
pub(super) fn wishes(catalog: &Catalog<'_>, input: &Input<'_>) -> Result<Wishes> {
    let mut named = Vec::new();
    for request in input.requests {
        let names = names(catalog, request)?;
        if !request.remove {
            for &name in &names {
                choose(catalog, request, name)?;
            }
        }
        named.push(names);
    }
    let mut wishes = Wishes::default();
    for (number, (request, names)) in input.requests.iter().zip(named).enumerate() {
        let label = number as u32;
        if request.remove {
            for name in names {
                let solvables = catalog.candidates_of(name)?.solvables.clone();
                if let Some(vital) = solvables
                    .iter()
                    .find(|&&solvable| catalog.is_vital(solvable))
                {
                    let version = &catalog.version(*vital).text;
                    return Err(Error::NoSuchVersion {
                        request: request.to_string(),
                        problem: format!(
                            "{} {version} is essential and cannot be removed",
                            catalog.told(name)
                        ),
                    });
                }
                wishes.removed.push(name);
                wishes.forbidden.push((label, Choice { name, solvables }));
            }
            continue;
        }
        let mut choices = Vec::new();
        for name in names {
            let candidates = catalog.candidates_of(name)?;
            let stays = frozen(input.policy) && request.version == Wanted::Candidate;
            let first = candidates
                .installed
                .filter(|_| stays)
                .or(candidates.solvables.first().copied());
            choices.extend(first.map(|solvable| Choice {
                name,
                solvables: vec![solvable],
            }));
        }
        wishes.wanted.push(Wish { label, choices });
    }
    for (number, extra) in catalog.extras.iter().enumerate() {
        let place = super::catalog::Place::Extra(number);
        let found = versions(catalog, catalog.group(&extra.name))?
            .into_iter()
            .find(|(_, solvable)| catalog.version(*solvable).is_at(place));
        let Some((name, solvable)) = found else {
            return Err(Error::NoSuchVersion {
                request: input.extras[number].id.clone(),
                problem: format!("it is for the architecture {}", extra.architecture),
            });
        };
        catalog.override_candidate(name, solvable);
        wishes.wanted.push(Wish {
            label: (input.requests.len() + number) as u32,
            choices: vec![Choice {
                name,
                solvables: vec![solvable],
            }],
        });
    }
    Ok(wishes)
}

/// The names that a request means: one, or the only provider of a virtual package.
fn names(catalog: &Catalog<'_>, request: &Request) -> Result<Vec<Name>> {
    let group = catalog.group(&request.name);
    let all = versions(catalog, group)?;
    let asked = match &request.architecture {
        None => None,
        Some(architecture) => match catalog.architecture(architecture) {
            Some((number, _)) => Some(number),
            None => {
                return Err(Error::NoSuchVersion {
                    request: request.to_string(),
                    problem: format!(
                        "the image is of the architectures {}",
                        catalog.input.architectures.join(", ")
                    ),
                });
            }
        },
    };
    // The native architecture, or the first that has it.
    let mut architectures: Vec<usize> =
        all.iter().map(|(name, _)| catalog.parts(*name).1).collect();
    architectures.sort_unstable();
    let architecture = match asked {
        Some(asked) => architectures.contains(&asked).then_some(asked),
        None => {
            let mut with_candidate = None;
            for &number in &architectures {
                let name = catalog.name(group, number);
                if !catalog.candidates_of(name)?.solvables.is_empty() {
                    with_candidate = Some(number);
                    break;
                }
            }
            with_candidate.or(architectures.first().copied())
        }
    };
    let has_candidate = match architecture {
        None => false,
        Some(number) => {
            request.version != Wanted::Candidate
                || !catalog
                    .candidates_of(catalog.name(group, number))?
                    .solvables
                    .is_empty()
        }
    };
    match architecture {
        Some(number) if has_candidate || request.remove => Ok(vec![catalog.name(group, number)]),
        _ => virtual_name(catalog, request, group, asked, !all.is_empty()),
    }
}

/// The provider of a virtual package, if there is exactly one: apt refuses to choose, and so do we.
fn virtual_name(
    catalog: &Catalog<'_>,
    request: &Request,
    group: Group,
    architecture: Option<usize>,
    known: bool,
) -> Result<Vec<Name>> {
    let mut found: Vec<Name> = Vec::new();
    let loaded = catalog.load(group)?;
    for provider in &loaded.providers {
        for (name, _) in versions(catalog, provider.group)? {
            let candidates = catalog.candidates_of(name)?;
            let provides = candidates
                .solvables
                .iter()
                .any(|&solvable| catalog.is_provider(provider, &catalog.version(solvable)));
            let here = architecture.unwrap_or(0) == catalog.parts(name).1;
            if provides && here && !found.contains(&name) {
                found.push(name);
            }
        }
    }
    match found.as_slice() {
        [only] if request.version == Wanted::Candidate => Ok(vec![*only]),
        [] if known => Err(Error::NoSuchVersion {
            request: request.to_string(),
            problem: "no version of it may be installed: it is pinned away, or there is none for this architecture".into(),
        }),
        [] => Err(Error::UnknownPackage {
            near: near::names(catalog, &request.name)?,
            name: request.name.clone(),
        }),
        several => {
            let mut names: Vec<String> = several.iter().map(|&name| catalog.told(name)).collect();
            names.sort();
            Err(Error::NoSuchVersion {
                request: request.to_string(),
                problem: format!("it is a virtual package; name who provides it: {}", names.join(", ")),
            })
        }
    }
}

/// Makes the version or suite that a request asks for the candidate.
fn choose(catalog: &Catalog<'_>, request: &Request, name: Name) -> Result<()> {
    let (group, architecture) = catalog.parts(name);
    let loaded = catalog.load(group)?;
    let versions = &loaded.versions[architecture];
    let found = match &request.version {
        Wanted::Candidate => return Ok(()),
        Wanted::Version(wanted) => versions
            .iter()
            .copied()
            .find(|&solvable| *catalog.version(solvable).text == **wanted)
            .or_else(|| {
                let matches = |solvable: &Solvable| {
                    glob_matches(
                        wanted.as_bytes(),
                        catalog.version(*solvable).text.as_bytes(),
                    )
                };
                versions.iter().copied().find(matches)
            }),
        Wanted::Suite(suite) => versions
            .iter()
            .copied()
            .find(|&solvable| catalog.version(solvable).is_of(catalog, suite)),
    };
    let Some(solvable) = found else {
        let mut there: Vec<String> = Vec::new();
        for &solvable in versions {
            let version = catalog.version(solvable);
            there.push(format!("{}{}", version.text, version.told_suites(catalog)));
        }
        return Err(Error::NoSuchVersion {
            request: request.to_string(),
            problem: format!("there is {}", there.join(", ")),
        });
    };
    catalog.override_candidate(name, solvable);
    if let Wanted::Suite(suite) = &request.version {
        follow(catalog, suite, solvable)?;
    }
    Ok(())
}

/// What a package of a suite depends on follows there, where nothing else would do (apt's propagation of a chosen release).
fn follow(catalog: &Catalog<'_>, suite: &str, first: Solvable) -> Result<()> {
    let mut open = vec![first];
    while let Some(solvable) = open.pop() {
        let version = catalog.version(solvable);
        let mut wanted: Vec<(Name, Solvable)> = Vec::new();
        catalog.each_group(&version, &mut |list, _, atoms| {
            let hard = matches!(list, List::PreDepends | List::Depends);
            if !hard || !catalog.choices(&version, atoms)?.is_empty() {
                return Ok(());
            }
            for (group, atom) in atoms {
                for (name, solvable) in versions(catalog, *group)? {
                    let other = catalog.version(solvable);
                    let fits = other.is_of(catalog, suite) && atom.admits(&other.text);
                    if fits && catalog.means(atom.qualifier, version.architecture, &other) {
                        wanted.push((name, solvable));
                        return Ok(());
                    }
                }
            }
            Ok(())
        })?;
        for (name, solvable) in wanted {
            if catalog.override_candidate(name, solvable) {
                open.push(solvable);
            }
        }
    }
    Ok(())
}

/// All versions of a name, newest first within each architecture.
fn versions(catalog: &Catalog<'_>, group: Group) -> Result<Vec<(Name, Solvable)>> {
    let loaded = catalog.load(group)?;
    let mut found = Vec::new();
    for (architecture, versions) in loaded.versions.iter().enumerate() {
        let name = catalog.name(group, architecture);
        found.extend(versions.iter().map(|&solvable| (name, solvable)));
    }
    Ok(found)
}

// === impl Catalog ===

impl Catalog<'_> {
    /// Makes a version the candidate of its name. False: a request had chosen one already.
    fn override_candidate(&self, name: Name, solvable: Solvable) -> bool {
        use std::collections::hash_map::Entry;
        let mut chosen = self.chosen.borrow_mut();
        match chosen.entry(name) {
            Entry::Occupied(_) => false,
            Entry::Vacant(entry) => {
                entry.insert(solvable);
                self.candidates.borrow_mut().remove(&name);
                true
            }
        }
    }
}

// === impl Version ===

impl Version {
    fn is_of(&self, catalog: &Catalog<'_>, suite: &str) -> bool {
        self.origins.iter().any(|&(index, origin)| {
            catalog.input.indexes[index].origins()[origin as usize].is_release(suite)
        })
    }

    fn told_suites(&self, catalog: &Catalog<'_>) -> String {
        let mut suites: Vec<&str> = Vec::new();
        for &(index, origin) in &self.origins {
            let origin = &catalog.input.indexes[index].origins()[origin as usize];
            suites.push(if origin.codename.is_empty() {
                &origin.suite
            } else {
                &origin.codename
            });
        }
        if self.installed.is_some() {
            suites.push("installed");
        }
        if suites.is_empty() {
            String::new()
        } else {
            format!(" ({})", suites.join(", "))
        }
    }
}
