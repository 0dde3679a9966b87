//! Adding to and taking from a bracketed, comma-separated list, whatever its layout: JSON objects and arrays, YAML flow collections, TOML
//! arrays and inline tables.
//!
//! A list whose last item begins a line is laid out one item a line, and stays so; otherwise new items follow on the same line.

use std::ops::Range;

use crate::text::{Splice, indent, line_end, line_start, next_line};

/// How comments are written between the items.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Comments {
    /// `// …` and `/* … */`.
    Slash,
    /// `# …`.
    Hash,
}

/// A list as it stands in a text.
pub(crate) struct Bracket<'a> {
    pub(crate) text: &'a str,
    /// Between the brackets.
    pub(crate) inside: Range<usize>,
    /// The items, in order, without commas.
    pub(crate) items: Vec<Range<usize>>,
    pub(crate) comments: Comments,
}

// === impl Bracket ===

impl<'a> Bracket<'a> {
    /// The list that stands, brackets included, at `whole`. `None` unless the spans are what a list's must be: in order, inside, and between
    /// brackets; parsers are trusted with nothing less.
    pub(crate) fn new(
        text: &'a str,
        whole: Range<usize>,
        items: Vec<Range<usize>>,
        comments: Comments,
    ) -> Option<Self> {
        let outer = text.get(whole.clone())?;
        if outer.len() < 2 || !outer.starts_with(['[', '{']) || !outer.ends_with([']', '}']) {
            return None;
        }
        let inside = whole.start + 1..whole.end - 1;
        let mut at = inside.start;
        for item in &items {
            if item.start < at || item.end < item.start || item.end > inside.end {
                return None;
            }
            text.get(item.clone())?;
            at = item.end;
        }
        Some(Self {
            text,
            inside,
            items,
            comments,
        })
    }

    /// True when the items stand on lines of their own.
    pub(crate) fn is_tall(&self) -> bool {
        match self.items.split_last() {
            Some((last, before)) => {
                let from = before.last().map_or(self.inside.start, |item| item.end);
                self.text[from..last.start].contains('\n')
            }
            None => false,
        }
    }

    /// Whitespace before the items of a tall list.
    pub(crate) fn item_indent(&self) -> &str {
        self.items
            .last()
            .map_or("", |last| indent(self.text, last.start))
    }

    /// Adds an item after the last one. `tall` is the indentation of items and of the closing bracket to use when the list is empty and
    /// shall be tall.
    pub(crate) fn insert(&self, item: &str, tall: Option<(&str, &str)>) -> Vec<Splice> {
        let Some(last) = self.items.last() else {
            return vec![self.insert_first(item, tall)];
        };
        let comma = self.comma(last.end, self.inside.end);
        if !self.is_tall() {
            let space = match self.items.as_slice() {
                [.., before, _] => {
                    let gap = &self.text[before.end..last.start];
                    let blank = gap.strip_prefix(',').filter(|rest| rest.trim().is_empty());
                    blank.unwrap_or(" ")
                }
                _ => " ",
            };
            return vec![Splice::insert(last.end, format!(",{space}{item}"))];
        }
        let lead = self.item_indent();
        let settled = comma.map_or(last.end, |comma| comma + 1);
        let line = line_end(self.text, settled);
        if line >= self.inside.end {
            // The closing bracket follows on the same line.
            return vec![Splice::insert(last.end, format!(",\n{lead}{item}"))];
        }
        if !self.is_trivia(settled..line) {
            return vec![Splice::insert(last.end, format!(",\n{lead}{item}"))];
        }
        let mut splices = Vec::new();
        if comma.is_none() {
            splices.push(Splice::insert(last.end, ","));
        }
        let tail = if comma.is_some() { "," } else { "" };
        splices.push(Splice::insert(line, format!("\n{lead}{item}{tail}")));
        splices
    }

    fn insert_first(&self, item: &str, tall: Option<(&str, &str)>) -> Splice {
        let inside = &self.text[self.inside.clone()];
        let close = self.inside.end;
        match tall {
            _ if inside.contains('\n') && !inside.trim().is_empty() => {
                let at = line_start(self.text, close);
                let lead = tall.map_or("", |(inner, _)| inner);
                if self.text[at..close].trim().is_empty() {
                    Splice::insert(at, format!("{lead}{item}\n"))
                } else {
                    Splice::insert(close, format!("\n{lead}{item}\n"))
                }
            }
            Some((inner, outer)) if inside.trim().is_empty() => {
                Splice::new(self.inside.clone(), format!("\n{inner}{item}\n{outer}"))
            }
            _ if inside.trim().is_empty() => Splice::new(self.inside.clone(), item),
            _ => Splice::insert(close, format!(" {item}")),
        }
    }

    /// Takes an item out, with its comma and, when it has its lines for itself, with those lines and the comment that follows on the last.
    pub(crate) fn remove(&self, position: usize) -> Vec<Splice> {
        let item = self.items[position].clone();
        let next = self.items.get(position + 1).map(|item| item.start);
        let own_comma = self.comma(item.end, next.unwrap_or(self.inside.end));
        let settled = own_comma.map_or(item.end, |comma| comma + 1);
        let previous_comma = position
            .checked_sub(1)
            .and_then(|before| self.comma(self.items[before].end, item.start));

        let start = line_start(self.text, item.start);
        let line = line_end(self.text, settled);
        let alone = start >= self.inside.start
            && self.text[start..item.start].trim().is_empty()
            && line < self.inside.end
            && next.is_none_or(|next| next >= line)
            && self.is_trivia(settled..line);
        let mut splices = Vec::new();
        if alone {
            if own_comma.is_none() {
                splices.extend(previous_comma.map(|comma| Splice::delete(comma..comma + 1)));
            }
            splices.push(Splice::delete(start..next_line(self.text, settled)));
            return splices;
        }
        let blank = |range: Range<usize>| self.text[range].trim().is_empty();
        match (next, own_comma, previous_comma) {
            (Some(next), Some(comma), _) if blank(comma + 1..next) => {
                splices.push(Splice::delete(item.start..next));
            }
            (Some(_), Some(comma), _) => splices.push(Splice::delete(item.start..comma + 1)),
            (_, own, Some(previous)) => {
                // The last of several: its own trailing comma, if any, goes, or the one before it.
                match own {
                    Some(comma) if blank(previous + 1..item.start) => {
                        splices.push(Splice::delete(previous + 1..comma + 1));
                    }
                    Some(comma) => splices.push(Splice::delete(item.start..comma + 1)),
                    None if blank(previous + 1..item.start) => {
                        splices.push(Splice::delete(previous..item.end));
                    }
                    None => {
                        splices.push(Splice::delete(previous..previous + 1));
                        splices.push(Splice::delete(item));
                    }
                }
            }
            _ => {
                let rest_is_blank =
                    blank(self.inside.start..item.start) && blank(settled..self.inside.end);
                splices.push(Splice::delete(if rest_is_blank {
                    self.inside.clone()
                } else {
                    item.start..settled
                }));
            }
        }
        splices
    }

    /// The first comma in a stretch of whitespace and comments.
    fn comma(&self, from: usize, to: usize) -> Option<usize> {
        let at = self.skip_trivia(from, to);
        self.text[at..to].starts_with(',').then_some(at)
    }

    fn is_trivia(&self, range: Range<usize>) -> bool {
        self.skip_trivia(range.start, range.end) == range.end
    }

    /// Where whitespace and comments end.
    fn skip_trivia(&self, from: usize, to: usize) -> usize {
        let mut at = from;
        loop {
            let rest = &self.text[at..to];
            let trimmed = rest.trim_start();
            at = to - trimmed.len();
            let line_comment = match self.comments {
                Comments::Slash => "//",
                Comments::Hash => "#",
            };
            let length = if trimmed.starts_with(line_comment) {
                trimmed.find('\n').unwrap_or(trimmed.len())
            } else if self.comments == Comments::Slash && trimmed.starts_with("/*") {
                trimmed.find("*/").map_or(trimmed.len(), |end| end + 2)
            } else {
                return at;
            };
            at += length;
        }
    }
}
