//! What a command prints: text for people, JSON for programs.

use std::io::{self, Write as _};

use clap::ValueEnum;
use serde::Serialize;
use serde_json::json;

use super::Failure;

/// How answers are printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Format {
    Text,
    Json,
}

/// Where answers go.
#[derive(Clone, Copy, Debug)]
pub struct Output {
    format: Format,
}

// === impl Output ===

impl Output {
    pub fn new(format: Format) -> Self {
        Self { format }
    }

    pub fn format(&self) -> Format {
        self.format
    }

    /// One answer: `text` for people, `value` for programs.
    pub fn answer(&self, value: &impl Serialize, text: impl FnOnce() -> String) {
        let line = match self.format {
            Format::Text => text(),
            Format::Json => serde_json::to_string_pretty(value)
                .unwrap_or_else(|error| json!({ "error": error.to_string() }).to_string()),
        };
        print(&line);
    }

    /// A list as columns under `head`, or as JSON.
    pub fn table<const N: usize>(
        &self,
        value: &impl Serialize,
        head: [&str; N],
        rows: Vec<[String; N]>,
    ) {
        self.answer(value, || columns(head, &rows));
    }

    /// To the error stream: text, or the host's problem as JSON.
    pub fn failure(&self, failure: &Failure) {
        match (self.format, &failure.problem) {
            (Format::Text, _) => eprintln!("bootsplice: {}", failure.message),
            (Format::Json, Some(problem)) => {
                eprintln!(
                    "{}",
                    serde_json::to_string_pretty(problem).unwrap_or_default()
                );
            }
            (Format::Json, None) => eprintln!("{}", json!({ "title": failure.message })),
        }
    }
}

/// A reader that closes early (`| head`) is no failure.
fn print(text: &str) {
    let mut out = io::stdout().lock();
    let _ = out.write_all(text.as_bytes());
    if !text.is_empty() && !text.ends_with('\n') {
        let _ = out.write_all(b"\n");
    }
    let _ = out.flush();
}

pub(super) fn columns<const N: usize>(head: [&str; N], rows: &[[String; N]]) -> String {
    let mut widths = head.map(|title| title.chars().count());
    for row in rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let line = |cells: [&str; N]| {
        let padded = cells
            .iter()
            .zip(widths)
            .map(|(cell, width)| format!("{cell:width$}"));
        let joined: Vec<_> = padded.collect();
        joined.join("  ").trim_end().to_owned()
    };
    let mut text = vec![line(head)];
    text.extend(
        rows.iter()
            .map(|row| line(row.each_ref().map(String::as_str))),
    );
    text.join("\n")
}
