//! What a generator uses: instructions, memory, bytes, and time.
//!
//! A run is recorded once and then replayed, so that no network is measured. Instructions and memory are counted by an engine that counts, twice, to
//! see whether the count stays the same; times are taken in an engine like a host's, which does not count.

use std::time::Duration;

use bootsplice_engine::{Engine, GeneratorError, Metering, Plugin, Usage};
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};

use crate::recording::replay::{Replay, Replayed};
use crate::recording::{Recording, RecordingError};

/// Runs that are counted: two, to see that they are the same.
const COUNTED: usize = 2;

/// What one call of one step used, by counting: the same on every machine, for one component, one case and one release of bootsplice.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Figures {
    pub step: String,
    /// `resolve` or `generate`.
    pub call: String,
    /// Units of fuel: nearly one for each instruction.
    pub instructions: u64,
    /// The most linear memory, in bytes.
    pub memory: u64,
    pub fetches: u64,
    /// Bytes.
    pub fetched: u64,
    /// Bytes of content, templates and actions.
    pub written: u64,
}

/// Figures, how sure they are, and times of this machine.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Measured {
    #[serde(flatten)]
    pub figures: Figures,
    /// All counted runs gave the same figures.
    pub deterministic: bool,
    pub wall: Wall,
}

/// Wall-clock times over all runs, in microseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Wall {
    pub p50: u64,
    pub p95: u64,
    pub most: u64,
}

/// Keeps what the engine counts, call by call.
#[derive(Default)]
pub struct Heard(Mutex<Vec<Usage>>);

/// What was counted, and what of it differed from run to run.
pub struct Counts {
    usages: Vec<Usage>,
    same: Vec<bool>,
}

/// The times of every call, run by run.
pub struct Times(Vec<Vec<Duration>>);

/// A run that should only be measured failed, or did something else than the one before.
#[derive(Debug, thiserror::Error)]
pub enum MeterError {
    #[error(transparent)]
    Recording(#[from] RecordingError),
    /// It went well when it was recorded. The generator depends on something that no run should depend on.
    #[error("run {run}: step `{step}`: {error}")]
    Failed {
        run: usize,
        step: String,
        #[source]
        error: GeneratorError,
    },
}

// === impl Metering for Heard ===

impl Metering for Heard {
    fn used(&self, usage: &Usage) {
        if matches!(usage.call, "resolve" | "generate") {
            self.0.lock().push(usage.clone());
        }
    }
}

impl Heard {
    fn take(&self) -> Vec<Usage> {
        std::mem::take(&mut self.0.lock())
    }
}

// === impl Counts ===

impl Counts {
    /// Replays in an engine that counts and tells `heard`.
    pub async fn of(
        recording: &Recording,
        engine: &Engine,
        plugins: &[Plugin],
        heard: &Heard,
    ) -> Result<Self, MeterError> {
        let mut runs = Vec::new();
        for run in 0..COUNTED {
            heard.take();
            once(recording, engine, plugins, run).await?;
            runs.push(heard.take());
        }
        Ok(Self::compare(runs))
    }

    fn compare(mut runs: Vec<Vec<Usage>>) -> Self {
        let usages = runs.swap_remove(0);
        let same = usages
            .iter()
            .enumerate()
            .map(|(index, usage)| {
                let mut others = runs.iter().map(|run| run.get(index));
                others.all(|other| other.is_some_and(|other| counts(other) == counts(usage)))
            })
            .collect();
        Self { usages, same }
    }
}

/// What of a usage is no time.
fn counts(usage: &Usage) -> Usage {
    Usage {
        time: Duration::ZERO,
        ..usage.clone()
    }
}

// === impl Times ===

impl Times {
    /// Replays in an engine that does not count.
    pub async fn of(
        recording: &Recording,
        engine: &Engine,
        plugins: &[Plugin],
        runs: usize,
    ) -> Result<Self, MeterError> {
        let mut calls: Vec<Vec<Duration>> = Vec::new();
        // The first is to warm up: code and content come from the disk.
        for run in 0..=runs {
            let steps = once(recording, engine, plugins, run).await?;
            if run == 0 {
                continue;
            }
            let resolves = steps.iter().filter_map(|step| step.resolve);
            let generates = steps.iter().filter_map(|step| step.generate);
            for (index, time) in resolves.chain(generates).enumerate() {
                if calls.len() <= index {
                    calls.push(Vec::new());
                }
                calls[index].push(time);
            }
        }
        Ok(Self(calls))
    }
}

// === impl Wall ===

impl Wall {
    /// Nearest ranks. Nothing of nothing.
    pub fn of(times: &[Duration]) -> Self {
        let micros = |time: &Duration| u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
        let mut sorted: Vec<u64> = times.iter().map(micros).collect();
        sorted.sort_unstable();
        let rank = |percent: usize| {
            let rank = (sorted.len() * percent).div_ceil(100).max(1) - 1;
            sorted.get(rank).copied().unwrap_or_default()
        };
        Self {
            p50: rank(50),
            p95: rank(95),
            most: rank(100),
        }
    }
}

/// Both put together: the calls in the order of a recording, all `resolve`s before all `generate`s.
pub fn measured(recording: &Recording, counts: Counts, times: &Times) -> Vec<Measured> {
    let steps = &recording.head.steps;
    let calls = counts.usages.iter().zip(counts.same).enumerate();
    calls
        .map(|(index, (usage, deterministic))| Measured {
            figures: Figures {
                step: steps[index % steps.len()].id.clone(),
                call: usage.call.to_owned(),
                instructions: usage.instructions,
                memory: usage.memory,
                fetches: usage.fetches,
                fetched: usage.fetched,
                written: usage.written,
            },
            deterministic,
            wall: Wall::of(times.0.get(index).map_or(&[], Vec::as_slice)),
        })
        .collect()
}

async fn once(
    recording: &Recording,
    engine: &Engine,
    plugins: &[Plugin],
    run: usize,
) -> Result<Vec<Replayed>, MeterError> {
    let replay = Replay::open(recording, None)?;
    let steps = replay.run(engine, plugins).await;
    for (step, recorded) in steps.iter().zip(&recording.head.steps) {
        let failed = step.made.as_ref().and_then(|made| made.as_ref().err());
        if let Some(error) = step.refused.as_ref().or(failed) {
            return Err(MeterError::Failed {
                run,
                step: recorded.id.clone(),
                error: error.clone(),
            });
        }
    }
    Ok(steps)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn usage(instructions: u64, millis: u64) -> Usage {
        Usage {
            call: "resolve",
            instructions,
            memory: 65536,
            fetches: 0,
            fetched: 0,
            written: 0,
            time: Duration::from_millis(millis),
        }
    }

    #[test]
    fn a_count_is_deterministic_when_every_run_gave_it_and_time_does_not_matter() {
        let runs = vec![
            vec![usage(10, 1), usage(20, 1)],
            vec![usage(10, 9), usage(21, 1)],
        ];
        let counts = Counts::compare(runs);
        assert_eq!(counts.same, [true, false]);
        assert_eq!(counts.usages[1].instructions, 20);
    }

    #[test]
    fn percentiles_are_nearest_ranks() {
        let times: Vec<Duration> = (1..=20).rev().map(Duration::from_micros).collect();
        let wall = Wall::of(&times);
        assert_eq!((wall.p50, wall.p95, wall.most), (10, 19, 20));
        let one = Wall::of(&times[..1]);
        assert_eq!((one.p50, one.p95, one.most), (20, 20, 20));
        assert_eq!(Wall::of(&[]), Wall::default());
    }
}
