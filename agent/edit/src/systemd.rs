//! Unit files and drop-ins (`systemd.syntax(7)`).
//!
//! A setting may be assigned many times, so its meaning is the list of its assignments. `set` leaves exactly the given ones (a scalar is a list of
//! one; `""` is the assignment that resets), `append` adds an assignment unless the list has it since its last reset, `remove` takes all
//! assignments, or with a value those equal to it. Lines ending in `\` continue; new values are written on one line.

use serde_json::{Map, Value};

use crate::Verb;
use crate::engine::{Fault, Language, Wish};
use crate::sections::{Entry, Sections, header, scalar};
use crate::text::{Splice, line_end, next_line};

pub(crate) struct Systemd;

// === impl Systemd ===

impl Language for Systemd {
    const LENIENT: bool = false;

    fn read(text: &str) -> Result<Value, Fault> {
        let file = parse(text)?;
        let mut meaning = Map::new();
        for section in &file.sections[1..] {
            meaning
                .entry(section.name)
                .or_insert_with(|| Value::Object(Map::new()));
        }
        for entry in &file.entries {
            let section = meaning
                .get_mut(file.sections[entry.section].name)
                .and_then(Value::as_object_mut);
            let Some(section) = section else { continue };
            let list = section
                .entry(entry.key)
                .or_insert_with(|| Value::Array(Vec::new()));
            if let Value::Array(list) = list {
                list.push(Value::String(joined(&text[entry.value.clone()])));
            }
        }
        Ok(Value::Object(meaning))
    }

    fn wish(meaning: &mut Value, wish: &Wish<'_>) -> Result<(), String> {
        let (name, key) = place(wish)?;
        let values = wish.value.map(values_of).transpose()?;
        let Value::Object(sections) = meaning else {
            return Ok(());
        };
        let list = match sections.get(name).and_then(|section| section.get(key)) {
            Some(Value::Array(list)) => list.clone(),
            _ => Vec::new(),
        };
        let list = match (wish.verb, values) {
            (Verb::Set, Some(values)) => values.into_iter().map(Value::String).collect(),
            (Verb::Append, Some(values)) => {
                let mut list = list;
                for value in values {
                    if !in_effect(&list, &value) {
                        list.push(Value::String(value));
                    }
                }
                list
            }
            (_, Some(values)) => list
                .into_iter()
                .filter(|known| !values.iter().any(|value| known == value))
                .collect(),
            (_, None) => Vec::new(),
        };
        if list.is_empty() {
            if let Some(Value::Object(section)) = sections.get_mut(name) {
                section.shift_remove(key);
            }
            return Ok(());
        }
        let section = sections
            .entry(name)
            .or_insert_with(|| Value::Object(Map::new()));
        if let Value::Object(section) = section {
            section.insert(key.to_owned(), Value::Array(list));
        }
        Ok(())
    }

    fn is_expected(found: &Value, expected: &Value) -> bool {
        match (found, scalar(expected)) {
            (Value::Array(found), Some(expected)) => found.len() == 1 && found[0] == expected,
            _ => found == expected,
        }
    }

    fn rewrite(text: &str, wish: &Wish<'_>) -> Result<Vec<Splice>, Fault> {
        let fault = |problem| Fault { at: 0, problem };
        let file = parse(text)?;
        let (section, key) = place(wish).map_err(fault)?;
        let values = wish
            .value
            .map(values_of)
            .transpose()
            .map_err(fault)?
            .unwrap_or_default();
        let entries = file.named(section, key);
        let value_of = |entry: &Entry<'_>| joined(&text[entry.value.clone()]);
        if wish.verb == Verb::Remove {
            let gone = entries
                .into_iter()
                .filter(|entry| wish.value.is_none() || values.contains(&value_of(entry)));
            return Ok(gone.map(|entry| entry.delete(text)).collect());
        }
        if wish.verb == Verb::Append {
            let list: Vec<_> = entries
                .iter()
                .map(|entry| Value::String(value_of(entry)))
                .collect();
            let new: Vec<_> = values
                .iter()
                .map(String::as_str)
                .filter(|value| !in_effect(&list, value))
                .collect();
            return Ok(vec![match entries.last() {
                Some(last) => after(text, last, key, &new),
                None => file.add(section, key, &new),
            }]);
        }
        // `set`: assignments that have a counterpart are rewritten in place, the rest is added behind or taken away.
        let mut splices = Vec::new();
        for (entry, value) in entries.iter().zip(&values) {
            if value_of(entry) != *value {
                splices.push(Splice::new(entry.value.clone(), value.as_str()));
            }
        }
        let more: Vec<_> = values
            .iter()
            .skip(entries.len())
            .map(String::as_str)
            .collect();
        if !more.is_empty() {
            splices.push(match entries.last() {
                Some(last) => after(text, last, key, &more),
                None => file.add(section, key, &more),
            });
        }
        splices.extend(
            entries
                .iter()
                .skip(values.len())
                .map(|entry| entry.delete(text)),
        );
        Ok(splices)
    }
}

/// More assignments, right after one of the same setting.
fn after(text: &str, entry: &Entry<'_>, key: &str, values: &[&str]) -> Splice {
    let separator = entry.separator.unwrap_or("=");
    let new: String = values
        .iter()
        .map(|value| format!("\n{key}{separator}{value}"))
        .collect();
    Splice::insert(line_end(text, entry.value.end), new)
}

/// Whether a value is among the assignments since the last reset.
fn in_effect(list: &[Value], value: &str) -> bool {
    let since = list
        .iter()
        .rposition(|known| known == "")
        .map_or(0, |reset| reset + 1);
    list[since..].iter().any(|known| known == value)
}

fn place<'a>(wish: &'a Wish<'_>) -> Result<(&'a str, &'a str), String> {
    let (section, key) = wish
        .pointer
        .pair()
        .ok_or("in a unit file a path is `/Section/Key`, for example `/Service/ExecStart`")?;
    if section.is_empty() || section.contains(['[', ']', '\n', '\r']) {
        return Err("a unit file has no settings outside a section, and a section's name holds no brackets and no line breaks".into());
    }
    let sound = !key.is_empty()
        && key.trim() == key
        && !key.starts_with([';', '#', '['])
        && !key.contains(['=', '\n', '\r', '\\']);
    if !sound {
        return Err("a setting's name is not empty, has no `=`, `\\` or line break and no space around it, and does not begin with `;`, `#` or `[`".into());
    }
    Ok((section, key))
}

/// The assignments that a value stands for.
fn values_of(value: &Value) -> Result<Vec<String>, String> {
    let items = match value {
        Value::Array(items) => items.as_slice(),
        one => std::slice::from_ref(one),
    };
    items.iter().map(|item| {
        let text = scalar(item).ok_or_else(|| format!("a setting is a string, a number, a boolean, or a list of these; this is {item}"))?;
        if text.contains(['\n', '\r', '\0']) || text.ends_with('\\') {
            return Err("a setting is one line of text that does not end in `\\`".into());
        }
        if text.trim() != text {
            return Err(format!("`{text}` has space at its ends, which systemd drops; quote it as systemd.syntax(7) says, or leave the space out"));
        }
        Ok(text)
    }).collect()
}

/// A value as systemd reads it: continued lines joined by a space, comments between them dropped.
fn joined(value: &str) -> String {
    if !value.contains('\n') {
        return value.to_owned();
    }
    let mut whole = String::new();
    for (number, line) in value.lines().enumerate() {
        let line = line.trim_start();
        if number > 0 && line.starts_with(['#', ';']) {
            continue;
        }
        match line.trim_end().strip_suffix('\\') {
            Some(part) => {
                whole.push_str(part);
                whole.push(' ');
            }
            None => whole.push_str(line),
        }
    }
    whole.trim().to_owned()
}

fn parse(text: &str) -> Result<Sections<'_>, Fault> {
    let mut file = Sections::new(text);
    let mut at = 0;
    while at < text.len() {
        let start = at;
        let line = &text[start..line_end(text, start)];
        at = next_line(text, start);
        let trimmed = line.trim();
        if trimmed.is_empty() || trimmed.starts_with(['#', ';']) {
            continue;
        }
        let begin = start + (line.len() - line.trim_start().len());
        if trimmed.starts_with('[') {
            let name =
                header(trimmed, |_| false).map_err(|problem| Fault { at: begin, problem })?;
            file.open(start, name);
            continue;
        }
        let Some(equals) = trimmed.find('=') else {
            return Err(Fault {
                at: begin,
                problem: format!("a setting is written `Key=value`, this line is `{trimmed}`"),
            });
        };
        if file.current() == 0 {
            return Err(Fault {
                at: begin,
                problem: "a setting stands before any section".into(),
            });
        }
        let key = trimmed[..equals].trim_end();
        let value = begin + trimmed.len() - trimmed[equals + 1..].trim_start().len();
        let mut end = begin + trimmed.len();
        // A continued value ends with the first line that is no comment and does not end in a backslash.
        let mut continued = trimmed.ends_with('\\') && value < end;
        while continued && at < text.len() {
            let next = &text[at..line_end(text, at)];
            let is_comment = next.trim_start().starts_with(['#', ';']);
            if !is_comment {
                end = at + next.trim_end().len();
                continued = next.trim_end().ends_with('\\');
            }
            at = next_line(text, at);
        }
        let section = file.current();
        file.entries.push(Entry {
            section,
            key,
            separator: Some(&text[begin + key.len()..value]),
            value: value..end.max(value),
            lines: start..at,
        });
    }
    Ok(file)
}
