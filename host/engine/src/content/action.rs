//! What the agent does after a step's entries are in place.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::path::is_user;
use super::{GuestPath, Placeholder, Text};

/// Longest script, in bytes.
const MAX_SCRIPT: usize = 64 * 1024;
const MAX_CHANGES: usize = 10_000;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Action {
    Edit(FileEdit),
    Run(Command),
    Service(Service),
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

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verb {
    Set,
    Remove,
    Append,
}

/// Changes of one structured file, made in the guest against the file that is there.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FileEdit {
    pub file: GuestPath,
    pub format: EditFormat,
    pub changes: Vec<Change>,
    pub create: bool,
    /// Commands to run when something changed.
    pub on_change: Vec<Vec<String>>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Change {
    pub verb: Verb,
    /// JSON Pointer into the file's structure.
    pub path: String,
    /// May hold placeholders inside its strings. None for `remove`.
    pub value: Option<Value>,
    pub expected: Option<Value>,
}

/// A script, given to its interpreter as a file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Command {
    pub interpreter: String,
    pub text: String,
    pub arguments: Vec<String>,
    /// Values may hold placeholders.
    pub environment: Vec<(String, Text)>,
    pub user: Option<String>,
    pub working_directory: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Service {
    pub unit: String,
    pub user: Option<String>,
    pub enable: bool,
    pub start: bool,
}

// === impl Action ===

impl Action {
    /// Refuses what no agent could run; says which part and why.
    pub fn check(&self) -> Result<(), String> {
        match self {
            Self::Edit(edit) => edit.check(),
            Self::Run(command) => command.check(),
            Self::Service(service) => service.check(),
        }
    }

    /// Every placeholder in it. An action with one belongs to the instance layer.
    pub fn placeholders(&self) -> Result<Vec<Placeholder>, String> {
        let mut found = Vec::new();
        match self {
            Self::Edit(edit) => {
                for value in edit
                    .changes
                    .iter()
                    .filter_map(|change| change.value.as_ref())
                {
                    in_json(value, &mut found)?;
                }
            }
            Self::Run(command) => {
                for (_, text) in &command.environment {
                    found.extend(text.placeholders().cloned());
                }
            }
            Self::Service(_) => {}
        }
        Ok(found)
    }

    /// What it counts against the output limit.
    pub fn bytes(&self) -> u64 {
        serde_json::to_vec(self).map_or(0, |text| text.len() as u64)
    }
}

impl FileEdit {
    fn check(&self) -> Result<(), String> {
        if self.changes.is_empty() || self.changes.len() > MAX_CHANGES {
            return Err(format!(
                "an edit of {} has 1 to {MAX_CHANGES} changes",
                self.file
            ));
        }
        for change in &self.changes {
            if !change.path.starts_with('/') || change.path.len() > 4096 {
                return Err(format!(
                    "`{}` is no JSON Pointer below the root of {}",
                    change.path, self.file
                ));
            }
            match (change.verb, &change.value) {
                (Verb::Remove, Some(_)) => {
                    return Err(format!("remove of {} takes no value", change.path));
                }
                (Verb::Set | Verb::Append, None) => {
                    return Err(format!(
                        "{:?} of {} needs a value",
                        change.verb, change.path
                    ));
                }
                _ => {}
            }
        }
        for command in &self.on_change {
            if command.first().is_none_or(String::is_empty)
                || command.iter().any(|word| word.contains('\0'))
            {
                return Err("an on-change command is a program and its arguments".into());
            }
        }
        Ok(())
    }
}

impl Command {
    fn check(&self) -> Result<(), String> {
        let absolute = self.interpreter.starts_with('/') || self.interpreter == "powershell";
        if !absolute || self.interpreter.contains('\0') {
            return Err(format!(
                "`{}` is not the absolute path of an interpreter",
                self.interpreter
            ));
        }
        if self.text.len() > MAX_SCRIPT {
            return Err(format!(
                "the script has {} bytes; {MAX_SCRIPT} are allowed",
                self.text.len()
            ));
        }
        if self.arguments.iter().any(|word| word.contains('\0')) {
            return Err("an argument holds NUL".into());
        }
        for (name, _) in &self.environment {
            let mut bytes = name.bytes();
            let first = bytes.next();
            if !first.is_some_and(|byte| byte.is_ascii_alphabetic() || byte == b'_')
                || !bytes.all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
            {
                return Err(format!("`{name}` is no name of an environment variable"));
            }
        }
        check_user(self.user.as_deref())?;
        if let Some(directory) = &self.working_directory
            && (!directory.starts_with(['/', '~']) || directory.contains('\0'))
        {
            return Err(format!("working directory `{directory}` is not absolute"));
        }
        Ok(())
    }
}

impl Service {
    fn check(&self) -> Result<(), String> {
        let suffix = self.unit.rsplit_once('.').map(|(_, suffix)| suffix);
        let known = matches!(
            suffix,
            Some(
                "service"
                    | "socket"
                    | "timer"
                    | "path"
                    | "mount"
                    | "automount"
                    | "target"
                    | "slice"
            )
        );
        let clean = self.unit.len() <= 255
            && self.unit.bytes().all(|byte| {
                byte.is_ascii_alphanumeric()
                    || matches!(byte, b':' | b'_' | b'.' | b'-' | b'\\' | b'@')
            })
            && !self.unit.starts_with(['-', '.', '@']);
        if !known || !clean {
            return Err(format!(
                "`{}` is no unit's name; expected one such as `nginx.service`",
                self.unit
            ));
        }
        check_user(self.user.as_deref())
    }
}

fn check_user(user: Option<&str>) -> Result<(), String> {
    match user {
        Some(name) if !is_user(name) => Err(format!("`{name}` is no user's name")),
        _ => Ok(()),
    }
}

/// Collects the placeholders of every string in a JSON value. Keys are not templates.
pub(super) fn in_json(value: &Value, found: &mut Vec<Placeholder>) -> Result<(), String> {
    match value {
        Value::String(text) => {
            let text = Text::parse(text).map_err(|error| error.to_string())?;
            found.extend(text.placeholders().cloned());
        }
        Value::Array(items) => items.iter().try_for_each(|item| in_json(item, found))?,
        Value::Object(members) => members.values().try_for_each(|item| in_json(item, found))?,
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_no_agent_could_run_is_refused() {
        let command = |interpreter: &str, name: &str| {
            Action::Run(Command {
                interpreter: interpreter.into(),
                text: "true".into(),
                arguments: vec![],
                environment: vec![(name.into(), Text::parse("x").unwrap())],
                user: None,
                working_directory: None,
            })
        };
        assert!(command("/bin/sh", "KEY").check().is_ok());
        assert!(command("sh", "KEY").check().is_err());
        assert!(command("/bin/sh", "A=B").check().is_err());
        let service = |unit: &str| {
            Action::Service(Service {
                unit: unit.into(),
                user: None,
                enable: true,
                start: true,
            })
        };
        assert!(service("getty@tty1.service").check().is_ok());
        for wrong in ["nginx", "../x.service", "-x.service", "a b.service"] {
            assert!(service(wrong).check().is_err(), "{wrong}");
        }
    }
}
