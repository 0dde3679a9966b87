//! What a generator's schema may be: one that a validator is soon done with, whatever it is shown.
//!
//! A schema comes from whoever uploads a component, and the host judges profiles by it in its own process. So it refers to nothing but itself, by
//! JSON Pointer, and what it applies to one place of a document is bounded: fifty lines of `allOf` that each refer twice to the next would take
//! longer than anyone lives.

use std::collections::HashMap;

use serde_json::Value;

/// Schemas that may be applied to one place of a document.
const MAX_APPLIED: u64 = 10_000;
/// Schemas within schemas at one place, references followed.
const MAX_DEPTH: usize = 200;
/// A validator is made anew for each of them.
const MAX_REFERENCES: usize = 4096;
/// Schemas that all `unevaluatedProperties` and `unevaluatedItems` together look back at.
const MAX_LOOKED_BACK: u64 = 20_000;

/// Keywords that apply other schemas to the same place.
const LISTS: &[&str] = &["allOf", "anyOf", "oneOf"];
const SINGLE: &[&str] = &["not", "if", "then", "else"];

/// Counts of what each schema applies in its place, itself included; none while one is being counted.
type Counts = HashMap<*const Value, Option<u64>>;

/// How many patterns it has; the error says what is wrong with it.
pub(super) fn check(schema: &Value) -> Result<usize, String> {
    let mut counts = Counts::new();
    let mut all = vec![schema];
    let (mut patterns, mut references, mut looked_back) = (0, 0, 0);
    while let Some(value) = all.pop() {
        match value {
            Value::Object(members) => {
                let count = applied(schema, value, &mut counts, 0)?;
                for keyword in ["unevaluatedProperties", "unevaluatedItems"] {
                    looked_back += members.get(keyword).map_or(0, |_| count);
                }
                references += usize::from(members.contains_key("$ref"));
                patterns += usize::from(members.contains_key("pattern"));
                let named = members.get("patternProperties").and_then(Value::as_object);
                patterns += named.map_or(0, serde_json::Map::len);
                // It would give references another root than the one that they are followed from here.
                if !std::ptr::eq(value, schema) && members.get("$id").is_some_and(Value::is_string)
                {
                    return Err("`$id` stands within it, and not at its root only".into());
                }
                all.extend(members.values());
            }
            Value::Array(items) => all.extend(items),
            _ => {}
        }
    }
    if references > MAX_REFERENCES {
        return Err(format!(
            "it has {references} references; {MAX_REFERENCES} are allowed"
        ));
    }
    if looked_back > MAX_LOOKED_BACK {
        return Err(format!(
            "its `unevaluatedProperties` and `unevaluatedItems` look back at more than {MAX_LOOKED_BACK} schemas"
        ));
    }
    Ok(patterns)
}

fn applied(root: &Value, schema: &Value, counts: &mut Counts, depth: usize) -> Result<u64, String> {
    let Value::Object(members) = schema else {
        return Ok(1);
    };
    match counts.get(&std::ptr::from_ref(schema)) {
        Some(Some(count)) => return Ok(*count),
        Some(None) => return Err("a `$ref` leads back to itself".into()),
        None => {}
    }
    if depth > MAX_DEPTH {
        return Err(format!("schemas lie more than {MAX_DEPTH} deep"));
    }
    counts.insert(schema, None);
    let mut inner: Vec<&Value> = Vec::new();
    for name in LISTS {
        inner.extend(
            members
                .get(*name)
                .and_then(Value::as_array)
                .into_iter()
                .flatten(),
        );
    }
    inner.extend(SINGLE.iter().filter_map(|name| members.get(*name)));
    for name in ["dependentSchemas", "dependencies"] {
        let dependent = members.get(name).and_then(Value::as_object);
        inner.extend(dependent.into_iter().flat_map(serde_json::Map::values));
    }
    if let Some(reference) = members.get("$ref").and_then(Value::as_str) {
        inner.push(target(root, reference)?);
    }
    for keyword in ["$dynamicRef", "$recursiveRef"] {
        if members.contains_key(keyword) {
            return Err(format!("`{keyword}` is not supported"));
        }
    }
    let mut count: u64 = 1;
    for one in inner {
        count = count.saturating_add(applied(root, one, counts, depth + 1)?);
        if count > MAX_APPLIED {
            return Err(format!(
                "more than {MAX_APPLIED} of its schemas are applied to one place"
            ));
        }
    }
    counts.insert(schema, Some(count));
    Ok(count)
}

fn target<'a>(root: &'a Value, reference: &str) -> Result<&'a Value, String> {
    let own = reference
        .strip_prefix('#')
        .filter(|pointer| pointer.is_empty() || pointer.starts_with('/'));
    let pointer = own.ok_or_else(|| {
        format!("`{reference}` does not refer to a place in it, such as `#/$defs/name`")
    })?;
    root.pointer(pointer)
        .ok_or_else(|| format!("there is no `{reference}` in it"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_schema_that_recurses_with_the_document_is_fine() {
        let tree = json!({
            "$ref": "#/$defs/node",
            "$defs": {"node": {"properties": {"left": {"$ref": "#/$defs/node"}, "right": {"$ref": "#/$defs/node"}}}},
        });
        check(&tree).unwrap();
    }

    #[test]
    fn circles_explosions_and_references_elsewhere_are_refused() {
        let double = |last: usize| {
            let defs = (0..last).map(|index| {
                let next = json!({"$ref": format!("#/$defs/d{}", index + 1)});
                (format!("d{index}"), json!({"allOf": [next, next]}))
            });
            let mut defs: serde_json::Map<_, _> = defs.collect();
            defs.insert(format!("d{last}"), json!({}));
            json!({"$ref": "#/$defs/d0", "$defs": defs})
        };
        let look_back = |levels: usize| {
            (0..levels).fold(
                json!({}),
                |inner, _| json!({"unevaluatedProperties": false, "anyOf": [inner, inner]}),
            )
        };
        check(&double(5)).unwrap();
        check(&look_back(5)).unwrap();
        for (schema, says) in [
            (double(40), "applied to one place"),
            (double(5000), "deep"),
            (json!({"$ref": "#"}), "back to itself"),
            (
                json!({"items": {"anyOf": [{"$ref": "#/items"}]}}),
                "back to itself",
            ),
            (json!({"$ref": "https://example.com/s"}), "does not refer"),
            (
                json!({"properties": {"a": {"$ref": "other.json#/x"}}}),
                "does not refer",
            ),
            (json!({"$ref": "#/missing"}), "there is no"),
            (
                json!({"items": {"$id": "https://example.com/s", "$ref": "#/$defs/a"}, "$defs": {"a": {}}}),
                "$id",
            ),
            (json!({"items": {"$recursiveRef": "#"}}), "$recursiveRef"),
            (
                json!({"items": vec![json!({"$ref": "#/$defs/a"}); 5000], "$defs": {"a": {}}}),
                "references",
            ),
            (look_back(11), "look back"),
        ] {
            let error = check(&schema).unwrap_err();
            assert!(error.contains(says), "{error}");
        }
    }
}
