//! What takes longer than a second is told on the error stream.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bootsplice_engine::{Level, Observer};
use parking_lot::Mutex;

/// Before this nothing is told.
const QUIET: Duration = Duration::from_secs(1);

/// The stage that a command is in. Shared with the task that tells of it.
pub struct Progress(Mutex<Now>);

struct Now {
    step: String,
    stage: String,
    since: Instant,
    told: bool,
    /// Addresses that were reached for in this stage.
    fetches: u32,
}

// === impl Progress ===

impl Progress {
    /// Starts the task that tells; it ends with the last other holder.
    pub fn start() -> Arc<Self> {
        let progress = Arc::new(Self(Mutex::new(Now {
            step: String::new(),
            stage: String::new(),
            since: Instant::now(),
            told: true,
            fetches: 0,
        })));
        let weak = Arc::downgrade(&progress);
        tokio::spawn(async move {
            loop {
                tokio::time::sleep(QUIET / 4).await;
                match weak.upgrade() {
                    Some(progress) => progress.tell(),
                    None => break,
                }
            }
        });
        progress
    }

    /// A new stage, of the same step.
    pub fn stage(&self, stage: &str) {
        let mut now = self.0.lock();
        if now.stage != stage {
            stage.clone_into(&mut now.stage);
            now.since = Instant::now();
            now.told = false;
            now.fetches = 0;
        }
    }

    pub fn step(&self, step: &str) {
        step.clone_into(&mut self.0.lock().step);
        self.stage("resolving");
    }

    fn tell(&self) {
        let mut now = self.0.lock();
        if now.told || now.since.elapsed() < QUIET {
            return;
        }
        now.told = true;
        let step = match now.step.as_str() {
            "" => String::new(),
            step => format!("{step}: "),
        };
        let fetches = match now.fetches {
            0 => String::new(),
            count => format!(", {count} fetches so far"),
        };
        eprintln!("bootsplice: {step}{}{fetches} …", now.stage);
    }
}

impl Observer for Progress {
    fn log(&self, level: Level, message: &str, _: &[(String, String)]) {
        if matches!(level, Level::Warn | Level::Error) {
            eprintln!("bootsplice: warning: {message}");
        }
    }

    fn progress(&self, stage: &str, _: u64, _: Option<u64>) {
        self.stage(stage);
    }

    fn fetching(&self, _: &str) {
        self.0.lock().fetches += 1;
    }
}
