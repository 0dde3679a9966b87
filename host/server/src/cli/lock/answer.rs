//! Locks and differences for people.

use super::super::output::columns;
use crate::lock::{Diff, LockFile};

pub fn lock(lock: &LockFile) -> String {
    let packages = lock.packages().map(|package| {
        [
            package.name.clone(),
            package.version.clone(),
            package.architecture.clone(),
            package.size.to_string(),
            package.why(),
        ]
    });
    let others = lock.steps.iter().flat_map(|step| {
        step.artefacts.iter().map(|one| {
            [
                one.name.clone(),
                one.version.clone(),
                String::new(),
                one.size.to_string(),
                format!("file of {}", step.id),
            ]
        })
    });
    let rows: Vec<[String; 5]> = packages.chain(others).collect();
    let bytes = lock
        .packages()
        .map(|package| package.size)
        .chain(
            lock.steps
                .iter()
                .flat_map(|step| step.artefacts.iter().map(|one| one.size)),
        )
        .fold(0, u64::saturating_add);
    let head = ["NAME", "VERSION", "ARCH", "SIZE", "REASON"];
    let count = rows.len();
    format!(
        "{}\n{count} artefacts, {bytes} bytes, {}",
        columns(head, &rows),
        lock.digest()
    )
}

pub fn diff(diff: &Diff) -> String {
    if diff.is_empty() {
        return "no differences".to_owned();
    }
    let lines = diff
        .changes()
        .map(|(word, change)| format!("{word} {change}"));
    lines.collect::<Vec<_>>().join("\n")
}
