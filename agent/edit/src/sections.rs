//! What INI files and systemd units share: lines with entries, under headers in square brackets.

use std::ops::Range;

use crate::text::{Splice, add_lines, indent, line_end, line_start, lines, next_line};

/// A file as headers and entries. The part before the first header is section 0 and has the empty name.
pub(crate) struct Sections<'a> {
    pub(crate) text: &'a str,
    pub(crate) sections: Vec<Section<'a>>,
    pub(crate) entries: Vec<Entry<'a>>,
}

/// A header and where its lines end.
pub(crate) struct Section<'a> {
    pub(crate) name: &'a str,
    /// The header's line with its ending; empty for section 0.
    header: Range<usize>,
    /// Where the next header's line begins, or the end of the text.
    end: usize,
}

/// `key = value`.
pub(crate) struct Entry<'a> {
    /// Place in [`Sections::sections`].
    pub(crate) section: usize,
    pub(crate) key: &'a str,
    /// Between key and value, for entries that have a value.
    pub(crate) separator: Option<&'a str>,
    /// The value as it stands there, without surrounding space.
    pub(crate) value: Range<usize>,
    /// All lines of the entry with their endings.
    pub(crate) lines: Range<usize>,
}

// === impl Sections ===

impl<'a> Sections<'a> {
    pub(crate) fn new(text: &'a str) -> Self {
        Self {
            text,
            sections: vec![Section {
                name: "",
                header: 0..0,
                end: text.len(),
            }],
            entries: Vec::new(),
        }
    }

    /// Notes a header that stands in the line holding `at`.
    pub(crate) fn open(&mut self, at: usize, name: &'a str) {
        let start = line_start(self.text, at);
        if let Some(last) = self.sections.last_mut() {
            last.end = start;
        }
        self.sections.push(Section {
            name,
            header: start..next_line(self.text, at),
            end: self.text.len(),
        });
    }

    /// The section that is open now.
    pub(crate) fn current(&self) -> usize {
        self.sections.len() - 1
    }

    /// Entries of all sections called `section` with that key, in the file's order.
    pub(crate) fn named(&self, section: &str, key: &str) -> Vec<&Entry<'a>> {
        self.entries
            .iter()
            .filter(|entry| entry.key == key && self.sections[entry.section].name == section)
            .collect()
    }

    /// A splice that adds `key` with each value, in the manner of the entries around, at the end of the last section of that name; a section
    /// that is missing is made at the end of the file.
    pub(crate) fn add(&self, section: &str, key: &str, values: &[&str]) -> Splice {
        let text = self.text;
        let place = self
            .sections
            .iter()
            .rposition(|known| known.name == section);
        let inside =
            place.and_then(|place| self.entries.iter().rfind(|entry| entry.section == place));
        let model = inside.or_else(|| self.entries.iter().rfind(|entry| entry.separator.is_some()));
        let separator = model.and_then(|entry| entry.separator).unwrap_or("=");
        let lead = inside.map_or("", |entry| indent(text, entry.lines.start));
        let new = values
            .iter()
            .map(|value| {
                // A bare colon would be taken for a part of the key when `=` follows.
                let bare = separator == ":" && value.contains('=');
                let space = if bare { " " } else { "" };
                format!("{lead}{key}{separator}{space}{value}")
                    .trim_end()
                    .to_owned()
                    + "\n"
            })
            .collect::<String>();
        match (place, inside) {
            (_, Some(entry)) => add_lines(text, entry.lines.end, &new),
            (Some(place), None) => {
                let at = self.end_of(place);
                // Settings before the first section stand apart from what follows.
                let crowded = place == 0 && !text[at..line_end(text, at)].trim().is_empty();
                add_lines(text, at, &if crowded { new + "\n" } else { new })
            }
            (None, _) => {
                let last =
                    text[line_start(text, text.trim_end_matches(['\n', '\r']).len())..].trim();
                let blank = text.trim().is_empty()
                    || text.ends_with("\n\n")
                    || text.ends_with("\n\r\n")
                    || last.is_empty();
                let gap = if blank { "" } else { "\n" };
                add_lines(text, text.len(), &format!("{gap}[{section}]\n{new}"))
            }
        }
    }

    /// Where new lines of a section without entries go: after its last line that is not blank, comments that touch the next header excepted.
    fn end_of(&self, place: usize) -> usize {
        let section = &self.sections[place];
        let body = section.header.end..section.end;
        let all: Vec<_> = lines(&self.text[body.clone()])
            .map(|line| body.start + line.start..body.start + line.end)
            .collect();
        let is_blank = |line: &Range<usize>| self.text[line.clone()].trim().is_empty();
        let mut kept = all.as_slice();
        if section.end < self.text.len() {
            while let Some((_, rest)) = kept.split_last().filter(|(last, _)| !is_blank(last)) {
                kept = rest;
            }
            // Comments that fill the section up to the next header are its own.
            if kept.is_empty() && place > 0 {
                kept = all.as_slice();
            }
        }
        kept.iter()
            .rfind(|line| !is_blank(line))
            .map_or(section.header.end, |line| next_line(self.text, line.start))
    }
}

impl Entry<'_> {
    /// Takes the entry's lines away.
    pub(crate) fn delete(&self, text: &str) -> Splice {
        let mut range = self.lines.clone();
        if range.end == text.len() && !text.ends_with('\n') && range.start > 0 {
            // The file has no ending on its last line, and shall have none.
            range.start = line_end(text, line_start(text, range.start - 1));
        }
        Splice::delete(range)
    }
}

/// The name in a header line (already trimmed), or what is wrong with the line. `comment` tells whether text after the bracket is one.
pub(crate) fn header(line: &str, comment: impl Fn(&str) -> bool) -> Result<&str, String> {
    let rest = line.strip_prefix('[').unwrap_or(line);
    match rest.rsplit_once(']') {
        Some((name, after)) if after.trim().is_empty() => Ok(name),
        _ => match rest.split_once(']') {
            Some((name, after)) if comment(after.trim_start()) => Ok(name),
            _ => Err(format!(
                "a section header ends with `]`, this line is `{line}`"
            )),
        },
    }
}

/// A scalar as the text of a value; lists and objects are not scalars.
pub(crate) fn scalar(value: &serde_json::Value) -> Option<String> {
    match value {
        serde_json::Value::String(text) => Some(text.clone()),
        serde_json::Value::Number(number) => Some(number.to_string()),
        serde_json::Value::Bool(boolean) => Some(boolean.to_string()),
        _ => None,
    }
}
