//! What a generator says while it runs, told at once; and what it fetched, remembered.

use std::sync::Arc;

use bootsplice_engine::{Level, Observer};
use parking_lot::Mutex;

use crate::local::progress::Progress;

/// Hears a generator.
pub struct Listener {
    progress: Arc<Progress>,
    /// The least level that is told; none is silent.
    from: Option<Level>,
    fetched: Mutex<Vec<String>>,
}

// === impl Listener ===

impl Listener {
    pub fn new(progress: Arc<Progress>, from: Option<Level>) -> Self {
        Self {
            progress,
            from,
            fetched: Mutex::default(),
        }
    }

    /// The addresses reached for since this was last asked.
    pub fn take_fetched(&self) -> Vec<String> {
        std::mem::take(&mut *self.fetched.lock())
    }
}

impl Observer for Listener {
    fn log(&self, level: Level, message: &str, fields: &[(String, String)]) {
        if self.from.is_none_or(|from| rank(level) < rank(from)) {
            return;
        }
        let word = match level {
            Level::Trace => "trace",
            Level::Debug => "debug",
            Level::Info => "info",
            Level::Warn => "warn",
            Level::Error => "error",
        };
        let mut line = format!("{word:5} {message}");
        for (name, value) in fields {
            line.push_str(&format!(" {name}={value}"));
        }
        eprintln!("{line}");
    }

    fn progress(&self, stage: &str, done: u64, total: Option<u64>) {
        self.progress.progress(stage, done, total);
    }

    fn fetching(&self, url: &str) {
        self.progress.fetching(url);
        self.fetched.lock().push(url.to_owned());
    }
}

fn rank(level: Level) -> u8 {
    match level {
        Level::Trace => 0,
        Level::Debug => 1,
        Level::Info => 2,
        Level::Warn => 3,
        Level::Error => 4,
    }
}
