//! How a launch ends: what is written down, told and overwritten.

use std::io;
use std::path::Path;

use super::{Job, Outcome};
use crate::console::Console;
use crate::journal::{Journal, State};
use crate::points::Trusted;
use crate::{AgentError, report, wipe};

/// Writes down a failure. One that nothing will try again takes secrets and token with it.
pub(super) fn fail(
    job: &Job,
    journal: &mut Journal,
    launch: &[Trusted],
    console: &mut Console,
    error: &AgentError,
) -> Result<(), AgentError> {
    journal.state = State::Failed;
    let last = job.once || journal.boots >= job.boots;
    if last {
        journal.wipes = wipe::plan(launch);
    }
    conclude(job, journal, console, Some(error.to_string()))?;
    if last {
        finish_wipe(job, journal)?;
        console.say(&format!(
            "launch {} is not tried again: its secrets are overwritten",
            journal.launch
        ));
    }
    Ok(())
}

pub(super) fn finish_wipe(job: &Job, journal: &mut Journal) -> Result<(), AgentError> {
    wipe::wipe(journal, &job.points, &job.trusted)?;
    journal.wipes.clear();
    journal.report = None;
    journal.save(&job.state)
}

pub(super) fn spent(
    journal: Option<&Journal>,
    launch: &str,
    sequence: u64,
    console: &mut Console,
) -> Result<Outcome, AgentError> {
    match journal {
        Some(journal)
            if journal.launch == launch
                && matches!(journal.state, State::Applied | State::Degraded) =>
        {
            console.say(&format!(
                "launch {launch} was applied before: nothing to do"
            ));
            Ok(Outcome::AlreadyApplied)
        }
        Some(journal) if journal.launch == launch && journal.state == State::Failed => {
            Err(AgentError::Step {
                step: "-".into(),
                reason: format!(
                    "launch {launch} failed and its secrets were overwritten: launch again"
                ),
            })
        }
        _ => Err(AgentError::refused(
            "*",
            format!(
                "launch {launch} (sequence {sequence}) was applied and overwritten, but this machine's journal does not know it"
            ),
        )),
    }
}

/// Writes down how it ended, tells the console, queues the report.
pub(super) fn conclude(
    job: &Job,
    journal: &mut Journal,
    console: &mut Console,
    detail: Option<String>,
) -> Result<(), AgentError> {
    journal.reports += 1;
    let report = report::of(journal, detail);
    if let Some(to) = &journal.report {
        report::queue(&job.state, to, report.clone())?;
    }
    write_status(&job.state, &report)?;
    journal.save(&job.state)?;
    console.say(&format!(
        "launch {} result {}",
        journal.launch,
        journal.state.name()
    ));
    Ok(())
}

/// `status.json`: the report without an address.
pub fn write_status(directory: &Path, report: &report::Report) -> Result<(), AgentError> {
    let bytes = serde_json::to_vec_pretty(report)
        .map_err(|error| AgentError::system("status.json", io::Error::from(error)))?;
    crate::journal::write_whole(&directory.join("status.json"), &bytes)
}
