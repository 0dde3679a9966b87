//! What differs between two plans of one launch.

use std::collections::BTreeMap;

use bootsplice_content::Digest;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::launch::plan::{Plan, PlannedEntry, PlannedStep};

/// Most changes that are listed.
const LISTED: usize = 2_000;

/// What differs. Empty lists: a launch would get the same.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Difference {
    pub files: Vec<FileChange>,
    pub packages: Vec<PackageChange>,
    /// What runs after the files are in place.
    pub actions: Vec<ActionChange>,
    /// There are more changes than are listed.
    pub more: bool,
}

/// A file that is added (no `before`), removed (no `after`) or changed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct FileChange {
    pub point: String,
    pub step: String,
    pub path: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<FileFacts>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<FileFacts>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct FileFacts {
    pub size: u64,
    pub mode: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub sha256: Option<Digest>,
}

/// A pinned artefact, such as a package, whose version or bytes change.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PackageChange {
    pub point: String,
    pub step: String,
    pub name: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<String>,
}

/// An action that only one of the plans has.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ActionChange {
    pub point: String,
    pub step: String,
    pub action: String,
    /// Of the new plan; else of the old one.
    pub added: bool,
}

/// Where something stands: point, step, name.
type Place<'p> = (&'p str, &'p str, &'p str);

// === impl Difference ===

impl Difference {
    pub fn between(old: &Plan, new: &Plan) -> Self {
        let mut found = Self::default();
        for (place, before, after) in pairs(&files(old), &files(new)) {
            let facts = |entry: &&PlannedEntry| FileFacts {
                size: entry.size,
                mode: entry.mode.clone(),
                sha256: entry.sha256,
            };
            found.files.push(FileChange {
                point: place.0.to_owned(),
                step: place.1.to_owned(),
                path: place.2.to_owned(),
                before: before.map(facts),
                after: after.map(facts),
            });
        }
        for (place, before, after) in pairs(&packages(old), &packages(new)) {
            found.packages.push(PackageChange {
                point: place.0.to_owned(),
                step: place.1.to_owned(),
                name: place.2.to_owned(),
                before: before.map(|(version, _)| (*version).to_owned()),
                after: after.map(|(version, _)| (*version).to_owned()),
            });
        }
        for (place, before, _) in pairs(&actions(old), &actions(new)) {
            found.actions.push(ActionChange {
                point: place.0.to_owned(),
                step: place.1.to_owned(),
                action: place.2.to_owned(),
                added: before.is_none(),
            });
        }
        found.cut();
        found
    }

    pub fn is_empty(&self) -> bool {
        self.files.is_empty() && self.packages.is_empty() && self.actions.is_empty()
    }

    fn cut(&mut self) {
        let whole = self
            .files
            .len()
            .max(self.packages.len())
            .max(self.actions.len());
        self.more = whole > LISTED;
        self.files.truncate(LISTED);
        self.packages.truncate(LISTED);
        self.actions.truncate(LISTED);
    }
}

/// What stands in one of two maps, or in both and differs.
fn pairs<'p, T: PartialEq>(
    old: &'p BTreeMap<Place<'p>, T>,
    new: &'p BTreeMap<Place<'p>, T>,
) -> impl Iterator<Item = (Place<'p>, Option<&'p T>, Option<&'p T>)> {
    let gone = old
        .iter()
        .map(|(place, before)| (*place, Some(before), new.get(place)));
    let came = new.iter().filter(|(place, _)| !old.contains_key(*place));
    gone.chain(came.map(|(place, after)| (*place, None, Some(after))))
        .filter(|(_, before, after)| before != after)
}

fn steps(plan: &Plan) -> impl Iterator<Item = (&str, &PlannedStep)> {
    let points = plan.points.iter();
    points.flat_map(|point| point.steps.iter().map(|step| (point.name.as_str(), step)))
}

fn files(plan: &Plan) -> BTreeMap<Place<'_>, &PlannedEntry> {
    let all = steps(plan).flat_map(|(point, step)| {
        step.paths
            .iter()
            .map(move |entry| ((point, step.id.as_str(), entry.path.as_str()), entry))
    });
    all.collect()
}

fn packages(plan: &Plan) -> BTreeMap<Place<'_>, (&str, Digest)> {
    let all = steps(plan).flat_map(|(point, step)| {
        step.pins.iter().map(move |pin| {
            let place = (point, step.id.as_str(), pin.name.as_str());
            (place, (pin.version.as_str(), pin.digest))
        })
    });
    all.collect()
}

fn actions(plan: &Plan) -> BTreeMap<Place<'_>, ()> {
    let all = steps(plan).flat_map(|(point, step)| {
        step.actions
            .iter()
            .map(move |action| ((point, step.id.as_str(), action.as_str()), ()))
    });
    all.collect()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn plan(paths: Value, actions: Value, version: &str) -> Plan {
        let digest = Digest::of(b"x");
        let reach = json!({"fetch": [], "secrets": []});
        serde_json::from_value(json!({
            "profile": "web@1", "base": digest, "size": 1, "points": [{
                "name": "base", "capacity": 1, "needed": 1, "lock": digest, "steps": [{
                    "id": "a", "generator": "acme/hello@1.0.0", "stage": "files", "content": {"id": "a", "state": "generated"},
                    "access": {"wanted": reach, "granted": reach, "effective": reach, "memory": 1, "time": 1},
                    "pins": [{"name": "nginx", "version": version, "urls": [], "digest": digest, "size": 1}],
                    "entries": 2, "bytes": 2, "paths": paths, "actions": actions, "notes": []
                }]
            }]
        }))
        .unwrap()
    }

    #[test]
    fn what_is_added_removed_and_changed_is_told_and_the_same_is_not() {
        let file = |path: &str, bytes: &[u8]| json!({"path": path, "size": bytes.len(), "mode": "0644", "instance": false, "sha256": Digest::of(bytes)});
        let old = plan(
            json!([
                file("/same", b"1"),
                file("/gone", b"2"),
                file("/other", b"3")
            ]),
            json!(["start x"]),
            "1.0",
        );
        let new = plan(
            json!([
                file("/same", b"1"),
                file("/other", b"4"),
                file("/new", b"5")
            ]),
            json!(["start x", "start y"]),
            "1.1",
        );
        assert!(Difference::between(&old, &old).is_empty());
        let found = Difference::between(&old, &new);
        let told: Vec<_> = found
            .files
            .iter()
            .map(|one| (&*one.path, one.before.is_some(), one.after.is_some()))
            .collect();
        assert_eq!(
            told,
            [
                ("/gone", true, false),
                ("/other", true, true),
                ("/new", false, true)
            ]
        );
        assert_eq!(found.packages[0].after.as_deref(), Some("1.1"));
        assert_eq!((found.actions.len(), found.actions[0].added), (1, true));
    }
}
