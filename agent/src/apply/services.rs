//! The services that the installation of packages would have started: kept back by policy, started once everything is there.

use super::{Job, limit};
use crate::command::shorten;
use crate::console::Console;
use crate::held::Manager;
use crate::journal::Journal;
use crate::plan::PlannedStep;
use crate::{AgentError, held, policy};

/// Takes the record of this boot into the journal, where it lies until the services were started.
pub(super) fn remember_held(job: &Job, journal: &mut Journal) -> Result<(), AgentError> {
    let Some(record) = &job.held else {
        return Ok(());
    };
    let failed = |error| AgentError::system(record.display().to_string(), error);
    let found = policy::read(record).map_err(failed)?;
    if found.is_empty() {
        return Ok(());
    }
    for held in found {
        if let Some(step) = journal.steps.get_mut(&held.step)
            && !step.held.contains(&held)
        {
            step.held.push(held);
        }
    }
    journal.save(&job.state)?;
    std::fs::remove_file(record).map_err(failed)
}

/// Starts what the installation of packages would have started, and waits for it: what does not come up is a fault of the step whose package it is.
pub(super) fn start_held(
    job: &Job,
    steps: &[PlannedStep<'_>],
    journal: &mut Journal,
    manager: &mut dyn Manager,
    console: &mut Console,
) -> Result<(), AgentError> {
    remember_held(job, journal)?;
    for planned in steps {
        let id = &planned.step.id;
        let Some(state) = journal
            .steps
            .get_mut(id)
            .filter(|state| !state.held.is_empty())
        else {
            continue;
        };
        let faults = held::start(manager, &state.held, limit(job, &planned.step), console);
        state.held.clear();
        state.trouble = (!faults.is_empty()).then(|| {
            shorten(&format!(
                "services of its packages did not come up: {}",
                faults.join("; ")
            ))
        });
        journal.save(&job.state)?;
    }
    Ok(())
}
