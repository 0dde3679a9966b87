//! What a change does to a meaning that is a tree: JSON, YAML and TOML.

use serde_json::{Map, Value};

use crate::Verb;
use crate::engine::Wish;

/// What stands at `tokens`.
pub(crate) fn find<'a>(meaning: &'a Value, tokens: &[String]) -> Option<&'a Value> {
    tokens.iter().try_fold(meaning, |value, token| match value {
        Value::Object(map) => map.get(token),
        Value::Array(items) => items.get(index(token)?),
        _ => None,
    })
}

/// A list index as RFC 6901 writes it.
pub(crate) fn index(token: &str) -> Option<usize> {
    let canonical = token == "0" || !token.starts_with('0');
    (canonical && token.bytes().all(|byte| byte.is_ascii_digit()))
        .then(|| token.parse().ok())
        .flatten()
}

/// Makes one change to the tree. An empty document (`null`) counts as an empty object.
pub(crate) fn wish(meaning: &mut Value, wish: &Wish<'_>) -> Result<(), String> {
    let tokens = wish.pointer.tokens();
    match (wish.verb, wish.value) {
        (Verb::Set, Some(value)) => {
            *make(meaning, tokens)? = value.clone();
        }
        (Verb::Append, Some(value)) => {
            let slot = make(meaning, tokens)?;
            if slot.is_null() {
                *slot = Value::Array(Vec::new());
            }
            let Value::Array(items) = slot else {
                return Err(format!(
                    "`append` needs a list, but {} stands there; use `set`",
                    kind(slot)
                ));
            };
            if !items.contains(value) {
                items.push(value.clone());
            }
        }
        (Verb::Remove, Some(value)) => {
            let Some(slot) = find_mut(meaning, tokens) else {
                return Ok(());
            };
            let Value::Array(items) = slot else {
                return Err(format!(
                    "`remove` with a `value` takes items out of a list, but {} stands there",
                    kind(slot)
                ));
            };
            items.retain(|item| item != value);
        }
        (_, None) => {
            let Some((last, parents)) = tokens.split_last() else {
                return Ok(());
            };
            match find_mut(meaning, parents) {
                Some(Value::Object(map)) => {
                    map.shift_remove(last);
                }
                Some(Value::Array(_)) => {
                    return Err("an item is not removed by its place in a list, since a second run would remove the next one; name the list and give the item as `value`".into());
                }
                _ => {}
            }
        }
    }
    Ok(())
}

/// The slot at `tokens`, made (with its parents) when it is missing.
fn make<'a>(mut slot: &'a mut Value, tokens: &[String]) -> Result<&'a mut Value, String> {
    for (depth, token) in tokens.iter().enumerate() {
        if slot.is_null() {
            *slot = Value::Object(Map::new());
        }
        slot = match slot {
            Value::Object(map) => map.entry(token.as_str()).or_insert(Value::Null),
            Value::Array(items) => {
                let count = items.len();
                index(token).and_then(|index| items.get_mut(index)).ok_or_else(|| {
                    format!("the list at `{}` has {count} items and no item `{token}`; use `append` to add one", shown(&tokens[..depth]))
                })?
            }
            other => {
                return Err(format!(
                    "`{}` is {}, which has nothing inside; `set` it first, or correct the path",
                    shown(&tokens[..depth]),
                    kind(other)
                ));
            }
        };
    }
    Ok(slot)
}

fn find_mut<'a>(meaning: &'a mut Value, tokens: &[String]) -> Option<&'a mut Value> {
    tokens.iter().try_fold(meaning, |value, token| match value {
        Value::Object(map) => map.get_mut(token),
        Value::Array(items) => items.get_mut(index(token)?),
        _ => None,
    })
}

/// Tokens as a pointer again.
fn shown(tokens: &[String]) -> String {
    tokens.iter().fold(String::new(), |pointer, token| {
        pointer + "/" + &token.replace('~', "~0").replace('/', "~1")
    })
}

/// A value's kind, for people.
pub(crate) fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}
