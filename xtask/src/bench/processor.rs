//! Processor time that processes took so far, in seconds, as /proc has it.

use std::fs;

use anyhow::{Context, Result};

/// What a process took itself, its threads included.
pub fn of(process: u32) -> Result<f64> {
    let path = format!("/proc/{process}/stat");
    let stat = fs::read_to_string(&path).with_context(|| path.clone())?;
    let facts = facts(&stat).with_context(|| path)?;
    Ok(facts.seconds)
}

/// What a process and its children took.
pub fn of_family(process: u32) -> Result<f64> {
    let mut seconds = of(process)?;
    for entry in fs::read_dir("/proc")? {
        // Processes come and go while we look.
        let Ok(stat) = fs::read_to_string(entry?.path().join("stat")) else {
            continue;
        };
        if let Some(facts) = facts(&stat)
            && facts.parent == process
        {
            seconds += facts.seconds;
        }
    }
    Ok(seconds)
}

struct Facts {
    parent: u32,
    seconds: f64,
}

/// Fields 4, 14 and 15 of proc_pid_stat(5). The second one, a name in parentheses, may hold anything.
fn facts(stat: &str) -> Option<Facts> {
    let (_, rest) = stat.rsplit_once(')')?;
    let fields: Vec<&str> = rest.split_ascii_whitespace().collect();
    let ticks = |at: usize| fields.get(at)?.parse::<u64>().ok();
    let per_second = rustix::param::clock_ticks_per_second();
    Some(Facts {
        parent: fields.get(1)?.parse().ok()?,
        seconds: (ticks(11)? + ticks(12)?) as f64 / per_second as f64,
    })
}

#[cfg(test)]
mod tests {
    use super::facts;

    #[test]
    fn a_name_with_parentheses_does_not_shift_the_fields() {
        let stat = "7 (a) b (c)) S 3 7 7 0 -1 4194560 1 0 0 0 200 100 0 0 20 0 1 0 5 6 7";
        let facts = facts(stat).unwrap();
        assert_eq!(facts.parent, 3);
        let ticks = facts.seconds * rustix::param::clock_ticks_per_second() as f64;
        assert!((ticks - 300.0).abs() < 1e-6, "{ticks}");
    }
}
