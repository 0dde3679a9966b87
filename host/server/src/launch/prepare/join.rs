//! Steps of one generator made one, where the generator wants it so: packages of a profile are resolved together (rule 22).

use std::collections::{BTreeMap, BTreeSet};

use bootsplice_content::Digest;
use serde_json::{Map, Value};

use crate::problem::Fault;
use crate::profile::{OnFailure, PluginName, Stage, Step};

/// A step as it is run: its own, or several made one.
#[derive(Clone, Debug)]
pub struct Joined {
    /// Position in the profile of the first of them.
    pub order: usize,
    pub step: Step,
    /// Place of its point among the volume's.
    pub point: usize,
    /// Ids of the others.
    pub others: Vec<String>,
}

/// A step, its generator, and the place of its point among the volume's.
pub struct Placed<'a> {
    pub step: &'a Step,
    pub plugin: Digest,
    pub joins: bool,
    pub point: usize,
}

/// Makes one of all steps whose generator joins them: under the id of the first, at the earliest point.
pub fn join(placed: &[Placed<'_>]) -> Result<Vec<Joined>, Vec<Fault>> {
    let mut joined: Vec<Joined> = Vec::new();
    // The same bytes in two namespaces are two generators, each with its own rights.
    let mut first: BTreeMap<(&PluginName, Digest), usize> = BTreeMap::new();
    let mut moved: BTreeMap<&str, String> = BTreeMap::new();
    let mut faults = Vec::new();
    for (order, one) in placed.iter().enumerate() {
        if let Some(into) = first
            .get(&(&one.step.uses.name, one.plugin))
            .filter(|_| one.joins)
        {
            let target = &mut joined[*into];
            moved.insert(&one.step.id, target.step.id.clone());
            if one.point < target.point {
                target.point = one.point;
                target.step.at.clone_from(&one.step.at);
            }
            target.others.push(one.step.id.clone());
            unite(target, one.step, order, &mut faults);
            continue;
        }
        if one.joins {
            first.insert((&one.step.uses.name, one.plugin), joined.len());
        }
        joined.push(Joined {
            order,
            step: one.step.clone(),
            point: one.point,
            others: Vec::new(),
        });
    }
    if !faults.is_empty() {
        return Err(faults);
    }
    Ok(joined
        .into_iter()
        .map(|mut one| {
            // Who waited for a step that is in another now waits for that one, and nobody for itself.
            let after: BTreeSet<String> = one
                .step
                .after
                .drain(..)
                .map(|id| moved.get(id.as_str()).cloned().unwrap_or(id))
                .filter(|id| *id != one.step.id)
                .collect();
            one.step.after = after.into_iter().collect();
            one
        })
        .collect())
}

/// Adds what `step` wants to `target`; of how it is run, the more careful wins.
fn unite(target: &mut Joined, step: &Step, order: usize, faults: &mut Vec<Fault>) {
    let with = format!("/profile/steps/{order}/with");
    let first = target.step.id.clone();
    add(&mut target.step.with, &step.with, &with, &first, faults);
    let one = &mut target.step;
    one.after.extend(step.after.iter().cloned());
    one.stage = match (one.stage, step.stage) {
        (Some(mine), Some(theirs)) => Some(mine.min(theirs)),
        (mine, theirs) => mine.or(theirs),
    };
    one.timeout = match (one.timeout, step.timeout) {
        (Some(mine), Some(theirs)) => Some(mine.max(theirs)),
        // Who does not say has what its stage gives.
        (Some(said), None) | (None, Some(said)) => {
            Some(said.max(Step::timeout_in(Stage::Packages)))
        }
        (None, None) => None,
    };
    one.retries = one.retries.max(step.retries);
    one.backoff = one.backoff.max(step.backoff);
    let care = |policy| match policy {
        OnFailure::Warn => 0,
        OnFailure::Retry => 1,
        OnFailure::Abort => 2,
    };
    if care(step.on_failure) > care(one.on_failure) {
        one.on_failure = step.on_failure;
    }
}

/// Lists are joined, each item once; objects are united; anything else must agree.
fn add(
    into: &mut Map<String, Value>,
    more: &Map<String, Value>,
    at: &str,
    first: &str,
    faults: &mut Vec<Fault>,
) {
    for (key, value) in more {
        let at = format!("{at}/{}", crate::extract::escape(key));
        match (into.get_mut(key), value) {
            (None, _) => {
                into.insert(key.clone(), value.clone());
            }
            (Some(Value::Array(list)), Value::Array(items)) => {
                for item in items {
                    if !list.contains(item) {
                        list.push(item.clone());
                    }
                }
            }
            (Some(Value::Object(fields)), Value::Object(others)) => {
                add(fields, others, &at, first, faults);
            }
            (Some(known), _) if known == value => {}
            (Some(known), _) => {
                let detail = format!(
                    "step `{first}` says {known}, this one {value}, and both are resolved together"
                );
                faults.push(
                    Fault::new(at, "conflicting-steps", detail)
                        .hint("say it in one step, or the same in both"),
                );
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn step(id: &str, at: &str, with: Value) -> Step {
        serde_json::from_value(json!({"id": id, "use": "apt", "at": at, "with": with})).unwrap()
    }

    #[test]
    fn steps_of_one_generator_are_one_at_the_earliest_point() {
        let web = step(
            "web",
            "users",
            json!({"packages": ["nginx", "jq"], "recommends": false}),
        );
        let mut files = step("files", "base", json!({"packages": []}));
        files.after = vec!["db".into()];
        let mut db = step(
            "db",
            "base",
            json!({"packages": ["jq", "postgresql"], "hold": ["postgresql"]}),
        );
        db.timeout = Some(900);
        db.after = vec!["web".into()];
        let placed = |step, plugin: &[u8], joins, point| Placed {
            step,
            plugin: Digest::of(plugin),
            joins,
            point,
        };
        let joined = join(&[
            placed(&web, b"apt", true, 1),
            placed(&files, b"config", false, 0),
            placed(&db, b"apt", true, 0),
        ])
        .unwrap();
        assert_eq!(joined.len(), 2);
        let one = &joined[0];
        assert_eq!(
            (one.step.id.as_str(), one.step.at.as_str()),
            ("web", "base")
        );
        assert_eq!(one.others, ["db"]);
        assert_eq!(
            Value::Object(one.step.with.clone()),
            json!({"packages": ["nginx", "jq", "postgresql"], "recommends": false, "hold": ["postgresql"]})
        );
        assert_eq!(
            one.step.timeout,
            Some(3600),
            "what the other had by its stage"
        );
        assert!(one.step.after.is_empty(), "nobody waits for itself");
        assert_eq!(joined[1].step.after, ["web"]);
    }

    #[test]
    fn what_does_not_agree_is_named_where_it_stands() {
        let one = step("a", "base", json!({"recommends": false}));
        let two = step("b", "base", json!({"recommends": true}));
        let placed = |step| Placed {
            step,
            plugin: Digest::of(b"apt"),
            joins: true,
            point: 0,
        };
        let faults = join(&[placed(&one), placed(&two)]).unwrap_err();
        assert_eq!(faults[0].pointer, "/profile/steps/1/with/recommends");
        assert_eq!(faults[0].code, "conflicting-steps");
    }
}
