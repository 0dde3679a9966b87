//! A file's bytes as text and back, its lines, and replacements of spans.
//!
//! Formats made of lines keep bytes that are not UTF-8: each stands as one character of a private plane while the text is edited.

use std::ops::Range;

use crate::Position;

/// First of the 128 characters that stand for the bytes 0x80 to 0xFF. The last private plane: no configuration file means anything by them.
const STAND_IN: u32 = 0x10_FE00;
const BOM: &str = "\u{feff}";

/// A file's text without its byte order mark.
pub(crate) struct Decoded {
    pub(crate) text: String,
    bom: bool,
}

/// New text for a span of the old one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Splice {
    pub(crate) range: Range<usize>,
    pub(crate) text: String,
}

// === impl Decoded ===

impl Decoded {
    /// Reads bytes; `lenient` keeps those that are not UTF-8. The error is the offset of the first byte that cannot be kept, and why.
    pub(crate) fn read(bytes: &[u8], lenient: bool) -> Result<Self, (usize, String)> {
        if bytes.starts_with(&[0xFF, 0xFE]) || bytes.starts_with(&[0xFE, 0xFF]) {
            return Err((
                0,
                "the file is UTF-16; only UTF-8 is edited, so convert it first".into(),
            ));
        }
        let mut text = String::with_capacity(bytes.len());
        for chunk in bytes.utf8_chunks() {
            if let Some(at) = chunk.valid().find(is_stand_in) {
                return Err((text.len() + at, "the file uses private characters (U+10FE80 and up) that this library needs for itself".into()));
            }
            text.push_str(chunk.valid());
            for &byte in chunk.invalid() {
                if !lenient {
                    return Err((
                        text.len(),
                        format!(
                            "byte 0x{byte:02x} is not UTF-8, which this format demands; convert the file first"
                        ),
                    ));
                }
                text.extend(char::from_u32(STAND_IN + u32::from(byte)));
            }
        }
        let bom = text.starts_with(BOM);
        if bom {
            text.drain(..BOM.len());
        }
        Ok(Self { text, bom })
    }

    /// Bytes of `text` in the manner of the file that was read.
    pub(crate) fn write(&self, text: &str) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(text.len() + BOM.len());
        if self.bom {
            bytes.extend_from_slice(BOM.as_bytes());
        }
        let mut utf8 = [0; 4];
        for c in text.chars() {
            match (c as u32).checked_sub(STAND_IN).map(u8::try_from) {
                Some(Ok(byte)) if is_stand_in(c) => bytes.push(byte),
                _ => bytes.extend_from_slice(c.encode_utf8(&mut utf8).as_bytes()),
            }
        }
        bytes
    }
}

/// Whether a character stands for a byte that is not UTF-8.
pub(crate) fn is_stand_in(c: char) -> bool {
    (STAND_IN + 0x80..=STAND_IN + 0xFF).contains(&(c as u32))
}

// === impl Splice ===

impl Splice {
    pub(crate) fn new(range: Range<usize>, text: impl Into<String>) -> Self {
        Self {
            range,
            text: text.into(),
        }
    }

    pub(crate) fn insert(at: usize, text: impl Into<String>) -> Self {
        Self::new(at..at, text)
    }

    pub(crate) fn delete(range: Range<usize>) -> Self {
        Self::new(range, "")
    }
}

/// `text` with every splice made. Line feeds in the new text become the line ending used around that place. `None` when splices overlap or
/// cut through a character.
pub(crate) fn splice(text: &str, mut splices: Vec<Splice>) -> Option<String> {
    splices.sort_by_key(|splice| (splice.range.start, splice.range.end));
    let mut result = String::with_capacity(text.len() + 64);
    let mut done = 0;
    for Splice { range, text: new } in splices {
        result.push_str(text.get(done..range.start)?);
        if new.contains('\n') {
            result.push_str(&new.replace('\n', line_ending(text, range.start)));
        } else {
            result.push_str(&new);
        }
        text.get(range.clone())?;
        done = range.end;
    }
    result.push_str(text.get(done..)?);
    Some(result)
}

/// The line ending used at `at`: that of its line, else of the line before, else of the file, else a line feed.
fn line_ending(text: &str, at: usize) -> &'static str {
    let kind = |feed: usize| {
        if text[..feed].ends_with('\r') {
            "\r\n"
        } else {
            "\n"
        }
    };
    let (before, after) = text.split_at(at);
    match (after.find('\n'), before.rfind('\n')) {
        (Some(feed), _) => kind(at + feed),
        (None, Some(feed)) => kind(feed),
        (None, None) => "\n",
    }
}

/// Where the line that holds `at` begins.
pub(crate) fn line_start(text: &str, at: usize) -> usize {
    text[..at].rfind('\n').map_or(0, |feed| feed + 1)
}

/// Where the content of the line that holds `at` ends, before its line ending.
pub(crate) fn line_end(text: &str, at: usize) -> usize {
    let feed = text[at..].find('\n').map_or(text.len(), |feed| at + feed);
    if feed < text.len() && feed > at && text[..feed].ends_with('\r') {
        feed - 1
    } else {
        feed
    }
}

/// Where the line after the one that holds `at` begins, or the end of the text.
pub(crate) fn next_line(text: &str, at: usize) -> usize {
    text[at..]
        .find('\n')
        .map_or(text.len(), |feed| at + feed + 1)
}

/// Spaces and tabs at the beginning of the line that holds `at`.
pub(crate) fn indent(text: &str, at: usize) -> &str {
    let line = &text[line_start(text, at)..];
    let width = line.len() - line.trim_start_matches([' ', '\t']).len();
    &line[..width]
}

/// Line and column of an offset.
pub(crate) fn position(text: &str, at: usize) -> Position {
    let mut at = at.min(text.len());
    while !text.is_char_boundary(at) {
        at -= 1;
    }
    let before = &text[..at];
    Position {
        line: before.matches('\n').count() + 1,
        column: before[line_start(text, at)..].chars().count() + 1,
    }
}

/// Lines with their spans, line endings excluded from the span. A last line without an ending counts, an empty rest does not.
pub(crate) fn lines(text: &str) -> impl Iterator<Item = Range<usize>> + '_ {
    let mut at = 0;
    std::iter::from_fn(move || {
        (at < text.len()).then(|| {
            let span = at..line_end(text, at);
            at = next_line(text, at);
            span
        })
    })
}

/// A splice that adds whole lines (each ended by a line feed) before `at`, the start of a line or the end of the text.
pub(crate) fn add_lines(text: &str, at: usize, new: &str) -> Splice {
    if at == text.len() && !text.is_empty() && !text.ends_with('\n') {
        // The file's last line has no ending, and neither has the new one.
        Splice::insert(at, format!("\n{}", new.trim_end_matches('\n')))
    } else {
        Splice::insert(at, new)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_that_are_not_utf8_come_back() {
        let bytes = b"\xef\xbb\xbfa=\xe9\xff\x80\r\n";
        let decoded = Decoded::read(bytes, true).expect("lenient");
        assert_eq!(decoded.write(&decoded.text), bytes);
        assert!(Decoded::read(bytes, false).is_err());
    }

    #[test]
    fn new_lines_take_the_ending_of_their_place() {
        let text = "a\r\nb\n";
        assert_eq!(
            splice(text, vec![Splice::insert(0, "x\n")]).as_deref(),
            Some("x\r\na\r\nb\n")
        );
        assert_eq!(
            splice(text, vec![Splice::insert(5, "x\n")]).as_deref(),
            Some("a\r\nb\nx\n")
        );
    }

    #[test]
    fn overlapping_splices_are_refused() {
        assert_eq!(
            splice("abc", vec![Splice::delete(0..2), Splice::delete(1..3)]),
            None
        );
    }

    #[test]
    fn positions_count_from_one() {
        assert_eq!(position("a\nbé c", 6), Position { line: 2, column: 4 });
    }
}
