//! Control files: stanzas of fields (deb822(5), Debian Policy 5.1), scanned without a copy.
//!
//! Limits: a stanza has at most [`MOST_STANZA_BYTES`]; what is read is bytes, and a field's value must be UTF-8 where it is asked for.

use crate::{Error, Result};

/// The most bytes of one stanza.
pub const MOST_STANZA_BYTES: usize = 4 << 20;

/// The stanzas of a text, in order. Empty lines separate them; comments (`#` at a line's begin) are skipped.
pub fn stanzas(text: &[u8]) -> Stanzas<'_> {
    Stanzas { rest: text, at: 0 }
}

/// One stanza: its bytes without the empty line.
#[derive(Clone, Copy, Debug)]
pub struct Stanza<'a> {
    bytes: &'a [u8],
    /// Offset of the stanza in its text.
    pub offset: usize,
}

/// Iterates over stanzas.
pub struct Stanzas<'a> {
    rest: &'a [u8],
    at: usize,
}

/// Iterates over the fields of a stanza: name and raw value, which may span lines.
pub struct Fields<'a> {
    rest: &'a [u8],
    offset: usize,
}

// === impl Stanzas ===

impl<'a> Iterator for Stanzas<'a> {
    type Item = Result<Stanza<'a>>;

    fn next(&mut self) -> Option<Self::Item> {
        while !self.rest.is_empty() && blank_line(self.rest) {
            let end = find_newline(self.rest).map_or(self.rest.len(), |end| end + 1);
            self.rest = &self.rest[end..];
            self.at += end;
        }
        if self.rest.is_empty() {
            return None;
        }
        let length = end_of_stanza(self.rest);
        let stanza = Stanza {
            bytes: &self.rest[..length],
            offset: self.at,
        };
        self.rest = &self.rest[length..];
        self.at += length;
        if length > MOST_STANZA_BYTES {
            self.rest = &[];
            return Some(Err(Error::TooLarge {
                place: format!("the stanza at byte {}", stanza.offset),
                limit: MOST_STANZA_BYTES as u64,
                unit: "bytes",
            }));
        }
        Some(Ok(stanza))
    }
}

/// Where the first empty line begins: a line of nothing but blanks ends a stanza, too (Policy 5.1).
fn end_of_stanza(text: &[u8]) -> usize {
    let mut at = 0;
    while let Some(end) = find_newline(&text[at..]) {
        at += end + 1;
        match text.get(at) {
            None | Some(b'\n') => return at,
            Some(b' ' | b'\t' | b'\r') if blank_line(&text[at..]) => return at,
            Some(_) => {}
        }
    }
    text.len()
}

fn find_newline(text: &[u8]) -> Option<usize> {
    text.iter().position(|&c| c == b'\n')
}

fn blank_line(text: &[u8]) -> bool {
    let line = &text[..find_newline(text).unwrap_or(text.len())];
    line.iter().all(|c| b" \t\r".contains(c))
}

// === impl Stanza ===

impl<'a> Stanza<'a> {
    /// A stanza from a text of its own, for example a package's control file.
    pub fn only(text: &'a [u8]) -> Result<Self> {
        let mut found = stanzas(text);
        match (found.next(), found.next()) {
            (Some(stanza), None) => stanza,
            (None, _) => Err(Error::malformed("control", "", "a stanza: it is empty")),
            (Some(_), Some(_)) => Err(Error::malformed("control", "", "one stanza alone")),
        }
    }

    /// The fields, in order.
    pub fn fields(&self) -> Fields<'a> {
        Fields {
            rest: self.bytes,
            offset: self.offset,
        }
    }

    /// A field's value, trimmed; the name is compared without regard to case. None: there is no such field.
    pub fn field(&self, name: &str) -> Result<Option<&'a str>> {
        for field in self.fields() {
            let (found, value) = field?;
            if found.eq_ignore_ascii_case(name) {
                return text(found, value).map(Some);
            }
        }
        Ok(None)
    }

    /// A field that must be there.
    pub fn need(&self, name: &'static str) -> Result<&'a str> {
        match self.field(name)? {
            Some(value) if !value.is_empty() => Ok(value),
            _ => Err(Error::malformed(
                format!("the stanza at byte {}", self.offset),
                name,
                "there, and must be",
            )),
        }
    }
}

/// A raw value as text, without the blanks around it.
pub fn text<'a>(name: &str, value: &'a [u8]) -> Result<&'a str> {
    match std::str::from_utf8(value) {
        Ok(value) => Ok(value.trim()),
        Err(_) => Err(Error::malformed(
            format!("field {name}"),
            &String::from_utf8_lossy(value),
            "UTF-8",
        )),
    }
}

// === impl Fields ===

impl<'a> Iterator for Fields<'a> {
    type Item = Result<(&'a str, &'a [u8])>;

    fn next(&mut self) -> Option<Self::Item> {
        while self.rest.first() == Some(&b'#') {
            self.line();
        }
        if self.rest.is_empty() || blank_line(self.rest) {
            return None;
        }
        let all = self.rest;
        let first = self.line();
        let mut length = first.len();
        while let Some(b' ' | b'\t' | b'#') = self.rest.first() {
            length += self.line().len();
        }
        let Some(colon) = first.iter().position(|&c| c == b':') else {
            self.rest = &[];
            return Some(Err(self.broken(first)));
        };
        let name = &first[..colon];
        let valid = !name.is_empty() && name.iter().all(|c| c.is_ascii_graphic());
        match std::str::from_utf8(name) {
            Ok(name) if valid => Some(Ok((name, &all[colon + 1..length]))),
            _ => {
                self.rest = &[];
                Some(Err(self.broken(first)))
            }
        }
    }
}

impl<'a> Fields<'a> {
    /// Takes a line with its end.
    fn line(&mut self) -> &'a [u8] {
        let end = find_newline(self.rest).map_or(self.rest.len(), |end| end + 1);
        let (line, rest) = self.rest.split_at(end);
        self.rest = rest;
        line
    }

    fn broken(&self, line: &[u8]) -> Error {
        Error::malformed(
            format!("the stanza at byte {}", self.offset),
            &String::from_utf8_lossy(line),
            "a field: \"Name: value\"",
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stanzas_and_folded_fields_are_found() {
        let text = b"\n\nPackage: a\nDescription: one\n two\n .\n three\n\n \t\n# comment\npackage: b\nX:\n";
        let found: Vec<Stanza<'_>> = stanzas(text).collect::<Result<_>>().unwrap();
        assert_eq!(found.len(), 2);
        assert_eq!(
            found[0].field("description").unwrap(),
            Some("one\n two\n .\n three")
        );
        assert_eq!(found[1].field("Package").unwrap(), Some("b"));
        assert_eq!(found[1].field("X").unwrap(), Some(""));
        assert_eq!(found[1].field("Y").unwrap(), None);
    }

    #[test]
    fn a_line_that_is_no_field_is_named() {
        let stanza = stanzas(b"Package a\n").next().unwrap().unwrap();
        let error = stanza.field("Package").unwrap_err().to_string();
        assert!(error.contains("Package a"), "{error}");
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_give_stanzas_or_errors(bytes: Vec<u8>) {
            for stanza in stanzas(&bytes).flatten() {
                for field in stanza.fields() {
                    let _ = field;
                }
            }
        }
    }
}
