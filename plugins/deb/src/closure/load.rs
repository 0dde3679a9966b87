//! Loading what there is of a name: from the status, the packages by their own files, and the indexes.

use std::rc::Rc;

use bootsplice_resolver::Solvable;

use super::catalog::{Catalog, Group, Loaded, Place, Provides, Version};
use crate::index::Index;
use crate::relation;
use crate::status::Installed;
use crate::{Result, version};

// === impl Catalog ===

impl Catalog<'_> {
    /// Everything of a name.
    pub fn load(&self, group: Group) -> Result<Rc<Loaded>> {
        if let Some(loaded) = self.tables.borrow().loaded.get(&group) {
            return Ok(loaded.clone());
        }
        let name = self.group_name(group);
        let mut found: Vec<Version> = Vec::new();
        let mut providers = Vec::new();
        let mut order = (usize::MAX, u32::MAX);
        let about = self.ties.about(&name);
        for &number in about.into_iter().flat_map(|about| &about.installed) {
            let package = &self.input.status.packages()[number as usize];
            found.extend(self.own(group, package, Place::Installed, Some(number as usize)));
        }
        for (number, package) in self.extras.iter().enumerate() {
            if *package.name == *name {
                let version = self.own(group, package, Place::Extra(number), None);
                merge(&mut found, version);
            }
        }
        for (index, indexed) in self.input.indexes.iter().enumerate() {
            let Some(local) = self.number_in(index, group)? else {
                continue;
            };
            order = order.min((index, local));
            let (entries, provides) = indexed.entries(local)?;
            for entry in entries {
                let version = self.indexed(group, index, indexed, entry);
                merge(&mut found, version);
            }
            for provider in provides {
                providers.push(Provides {
                    group: self.group_of(index, provider.name)?,
                    version: provider.version,
                    place: Place::Index {
                        index,
                        record: provider.record,
                    },
                });
            }
        }
        for (number, version) in about.into_iter().flat_map(|about| &about.provided) {
            let package = &self.input.status.packages()[*number as usize];
            providers.push(Provides {
                group: self.group(&package.name),
                version: version.clone(),
                place: Place::Installed,
            });
        }
        for (number, package) in self.extras.iter().enumerate() {
            for atom in relation::parse(&package.provides)?.into_iter().flatten() {
                if atom.name == &*name {
                    providers.push(Provides {
                        group: self.group(&package.name),
                        version: atom.constraint.map(|(_, version)| version.into()),
                        place: Place::Extra(number),
                    });
                }
            }
        }
        let mut tables = self.tables.borrow_mut();
        let mut versions = vec![Vec::new(); self.input.architectures.len()];
        // Stable: of equal versions the installed one first, then in the order of the sources.
        if found.len() > 1 {
            found.sort_by(|a, b| version::compare(&b.text, &a.text));
        }
        for version in found {
            let solvable = Solvable(tables.versions.len() as u32);
            versions[version.architecture].push(solvable);
            tables.versions.push(Rc::new(version));
        }
        let loaded = Rc::new(Loaded {
            versions,
            providers,
            order,
        });
        tables.loaded.insert(group, loaded.clone());
        Ok(loaded)
    }

    /// None: of an architecture that is not the image's.
    fn own(
        &self,
        group: Group,
        package: &Installed,
        place: Place,
        installed: Option<usize>,
    ) -> Option<Version> {
        let (architecture, all) = self.architecture(&package.architecture)?;
        Some(Version {
            group,
            architecture,
            all,
            text: package.version.clone(),
            multi_arch: package.multi_arch,
            essential: package.essential,
            important: package.important,
            protected: package.protected,
            priority: package.priority,
            phased: None,
            source: package.source.clone(),
            source_version: package.source_version.clone(),
            installed,
            place,
            places: vec![place],
            origins: Vec::new(),
            provides: Vec::new(),
        })
    }

    fn indexed(
        &self,
        group: Group,
        index: usize,
        indexed: &Index<'_>,
        entry: crate::index::Entry,
    ) -> Option<Version> {
        let (architecture, all) =
            self.architecture(&indexed.architectures()[usize::from(entry.architecture)])?;
        let place = Place::Index {
            index,
            record: entry.record,
        };
        Some(Version {
            group,
            architecture,
            all,
            text: entry.version,
            multi_arch: entry.multi_arch,
            essential: entry.essential,
            important: entry.important,
            protected: entry.protected,
            priority: entry.priority,
            phased: entry.phased,
            source: entry.source,
            source_version: entry.source_version,
            installed: None,
            place,
            places: vec![place],
            origins: entry
                .origins
                .into_iter()
                .map(|origin| (index, origin))
                .collect(),
            provides: entry.provides,
        })
    }
}

/// Adds a version, or its places to an equal one's.
fn merge(found: &mut Vec<Version>, version: Option<Version>) {
    let Some(version) = version else {
        return;
    };
    let equal = found
        .iter_mut()
        .find(|known| known.text == version.text && known.architecture == version.architecture);
    match equal {
        Some(known) => {
            known.places.extend_from_slice(&version.places);
            known.origins.extend_from_slice(&version.origins);
            known.phased = known.phased.or(version.phased);
        }
        None => found.push(version),
    }
}
