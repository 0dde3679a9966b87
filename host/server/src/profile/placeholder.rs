//! Placeholders in a step's configuration (RFC 0003): what the host fills into a launch's instance layer.

use serde_json::{Map, Value};

use crate::extract::escape;
use crate::problem::Fault;

/// One placeholder, by what it asks for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Placeholder {
    /// `{{instance:id}}`
    InstanceId,
    /// `{{instance:profile}}`
    Profile,
    /// `{{instance:attributes.NAME}}`
    Attribute(String),
    /// `{{secret:NAME}}`
    Secret(String),
}

/// Every placeholder in the strings of `config` with the pointer of its string, and the faults of those that ask for nothing known. Other text in double
/// braces, such as another template language's, is left alone.
pub fn placeholders(config: &Map<String, Value>) -> (Vec<(String, Placeholder)>, Vec<Fault>) {
    let mut found = (Vec::new(), Vec::new());
    for (key, value) in config {
        walk(value, &format!("/{}", escape(key)), &mut found);
    }
    found
}

fn walk(value: &Value, pointer: &str, found: &mut (Vec<(String, Placeholder)>, Vec<Fault>)) {
    match value {
        Value::String(text) => scan(text, pointer, found),
        Value::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                walk(item, &format!("{pointer}/{index}"), found);
            }
        }
        Value::Object(fields) => {
            for (key, item) in fields {
                walk(item, &format!("{pointer}/{}", escape(key)), found);
            }
        }
        _ => {}
    }
}

fn scan(text: &str, pointer: &str, found: &mut (Vec<(String, Placeholder)>, Vec<Fault>)) {
    let mut rest = text;
    while let Some(start) = rest.find("{{") {
        rest = &rest[start + 2..];
        let Some(end) = rest.find("}}") else { break };
        let inside = &rest[..end];
        let asked = inside.trim();
        if !(asked.starts_with("instance:") || asked.starts_with("secret:")) {
            continue;
        }
        match Placeholder::parse(inside) {
            Some(placeholder) => found.0.push((pointer.to_owned(), placeholder)),
            None => found.1.push(unknown(inside, pointer)),
        }
        rest = &rest[end + 2..];
    }
}

fn unknown(inside: &str, pointer: &str) -> Fault {
    let shown: String = inside.chars().take(80).collect();
    Fault::new(
        pointer,
        "unknown-placeholder",
        format!("nothing can be filled in for `{{{{{shown}}}}}`"),
    )
    .hint("use {{instance:id}}, {{instance:profile}}, {{instance:attributes.NAME}} or {{secret:NAME}}, without spaces")
}

// === impl Placeholder ===

impl Placeholder {
    /// Reads what stands between the braces.
    pub fn parse(inside: &str) -> Option<Self> {
        match inside.split_once(':')? {
            ("instance", "id") => Some(Self::InstanceId),
            ("instance", "profile") => Some(Self::Profile),
            ("instance", path) => {
                let name = path.strip_prefix("attributes.")?;
                valid(name).then(|| Self::Attribute(name.to_owned()))
            }
            ("secret", name) => valid(name).then(|| Self::Secret(name.to_owned())),
            _ => None,
        }
    }
}

/// Names of attributes and secrets: `[A-Za-z0-9_.-]{1,64}`.
fn valid(name: &str) -> bool {
    let good = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'-');
    (1..=64).contains(&name.len()) && name.bytes().all(good)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn placeholders_are_found_with_their_pointers_and_unknown_ones_are_faults() {
        let config = json!({
            "files": [{
                "content": "{{instance:id}} for {{instance:attributes.owner}}, {{ jinja }} {{{instance:id}}}",
                "a/b": "{{secret:ada-api-key}}"
            }],
            "bad": ["{{instance:name}}", "{{secret:}}", "{{ instance:id }}", "{{instance:id"]
        });
        let Value::Object(config) = config else {
            unreachable!()
        };
        let (found, faults) = placeholders(&config);
        assert_eq!(
            found[0],
            ("/files/0/content".into(), Placeholder::InstanceId)
        );
        assert_eq!(found[1].1, Placeholder::Attribute("owner".into()));
        let key = Placeholder::Secret("ada-api-key".into());
        assert!(found.contains(&("/files/0/a~1b".into(), key)));
        let pointers: Vec<_> = faults.iter().map(|fault| &*fault.pointer).collect();
        assert_eq!(pointers, ["/bad/0", "/bad/1", "/bad/2"]);
    }
}
