//! What two lock files do not have in common.

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};

use bootsplice_deb::version;
use serde::Serialize;

use super::document::{LockFile, Package};

/// The differences, by name and architecture.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Diff {
    pub added: Vec<Change>,
    pub removed: Vec<Change>,
    pub upgraded: Vec<Change>,
    pub downgraded: Vec<Change>,
    /// The same version with other bytes.
    pub replaced: Vec<Change>,
}

/// One name that differs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Change {
    pub name: String,
    /// Empty for what is no package.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub architecture: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub old: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub new: Option<String>,
}

/// What is compared of a package or another artefact.
struct Item<'a> {
    version: &'a str,
    digest: bootsplice_content::Digest,
}

// === impl Diff ===

impl Diff {
    pub fn between(old: &LockFile, new: &LockFile) -> Self {
        let (old, new) = (items(old), items(new));
        let mut diff = Self::default();
        let keys: BTreeSet<_> = old.keys().chain(new.keys()).collect();
        for key in keys {
            let (was, is) = (old.get(key), new.get(key));
            let change = Change {
                name: key.0.to_owned(),
                architecture: key.1.to_owned(),
                old: was.map(|item| item.version.to_owned()),
                new: is.map(|item| item.version.to_owned()),
            };
            let into = match (was, is) {
                (None, _) => &mut diff.added,
                (_, None) => &mut diff.removed,
                (Some(was), Some(is)) => match version::compare(was.version, is.version) {
                    Ordering::Less => &mut diff.upgraded,
                    Ordering::Greater => &mut diff.downgraded,
                    Ordering::Equal if was.digest != is.digest => &mut diff.replaced,
                    Ordering::Equal => continue,
                },
            };
            into.push(change);
        }
        diff
    }

    pub fn is_empty(&self) -> bool {
        self.changes().next().is_none()
    }

    /// Every change with its word.
    pub fn changes(&self) -> impl Iterator<Item = (&'static str, &Change)> {
        let lists = [
            ("added", &self.added),
            ("removed", &self.removed),
            ("upgraded", &self.upgraded),
            ("downgraded", &self.downgraded),
            ("replaced", &self.replaced),
        ];
        lists
            .into_iter()
            .flat_map(|(word, list)| list.iter().map(move |change| (word, change)))
    }
}

// === impl Change ===

impl std::fmt::Display for Change {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.name)?;
        if !self.architecture.is_empty() {
            write!(f, ":{}", self.architecture)?;
        }
        match (&self.old, &self.new) {
            (Some(old), Some(new)) => write!(f, " {old} -> {new}"),
            (Some(one), None) | (None, Some(one)) => write!(f, " {one}"),
            (None, None) => Ok(()),
        }
    }
}

fn items(lock: &LockFile) -> BTreeMap<(&str, &str), Item<'_>> {
    let packages = lock.packages().map(|package| {
        let item = Item {
            version: &package.version,
            digest: package.sha256,
        };
        (Package::key(package), item)
    });
    let others = lock.steps.iter().flat_map(|step| &step.artefacts);
    let others = others.map(|one| {
        let item = Item {
            version: &one.version,
            digest: one.sha256,
        };
        ((one.name.as_str(), ""), item)
    });
    packages.chain(others).collect()
}

#[cfg(test)]
mod tests {
    use super::super::document::tests::{lock, package};
    use super::*;

    #[test]
    fn each_kind_of_change_is_named() {
        let mut other_bytes = package("same", "1", "requested");
        other_bytes.sha256 = bootsplice_content::Digest::of(b"other");
        let old = lock(vec![
            package("gone", "1", "requested"),
            package("up", "1.0~rc1-1", "requested"),
            package("down", "1:1.0-1", "requested"),
            package("same", "1", "requested"),
            package("still", "1", "requested"),
        ]);
        let new = lock(vec![
            package("came", "2", "requested"),
            package("up", "1.0-1", "requested"),
            package("down", "9.0-1", "requested"),
            other_bytes,
            package("still", "1", "depends-of came"),
        ]);
        let diff = Diff::between(&old, &new);
        let told: Vec<String> = diff
            .changes()
            .map(|(word, change)| format!("{word} {change}"))
            .collect();
        assert_eq!(
            told,
            [
                "added came:amd64 2",
                "removed gone:amd64 1",
                "upgraded up:amd64 1.0~rc1-1 -> 1.0-1",
                "downgraded down:amd64 1:1.0-1 -> 9.0-1",
                "replaced same:amd64 1 -> 1",
            ]
        );
        assert!(Diff::between(&old, &old).is_empty());
    }
}
