//! TOML, by `toml_edit`: its spans say where values stand, and it writes what is added.

use std::ops::Range;

use serde_json::{Map, Value};
use toml_edit::{Array, Document, InlineTable, Item, Table, TableLike};

use crate::Verb;
use crate::bracket::{Bracket, Comments};
use crate::engine::{Fault, Language, Wish};
use crate::json::nested;
use crate::text::{Splice, indent, line_end, line_start, next_line};
use crate::tree;

pub(crate) struct Toml;

/// Marks, in the meaning, a value that JSON has no type for.
const DATE: &str = "\0datetime";
const FLOAT: &str = "\0float";

// === impl Toml ===

impl Language for Toml {
    const LENIENT: bool = false;

    fn read(text: &str) -> Result<Value, Fault> {
        let document = parse(text)?;
        Ok(table_meaning(document.as_table()))
    }

    fn rewrite(text: &str, wish: &Wish<'_>) -> Result<Vec<Splice>, Fault> {
        let document = parse(text)?;
        let tokens = wish.pointer.tokens();
        let mut item = document.as_item();
        for (depth, token) in tokens.iter().enumerate() {
            let rest = &tokens[depth + 1..];
            item = match item {
                Item::Value(toml_edit::Value::Array(array)) => {
                    let Some(value) = tree::index(token).and_then(|index| array.get(index)) else {
                        return Err(nowhere(item));
                    };
                    // Items of arrays are values, not items; what lies below is found by the same steps.
                    return in_value(text, value, rest, wish);
                }
                Item::ArrayOfTables(tables) => {
                    let Some(table) = tree::index(token).and_then(|index| tables.get(index)) else {
                        return Err(nowhere(item));
                    };
                    return in_table(text, &document, table, tokens, depth + 1, wish);
                }
                Item::Value(toml_edit::Value::InlineTable(_)) => {
                    let Item::Value(value) = item else {
                        return Err(nowhere(item));
                    };
                    return in_value(text, value, &tokens[depth..], wish);
                }
                Item::Table(table) => match table.get(token) {
                    Some(inner) => inner,
                    None => return in_table(text, &document, table, tokens, depth, wish),
                },
                _ => return Err(nowhere(item)),
            };
            if rest.is_empty() && wish.verb == Verb::Remove && wish.value.is_none() {
                return remove(text, &document, tokens);
            }
        }
        match item {
            Item::Value(value) => in_value(text, value, &[], wish),
            other => Err(Fault {
                at: other.span().map_or(0, |span| span.start),
                problem: "whole tables are not replaced; set the keys inside, or `remove` the table first in an edit of its own".into(),
            }),
        }
    }
}

fn parse(text: &str) -> Result<Document<&str>, Fault> {
    Document::parse(text).map_err(|error| Fault {
        at: error.span().map_or(0, |span| span.start),
        problem: error.message().to_owned(),
    })
}

fn nowhere(item: &Item) -> Fault {
    Fault {
        at: item.span().map_or(0, |span| span.start),
        problem: "the path leads into this value, which has nothing of that name inside and takes nothing".into(),
    }
}

/// An edit at or inside a value.
fn in_value(
    text: &str,
    value: &toml_edit::Value,
    rest: &[String],
    wish: &Wish<'_>,
) -> Result<Vec<Splice>, Fault> {
    let span = value.span().ok_or_else(|| no_span(0))?;
    let fresh = |tokens: &[String]| {
        let given = wish.value.cloned().unwrap_or(Value::Null);
        let inner = if wish.verb == Verb::Append {
            Value::Array(vec![given])
        } else {
            given
        };
        to_toml(&nested(tokens, inner)).map_err(|problem| Fault {
            at: span.start,
            problem,
        })
    };
    match (value, rest) {
        (toml_edit::Value::Array(array), []) if wish.verb != Verb::Set => {
            let bracket = array_bracket(text, array, &span)?;
            let given = wish.value.ok_or_else(|| no_span(span.start))?;
            if wish.verb == Verb::Append {
                let item = to_toml(given).map_err(|problem| Fault {
                    at: span.start,
                    problem,
                })?;
                return Ok(bracket.insert(&item.to_string(), None));
            }
            let mut matching = array
                .iter()
                .enumerate()
                .filter(|(_, item)| value_meaning(item) == *given);
            match (matching.next(), matching.next()) {
                (Some((position, _)), None) => Ok(bracket.remove(position)),
                _ => Err(Fault {
                    at: span.start,
                    problem: format!("the list holds {given} more than once; `set` the whole list"),
                }),
            }
        }
        (toml_edit::Value::String(_), []) if is_literal(&text[span.clone()], wish.value) => {
            let new = wish.value.and_then(Value::as_str).unwrap_or_default();
            Ok(vec![Splice::new(span.clone(), format!("'{new}'"))])
        }
        (_, []) => Ok(vec![Splice::new(span.clone(), fresh(&[])?.to_string())]),
        (toml_edit::Value::Array(array), [token, rest @ ..]) => {
            let inner = tree::index(token).and_then(|index| array.get(index));
            in_value(text, inner.ok_or_else(|| no_span(span.start))?, rest, wish)
        }
        (toml_edit::Value::InlineTable(table), [token, rest @ ..]) => match table.get(token) {
            Some(_) if rest.is_empty() && wish.verb == Verb::Remove && wish.value.is_none() => {
                let (bracket, position) = inline_bracket(text, table, &span, Some(token))?;
                Ok(bracket.remove(position))
            }
            Some(inner) => in_value(text, inner, rest, wish),
            None => {
                let (bracket, _) = inline_bracket(text, table, &span, None)?;
                let item = format!("{} = {}", key_text(token), fresh(rest)?);
                let item = if bracket.items.is_empty() {
                    format!(" {item} ")
                } else {
                    item
                };
                Ok(bracket.insert(&item, None))
            }
        },
        _ => Err(no_span(span.start)),
    }
}

/// Whether a literal string stands there and can hold the new one as well.
fn is_literal(present: &str, new: Option<&Value>) -> bool {
    present.starts_with('\'')
        && !present.starts_with("'''")
        && new
            .and_then(Value::as_str)
            .is_some_and(|new| !new.contains(|c: char| c == '\'' || c.is_control()))
}

fn no_span(at: usize) -> Fault {
    Fault {
        at,
        problem: "this value cannot be edited where it stands; write it plainly, or use a script"
            .into(),
    }
}

fn array_bracket<'a>(
    text: &'a str,
    array: &Array,
    span: &Range<usize>,
) -> Result<Bracket<'a>, Fault> {
    let items = array
        .iter()
        .map(|item| item.span().ok_or_else(|| no_span(span.start)))
        .collect::<Result<_, _>>()?;
    Bracket::new(text, span.clone(), items, Comments::Hash).ok_or_else(|| no_span(span.start))
}

fn inline_bracket<'a>(
    text: &'a str,
    table: &InlineTable,
    span: &Range<usize>,
    name: Option<&str>,
) -> Result<(Bracket<'a>, usize), Fault> {
    let mut items = Vec::new();
    let mut position = 0;
    for (number, (key, _)) in table.iter().enumerate() {
        let key_span = table.key(key).and_then(toml_edit::Key::span);
        let value_span = table.get(key).and_then(toml_edit::Value::span);
        match (key_span, value_span) {
            (Some(key_span), Some(value_span)) if key_span.start < value_span.start => {
                items.push(key_span.start..value_span.end)
            }
            _ => return Err(no_span(span.start)),
        }
        if Some(key) == name {
            position = number;
        }
    }
    if table.iter().any(
        |(_, value)| matches!(value, toml_edit::Value::InlineTable(inner) if inner.is_dotted()),
    ) {
        return Err(Fault {
            at: span.start,
            problem: "dotted keys inside an inline table are not edited; write the table plainly"
                .into(),
        });
    }
    let bracket = Bracket::new(text, span.clone(), items, Comments::Hash);
    Ok((bracket.ok_or_else(|| no_span(span.start))?, position))
}

/// A new key in a table that stands there, at `tokens[..depth]`.
fn in_table(
    text: &str,
    document: &Document<&str>,
    table: &Table,
    tokens: &[String],
    depth: usize,
    wish: &Wish<'_>,
) -> Result<Vec<Splice>, Fault> {
    let mut table = table;
    let mut depth = depth;
    while let Some(token) = tokens.get(depth) {
        match table.get(token) {
            Some(Item::Table(inner)) => {
                table = inner;
                depth += 1;
            }
            Some(Item::Value(value)) => {
                if depth + 1 == tokens.len() && wish.verb == Verb::Remove && wish.value.is_none() {
                    return remove(text, document, tokens);
                }
                return in_value(text, value, &tokens[depth + 1..], wish);
            }
            Some(other) => return Err(nowhere(other)),
            None => break,
        }
    }
    let at = table.span().map_or(0, |span| span.start);
    let (last, parents) = tokens[depth..].split_last().ok_or_else(|| no_span(at))?;
    let given = wish.value.cloned().unwrap_or(Value::Null);
    let given = if wish.verb == Verb::Append {
        Value::Array(vec![given])
    } else {
        given
    };
    let value = to_toml(&given).map_err(|problem| Fault { at, problem })?;
    let line = format!("{} = {value}\n", key_text(last));
    if !parents.is_empty() && !table.is_dotted() {
        let names: Vec<_> = tokens[..depth + parents.len()]
            .iter()
            .map(|name| key_text(name))
            .collect();
        if tokens[..depth]
            .iter()
            .any(|token| tree::index(token).is_some())
            && names_cross_array(document, &tokens[..depth])
        {
            return Err(Fault { at, problem: "new tables inside an array of tables are not made; use an inline table as the value".into() });
        }
        let gap = if text.trim().is_empty() || text.ends_with("\n\n") || text.ends_with("\n\r\n") {
            ""
        } else {
            "\n"
        };
        let start = if text.is_empty() || text.ends_with('\n') {
            ""
        } else {
            "\n"
        };
        return Ok(vec![Splice::insert(
            text.len(),
            format!("{start}{gap}[{}]\n{line}", names.join(".")),
        )]);
    }
    // After the last key that the table's own section has, else after its header, else at the beginning of the file.
    let own = table.iter().filter_map(|(key, item)| match item {
        Item::Value(value) => Some((table.key(key)?.span()?, value.span()?)),
        _ => None,
    });
    let neighbour = own.max_by_key(|(_, value)| value.end);
    if table.is_dotted() {
        return Err(Fault {
            at,
            problem:
                "tables written with dotted keys are not added to; write the table under a header"
                    .into(),
        });
    }
    let (at, lead) = match (neighbour, table.span()) {
        (Some((key, value)), _) => (next_line(text, value.end), indent(text, key.start)),
        (None, Some(header)) if depth > 0 && !table.is_implicit() => (
            next_line(text, header.start.max(header_end(text, &header))),
            "",
        ),
        (None, _) if depth > 0 => {
            let names: Vec<_> = tokens[..depth].iter().map(|name| key_text(name)).collect();
            let start = if text.is_empty() || text.ends_with('\n') {
                ""
            } else {
                "\n"
            };
            return Ok(vec![Splice::insert(
                text.len(),
                format!("{start}\n[{}]\n{line}", names.join(".")),
            )]);
        }
        (None, _) => (top(text), ""),
    };
    let gap = if lead.is_empty() && text[at..].starts_with('[') {
        "\n"
    } else {
        ""
    };
    let line = format!("{lead}{line}{gap}");
    Ok(vec![if at > 0 && !text[..at].ends_with('\n') {
        Splice::insert(at, format!("\n{}", line.trim_end_matches('\n')))
    } else {
        Splice::insert(at, line)
    }])
}

/// Where the header of a table ends; its span may reach over the body.
fn header_end(text: &str, span: &Range<usize>) -> usize {
    line_end(text, span.start)
}

fn names_cross_array(document: &Document<&str>, tokens: &[String]) -> bool {
    let mut item = document.as_item();
    for token in tokens {
        item = match item {
            Item::Table(table) => match table.get(token) {
                Some(inner) => inner,
                None => return false,
            },
            _ => return true,
        };
    }
    !matches!(item, Item::Table(_))
}

/// Behind the comment that opens a file without keys of its own: the first header, or the end.
fn top(text: &str) -> usize {
    let mut at = 0;
    while at < text.len() {
        let line = &text[at..line_end(text, at)];
        if line.trim_start().starts_with('#') {
            at = next_line(text, at);
        } else {
            break;
        }
    }
    at
}

/// Takes away a key with its lines, or a whole table with its header.
fn remove(text: &str, document: &Document<&str>, tokens: &[String]) -> Result<Vec<Splice>, Fault> {
    let (last, parents) = tokens.split_last().ok_or_else(|| no_span(0))?;
    let mut item = document.as_item();
    for token in parents {
        item = match item {
            Item::Table(table) => table.get(token),
            Item::ArrayOfTables(tables) => {
                let table = tree::index(token)
                    .and_then(|index| tables.get(index))
                    .ok_or_else(|| nowhere(item))?;
                return remove_in(text, table, last);
            }
            _ => None,
        }
        .ok_or_else(|| nowhere(item))?;
    }
    match item {
        Item::Table(table) => remove_in(text, table, last),
        other => Err(nowhere(other)),
    }
}

fn remove_in(text: &str, table: &Table, name: &str) -> Result<Vec<Splice>, Fault> {
    let item = table.get(name).ok_or_else(|| no_span(0))?;
    match item {
        Item::Value(value) if table.is_dotted() && table.len() == 1 => Err(Fault {
            at: value.span().map_or(0, |span| span.start),
            problem: "this dotted key is all that its table has, which would be gone with it; `set` it instead, or use a script".into(),
        }),
        Item::Value(value) => {
            let key = table.key(name).and_then(toml_edit::Key::span).ok_or_else(|| no_span(0))?;
            let value = value.span().ok_or_else(|| no_span(key.start))?;
            let start = line_start(text, key.start);
            if !text[start..key.start].trim().is_empty() && !text[start..key.start].contains('.') {
                return Err(no_span(key.start));
            }
            let mut range = start..next_line(text, value.end);
            if range.end == text.len() && !text.ends_with('\n') && start > 0 {
                range.start = line_end(text, line_start(text, start - 1));
            }
            Ok(vec![Splice::delete(range)])
        }
        other => Err(Fault {
            at: other.span().map_or(0, |span| span.start),
            problem: "whole tables are not removed, since comments inside would be lost; remove the keys one by one, or use a script".into(),
        }),
    }
}

fn key_text(name: &str) -> String {
    toml_edit::Key::new(name).to_string().trim().to_owned()
}

fn table_meaning(table: &dyn TableLike) -> Value {
    table
        .iter()
        .map(|(key, item)| (key.to_owned(), item_meaning(item)))
        .collect()
}

fn item_meaning(item: &Item) -> Value {
    match item {
        Item::None => Value::Null,
        Item::Value(value) => value_meaning(value),
        Item::Table(table) => table_meaning(table),
        Item::ArrayOfTables(tables) => tables.iter().map(|table| table_meaning(table)).collect(),
    }
}

fn value_meaning(value: &toml_edit::Value) -> Value {
    let special =
        |name: &str, text: String| Value::Object(Map::from_iter([(name.to_owned(), text.into())]));
    match value {
        toml_edit::Value::String(text) => Value::String(text.value().clone()),
        toml_edit::Value::Integer(number) => Value::from(*number.value()),
        toml_edit::Value::Float(number) => match serde_json::Number::from_f64(*number.value()) {
            Some(number) => Value::Number(number),
            None => special(FLOAT, number.value().to_string()),
        },
        toml_edit::Value::Boolean(boolean) => Value::Bool(*boolean.value()),
        toml_edit::Value::Datetime(time) => special(DATE, time.value().to_string()),
        toml_edit::Value::Array(array) => array.iter().map(value_meaning).collect(),
        toml_edit::Value::InlineTable(table) => table_meaning(table),
    }
}

/// A value as TOML writes it on one line.
fn to_toml(value: &Value) -> Result<toml_edit::Value, String> {
    Ok(match value {
        Value::Null => return Err("TOML has no null; use `remove`".into()),
        Value::Bool(boolean) => (*boolean).into(),
        Value::Number(number) => match (number.as_i64(), number.as_f64()) {
            (Some(number), _) => number.into(),
            (None, Some(float)) if number.is_f64() => float.into(),
            _ => {
                return Err(format!(
                    "{number} does not fit the 64 bits of a TOML integer"
                ));
            }
        },
        Value::String(text) => {
            // Through a parse of its own, so that the result is a basic string on one line.
            let quoted = toml_edit::Value::from(text.as_str());
            if quoted.to_string().contains('\n') {
                single_line(text)?
            } else {
                quoted
            }
        }
        Value::Array(items) => {
            let mut array = Array::new();
            for item in items {
                array.push(to_toml(item)?);
            }
            array.into()
        }
        Value::Object(map) => {
            let mut table = InlineTable::new();
            for (key, item) in map {
                table.insert(key, to_toml(item)?);
            }
            table.into()
        }
    })
}

/// A basic string with its line breaks escaped.
fn single_line(text: &str) -> Result<toml_edit::Value, String> {
    let mut quoted = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => quoted.extend(['\\', c]),
            '\n' => quoted.push_str("\\n"),
            '\r' => quoted.push_str("\\r"),
            '\t' => quoted.push_str("\\t"),
            c if c.is_control() => quoted.push_str(&format!("\\u{:04X}", c as u32)),
            c => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted
        .parse()
        .map_err(|_| format!("{text:?} cannot be written as a TOML string"))
}
