//! What a run made, as files that people read, version control keeps, and two runs are compared by.
//!
//! | file | what it is |
//! |---|---|
//! | `plan.json` | every path with mode, owner and conflict rule; actions, notes, pins |
//! | `root/etc/motd`, `home/ada/x` | contents, of files of up to 1 MiB; larger ones are in `plan.json` by digest |
//! | `error.json` | instead of all these: the faults of a run that failed |
//!
//! Where a run has several steps, `plan.json` is a list, and contents are below the step's id.

use std::collections::BTreeMap;
use std::path::Path;

use bootsplice_engine::contract::Instance;
use bytes::Bytes;
use serde_json::{Value, json};

use super::layers::{MadeError, Run, Written};
use super::outcome::{Outcome, Placed, StepOutcome};
use crate::problem::Problem;

/// Files by their paths.
pub type Tree = BTreeMap<String, Bytes>;

/// Lines of a difference that are shown.
const SHOWN: usize = 12;

/// What a run made, as it is expected.
pub fn of_outcome(outcome: &Outcome) -> Tree {
    of_steps(&outcome.steps)
}

/// What steps made.
pub fn of_steps(steps: &[StepOutcome]) -> Tree {
    if let [only] = steps {
        let mut tree: Tree = contents(only).collect();
        tree.insert("plan.json".into(), text(&plan(only)));
        return tree;
    }
    let mut tree = Tree::new();
    let plans: Vec<Value> = steps.iter().map(plan).collect();
    tree.insert("plan.json".into(), text(&Value::Array(plans)));
    for step in steps {
        let files = contents(step);
        tree.extend(files.map(|(path, content)| (format!("{}/{path}", step.id), content)));
    }
    tree
}

fn contents(step: &StepOutcome) -> impl Iterator<Item = (String, Bytes)> + '_ {
    step.contents.iter().map(|(path, content)| {
        let inside = match path.strip_prefix('~') {
            Some(home) => format!("home/{home}"),
            None => format!("root{path}"),
        };
        (inside, content.clone())
    })
}

/// What the run of one step made, with the values of `who` in it. Layers are written and read back below `scratch`.
pub fn of_run(run: &Run<'_>, who: &Instance, scratch: &Path) -> Result<Tree, MadeError> {
    let written = Written::of(std::slice::from_ref(run), who, scratch)?;
    Ok(of_steps(&written.steps))
}

/// A run that was refused, as it is expected.
pub fn of_problem(problem: &Problem) -> Tree {
    let mut document = json!({"errors": problem.faults});
    if problem.faults.is_empty() {
        document["detail"] = json!(problem.detail);
    }
    Tree::from([("error.json".to_owned(), text(&document))])
}

fn plan(step: &StepOutcome) -> Value {
    let mut plan = json!({
        "entries": step.tree.iter().map(|one| entry(one, step)).collect::<Vec<_>>(),
        "actions": step.actions.iter().map(|one| &one.action).collect::<Vec<_>>(),
        "notes": step.notes,
    });
    if step.reboot_required {
        plan["reboot_required"] = json!(true);
    }
    if step.needs_instance {
        plan["needs_instance"] = json!(true);
    }
    if !step.pins.is_empty() {
        plan["pins"] = json!(step.pins);
    }
    plan
}

fn entry(placed: &Placed, step: &StepOutcome) -> Value {
    let one = &placed.entry;
    let mut value = json!({
        "path": one.path,
        "kind": one.kind,
        "mode": format!("{:04o}", one.mode),
        "on_conflict": one.on_conflict,
    });
    for (key, said) in [
        ("owner", &one.owner),
        ("group", &one.group),
        ("to", &one.to),
    ] {
        if let Some(said) = said {
            value[key] = json!(said);
        }
    }
    if placed.instance {
        value["instance"] = json!(true);
    }
    if let Some(digest) = &one.sha256
        && !step.contents.contains_key(&one.path)
    {
        value["sha256"] = json!(digest);
        value["size"] = json!(one.size);
    }
    value
}

fn text(value: &Value) -> Bytes {
    let mut text = serde_json::to_string_pretty(value).unwrap_or_default();
    text.push('\n');
    text.into()
}

/// What is not the same, a text for each file. Empty when nothing is.
pub fn differences(expected: &Tree, made: &Tree) -> Vec<String> {
    let mut told = Vec::new();
    for (name, old) in expected {
        match made.get(name) {
            None => told.push(format!("- {name}: was expected, and was not made")),
            Some(new) if new == old => {}
            Some(new) => told.push(format!("~ {name}\n{}", lines(old, new))),
        }
    }
    let extra = made.keys().filter(|name| !expected.contains_key(*name));
    told.extend(extra.map(|name| format!("+ {name}: was made, and was not expected")));
    told
}

/// The lines between a common beginning and a common end.
fn lines(old: &[u8], new: &[u8]) -> String {
    let (Ok(old_text), Ok(new_text)) = (std::str::from_utf8(old), std::str::from_utf8(new)) else {
        return format!(
            "    {} bytes were expected, {} were made, and they differ",
            old.len(),
            new.len()
        );
    };
    let old: Vec<&str> = old_text.split('\n').collect();
    let new: Vec<&str> = new_text.split('\n').collect();
    let pairs = old.iter().zip(&new);
    let begin = pairs.take_while(|(a, b)| a == b).count();
    let (rest_old, rest_new) = (&old[begin..], &new[begin..]);
    let pairs = rest_old.iter().rev().zip(rest_new.iter().rev());
    let end = pairs.take_while(|(a, b)| a == b).count();
    let part = |sign: char, lines: &[&str]| {
        let cut = lines.len().saturating_sub(SHOWN);
        let mut text: String = lines
            .iter()
            .take(SHOWN)
            .map(|line| format!("    {sign} {line}\n"))
            .collect();
        if cut > 0 {
            text.push_str(&format!("    {sign} … and {cut} lines more\n"));
        }
        text
    };
    let removed = part('-', &rest_old[..rest_old.len() - end]);
    let added = part('+', &rest_new[..rest_new.len() - end]);
    format!("    @@ line {} @@\n{removed}{added}", begin + 1)
        .trim_end()
        .to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_difference_names_the_file_and_the_line() {
        let tree = |files: &[(&str, &str)]| -> Tree {
            let files = files.iter();
            files
                .map(|(name, text)| ((*name).to_owned(), Bytes::copy_from_slice(text.as_bytes())))
                .collect()
        };
        let expected = tree(&[("a", "1\n2\n3\n"), ("b", "x"), ("same", "s")]);
        let made = tree(&[("a", "1\n2!\n3\n"), ("c", "x"), ("same", "s")]);
        assert_eq!(
            differences(&expected, &made),
            [
                "~ a\n    @@ line 2 @@\n    - 2\n    + 2!",
                "- b: was expected, and was not made",
                "+ c: was made, and was not expected",
            ]
        );
        assert!(differences(&made, &made).is_empty());
    }
}
