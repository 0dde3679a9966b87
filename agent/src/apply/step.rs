//! One step: its entries, then its actions, each journalled before the next.

use std::io;
use std::path::Path;
use std::time::{Duration, Instant};

use bootsplice_archive::ArchiveError;
use bootsplice_archive::step::{Action, Entry, EntryKind, OnFailure, StepDocument, paths};

use super::{Job, limit};
use crate::action::Context;
use crate::command::{Program, shorten};
use crate::console::Console;
use crate::journal::{Journal, StepResult, StepState};
use crate::plan::PlannedStep;
use crate::root::Root;
use crate::{AgentError, action, clock, entry, plan};

/// A step's documents, entries by their place in the archive.
struct Loaded {
    actions: Vec<(u32, Action, bool)>,
}

pub(super) fn run_step(
    job: &Job,
    root: &Root,
    planned: &PlannedStep<'_>,
    journal: &mut Journal,
    console: &mut Console,
) -> Result<(), AgentError> {
    let step = &planned.step;
    let label = format!("step {}/{}", planned.trusted.point.name, step.id);
    let before = journal.steps.get(&step.id).cloned();
    // A failure under `warn` is final, like a success; one that stopped the launch is tried again when the launch is.
    if let Some(state) = &before
        && (state.result == Some(StepResult::Ok)
            || (state.result.is_some() && step.on_failure == OnFailure::Warn))
    {
        return Ok(());
    }
    let state = StepState {
        stage: step.stage,
        result: None,
        next_action: before.as_ref().map_or(0, |state| state.next_action),
        owed: before.as_ref().and_then(|state| state.owed),
        attempts: before.as_ref().map_or(0, |state| state.attempts),
        started: clock::text(clock::now()),
        seconds: 0.0,
        detail: None,
        held: before.map(|state| state.held).unwrap_or_default(),
        trouble: None,
    };
    journal.steps.insert(step.id.clone(), state);
    let start = Instant::now();
    let tries = if step.on_failure == OnFailure::Retry {
        step.retries.min(10) + 1
    } else {
        1
    };
    let mut wait = u64::from(step.backoff);
    let mut result = Ok(());
    for attempt in 1..=tries {
        edit_state(journal, &step.id, |state| state.attempts += 1);
        journal.save(&job.state)?;
        result = attempt_step(job, root, planned, journal);
        match &result {
            Ok(()) => break,
            Err(reason) if attempt < tries => {
                console.say(&format!(
                    "{label} attempt {attempt} failed, again in {wait} s: {reason}"
                ));
                std::thread::sleep(Duration::from_secs(wait.min(3600)));
                wait = wait.saturating_mul(2);
            }
            Err(_) => {}
        }
    }
    root.sync()
        .map_err(|error| AgentError::system("flushing", error))?;
    let seconds = start.elapsed().as_secs_f64();
    edit_state(journal, &step.id, |state| {
        state.seconds = (seconds * 1000.0).round() / 1000.0;
        state.result = Some(if result.is_ok() {
            StepResult::Ok
        } else {
            StepResult::Failed
        });
        state.detail = result.as_ref().err().map(|reason| shorten(reason));
    });
    journal.save(&job.state)?;
    match result {
        Ok(()) => {
            console.say(&format!("{label} ok {seconds:.2}s"));
            Ok(())
        }
        Err(reason) if step.on_failure == OnFailure::Warn => {
            console.say(&format!("{label} failed {seconds:.2}s (warn): {reason}"));
            Ok(())
        }
        Err(reason) => {
            console.say(&format!("{label} failed {seconds:.2}s: {reason}"));
            Err(AgentError::Step {
                step: step.id.clone(),
                reason,
            })
        }
    }
}

fn edit_state(journal: &mut Journal, id: &str, edit: impl FnOnce(&mut StepState)) {
    if let Some(state) = journal.steps.get_mut(id) {
        edit(state);
    }
}

/// Entries, then actions in their order.
fn attempt_step(
    job: &Job,
    root: &Root,
    planned: &PlannedStep<'_>,
    journal: &mut Journal,
) -> Result<(), String> {
    let step = &planned.step;
    let timeout = limit(job, step);
    let mut changed = Vec::new();
    let mut loaded = Loaded {
        actions: Vec::new(),
    };
    for (layer, instance) in &planned.layers {
        put_layer(
            root,
            planned,
            *layer,
            *instance,
            &journal.launch,
            &mut loaded,
            &mut changed,
        )
        .map_err(|error| error.to_string())?;
    }
    loaded.actions.sort_by_key(|(index, _, _)| *index);
    for (index, action, instance) in &loaded.actions {
        let state = journal.steps.get(&step.id);
        if state.is_some_and(|state| *index < state.next_action) {
            continue;
        }
        let owed = state.is_some_and(|state| state.owed == Some(*index));
        let context = Context {
            root,
            step: &step.id,
            index: *index,
            timeout,
            instance: *instance,
        };
        let path = action::run(context, action, owed, || {
            edit_state(journal, &step.id, |state| state.owed = Some(*index));
            journal.save(&job.state).map_err(io::Error::other)
        })?;
        changed.extend(path);
        root.sync().map_err(|error| error.to_string())?;
        edit_state(journal, &step.id, |state| {
            state.next_action = index + 1;
            state.owed = None;
        });
        journal
            .save(&job.state)
            .map_err(|error| error.to_string())?;
    }
    restore_labels(root, &changed, timeout)
}

/// Streams one layer: its document comes first, then the payloads of its entries.
fn put_layer(
    root: &Root,
    planned: &PlannedStep<'_>,
    layer: usize,
    instance: bool,
    launch: &str,
    loaded: &mut Loaded,
    changed: &mut Vec<String>,
) -> Result<(), ArchiveError> {
    let id = &planned.step.id;
    let mut wanted: Vec<(String, Entry)> = Vec::new();
    let mut seen = false;
    planned.trusted.read_layer(layer, |found, content| {
        if let Some(document) = plan::document(id, instance, &found, content)? {
            let StepDocument {
                entries, actions, ..
            } = document;
            wanted = entries
                .into_iter()
                .map(|entry| (paths::payload(id, instance, &entry.path), entry))
                .collect();
            loaded.actions.extend(
                actions
                    .into_iter()
                    .map(|one| (one.index, one.action, instance)),
            );
            seen = true;
            return Ok(());
        }
        let Some(at) = wanted.iter().position(|(path, _)| *path == found.path) else {
            return Ok(());
        };
        let (_, entry) = wanted.swap_remove(at);
        let path = entry::put(root, &entry, content, launch)?;
        changed.extend(path);
        Ok::<_, ArchiveError>(())
    })?;
    if let Some((path, _)) = wanted
        .iter()
        .find(|(_, entry)| entry.kind == EntryKind::File)
    {
        return Err(ArchiveError::Corrupt {
            what: "layer".into(),
            reason: format!("{path} is in its document and not in it"),
        });
    }
    if !seen {
        return Err(ArchiveError::Corrupt {
            what: "layer".into(),
            reason: format!("it has no document of the step `{id}`"),
        });
    }
    Ok(())
}

/// Gives changed files the labels of the guest's SELinux policy, where one is in force.
fn restore_labels(root: &Root, changed: &[String], timeout: Duration) -> Result<(), String> {
    let enabled = root.is_system() && Path::new("/sys/fs/selinux/enforce").exists();
    if !enabled || changed.is_empty() {
        return Ok(());
    }
    let Some(tool) = ["/usr/sbin/restorecon", "/sbin/restorecon"]
        .into_iter()
        .find(|path| Path::new(path).exists())
    else {
        return Ok(());
    };
    for chunk in changed.chunks(500) {
        let words = [tool, "-F", "--"]
            .into_iter()
            .chain(chunk.iter().map(String::as_str));
        Program::new(words, timeout).run()?;
    }
    Ok(())
}
