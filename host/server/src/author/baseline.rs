//! Figures of a bench kept in a file, and what became worse since then.
//!
//! The file holds what is counted and no times, so it can be under version control: the same component gives the same file on every machine.

use std::path::Path;

use bootsplice_content::Digest;
use serde::{Deserialize, Serialize};

use super::AuthorError;
use super::case::read;
use super::meter::Figures;

const SCHEMA: &str = "bootsplice.bench.v1";

/// A file of `plugin bench --save`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Baseline {
    pub schema: String,
    /// Of the bootsplice that counted: another may count otherwise.
    pub version: String,
    /// `name@version`.
    pub generator: String,
    pub component: Digest,
    pub cases: Vec<CaseFigures>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CaseFigures {
    pub case: String,
    pub calls: Vec<Figures>,
}

/// A figure that is not what it was.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Change {
    pub case: String,
    pub step: String,
    pub call: String,
    /// `instructions`, `memory`, `fetches`, `fetched` or `written`.
    pub what: &'static str,
    pub before: u64,
    pub after: u64,
    /// By more than the tolerance.
    pub worse: bool,
}

// === impl Baseline ===

impl Baseline {
    pub fn new(generator: &str, component: Digest, cases: Vec<CaseFigures>) -> Self {
        Self {
            schema: SCHEMA.to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            generator: generator.to_owned(),
            component,
            cases,
        }
    }

    pub fn read(path: &Path) -> Result<Self, AuthorError> {
        let shown = path.display();
        let found: Option<Self> = read(path)?;
        let found = found.ok_or_else(|| {
            AuthorError::NotFound(format!(
                "there is no `{shown}`: `bootsplice plugin bench --save {shown}` makes it"
            ))
        })?;
        if found.schema != SCHEMA {
            return Err(AuthorError::Invalid(format!(
                "`{shown}`: its schema is `{}`, this release reads `{SCHEMA}`",
                found.schema
            )));
        }
        Ok(found)
    }

    pub fn write(&self, path: &Path) -> Result<(), AuthorError> {
        let text = serde_json::to_string_pretty(self).map_err(std::io::Error::from);
        text.and_then(|text| std::fs::write(path, text + "\n"))
            .map_err(AuthorError::io("write", path))
    }

    /// What differs in `now`, of calls that both have. Worse is what grew by more than `tolerance` percent.
    pub fn changes(&self, now: &Self, tolerance: u32) -> Vec<Change> {
        let mut changes = Vec::new();
        for one in &now.cases {
            let Some(old) = self.cases.iter().find(|old| old.case == one.case) else {
                continue;
            };
            for after in &one.calls {
                let same =
                    |before: &&Figures| before.step == after.step && before.call == after.call;
                let Some(before) = old.calls.iter().find(same) else {
                    continue;
                };
                for (what, before, after_) in counted(before, after) {
                    if before != after_ {
                        changes.push(Change {
                            case: one.case.clone(),
                            step: after.step.clone(),
                            call: after.call.clone(),
                            what,
                            before,
                            after: after_,
                            worse: is_worse(before, after_, tolerance),
                        });
                    }
                }
            }
        }
        changes
    }

    /// Cases of this one that `now` has not.
    pub fn missing(&self, now: &Self) -> Vec<String> {
        let there = |case: &&CaseFigures| now.cases.iter().any(|one| one.case == case.case);
        let gone = self.cases.iter().filter(|case| !there(case));
        gone.map(|case| case.case.clone()).collect()
    }
}

// === impl Change ===

impl Change {
    /// Of what it was; none where that was nothing.
    pub fn percent(&self) -> Option<f64> {
        let (before, after) = (self.before as f64, self.after as f64);
        (self.before > 0).then(|| (after - before) / before * 100.0)
    }
}

fn counted(before: &Figures, after: &Figures) -> [(&'static str, u64, u64); 5] {
    [
        ("instructions", before.instructions, after.instructions),
        ("memory", before.memory, after.memory),
        ("fetches", before.fetches, after.fetches),
        ("fetched", before.fetched, after.fetched),
        ("written", before.written, after.written),
    ]
}

fn is_worse(before: u64, after: u64, tolerance: u32) -> bool {
    u128::from(after) * 100 > u128::from(before) * (100 + u128::from(tolerance))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn baseline(cases: &[(&str, u64)]) -> Baseline {
        let cases = cases.iter().map(|(case, instructions)| CaseFigures {
            case: (*case).to_owned(),
            calls: vec![Figures {
                step: "motd".into(),
                call: "generate".into(),
                instructions: *instructions,
                memory: 65536,
                fetches: 0,
                fetched: 0,
                written: 9,
            }],
        });
        Baseline::new("motd@0.1.0", Digest::of(b"x"), cases.collect())
    }

    #[test]
    fn a_figure_is_worse_when_it_grew_by_more_than_the_tolerance() {
        let before = baseline(&[("one", 1000), ("two", 1000), ("gone", 1)]);
        let after = baseline(&[("one", 1050), ("two", 1051), ("new", 7)]);
        let changes = before.changes(&after, 5);
        let told: Vec<_> = changes
            .iter()
            .map(|one| (one.case.as_str(), one.what, one.worse))
            .collect();
        assert_eq!(
            told,
            [
                ("one", "instructions", false),
                ("two", "instructions", true)
            ]
        );
        assert_eq!(before.missing(&after), ["gone"]);
        assert!(before.changes(&before, 0).is_empty());
        // Less is never worse; something where nothing was is.
        assert!(!is_worse(10, 9, 0) && is_worse(0, 1, 1000) && !is_worse(u64::MAX, u64::MAX, 0));
    }

    #[test]
    fn a_baseline_is_read_as_it_was_written_and_another_file_is_refused() {
        let scratch = tempfile::tempdir().unwrap();
        let path = scratch.path().join("bench.json");
        let told = Baseline::read(&path).unwrap_err().to_string();
        assert!(told.contains("--save"), "{told}");
        let kept = baseline(&[("one", 1)]);
        kept.write(&path).unwrap();
        assert_eq!(Baseline::read(&path).unwrap(), kept);
        let other = Baseline {
            schema: "other".into(),
            ..kept
        };
        other.write(&path).unwrap();
        let told = Baseline::read(&path).unwrap_err().to_string();
        assert!(told.contains("`other`"), "{told}");
    }
}
