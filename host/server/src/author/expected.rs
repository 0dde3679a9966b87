//! What a case is expected to make, as files that people read and version control keeps.
//!
//! | file in `expected/` | what it is |
//! |---|---|
//! | `plan.json` | every path with mode, owner and conflict rule; actions, notes, pins |
//! | `root/etc/motd`, `home/ada/x` | contents, of files of up to 1 MiB; larger ones are in `plan.json` by digest |
//! | `error.json` | instead of all these: the faults of a case that must fail |

use std::collections::BTreeMap;
use std::path::Path;

use bytes::Bytes;
use serde_json::{Value, json};

use super::AuthorError;
use super::outcome::{Outcome, Placed, StepOutcome};
use crate::problem::Problem;

/// Files by their paths below `expected/`.
pub type Tree = BTreeMap<String, Bytes>;

/// Most files that are read.
const MOST: usize = 200_000;
/// Lines of a difference that are shown.
const SHOWN: usize = 12;

/// What a run made, as it is expected.
pub fn of_outcome(outcome: &Outcome) -> Tree {
    let mut tree = Tree::new();
    let several = outcome.steps.len() > 1;
    let mut plans = Vec::new();
    for step in &outcome.steps {
        plans.push(plan(step));
        for (path, content) in &step.contents {
            let inside = match path.strip_prefix('~') {
                Some(home) => format!("home/{home}"),
                None => format!("root{path}"),
            };
            let inside = if several {
                format!("{}/{inside}", step.id)
            } else {
                inside
            };
            tree.insert(inside, content.clone());
        }
    }
    let plan = match plans.len() {
        1 => plans.remove(0),
        _ => Value::Array(plans),
    };
    tree.insert("plan.json".into(), text(&plan));
    tree
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

/// What `expected/` holds. None when it is not there.
pub fn read(directory: &Path) -> Result<Option<Tree>, AuthorError> {
    if !directory.is_dir() {
        return Ok(None);
    }
    let mut tree = Tree::new();
    let mut open = vec![directory.to_owned()];
    while let Some(next) = open.pop() {
        let entries = std::fs::read_dir(&next).map_err(AuthorError::io("read", &next))?;
        for entry in entries {
            let path = entry.map_err(AuthorError::io("read", &next))?.path();
            if path.is_dir() {
                open.push(path);
                continue;
            }
            let bytes = std::fs::read(&path).map_err(AuthorError::io("read", &path))?;
            let name = path.strip_prefix(directory).unwrap_or(&path);
            tree.insert(name.to_string_lossy().into_owned(), bytes.into());
            if tree.len() > MOST {
                let shown = directory.display();
                let message = format!("`{shown}` has more than {MOST} files");
                return Err(AuthorError::Invalid(message));
            }
        }
    }
    Ok(Some(tree))
}

/// Puts `tree` in the place of what is there.
pub fn write(directory: &Path, tree: &Tree) -> Result<(), AuthorError> {
    match std::fs::remove_dir_all(directory) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            return Err(AuthorError::io("remove", directory)(error));
        }
        _ => {}
    }
    for (name, bytes) in tree {
        let path = directory.join(name);
        if let Some(parent) = path.parent() {
            std::fs::create_dir_all(parent).map_err(AuthorError::io("make", parent))?;
        }
        std::fs::write(&path, bytes).map_err(AuthorError::io("write", &path))?;
    }
    Ok(())
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

    #[test]
    fn what_is_written_is_read_back_and_nothing_older_is_left() {
        let scratch = tempfile::tempdir().unwrap();
        let directory = scratch.path().join("expected");
        assert!(read(&directory).unwrap().is_none());
        let older = Tree::from([("root/etc/old".to_owned(), Bytes::from_static(b"o"))]);
        write(&directory, &older).unwrap();
        let newer = Tree::from([("root/etc/motd".to_owned(), Bytes::from_static(b"m"))]);
        write(&directory, &newer).unwrap();
        assert_eq!(read(&directory).unwrap(), Some(newer));
    }
}
