//! `bootsplice plugin bench`.

use std::path::PathBuf;
use std::sync::Arc;

use bootsplice_content::Digest;
use clap::Args;
use serde::Serialize;

use super::run::Inputs;
use super::shown;
use crate::author::AuthorError;
use crate::author::baseline::{Baseline, CaseFigures, Change};
use crate::author::bench::{Bench as Workbench, CaseUse, Skipped};
use crate::author::cases::cases;
use crate::author::meter::Heard;
use crate::author::subject::Subject;
use crate::author::test::TestClock;
use crate::cli::exit::Code;
use crate::cli::{Failure, Output};
use crate::local::sandbox::Sandbox;

/// Measure what a generator uses: instructions, memory, bytes, and time.
#[derive(Args)]
#[command(after_help = AFTER)]
pub struct Bench {
    /// A plugin's directory, or a component.
    #[arg(default_value = ".", value_name = "DIR|FILE.wasm")]
    subject: PathBuf,
    #[command(flatten)]
    inputs: Inputs,
    /// Only this case of the directory; several times for several.
    #[arg(long, value_name = "NAME", conflicts_with_all = ["config", "profile"])]
    case: Vec<String>,
    /// Runs whose times are taken.
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    runs: u32,
    /// Keep what was counted in this file.
    #[arg(long, value_name = "FILE")]
    save: Option<PathBuf>,
    /// Compare with what was counted before.
    #[arg(long, value_name = "FILE")]
    against: Option<PathBuf>,
    /// By how many percent a figure may grow before it is worse.
    #[arg(
        long,
        value_name = "PERCENT",
        default_value_t = 5,
        requires = "against"
    )]
    tolerance: u32,
}

const AFTER: &str = "\
Every case of `cases/` is measured, or what `--config` or `--profile` says. It is recorded and then replayed, so that no network is measured.
Instructions, memory and bytes are counted twice; where both counts agree they are the same on every machine, for this component, case and release of
bootsplice. Times are of this machine, without counting, and never compared.

Examples:
  bootsplice plugin bench
  bootsplice plugin bench . --save bench.json
  bootsplice plugin bench . --against bench.json --tolerance 10
  bootsplice plugin bench build/hello.wasm --config case.yaml --runs 100 --output json

Exit codes besides the usual: 8 a figure is worse than in the file of `--against`, by more than the tolerance";

/// What was measured.
#[derive(Serialize)]
struct Answer {
    generator: String,
    component: Digest,
    version: &'static str,
    runs: u32,
    cases: Vec<CaseUse>,
    /// Cases that fail, as they should or not: nothing of them is measured.
    skipped: Vec<Skipped>,
    #[serde(skip_serializing_if = "Option::is_none")]
    compared: Option<Compared>,
}

#[derive(Serialize)]
struct Compared {
    against: PathBuf,
    tolerance: u32,
    worse: bool,
    changes: Vec<Change>,
    /// Cases of the file that were not measured now.
    missing: Vec<String>,
}

// === impl Bench ===

impl Bench {
    pub async fn run(self, output: &Output) -> Result<(), Failure> {
        let before = self.against.as_deref().map(Baseline::read).transpose()?;
        let subject = Subject::open(&self.subject)?;
        let mut bench = self.record(&subject).await?;
        let (generator, component) = bench.generator();
        let heard = Arc::new(Heard::default());
        let progress = bench.leave();
        let metered = Sandbox::metered(&self.inputs.places()?, progress, heard.clone())?;
        let cases = bench.count(&metered, &heard).await?;
        let now = Baseline::new(&generator, component, figures(&cases));
        let compared = before.map(|before| self.compare(&before, &now));
        if let Some(path) = &self.save {
            now.write(path)?;
        }
        let answer = Answer {
            generator,
            component,
            version: env!("CARGO_PKG_VERSION"),
            runs: self.runs,
            cases,
            skipped: bench.skipped,
            compared,
        };
        output.answer(&answer, || text(&answer));
        match &answer.compared {
            Some(compared) if compared.worse => Err(Failure::new(Code::Differs, worse(compared))),
            _ => Ok(()),
        }
    }

    /// Everything recorded, and its times taken.
    async fn record(&self, subject: &Subject) -> Result<Workbench, Failure> {
        let runs = self.runs as usize;
        if let Subject::Project(project) = subject
            && !self.inputs.is_given()
        {
            match cases(project, &self.case) {
                Ok(cases) => {
                    let clock = TestClock::default();
                    let (workshop, plugin) = self.inputs.workshop(subject, &clock).await?;
                    let mut bench = Workbench::new(workshop, plugin)?;
                    for case in &cases {
                        bench.case(case, &clock, runs).await?;
                    }
                    return Ok(bench);
                }
                // Then its first example will do.
                Err(AuthorError::NotFound(_)) if self.case.is_empty() => {}
                Err(error) => return Err(error.into()),
            }
        } else if !self.case.is_empty() {
            let message = "--case: a component by itself has no cases; name its directory";
            return Err(Failure::usage(message));
        }
        let (workshop, plugin, case) = self.inputs.open(subject).await?;
        let mut bench = Workbench::new(workshop, plugin)?;
        bench.run("run", &case, runs).await?;
        Ok(bench)
    }

    fn compare(&self, before: &Baseline, now: &Baseline) -> Compared {
        if before.version != now.version {
            eprintln!(
                "bootsplice: release {} counted then, {} now: it may count otherwise",
                before.version, now.version
            );
        }
        let changes = before.changes(now, self.tolerance);
        Compared {
            against: self.against.clone().unwrap_or_default(),
            tolerance: self.tolerance,
            worse: changes.iter().any(|change| change.worse),
            changes,
            missing: before.missing(now),
        }
    }
}

fn figures(cases: &[CaseUse]) -> Vec<CaseFigures> {
    let of = |one: &CaseUse| CaseFigures {
        case: one.case.clone(),
        calls: one.calls.iter().map(|call| call.figures.clone()).collect(),
    };
    cases.iter().map(of).collect()
}

fn text(answer: &Answer) -> String {
    let mut text = shown::usage(&answer.cases);
    for one in &answer.skipped {
        text.push_str(&format!("\ncase {} is not measured: {}", one.case, one.why));
    }
    let mut calls = answer.cases.iter().flat_map(|one| &one.calls);
    let note = match calls.all(|call| call.deterministic) {
        true => "instructions, memory and bytes: the same in every run",
        false => "? the count differs from run to run",
    };
    text.push_str(&format!("\n\n{note}; times over {} runs", answer.runs));
    if let Some(compared) = &answer.compared {
        let against = compared.against.display();
        if compared.changes.is_empty() {
            text.push_str(&format!("\nall as in `{against}`"));
        }
        for change in &compared.changes {
            text.push_str(&format!("\n{}", line(change)));
        }
        for case in &compared.missing {
            text.push_str(&format!("\ncase {case} of `{against}` was not measured"));
        }
    }
    text
}

fn worse(compared: &Compared) -> String {
    let mut text = format!(
        "worse than `{}` by more than {} %",
        compared.against.display(),
        compared.tolerance
    );
    for change in compared.changes.iter().filter(|change| change.worse) {
        text.push_str(&format!("\n  {}", line(change)));
    }
    text
}

fn line(change: &Change) -> String {
    let percent = change
        .percent()
        .map_or_else(String::new, |percent| format!(" ({percent:+.1} %)"));
    format!(
        "case {}, step {}, {}: {} were {}, are {}{percent}",
        change.case,
        change.step,
        change.call,
        change.what,
        shown::grouped(change.before),
        shown::grouped(change.after),
    )
}
