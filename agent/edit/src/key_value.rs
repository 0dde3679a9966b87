//! Shell assignments, as in `/etc/default/*`, `/etc/os-release` and environment files: `KEY=value` and `export KEY=value`.
//!
//! The words of a value follow the shell: `'…'`, `"…"` with `\`, and `\` alone. What the shell would expand (`$NAME`, `` `command` ``) is kept
//! as it stands and equals no plain value. Of several assignments of one key the last counts: `set` changes that one, `remove` takes all.
//! Lines that are not assignments (shell code) are left alone. Lists (`append`, `remove` with a value) are words separated by spaces, as in
//! `GRUB_CMDLINE_LINUX="quiet splash"`. `Key value` without `=` and `key = value` with spaces are other formats: see `ini` for the second.

use std::ops::Range;

use serde_json::{Map, Value};

use crate::Verb;
use crate::engine::{Fault, Language, Wish};
use crate::sections::scalar;
use crate::text::{Splice, add_lines, is_stand_in, line_end, line_start, next_line};

pub(crate) struct KeyValue;

/// Marks, in the meaning, a value that only a shell can know. No document can spell this key by accident.
const EXPANDS: &str = "\0shell";

/// One assignment.
struct Assignment<'a> {
    key: &'a str,
    exported: bool,
    value: Range<usize>,
    lines: Range<usize>,
    meaning: Value,
    /// Why this one cannot be edited.
    odd: Option<&'static str>,
}

// === impl KeyValue ===

impl Language for KeyValue {
    const LENIENT: bool = true;

    fn read(text: &str) -> Result<Value, Fault> {
        let assignments = parse(text)?;
        Ok(assignments
            .into_iter()
            .map(|assignment| (assignment.key.to_owned(), assignment.meaning))
            .collect())
    }

    fn wish(meaning: &mut Value, wish: &Wish<'_>) -> Result<(), String> {
        let key = key_of(wish)?;
        let new = wish
            .value
            .map(|value| text_of(wish.verb, value))
            .transpose()?;
        let Value::Object(map) = meaning else {
            return Ok(());
        };
        let list = match (map.get(key), wish.verb, &new) {
            (Some(Value::String(list)), ..) => list.as_str(),
            (Some(_), Verb::Append, _) | (Some(_), Verb::Remove, Some(_)) => {
                return Err(format!(
                    "the value of `{key}` is made by the shell when it is read, so it is not known as a list; `set` the whole value"
                ));
            }
            _ => "",
        };
        let value = match (wish.verb, new) {
            (Verb::Set, Some(text)) => text,
            (Verb::Append, Some(item)) => with_item(list, &item),
            (Verb::Remove, Some(_)) if !map.contains_key(key) => return Ok(()),
            (Verb::Remove, Some(item)) => without_item(list, &item),
            (_, None) => {
                map.shift_remove(key);
                return Ok(());
            }
        };
        map.insert(key.to_owned(), Value::String(value));
        Ok(())
    }

    fn is_expected(found: &Value, expected: &Value) -> bool {
        match scalar(expected) {
            Some(text) => found == &text || found.get(EXPANDS).is_some_and(|raw| raw == &text),
            None => found == expected,
        }
    }

    fn rewrite(text: &str, wish: &Wish<'_>) -> Result<Vec<Splice>, Fault> {
        let fault = |problem| Fault { at: 0, problem };
        let assignments = parse(text)?;
        let key = key_of(wish).map_err(fault)?;
        let named: Vec<_> = assignments
            .iter()
            .filter(|assignment| assignment.key == key)
            .collect();
        if let Some((odd, why)) = named
            .iter()
            .find_map(|assignment| Some((assignment, assignment.odd?)))
        {
            return Err(Fault {
                at: odd.lines.start,
                problem: why.into(),
            });
        }
        let given = wish
            .value
            .map(|value| text_of(wish.verb, value))
            .transpose()
            .map_err(fault)?;
        let Some(given) = given else {
            return Ok(named
                .into_iter()
                .map(|assignment| delete(text, &assignment.lines))
                .collect());
        };
        let Some(last) = named.last() else {
            let export = match assignments.last() {
                Some(near) if assignments.iter().all(|one| one.exported) && near.exported => {
                    "export "
                }
                _ => "",
            };
            let line = format!("{export}{key}={}\n", quoted(&given, None));
            return Ok(vec![match assignments.last() {
                Some(near) if near.odd.is_none() => {
                    add_lines(text, near.lines.end.max(end_of_content(text)), &line)
                }
                _ => add_lines(text, text.len(), &line),
            }]);
        };
        let list = last.meaning.as_str().unwrap_or_default();
        let new = match wish.verb {
            Verb::Set => given,
            Verb::Append => with_item(list, &given),
            Verb::Remove => without_item(list, &given),
        };
        let present = &text[last.value.clone()];
        let style = present.chars().next().filter(|c| matches!(c, '"' | '\''));
        Ok(vec![Splice::new(last.value.clone(), quoted(&new, style))])
    }
}

/// Behind the last line that is not blank.
fn end_of_content(text: &str) -> usize {
    next_line(text, line_start(text, text.trim_end().len()))
}

fn delete(text: &str, lines: &Range<usize>) -> Splice {
    let mut range = lines.clone();
    if range.end == text.len() && !text.ends_with('\n') && range.start > 0 {
        range.start = line_end(text, line_start(text, range.start - 1));
    }
    Splice::delete(range)
}

fn key_of<'a>(wish: &'a Wish<'_>) -> Result<&'a str, String> {
    match wish.pointer.tokens() {
        [key] if key_length(key) == key.len() && !key.is_empty() => Ok(key),
        [key] => Err(format!(
            "`{key}` is no name of a variable: letters, digits and `_`, no digit first"
        )),
        _ => Err("in a key=value file a path is `/KEY`".into()),
    }
}

fn key_length(text: &str) -> usize {
    let tail = text.trim_start_matches(|c: char| c.is_ascii_alphanumeric() || c == '_');
    if text.starts_with(|c: char| c.is_ascii_digit()) {
        0
    } else {
        text.len() - tail.len()
    }
}

fn text_of(verb: Verb, value: &Value) -> Result<String, String> {
    let text = match value {
        Value::Array(items) if verb == Verb::Set => {
            let items = items.iter().map(|item| scalar(item).filter(|item| is_word(item))).collect::<Option<Vec<_>>>();
            items.ok_or("a list in a key=value file holds words without spaces")?.join(" ")
        }
        value => scalar(value).ok_or_else(|| format!("a value is a string, a number, a boolean, or with `set` a list of words; this is {value}"))?,
    };
    if text.contains(['\n', '\r', '\0']) || text.chars().any(is_stand_in) {
        return Err("a value is one line of text".into());
    }
    if verb != Verb::Set && !is_word(&text) {
        return Err(format!(
            "an item of a list is one word, `{text}` is not; add words one by one"
        ));
    }
    Ok(text)
}

fn is_word(item: &str) -> bool {
    !item.is_empty() && !item.contains(char::is_whitespace)
}

fn with_item(list: &str, item: &str) -> String {
    if list.split_whitespace().any(|known| known == item) {
        list.to_owned()
    } else if list.is_empty() || list.ends_with(char::is_whitespace) {
        format!("{list}{item}")
    } else {
        format!("{list} {item}")
    }
}

fn without_item(list: &str, item: &str) -> String {
    if list.split_whitespace().any(|known| known == item) {
        let rest: Vec<_> = list
            .split_whitespace()
            .filter(|known| *known != item)
            .collect();
        rest.join(" ")
    } else {
        list.to_owned()
    }
}

/// A word of the shell for `value`, in the quotes that were there if they can carry it.
fn quoted(value: &str, style: Option<char>) -> String {
    let bare = value
        .chars()
        .all(|c| c.is_ascii_alphanumeric() || "_-./:,@%+=".contains(c) || (c as u32) > 0x9f);
    let special = value.contains(['$', '`', '\\', '"']);
    match style {
        None if bare => value.to_owned(),
        Some('\'') | None if special && !value.contains('\'') => format!("'{value}'"),
        Some('\'') if !value.contains('\'') => format!("'{value}'"),
        _ => {
            let mut word = String::from("\"");
            for c in value.chars() {
                if matches!(c, '$' | '`' | '\\' | '"') {
                    word.push('\\');
                }
                word.push(c);
            }
            word + "\""
        }
    }
}

fn parse(text: &str) -> Result<Vec<Assignment<'_>>, Fault> {
    let mut assignments = Vec::new();
    let mut at = 0;
    while at < text.len() {
        let start = at;
        let line = &text[start..line_end(text, start)];
        at = next_line(text, start);
        let body = line.trim_start();
        let mut key_at = start + (line.len() - body.len());
        let mut exported = false;
        if let Some(rest) = body
            .strip_prefix("export")
            .filter(|rest| rest.starts_with([' ', '\t']))
        {
            exported = true;
            key_at = start + line.len() - rest.trim_start().len();
        }
        let rest = &text[key_at..start + line.len()];
        let key = &rest[..key_length(rest)];
        let after = &rest[key.len()..];
        if key.is_empty() {
            continue;
        }
        let mut assignment = Assignment {
            key,
            exported,
            value: key_at + key.len()..key_at + key.len(),
            lines: start..at,
            meaning: Value::Null,
            odd: None,
        };
        if after.starts_with("+=") || after.starts_with('[') {
            assignment.odd = Some(
                "this is shell code that builds the value in steps; write one `KEY=value`, or use a script",
            );
        } else if after.trim_start().starts_with('=') && !after.starts_with('=') {
            assignment.odd = Some(
                "space around `=` is not an assignment of the shell; name the format `ini` and the path `//key`, if that is what the file is",
            );
        } else if !after.starts_with('=') {
            continue;
        }
        let from = if assignment.odd.is_some() {
            key_at + key.len()
        } else {
            key_at + key.len() + 1
        };
        if assignment.odd.is_some() {
            assignment.meaning = expands(&text[from..start + line.len()]);
            assignments.push(assignment);
            continue;
        }
        let word = Word::read(text, from)?;
        let line_after = &text[word.end..line_end(text, word.end)];
        let follows = line_after.trim();
        if !(follows.is_empty() || follows.starts_with('#') && line_after.starts_with([' ', '\t']))
        {
            assignment.odd = Some(
                "something else follows the value on its line; give the assignment a line of its own, or use a script",
            );
        }
        assignment.meaning = match (word.expands || assignment.odd.is_some(), word.plain) {
            (false, plain) => Value::String(plain),
            (true, _) => expands(&text[from..line_end(text, word.end)]),
        };
        if word.expands && assignment.odd.is_none() {
            assignment.meaning = expands(&text[from..word.end]);
        }
        assignment.value = from..word.end;
        at = next_line(text, word.end);
        assignment.lines = start..at;
        assignments.push(assignment);
    }
    Ok(assignments)
}

fn expands(raw: &str) -> Value {
    Value::Object(Map::from_iter([(EXPANDS.to_owned(), raw.into())]))
}

/// One word of the shell.
struct Word {
    end: usize,
    plain: String,
    expands: bool,
}

// === impl Word ===

impl Word {
    fn read(text: &str, from: usize) -> Result<Self, Fault> {
        let mut word = Self {
            end: from,
            plain: String::new(),
            expands: false,
        };
        let mut rest = text[from..]
            .char_indices()
            .map(|(at, c)| (from + at, c))
            .peekable();
        let mut quote: Option<(usize, char)> = None;
        while let Some((at, c)) = rest.next() {
            word.end = at + c.len_utf8();
            match (quote.map(|(_, quote)| quote), c) {
                (Some(open), c) if c == open => quote = None,
                (None, '\'' | '"' | '`') => {
                    word.expands |= c == '`';
                    quote = Some((at, c));
                }
                (Some('\''), c) => word.plain.push(c),
                (_, '\\') => match rest.next() {
                    // A line that is continued.
                    Some((_, '\n')) => word.end = at + 2,
                    Some((_, '\r')) if rest.peek().is_some_and(|(_, c)| *c == '\n') => {
                        rest.next();
                        word.end = at + 3;
                    }
                    Some((next, c)) => {
                        word.end = next + c.len_utf8();
                        if quote.is_some() && !matches!(c, '$' | '`' | '"' | '\\') {
                            word.plain.push('\\');
                        }
                        word.plain.push(c);
                    }
                    None => word.plain.push('\\'),
                },
                (None, c)
                    if c.is_whitespace()
                        || matches!(c, ';' | '&' | '|' | '<' | '>' | '(' | ')') =>
                {
                    word.end = at;
                    break;
                }
                (Some('"') | None, '$') => {
                    word.expands = true;
                    word.plain.push(c);
                }
                (Some('"'), '`') => {
                    word.expands = true;
                    word.plain.push(c);
                }
                (None, '~') if at == from => {
                    word.expands = true;
                    word.plain.push(c);
                }
                (_, c) => word.plain.push(c),
            }
        }
        match quote {
            Some((at, quote)) => Err(Fault {
                at,
                problem: format!("the quote {quote} that opens here is never closed"),
            }),
            None => Ok(word),
        }
    }
}
