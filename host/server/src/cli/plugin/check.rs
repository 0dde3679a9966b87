//! `bootsplice plugin check`.

use std::path::PathBuf;

use bootsplice_engine::fetch::FetchPolicy;
use clap::Args;

use super::workplace::Workplace;
use crate::author::check::Report;
use crate::author::subject::Subject;
use crate::cli::exit::Code;
use crate::cli::output::columns;
use crate::cli::{Failure, Output};

/// Say what a host would say about a component when it is pushed: world, imports, size, description, schema, examples.
#[derive(Args)]
#[command(after_help = "\
Examples:
  bootsplice plugin check
  bootsplice plugin check build/motd.wasm --output json

Exit codes: 0 a host would take it, 7 it would not")]
pub struct Check {
    /// A plugin's directory, or a component.
    #[arg(default_value = ".", value_name = "DIR|FILE.wasm")]
    subject: PathBuf,
    #[command(flatten)]
    workplace: Workplace,
}

// === impl Check ===

impl Check {
    pub async fn run(self, output: &Output) -> Result<(), Failure> {
        let subject = Subject::open(&self.subject)?;
        let sandbox = self.workplace.open(FetchPolicy::default())?;
        let report = Report::of(&sandbox, &subject).await?;
        let rows: Vec<[String; 3]> = report
            .checks
            .iter()
            .map(|one| {
                let word = if one.ok { "ok" } else { "REFUSED" };
                [one.check.to_owned(), word.to_owned(), one.detail.clone()]
            })
            .collect();
        output.answer(&report, || columns(["CHECK", "RESULT", "DETAIL"], &rows));
        refused(&report)
    }
}

/// The exit of a component that no host would take, with every fault.
pub fn refused(report: &Report) -> Result<(), Failure> {
    if report.is_fine() {
        return Ok(());
    }
    let mut message = format!("`{}` would be refused", report.file);
    for fault in &report.errors {
        message.push_str(&format!("\n  {} [{}]", fault.detail, fault.code));
        if !fault.pointer.is_empty() {
            message.push_str(&format!(" at {}", fault.pointer));
        }
        if let Some(hint) = &fault.hint {
            message.push_str(&format!("\n    {hint}"));
        }
    }
    Err(Failure::new(Code::Invalid, message))
}
