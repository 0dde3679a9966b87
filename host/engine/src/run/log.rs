//! What a guest says: bounded, cleaned of control characters, never blocking (threat 19).

use std::collections::VecDeque;
use std::sync::Arc;

use parking_lot::Mutex;

use crate::job::{Level, Observer};

/// Longest message, name or value that is kept.
const MAX_TEXT: usize = 8 * 1024;
const MAX_FIELDS: usize = 32;
/// Lines of output that are kept for the message of a trap.
const LAST_LINES: usize = 4;
/// Messages and progress notes of one run; more are counted and dropped.
const MAX_LINES: u64 = 20_000;

/// The log of one run. Clones share it.
#[derive(Clone)]
pub struct Log(Arc<Mutex<Inner>>);

struct Inner {
    observer: Arc<dyn Observer>,
    bytes: u64,
    lines: u64,
    dropped: u64,
    /// Standard output and error so far, up to the next line's end.
    partial: Vec<u8>,
    /// The last whole lines of them: after a trap they are the guest's last words.
    last: VecDeque<String>,
}

// === impl Log ===

impl Log {
    pub fn new(observer: Arc<dyn Observer>, bytes: u64) -> Self {
        Self(Arc::new(Mutex::new(Inner {
            observer,
            bytes,
            lines: MAX_LINES,
            dropped: 0,
            partial: Vec::new(),
            last: VecDeque::new(),
        })))
    }

    pub fn message(&self, level: Level, message: &str, fields: &[(String, String)]) {
        let mut inner = self.0.lock();
        let fields: Vec<_> = fields
            .iter()
            .take(MAX_FIELDS)
            .map(|(name, value)| (clean(name), clean(value)))
            .collect();
        let message = clean(message);
        let cost = fields.iter().fold(message.len(), |sum, (name, value)| {
            sum + name.len() + value.len()
        });
        if inner.pay(cost as u64) {
            inner.observer.log(level, &message, &fields);
        }
    }

    pub fn progress(&self, stage: &str, done: u64, total: Option<u64>) {
        let mut inner = self.0.lock();
        let stage = clean(stage);
        if inner.pay(stage.len() as u64) {
            inner.observer.progress(&stage, done, total);
        }
    }

    /// Bytes of standard output or error, cut into lines.
    pub fn stream(&self, bytes: &[u8]) {
        let mut inner = self.0.lock();
        for piece in bytes.split_inclusive(|byte| *byte == b'\n') {
            let room = MAX_TEXT
                .saturating_sub(inner.partial.len())
                .min(piece.len());
            inner.partial.extend_from_slice(&piece[..room]);
            if piece.ends_with(b"\n") {
                let line = clean(&String::from_utf8_lossy(&inner.partial));
                inner.partial.clear();
                if line.trim().is_empty() {
                    continue;
                }
                if inner.pay(line.len() as u64) {
                    inner.observer.log(Level::Info, &line, &[]);
                }
                inner.last.push_back(line);
                if inner.last.len() > LAST_LINES {
                    inner.last.pop_front();
                }
            }
        }
    }

    /// The guest's last words on standard output or error.
    pub fn last_words(&self) -> Option<String> {
        let inner = self.0.lock();
        let partial = clean(&String::from_utf8_lossy(&inner.partial));
        let words: Vec<&str> = inner
            .last
            .iter()
            .map(String::as_str)
            .chain([partial.as_str()])
            // Every panic of Rust ends with this advice.
            .filter(|line| !line.is_empty() && !line.starts_with("note: run with `RUST_BACKTRACE"))
            .collect();
        (!words.is_empty()).then(|| words.join(" | "))
    }

    /// Messages that were dropped.
    pub fn dropped(&self) -> u64 {
        self.0.lock().dropped
    }
}

impl Inner {
    fn pay(&mut self, bytes: u64) -> bool {
        let fits = self.lines > 0 && self.bytes >= bytes;
        if fits {
            self.bytes -= bytes;
            self.lines -= 1;
        } else {
            self.dropped += 1;
        }
        fits
    }
}

/// Without control characters, so that no message moves a terminal's cursor or forges a line.
fn clean(text: &str) -> String {
    text.chars()
        .scan(0, |len, character| {
            *len += character.len_utf8();
            (*len <= MAX_TEXT).then_some(character)
        })
        .filter(|character| *character == '\t' || !character.is_control())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Default)]
    struct Kept(Mutex<Vec<String>>);

    impl Observer for Kept {
        fn log(&self, _: Level, message: &str, _: &[(String, String)]) {
            self.0.lock().push(message.to_owned());
        }
    }

    #[test]
    fn a_flood_is_dropped_and_counted() {
        let kept = Arc::new(Kept::default());
        let log = Log::new(kept.clone(), 1000);
        for _ in 0..500 {
            log.message(Level::Info, "0123456789", &[]);
        }
        assert_eq!(kept.0.lock().len(), 100);
        assert_eq!(log.dropped(), 400);
    }

    #[test]
    fn terminal_escapes_and_forged_lines_are_taken_out() {
        let kept = Arc::new(Kept::default());
        let log = Log::new(kept.clone(), 1000);
        log.message(Level::Info, "a\x1b[2Jb\r\nc", &[]);
        log.stream(b"par");
        log.stream(b"tial\x07 line\nrest");
        assert_eq!(*kept.0.lock(), ["a[2Jbc", "partial line"]);
        assert_eq!(log.last_words().as_deref(), Some("partial line | rest"));
    }
}
