//! One wish about a structured file, in the shape that `step.json` carries (RFC 0003).

use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;

/// The language a file is written in. In documents: `ini`, `json`, `yaml`, `toml`, `key-value`, `systemd`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Format {
    /// Sections and keys: freedesktop key files, php.ini, sysctl.conf. Pointers are `/section/key`, and `//key` before any section.
    Ini,
    /// JSON, and JSON with comments and trailing commas as editors write it.
    Json,
    /// YAML 1.2, one document.
    Yaml,
    /// TOML 1.0.
    Toml,
    /// Shell assignments, `KEY=value` and `export KEY=value`, as in `/etc/default/*`. Pointers are `/KEY`.
    KeyValue,
    /// Unit files and drop-ins of systemd. Pointers are `/Section/Key`.
    Systemd,
}

impl Format {
    /// All of them, in the order of the contract.
    pub const ALL: [Self; 6] = [
        Self::Ini,
        Self::Json,
        Self::Yaml,
        Self::Toml,
        Self::KeyValue,
        Self::Systemd,
    ];

    /// The name that documents use.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ini => "ini",
            Self::Json => "json",
            Self::Yaml => "yaml",
            Self::Toml => "toml",
            Self::KeyValue => "key-value",
            Self::Systemd => "systemd",
        }
    }
}

impl std::fmt::Display for Format {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

/// What a [`Change`] does at its path.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verb {
    /// The value becomes this one; missing parents are made.
    Set,
    /// The value, or everything in the list that equals `value` when there is one, is gone. What is missing is fine.
    Remove,
    /// The value is an item of the list at the path. The list is made when it is missing; an equal item that is there is enough.
    Append,
}

/// One change of a structured file. Applied twice it changes nothing the second time.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Change {
    /// What to do.
    pub verb: Verb,
    /// JSON Pointer (RFC 6901) into the file's structure: `/Default Applications/text~1html`.
    pub path: String,
    /// The new value. Required by `set` and `append`. With `remove`, the item to take out of the list at `path`.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "present"
    )]
    pub value: Option<Value>,
    /// When given, what must stand at `path` before something is changed there (`null`: nothing stands there).
    /// Not looked at when all changes are in effect already.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "present"
    )]
    pub expected: Option<Value>,
}

// === impl Change ===

impl Change {
    /// `set` of `path` to `value`.
    pub fn set(path: impl Into<String>, value: impl Into<Value>) -> Self {
        Self::new(Verb::Set, path, Some(value.into()))
    }

    /// `append` of `value` to the list at `path`.
    pub fn append(path: impl Into<String>, value: impl Into<Value>) -> Self {
        Self::new(Verb::Append, path, Some(value.into()))
    }

    /// `remove` of whatever stands at `path`.
    pub fn remove(path: impl Into<String>) -> Self {
        Self::new(Verb::Remove, path, None)
    }

    /// The same change, refused unless `expected` stands at the path.
    #[must_use]
    pub fn expecting(mut self, expected: impl Into<Value>) -> Self {
        self.expected = Some(expected.into());
        self
    }

    fn new(verb: Verb, path: impl Into<String>, value: Option<Value>) -> Self {
        Self {
            verb,
            path: path.into(),
            value,
            expected: None,
        }
    }
}

/// Keeps `"value": null` apart from a missing `value`.
fn present<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Value>, D::Error> {
    Value::deserialize(deserializer).map(Some)
}
