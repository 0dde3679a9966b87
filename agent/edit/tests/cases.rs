//! Every folder under `cases/<format>/` is one promise: `before` (absent: no file yet, to be created), `changes.json`, and `after` or `error`
//! (a part of the message). Set `BLESS=1` to write `after` anew, then read the difference before it is committed.

#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::{Path, PathBuf};

use bootsplice_edit::{Change, Format, Outcome, apply};

fn folders(of: &Path) -> Vec<PathBuf> {
    let mut found: Vec<_> = fs::read_dir(of)
        .unwrap_or_else(|error| panic!("{}: {error}", of.display()))
        .map(|entry| entry.expect("listed").path())
        .filter(|path| path.is_dir())
        .collect();
    found.sort();
    found
}

fn run(format: Format, case: &Path) -> Result<(), String> {
    let before = fs::read(case.join("before")).ok();
    let text = fs::read_to_string(case.join("changes.json"))
        .map_err(|error| format!("changes.json: {error}"))?;
    let changes: Vec<Change> =
        serde_json::from_str(&text).map_err(|error| format!("changes.json: {error}"))?;
    let result = apply(format, before.as_deref(), before.is_none(), &changes);
    if let Ok(expected) = fs::read_to_string(case.join("error")) {
        return match result {
            Err(error) if error.to_string().contains(expected.trim()) => Ok(()),
            Err(error) => Err(format!(
                "refused with\n  {error}\ninstead of\n  {}",
                expected.trim()
            )),
            Ok(_) => Err(format!("not refused, expected {}", expected.trim())),
        };
    }
    let got = match result.map_err(|error| error.to_string())? {
        Outcome::Changed(bytes) => bytes,
        Outcome::Unchanged => before.clone().unwrap_or_default(),
    };
    if std::env::var_os("BLESS").is_some() {
        fs::write(case.join("after"), &got).map_err(|error| error.to_string())?;
    }
    let after = fs::read(case.join("after")).map_err(|error| format!("after: {error}"))?;
    if got != after {
        return Err(format!(
            "got\n{}\ninstead of\n{}",
            got.escape_ascii(),
            after.escape_ascii()
        )
        .replace("\\n", "\n"));
    }
    match apply(format, Some(&got), false, &changes) {
        Ok(Outcome::Unchanged) => Ok(()),
        other => Err(format!("the second run was not `Unchanged` but {other:?}")),
    }
}

#[test]
fn every_case_gives_its_bytes_and_a_second_run_nothing() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases");
    let mut count = 0;
    let mut faults = Vec::new();
    for format in Format::ALL {
        for case in folders(&root.join(format.name())) {
            count += 1;
            if let Err(fault) = run(format, &case) {
                faults.push(format!(
                    "{}: {fault}",
                    case.strip_prefix(&root).expect("inside").display()
                ));
            }
        }
    }
    assert!(
        faults.is_empty(),
        "{} of {count} cases failed:\n{}",
        faults.len(),
        faults.join("\n\n")
    );
    assert!(count >= 100, "only {count} cases were found");
}
