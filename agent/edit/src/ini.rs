//! INI files: freedesktop key files, php.ini, git and MySQL style, sysctl.conf (all of it before any section).
//!
//! There is no standard, so this is what is read:
//! - Lines that begin with `;` or `#` are comments; so is the rest of a line after white space and `;` or `#`, outside quotes.
//! - `key = value` or `key: value`; new keys take the spacing of their neighbours. A key without separator has no value.
//! - Names are case-sensitive. Sections of one name are one section. Of several entries with one key the last counts: `set` changes that one,
//!   `remove` takes all.
//! - Quotes around a whole value are style: kept when the value changes, and not part of it.
//! - A line indented deeper than the entry above continues it; such values are read, and refused for editing.
//! - Lists (`append`, `remove` with a value, and lists as values) are separated by `;` as in freedesktop key files.

use serde_json::{Map, Value};

use crate::Verb;
use crate::engine::{Fault, Language, Wish};
use crate::sections::{Entry, Sections, header, scalar};
use crate::text::{Splice, indent, is_stand_in, lines, next_line};

pub(crate) struct Ini;

// === impl Ini ===

impl Language for Ini {
    const LENIENT: bool = true;

    fn read(text: &str) -> Result<Value, Fault> {
        let file = parse(text)?;
        let mut meaning = Map::new();
        for section in &file.sections {
            meaning
                .entry(section.name)
                .or_insert_with(|| Value::Object(Map::new()));
        }
        for entry in &file.entries {
            let value = match entry.separator {
                Some(_) => Value::String(unquoted(&text[entry.value.clone()]).to_owned()),
                None => Value::Null,
            };
            if let Some(Value::Object(section)) = meaning.get_mut(file.sections[entry.section].name)
            {
                section.insert(entry.key.to_owned(), value);
            }
        }
        Ok(Value::Object(meaning))
    }

    fn wish(meaning: &mut Value, wish: &Wish<'_>) -> Result<(), String> {
        let (name, key) = place(wish)?;
        let new = wish
            .value
            .map(|value| text_of(wish.verb, value))
            .transpose()?;
        let Value::Object(sections) = meaning else {
            return Ok(());
        };
        let present = sections.get(name).and_then(|section| section.get(key));
        let list = present.and_then(Value::as_str).unwrap_or_default();
        let value = match (wish.verb, new) {
            (Verb::Set, Some(text)) => unquoted(&text).to_owned(),
            (Verb::Append, Some(item)) => with_item(list, &item)?,
            (Verb::Remove, Some(item)) => {
                if present.is_none() {
                    return Ok(());
                }
                without_item(list, &item)
            }
            (_, None) => {
                if let Some(Value::Object(section)) = sections.get_mut(name) {
                    section.shift_remove(key);
                }
                return Ok(());
            }
        };
        let section = sections
            .entry(name)
            .or_insert_with(|| Value::Object(Map::new()));
        if let Value::Object(section) = section {
            section.insert(key.to_owned(), Value::String(value));
        }
        Ok(())
    }

    fn is_expected(found: &Value, expected: &Value) -> bool {
        match (found, scalar(expected)) {
            (Value::String(found), Some(expected)) => found == unquoted(&expected),
            (Value::String(found), None) => expected.as_array().is_some_and(|items| {
                items
                    .iter()
                    .map(scalar)
                    .eq(items_of(found).map(|item| Some(item.to_owned())))
            }),
            _ => found == expected,
        }
    }

    fn rewrite(text: &str, wish: &Wish<'_>) -> Result<Vec<Splice>, Fault> {
        let fault = |problem| Fault { at: 0, problem };
        let file = parse(text)?;
        let (section, key) = place(wish).map_err(fault)?;
        let entries = file.named(section, key);
        if wish.verb == Verb::Remove && wish.value.is_none() {
            return entries
                .into_iter()
                .map(|entry| {
                    plain(text, entry)?;
                    Ok(entry.delete(text))
                })
                .collect();
        }
        let given = match wish.value {
            Some(value) => text_of(wish.verb, value).map_err(fault)?,
            None => String::new(),
        };
        let Some(entry) = entries.last() else {
            let new = match wish.verb {
                Verb::Append => with_item("", &given).map_err(fault)?,
                _ => given,
            };
            return Ok(vec![file.add(section, key, &[&new])]);
        };
        plain(text, entry)?;
        let present = &text[entry.value.clone()];
        let inner = unquoted(present);
        let new = match wish.verb {
            Verb::Set => unquoted(&given).to_owned(),
            Verb::Append => with_item(inner, &given).map_err(fault)?,
            Verb::Remove => without_item(inner, &given),
        };
        let quote = &present[..usize::from(inner.len() < present.len())];
        let new = if !quote.is_empty() && !new.contains(quote) {
            format!("{quote}{new}{quote}")
        } else if wish.verb == Verb::Set {
            given
        } else {
            new
        };
        Ok(vec![Splice::new(entry.value.clone(), new)])
    }
}

/// Section and key of a wish, fit to be written.
fn place<'a>(wish: &'a Wish<'_>) -> Result<(&'a str, &'a str), String> {
    let (section, key) = wish.pointer.pair().ok_or(
        "in an INI file a path is `/section/key`, or `//key` before any section; a `/` inside a name is written `~1`",
    )?;
    if section.contains([']', '[', '\n', '\r']) {
        return Err("a section's name holds no brackets and no line breaks".into());
    }
    let sound = !key.is_empty()
        && key.trim() == key
        && !key.starts_with([';', '#', '['])
        && !key.contains(['=', '\n', '\r'])
        && !key.chars().any(is_stand_in)
        && !section.chars().any(is_stand_in);
    if !sound {
        return Err("a key is not empty, has no `=`, no line break and no space around it, and does not begin with `;`, `#` or `[`".into());
    }
    Ok((section, key))
}

/// A value as it would stand in the file.
fn text_of(verb: Verb, value: &Value) -> Result<String, String> {
    let text = match value {
        Value::Array(items) if verb == Verb::Set => {
            let items = items.iter().map(|item| scalar(item).filter(|item| !item.contains(';'))).collect::<Option<Vec<_>>>();
            let items = items.ok_or("a list in an INI file holds strings, numbers and booleans without `;`")?;
            items.into_iter().map(|item| item + ";").collect()
        }
        value => scalar(value).ok_or_else(|| format!("an INI value is a string, a number, a boolean, or with `set` a list of these; this is {value}"))?,
    };
    if text.contains(['\n', '\r', '\0']) || text.chars().any(is_stand_in) {
        return Err("an INI value is one line of text".into());
    }
    if text.trim() != text || value_end(&text) != text.len() {
        return Err(format!(
            "`{text}` would read back as less (space at its ends, or a `;` or `#` that begins a comment): put it in quotes, as part of the value"
        ));
    }
    if verb != Verb::Set && text.contains(';') {
        return Err("an item of a list holds no `;`; add items one by one".into());
    }
    Ok(text)
}

fn items_of(list: &str) -> impl Iterator<Item = &str> {
    list.split(';')
        .map(str::trim)
        .filter(|item| !item.is_empty())
}

fn with_item(list: &str, item: &str) -> Result<String, String> {
    if items_of(list).any(|known| known == item) {
        return Ok(list.to_owned());
    }
    if !list.contains(';') && list.contains(',') {
        return Err(format!(
            "`{list}` looks like a list with commas, and `append` knows lists with `;`; use `set` with the whole value"
        ));
    }
    Ok(match list {
        "" => format!("{item};"),
        list if list.ends_with(';') => format!("{list}{item};"),
        list => format!("{list};{item}"),
    })
}

fn without_item(list: &str, item: &str) -> String {
    if !items_of(list).any(|known| known == item) {
        return list.to_owned();
    }
    let ending = if list.ends_with(';') { ";" } else { "" };
    let rest: Vec<_> = items_of(list).filter(|known| *known != item).collect();
    if rest.is_empty() {
        String::new()
    } else {
        rest.join(";") + ending
    }
}

/// Refuses an entry that has no plain value on its one line.
fn plain(text: &str, entry: &Entry<'_>) -> Result<(), Fault> {
    let problem = if text[entry.value.clone()].contains('\n') {
        "this value goes on over several lines, which programs read in different ways; write it on one line, or use a script"
    } else if entry.separator.is_none() && !text[entry.value.clone()].is_empty() {
        "this key has no value"
    } else {
        return Ok(());
    };
    Err(Fault {
        at: entry.lines.start,
        problem: problem.into(),
    })
}

fn parse(text: &str) -> Result<Sections<'_>, Fault> {
    let mut file = Sections::new(text);
    let mut above: Option<usize> = None;
    for line in lines(text) {
        let content = &text[line.clone()];
        let trimmed = content.trim();
        let start = line.start + (content.len() - content.trim_start().len());
        if trimmed.is_empty() || trimmed.starts_with([';', '#']) {
            if trimmed.is_empty() {
                above = None;
            }
            continue;
        }
        let depth = indent(text, line.start).len();
        if let Some(entry) = above
            .filter(|&above| depth > above)
            .and_then(|_| file.entries.last_mut())
        {
            entry.value.end = start + trimmed.len();
            entry.lines.end = next_line(text, line.start);
            continue;
        }
        if trimmed.starts_with('[') {
            let name = header(trimmed, |after| after.starts_with([';', '#']))
                .map_err(|problem| Fault { at: start, problem })?;
            file.open(line.start, name);
            above = None;
            continue;
        }
        let (key, separator, value) = split(trimmed);
        let at = start + value;
        let end = at + value_end(&trimmed[value..]);
        let section = file.current();
        file.entries.push(Entry {
            section,
            key,
            separator,
            value: at..end,
            lines: line.start..next_line(text, line.start),
        });
        above = Some(depth);
    }
    Ok(file)
}

/// Key, separator with the space around it, and where the value begins.
fn split(line: &str) -> (&str, Option<&str>, usize) {
    let equals = line.find('=');
    let colon = line.find(':').filter(|&colon| {
        equals.is_none_or(|equals| colon < equals && line[colon + 1..].starts_with([' ', '\t']))
    });
    match colon.or(equals) {
        Some(at) => {
            let key = line[..at].trim_end();
            let value = line.len() - line[at + 1..].trim_start().len();
            (key, Some(&line[key.len()..value]), value)
        }
        None => (&line[..value_end(line)], None, line.len()),
    }
}

/// Where a value ends and an inline comment, if any, begins. Space before the comment is not part of the value.
fn value_end(value: &str) -> usize {
    if value.starts_with(';') {
        return 0;
    }
    let quote = value.chars().next().filter(|c| matches!(c, '"' | '\''));
    let close = quote.and_then(|quote| value[1..].find(quote));
    if let Some(close) = close {
        let rest = value[close + 2..].trim_start();
        if rest.is_empty() || rest.starts_with([';', '#']) {
            return close + 2;
        }
    }
    let mut space = false;
    for (at, c) in value.char_indices() {
        if space && matches!(c, ';' | '#') {
            return value[..at].trim_end().len();
        }
        space = c.is_whitespace();
    }
    value.trim_end().len()
}

/// A value without the quotes around all of it.
fn unquoted(value: &str) -> &str {
    ['"', '\'']
        .into_iter()
        .find_map(|quote| {
            let inner = value.strip_prefix(quote)?.strip_suffix(quote)?;
            (!inner.contains(quote)).then_some(inner)
        })
        .unwrap_or(value)
}
