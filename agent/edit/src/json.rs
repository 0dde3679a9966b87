//! JSON, with the comments and trailing commas that editors leave in it.
//!
//! Parsed to spans by `jsonc-parser`; only the spans of what changes are written anew. A file that is strict JSON stays strict JSON.

use std::ops::Range;

use jsonc_parser::ast::{self, Value as Node};
use jsonc_parser::common::Ranged;
use jsonc_parser::{CollectOptions, ParseOptions, parse_to_ast};
use serde_json::{Map, Value};

use crate::Verb;
use crate::bracket::{Bracket, Comments};
use crate::engine::{Fault, Language, Wish};
use crate::text::{Splice, indent};
use crate::tree;

pub(crate) struct Json;

const OPTIONS: ParseOptions = ParseOptions {
    allow_comments: true,
    allow_trailing_commas: true,
    allow_loose_object_property_names: false,
    allow_missing_commas: false,
    allow_single_quoted_strings: false,
    allow_hexadecimal_numbers: false,
    allow_unary_plus_numbers: false,
    allow_bare_decimal_point_numbers: false,
    allow_non_finite_numbers: false,
    allow_extended_string_escapes: false,
};

// === impl Json ===

impl Language for Json {
    const LENIENT: bool = false;

    fn read(text: &str) -> Result<Value, Fault> {
        Ok(parse(text)?.as_ref().map_or(Value::Null, meaning))
    }

    fn rewrite(text: &str, wish: &Wish<'_>) -> Result<Vec<Splice>, Fault> {
        let Some(root) = parse(text)? else {
            let value = nested(wish.pointer.tokens(), fresh(wish));
            let ending = if text.is_empty() { "\n" } else { "" };
            let start = if text.trim().is_empty() || text.ends_with('\n') {
                ""
            } else {
                "\n"
            };
            return Ok(vec![Splice::insert(
                text.len(),
                format!("{start}{}{ending}", written(&value, Some(("", "  ")))),
            )]);
        };
        let style = Style::of(text, &root);
        let mut node = &root;
        let tokens = wish.pointer.tokens();
        for (depth, token) in tokens.iter().enumerate() {
            let rest = &tokens[depth + 1..];
            match node {
                Node::Object(object) => {
                    let mut named = object
                        .properties
                        .iter()
                        .enumerate()
                        .filter(|(_, property)| property.name.as_str() == token);
                    let found = named.next();
                    if let Some((_, twin)) = named.next() {
                        return Err(Fault {
                            at: twin.range.start,
                            problem: format!(
                                "the key `{token}` stands here a second time, so readers differ on which one counts; keep one of them"
                            ),
                        });
                    }
                    match found {
                        Some((position, _))
                            if rest.is_empty()
                                && wish.verb == Verb::Remove
                                && wish.value.is_none() =>
                        {
                            return Ok(style.members(object)?.remove(position));
                        }
                        Some((_, property)) => node = &property.value,
                        None => {
                            let value = nested(rest, fresh(wish));
                            return style.add_member(object, token, &value);
                        }
                    }
                }
                Node::Array(array) => {
                    node = tree::index(token)
                        .and_then(|index| array.elements.get(index))
                        .ok_or_else(|| nowhere(node))?;
                }
                Node::NullKeyword(null) => {
                    let value = nested(&tokens[depth..], fresh(wish));
                    return Ok(vec![
                        style.replace(null.range.start..null.range.end, &value),
                    ]);
                }
                _ => return Err(nowhere(node)),
            }
        }
        match (wish.verb, wish.value, node) {
            (Verb::Append, Some(value), Node::Array(array)) => style.add_item(array, value),
            (Verb::Remove, Some(value), Node::Array(array)) => {
                let bracket = style.items(array)?;
                let mut matching =
                    (0..array.elements.len()).filter(|&i| meaning(&array.elements[i]) == *value);
                match (matching.next(), matching.next()) {
                    (Some(position), None) => Ok(bracket.remove(position)),
                    _ => Err(Fault {
                        at: array.range.start,
                        problem: format!(
                            "the list holds {value} more than once; `set` the whole list"
                        ),
                    }),
                }
            }
            _ => Ok(vec![style.replace(node.start()..node.end(), &fresh(wish))]),
        }
    }
}

/// What the wish puts at its path when nothing is there yet.
fn fresh(wish: &Wish<'_>) -> Value {
    let value = wish.value.cloned().unwrap_or(Value::Null);
    match wish.verb {
        Verb::Append => Value::Array(vec![value]),
        _ => value,
    }
}

/// `value` inside objects named by `tokens`.
pub(crate) fn nested(tokens: &[String], value: Value) -> Value {
    tokens.iter().rev().fold(value, |inner, token| {
        Value::Object(Map::from_iter([(token.clone(), inner)]))
    })
}

fn nowhere(node: &Node<'_>) -> Fault {
    Fault {
        at: node.start(),
        problem: "the path leads into this value, which has nothing inside".into(),
    }
}

fn parse(text: &str) -> Result<Option<Node<'_>>, Fault> {
    parse_to_ast(text, &CollectOptions::default(), &OPTIONS)
        .map(|result| result.value)
        .map_err(|error| Fault {
            at: error.range().start,
            problem: error.kind().to_string(),
        })
}

fn meaning(node: &Node<'_>) -> Value {
    match node {
        Node::StringLit(text) => Value::String(text.value.to_string()),
        // A number too large for any of our types is told apart by its digits.
        Node::NumberLit(number) => serde_json::from_str(number.value).unwrap_or_else(|_| {
            Value::Object(Map::from_iter([(
                "\0number".to_owned(),
                number.value.into(),
            )]))
        }),
        Node::BooleanLit(boolean) => Value::Bool(boolean.value),
        Node::NullKeyword(_) => Value::Null,
        Node::Array(array) => array.elements.iter().map(meaning).collect(),
        Node::Object(object) => object
            .properties
            .iter()
            .map(|property| (property.name.as_str().to_owned(), meaning(&property.value)))
            .collect(),
    }
}

/// How this file lays things out.
struct Style<'a> {
    text: &'a str,
    /// One step of indentation.
    step: &'a str,
    /// Between a key and its value.
    colon: &'a str,
    /// Whether the outermost object or list has lines of its own.
    tall: bool,
}

// === impl Style ===

impl<'a> Style<'a> {
    fn of(text: &'a str, root: &Node<'_>) -> Self {
        let mut style = Self {
            text,
            step: "  ",
            colon: ": ",
            tall: true,
        };
        let (first, bracket) = match root {
            Node::Object(object) => {
                if let Some(property) = object.properties.first() {
                    let gap = &text[property.name.range().end..property.value.start()];
                    if gap.trim() == ":" && !gap.contains('\n') {
                        style.colon = gap;
                    }
                }
                (
                    object
                        .properties
                        .first()
                        .map(|property| property.range.start),
                    style.members(object),
                )
            }
            Node::Array(array) => (array.elements.first().map(Node::start), style.items(array)),
            _ => return style,
        };
        let tall = bracket.is_ok_and(|bracket| bracket.is_tall());
        if let Some(first) = first {
            let lead = indent(text, first);
            let base = indent(text, root.start());
            style.tall = tall;
            if let Some(step) = lead
                .strip_prefix(base)
                .filter(|step| tall && !step.is_empty())
            {
                style.step = step;
            }
        }
        style
    }

    fn members(&self, object: &ast::Object<'_>) -> Result<Bracket<'a>, Fault> {
        let items = object.properties.iter();
        let items = items.map(|property| property.range.start..property.range.end);
        self.bracket(object.range.start..object.range.end, items.collect())
    }

    fn items(&self, array: &ast::Array<'_>) -> Result<Bracket<'a>, Fault> {
        let items = array.elements.iter();
        let items = items.map(|element| element.start()..element.end());
        self.bracket(array.range.start..array.range.end, items.collect())
    }

    fn bracket(&self, whole: Range<usize>, items: Vec<Range<usize>>) -> Result<Bracket<'a>, Fault> {
        let at = whole.start;
        Bracket::new(self.text, whole, items, Comments::Slash).ok_or_else(|| Fault {
            at,
            problem: "this list cannot be edited where it stands; `set` it as a whole".into(),
        })
    }

    fn add_member(
        &self,
        object: &ast::Object<'_>,
        key: &str,
        value: &Value,
    ) -> Result<Vec<Splice>, Fault> {
        let bracket = self.members(object)?;
        Ok(self.add(&bracket, |layout| {
            format!(
                "{}{}{}",
                Value::from(key),
                self.colon,
                self.written(value, layout)
            )
        }))
    }

    fn add_item(&self, array: &ast::Array<'_>, value: &Value) -> Result<Vec<Splice>, Fault> {
        let bracket = self.items(array)?;
        Ok(self.add(&bracket, |layout| self.written(value, layout)))
    }

    fn add(&self, bracket: &Bracket<'_>, item: impl Fn(Option<&str>) -> String) -> Vec<Splice> {
        if bracket.items.is_empty() {
            if !self.tall {
                return bracket.insert(&item(None), None);
            }
            let outer = indent(self.text, bracket.inside.start);
            let inner = format!("{outer}{}", self.step);
            return bracket.insert(&item(Some(&inner)), Some((&inner, outer)));
        }
        let layout = bracket.is_tall().then(|| bracket.item_indent());
        bracket.insert(&item(layout), None)
    }

    fn replace(&self, range: Range<usize>, value: &Value) -> Splice {
        let layout = self.tall.then(|| indent(self.text, range.start));
        Splice::new(range, self.written(value, layout))
    }

    /// `value` on one line, or, with the indentation of its line, on several.
    fn written(&self, value: &Value, layout: Option<&str>) -> String {
        match layout {
            Some(lead) => written(value, Some((lead, self.step))),
            None if self.colon == ":" => value.to_string(),
            None => written(value, None),
        }
    }
}

/// JSON text; tall with (indentation of the line, step), else on one line with spaces.
fn written(value: &Value, layout: Option<(&str, &str)>) -> String {
    let (open, close, items): (_, _, Vec<String>) = {
        let inner = layout.map(|(lead, step)| format!("{lead}{step}"));
        let below = inner
            .as_deref()
            .zip(layout)
            .map(|(inner, (_, step))| (inner, step));
        match value {
            Value::Array(items) => (
                '[',
                ']',
                items.iter().map(|item| written(item, below)).collect(),
            ),
            Value::Object(map) => (
                '{',
                '}',
                map.iter()
                    .map(|(key, item)| {
                        format!("{}: {}", Value::from(key.as_str()), written(item, below))
                    })
                    .collect(),
            ),
            scalar => return scalar.to_string(),
        }
    };
    match layout {
        _ if items.is_empty() => format!("{open}{close}"),
        Some((lead, step)) => {
            let inner = format!("{lead}{step}");
            format!(
                "{open}\n{inner}{}\n{lead}{close}",
                items.join(&format!(",\n{inner}"))
            )
        }
        None => format!("{open}{}{close}", items.join(", ")),
    }
}
