//! An installed plugin: compiled, described, ready to be run.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

use bootsplice_content::Digest;
use serde_json::Value;

use crate::content::Text;
use crate::contract::{Descriptor, Diagnostic, Severity};
use crate::inspection::Inspection;
use crate::run::Run;
use crate::schema::{Schema, Verdict, brief};
use crate::v0_1::PluginPre;

/// Findings of one check; more are cut.
const MAX_FINDINGS: usize = 200;
const MAX_SCHEMA: usize = 1 << 20;

/// A plugin that this engine can run. Cheap to clone.
#[derive(Clone)]
pub struct Plugin(Arc<Inner>);

struct Inner {
    digest: Digest,
    inspection: Inspection,
    descriptor: Descriptor,
    schema: Schema,
    ready: PluginPre<Run>,
}

// === impl Plugin ===

impl Plugin {
    /// Checks what a plugin says about itself. The error says what is wrong with it.
    pub(crate) fn new(
        digest: Digest,
        inspection: Inspection,
        descriptor: Descriptor,
        ready: PluginPre<Run>,
    ) -> Result<Self, String> {
        check_descriptor(&descriptor)?;
        let schema = Schema::new(&descriptor.config_schema)
            .map_err(|error| format!("its config-schema: {error}"))?;
        for example in &descriptor.examples {
            if let Some(found) = findings(&schema, &example.config).first() {
                return Err(format!(
                    "its example `{}` breaks its own schema at `{}`: {} [{}]",
                    example.title, found.pointer, found.message, found.code
                ));
            }
        }
        Ok(Self(Arc::new(Inner {
            digest,
            inspection,
            descriptor,
            schema,
            ready,
        })))
    }

    /// The digest of the component: the plugin's name in locks and layer keys.
    pub fn digest(&self) -> &Digest {
        &self.0.digest
    }

    pub fn inspection(&self) -> &Inspection {
        &self.0.inspection
    }

    pub fn descriptor(&self) -> &Descriptor {
        &self.0.descriptor
    }

    pub(crate) fn ready(&self) -> &PluginPre<Run> {
        &self.0.ready
    }

    /// Where `config` breaks the plugin's schema. No guest code runs, and the time is bounded.
    pub fn check_schema(&self, config: &Value) -> Vec<Diagnostic> {
        findings(&self.0.schema, config)
    }

    /// Names of secrets that `config` holds: at the plugin's pointers, and as `{{secret:NAME}}` in any string.
    pub fn secrets_in(&self, config: &Value) -> BTreeSet<String> {
        let mut names = BTreeSet::new();
        for pointer in &self.0.descriptor.capabilities.secrets {
            names.extend(strings_at(config, pointer).into_iter().map(str::to_owned));
        }
        named_in_strings(config, &mut names);
        names
    }

    /// URL prefixes that the plugin wants for `config`: its wishes, with `${config:POINTER}` filled in. A wish, never a grant.
    pub fn fetch_in(&self, config: &Value) -> BTreeSet<String> {
        let mut urls = BTreeSet::new();
        for wish in &self.0.descriptor.capabilities.fetch {
            match wish
                .strip_prefix("${config:")
                .and_then(|rest| rest.strip_suffix('}'))
            {
                Some(pointer) => {
                    urls.extend(strings_at(config, pointer).into_iter().map(str::to_owned))
                }
                None => {
                    urls.insert(wish.clone());
                }
            }
        }
        urls
    }
}

impl fmt::Debug for Plugin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Plugin")
            .field("id", &self.0.descriptor.id)
            .field("version", &self.0.descriptor.version)
            .field("digest", &self.0.digest)
            .finish_non_exhaustive()
    }
}

fn findings(schema: &Schema, config: &Value) -> Vec<Diagnostic> {
    let finding = |pointer: String, code: &str, message: String| Diagnostic {
        severity: Severity::Error,
        pointer,
        code: code.into(),
        message,
        hint: None,
    };
    let verdict = schema.judge(config);
    if let Some((code, message)) = verdict.whole() {
        return vec![finding(String::new(), code, message)];
    }
    let Verdict::Breaks(errors) = verdict else {
        return Vec::new();
    };
    let told = errors.iter().take(MAX_FINDINGS);
    told.map(|error| finding(error.instance_path().to_string(), "schema", brief(error)))
        .collect()
}

fn check_descriptor(descriptor: &Descriptor) -> Result<(), String> {
    let id = &descriptor.id;
    let good = (1..=40).contains(&id.len())
        && id
            .bytes()
            .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-');
    if !good {
        return Err(format!("its id `{id}` is not 1 to 40 of a-z, 0-9 and `-`"));
    }
    let core = descriptor
        .version
        .split(['-', '+'])
        .next()
        .unwrap_or_default();
    let numbers: Vec<&str> = core.split('.').collect();
    if numbers.len() != 3
        || numbers.iter().any(|number| number.parse::<u64>().is_err())
        || descriptor.version.len() > 64
    {
        return Err(format!(
            "its version `{}` is no semantic version, such as 1.2.0",
            descriptor.version
        ));
    }
    let schema = descriptor.config_schema.to_string();
    if schema.len() > MAX_SCHEMA {
        return Err(format!(
            "its config-schema is larger than {MAX_SCHEMA} bytes"
        ));
    }
    Ok(())
}

/// The strings that stand where a JSON Pointer leads; `*` stands for every key and index. An object's values count when it ends there.
fn strings_at<'a>(value: &'a Value, pointer: &str) -> Vec<&'a str> {
    let mut here = vec![value];
    for token in pointer.split('/').skip(1) {
        let token = token.replace("~1", "/").replace("~0", "~");
        here = here
            .into_iter()
            .flat_map(|value| match value {
                Value::Object(members) if token == "*" => members.values().collect(),
                Value::Object(members) => members.get(&token).into_iter().collect(),
                Value::Array(items) if token == "*" => items.iter().collect(),
                Value::Array(items) => token
                    .parse::<usize>()
                    .ok()
                    .and_then(|index| items.get(index))
                    .into_iter()
                    .collect(),
                _ => Vec::new(),
            })
            .collect();
    }
    here.into_iter().filter_map(Value::as_str).collect()
}

fn named_in_strings(value: &Value, names: &mut BTreeSet<String>) {
    match value {
        Value::String(text) => {
            if let Ok(text) = Text::parse(text) {
                names.extend(
                    text.placeholders()
                        .filter_map(|placeholder| match placeholder {
                            crate::content::Placeholder::Secret(name) => Some(name.clone()),
                            _ => None,
                        }),
                );
            }
        }
        Value::Array(items) => items.iter().for_each(|item| named_in_strings(item, names)),
        Value::Object(members) => members
            .values()
            .for_each(|item| named_in_strings(item, names)),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn stars_stand_for_every_key_and_index() {
        let config = json!({"sources": [{"url": "a"}, {"url": "b"}, {}], "secrets": {"K": "one", "L": "two"}, "a/b": "c"});
        assert_eq!(strings_at(&config, "/sources/*/url"), ["a", "b"]);
        assert_eq!(strings_at(&config, "/secrets/*"), ["one", "two"]);
        assert_eq!(strings_at(&config, "/sources/1/url"), ["b"]);
        assert_eq!(strings_at(&config, "/a~1b"), ["c"]);
        assert!(strings_at(&config, "/none/*/x").is_empty());
        assert!(strings_at(&config, "/sources/x/url").is_empty());
    }
}
