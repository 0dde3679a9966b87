//! The documents in an archive: `manifest.json`, `step.json`, `instance.json` (RFC 0002, RFC 0003). JSON, unknown keys refused.

use bootsplice_content::Digest;
use serde::{Deserialize, Serialize};

/// `bootsplice/manifest.json`: the steps of one point.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PointManifest {
    pub format: u32,
    /// `name@version`.
    pub profile: String,
    pub point: String,
    pub steps: Vec<ManifestStep>,
}

/// One step, as the profile wants it run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ManifestStep {
    pub id: String,
    /// Position in the profile, over all points: steps of one stage run by it.
    pub order: u32,
    /// `name@version` of the generator.
    pub generator: String,
    pub plugin: Digest,
    pub stage: Stage,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub after: Vec<String>,
    pub on_failure: OnFailure,
    pub retries: u32,
    /// Seconds before the first repeat; doubled each time.
    pub backoff: u32,
    /// Seconds.
    pub timeout: u32,
    /// The step has a layer with a `step.json`.
    pub shared: bool,
    /// The step has an `instance.json` in the instance layer.
    pub instance: bool,
}

/// When the agent runs a step. In order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Stage {
    Files,
    Packages,
    Late,
}

/// What happens when a step fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OnFailure {
    /// Nothing further runs.
    Abort,
    /// It is reported; the rest runs.
    Warn,
    /// It is repeated; when that does not help, as `abort`.
    Retry,
}

/// `step.json` or `instance.json`: what one step puts and does.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StepDocument {
    pub format: u32,
    pub entries: Vec<Entry>,
    pub actions: Vec<IndexedAction>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
    #[serde(default)]
    pub reboot_required: bool,
}

/// One path in the guest.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Entry {
    /// `/etc/motd`, or `~ada/Documents/x` in a user's home.
    pub path: String,
    pub kind: EntryKind,
    /// 0 to 0o777.
    pub mode: u32,
    /// None: root, or the user whose home it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
    pub on_conflict: Conflict,
    #[serde(default)]
    pub size: u64,
    /// Of a file's content.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sha256: Option<Digest>,
    /// Of a symlink.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum EntryKind {
    File,
    Dir,
    Symlink,
}

/// What the agent does when the path exists with other content.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Conflict {
    Fail,
    Replace,
    KeepExisting,
    Backup,
}

/// An action and its place among the step's actions, over both documents.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct IndexedAction {
    pub index: u32,
    pub action: Action,
}

/// What happens after all entries of the step are in place.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Action {
    Edit(FileEdit),
    Run(Command),
    Service(Service),
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FileEdit {
    pub file: String,
    pub format: EditFormat,
    #[serde(default)]
    pub create: bool,
    pub changes: Vec<Change>,
    /// Commands to run when something changed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub on_change: Vec<Vec<String>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum EditFormat {
    Ini,
    Json,
    Yaml,
    Toml,
    KeyValue,
    Systemd,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Change {
    pub verb: Verb,
    /// JSON Pointer into the file's structure.
    pub path: String,
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "present"
    )]
    pub value: Option<serde_json::Value>,
    /// `null` is a wish of its own: nothing stands there.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "present"
    )]
    pub expected: Option<serde_json::Value>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verb {
    Set,
    Remove,
    Append,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Command {
    pub interpreter: String,
    pub text: String,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub arguments: Vec<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub environment: Vec<(String, String)>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub working_directory: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Service {
    pub unit: String,
    /// A unit of this user's manager.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    pub enable: bool,
    pub start: bool,
}

/// Keeps `"expected": null` apart from a missing `expected`.
fn present<'de, D: serde::Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<serde_json::Value>, D::Error> {
    serde_json::Value::deserialize(deserializer).map(Some)
}

/// Where a document or payload lies in the archive.
pub mod paths {
    use crate::ROOT;

    pub fn manifest() -> String {
        format!("{ROOT}/manifest.json")
    }

    pub fn step(step: &str) -> String {
        format!("{ROOT}/{step}/step.json")
    }

    pub fn instance(step: &str) -> String {
        format!("{ROOT}/{step}/instance.json")
    }

    /// The payload of a guest path: `/etc/motd` lies in `…/tree/root/etc/motd`, `~ada/x` in `…/tree/home/ada/x`.
    pub fn payload(step: &str, instance: bool, guest_path: &str) -> String {
        let tree = if instance { "instance" } else { "tree" };
        match guest_path.strip_prefix('~') {
            Some(home) => format!("{ROOT}/{step}/{tree}/home/{home}"),
            None => format!("{ROOT}/{step}/{tree}/root{guest_path}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn null_in_a_change_is_read_back_as_null_and_not_as_nothing() {
        let change = Change {
            verb: Verb::Set,
            path: "/debug".into(),
            value: Some(serde_json::Value::Null),
            expected: Some(serde_json::Value::Null),
        };
        let text = serde_json::to_string(&change).unwrap();
        assert_eq!(serde_json::from_str::<Change>(&text).unwrap(), change);
        let bare: Change = serde_json::from_str(r#"{"verb": "remove", "path": "/debug"}"#).unwrap();
        assert_eq!((bare.value, bare.expected), (None, None));
    }
}
