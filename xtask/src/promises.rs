//! `docs/PROMISES.md` and `docs/threats.md`: each row names the test that keeps the promise, or mounts the attack, and that test must exist.
//!
//! A row is `| promise | test |`, or has more columns before the test; several tests are separated by `, `. A test is written as Rust names it,
//! `crate::module::name`, and the last part is looked for as a function that carries `#[test]` or `#[tokio::test]`.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result, bail};

/// Documents of rows that end in tests.
const DOCUMENTS: &[&str] = &["docs/PROMISES.md", "docs/threats.md"];

pub fn check(root: &Path) -> Result<()> {
    let mut tests = BTreeSet::new();
    collect(root, &mut tests)?;
    for document in DOCUMENTS {
        let text = fs::read_to_string(root.join(document)).context(*document)?;
        let faults = faults(&text, &tests);
        if !faults.is_empty() {
            bail!("{document}:\n  {}", faults.join("\n  "));
        }
    }
    Ok(())
}

/// What is wrong with the document, given the names of all tests.
fn faults(text: &str, tests: &BTreeSet<String>) -> Vec<String> {
    let mut faults = Vec::new();
    let mut rows = 0;
    for (index, line) in text.lines().enumerate() {
        let Some(row) = line
            .trim()
            .strip_prefix('|')
            .and_then(|row| row.strip_suffix('|'))
        else {
            continue;
        };
        let Some((promise, named)) = row.rsplit_once('|') else {
            faults.push(format!(
                "line {}: a row has two columns, a promise and its test",
                index + 1
            ));
            continue;
        };
        let is_rule = row.chars().all(|c| matches!(c, '-' | ':' | '|' | ' '));
        if is_rule || named.trim().eq_ignore_ascii_case("test") {
            continue;
        }
        rows += 1;
        let named: Vec<&str> = named
            .split(',')
            .map(|name| name.trim().trim_matches('`'))
            .collect();
        for name in named {
            let function = name.rsplit("::").next().unwrap_or(name);
            if !tests.contains(function) {
                faults.push(format!(
                    "line {}: no test {name:?} keeps the promise {:?}",
                    index + 1,
                    promise.trim()
                ));
            }
        }
    }
    if rows == 0 {
        faults.push("no row of the form `| promise | test |`".to_owned());
    }
    faults
}

fn collect(folder: &Path, tests: &mut BTreeSet<String>) -> Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let path = entry.path();
        let name = entry.file_name();
        if entry.file_type()?.is_dir() {
            let skipped = name == "target"
                || name == "node_modules"
                || name.to_string_lossy().starts_with('.');
            if !skipped {
                collect(&path, tests)?;
            }
        } else if path.extension().is_some_and(|kind| kind == "rs") {
            names(&fs::read_to_string(&path)?, tests);
        }
    }
    Ok(())
}

/// Adds the names of a file's tests: the first `fn` after an attribute that ends in `test`.
fn names(source: &str, tests: &mut BTreeSet<String>) {
    let mut marked = false;
    for line in source.lines().map(str::trim) {
        if let Some(attribute) = line.strip_prefix("#[") {
            let path = attribute.split([']', '(']).next().unwrap_or(attribute);
            marked |= path == "test" || path.ends_with("::test");
        } else if marked && let Some((_, rest)) = line.split_once("fn ") {
            let end = rest
                .find(|c: char| !c.is_alphanumeric() && c != '_')
                .unwrap_or(rest.len());
            tests.insert(rest[..end].to_owned());
            marked = false;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn known() -> BTreeSet<String> {
        let mut tests = BTreeSet::new();
        names(
            "#[test]\nfn bytes_are_checked() {}\n#[tokio::test(flavor = \"multi_thread\")]\nasync fn it_waits() {}\nfn helper() {}",
            &mut tests,
        );
        tests
    }

    #[test]
    fn a_row_whose_test_does_not_exist_is_a_fault() {
        let text = "| promise | test |\n|---|---|\n| Checked | `a::b::bytes_are_checked` |\n| Waits | a::it_waits, a::gone |\n| No test | a::helper |\n";
        let faults = faults(text, &known());
        assert_eq!(faults.len(), 2, "{faults:?}");
        assert!(faults[0].contains("line 4") && faults[0].contains("a::gone"));
        assert!(faults[1].contains("line 5"));
    }

    #[test]
    fn a_document_without_rows_is_a_fault() {
        assert_eq!(faults("# Promises\n", &known()).len(), 1);
    }
}
