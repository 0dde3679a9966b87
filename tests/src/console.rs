//! What a guest wrote to its serial console, each line with its time.

use std::fmt;
use std::time::Duration;

/// One line, without its end and without terminal control sequences.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// Since the machine was switched on.
    pub at: Duration,
    pub text: String,
}

/// All lines of one boot in the order in which they came.
#[derive(Clone, Debug, Default)]
pub struct Transcript {
    pub lines: Vec<Line>,
}

// === impl Transcript ===

impl Transcript {
    /// The first line that contains `marker`.
    pub fn find(&self, marker: &str) -> Option<&Line> {
        self.lines.iter().find(|line| line.text.contains(marker))
    }

    /// Every line that contains `marker`.
    pub fn all<'a>(&'a self, marker: &'a str) -> impl Iterator<Item = &'a Line> {
        self.lines
            .iter()
            .filter(move |line| line.text.contains(marker))
    }

    /// The last `count` lines, for messages.
    pub fn tail(&self, count: usize) -> String {
        let from = self.lines.len().saturating_sub(count);
        self.lines[from..]
            .iter()
            .map(|line| format!("  {line}\n"))
            .collect()
    }
}

// === impl Line ===

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "[{:7.2}] {}", self.at.as_secs_f64(), self.text)
    }
}

/// A console's bytes as plain text: escape sequences (ECMA-48 CSI and single-character ones) and control characters
/// are dropped, bytes that are no UTF-8 are replaced.
pub fn plain(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    let mut out = String::with_capacity(text.len());
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match c {
            '\x1b' => {
                if chars.next() == Some('[') {
                    chars.by_ref().find(|c| ('\x40'..='\x7e').contains(c));
                }
            }
            c if c.is_control() && c != '\t' => {}
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colours_and_carriage_returns_are_dropped_from_a_line() {
        assert_eq!(
            plain(b"\x1b[0;32m  OK  \x1b[0m Reached\r"),
            "  OK   Reached"
        );
        assert_eq!(plain(b"\x1bcSeaBIOS"), "SeaBIOS");
        assert_eq!(plain(b"\x1b["), "");
    }
}
