//! The configuration, and what its schema cannot say about it.

use std::collections::BTreeMap;

use bootsplice_sdk::config::{Mode, OnConflict, check_owner};
use bootsplice_sdk::file::File;
use bootsplice_sdk::path::{check_path, check_unit, link_target};
use bootsplice_sdk::placeholder::{check_value, has_placeholders};
use bootsplice_sdk::pointer::{Pointer, tokens};
use bootsplice_sdk::step::check_unique;
use bootsplice_sdk::{Diagnostic, archive};
use serde::Deserialize;
use serde_json::Value;

/// `with:` of a step that uses `config`.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    pub files: Vec<File>,
    pub edits: Vec<Edit>,
    pub dropins: Vec<Dropin>,
    pub directories: Vec<Directory>,
    pub symlinks: Vec<Symlink>,
}

/// Changes of one file that is in the guest.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Edit {
    pub file: String,
    pub format: EditFormat,
    #[serde(default)]
    pub set: BTreeMap<String, Value>,
    #[serde(default)]
    pub remove: Vec<String>,
    #[serde(default)]
    pub append: BTreeMap<String, Value>,
    #[serde(default)]
    pub expected: BTreeMap<String, Value>,
    #[serde(default)]
    pub create: bool,
    #[serde(default)]
    pub on_change: Vec<Vec<String>>,
}

/// The language of an edited file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum EditFormat {
    Ini,
    Json,
    Yaml,
    Toml,
    KeyValue,
    Systemd,
}

/// Settings of a unit, in a file of their own.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Dropin {
    pub unit: String,
    pub name: String,
    pub set: BTreeMap<String, Value>,
    /// For the users' managers instead of the system's.
    #[serde(default)]
    pub user: bool,
}

#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Directory {
    pub path: String,
    #[serde(default)]
    pub mode: Option<Mode>,
    #[serde(default)]
    pub owner: Option<String>,
    #[serde(default)]
    pub group: Option<String>,
    #[serde(default)]
    pub on_conflict: OnConflict,
}

#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Symlink {
    pub path: String,
    pub to: String,
}

// === impl Config ===

impl Config {
    /// Every finding at once.
    pub fn check(&self) -> Vec<Diagnostic> {
        let mut found = Vec::new();
        let root = Pointer::root();
        if *self == Self::default() {
            found.push(
                Diagnostic::error("", "nothing-to-do", "the step changes nothing")
                    .with_hint("give it `files`, `edits`, `dropins`, `directories` or `symlinks`"),
            );
        }
        for (index, file) in self.files.iter().enumerate() {
            file.check(&root.key("files").index(index), &mut found);
        }
        for (index, edit) in self.edits.iter().enumerate() {
            edit.check(&root.key("edits").index(index), &mut found);
        }
        for (index, dropin) in self.dropins.iter().enumerate() {
            dropin.check(&root.key("dropins").index(index), &mut found);
        }
        for (index, directory) in self.directories.iter().enumerate() {
            directory.check(&root.key("directories").index(index), &mut found);
        }
        for (index, symlink) in self.symlinks.iter().enumerate() {
            symlink.check(&root.key("symlinks").index(index), &mut found);
        }
        check_unique(self.written(), &mut found);
        found
    }

    /// Where entries go, each with the place that says so.
    fn written(&self) -> impl Iterator<Item = (Pointer, &str)> {
        let place = |list: &str, index: usize| Pointer::root().key(list).index(index).key("path");
        let files = self
            .files
            .iter()
            .enumerate()
            .map(move |(index, file)| (place("files", index), file.path.as_str()));
        let directories = self
            .directories
            .iter()
            .enumerate()
            .map(move |(index, directory)| (place("directories", index), directory.path.as_str()));
        let symlinks = self
            .symlinks
            .iter()
            .enumerate()
            .map(move |(index, symlink)| (place("symlinks", index), symlink.path.as_str()));
        files.chain(directories).chain(symlinks)
    }
}

// === impl Edit ===

impl Edit {
    fn check(&self, at: &Pointer, found: &mut Vec<Diagnostic>) {
        check_place(&at.key("file"), &self.file, found);
        if self.set.is_empty() && self.remove.is_empty() && self.append.is_empty() {
            found.push(
                Diagnostic::error(at.clone(), "no-change", "the edit changes nothing")
                    .with_hint("give it `set`, `remove` or `append`"),
            );
        }
        for (key, values) in [("set", &self.set), ("append", &self.append)] {
            for (path, value) in values {
                let at = at.key(key).key(path);
                check_pointer(&at, self.format, path, found);
                self.format.check_value(&at, value, found);
                check_value(&at, value, found);
            }
        }
        for (index, path) in self.remove.iter().enumerate() {
            check_pointer(&at.key("remove").index(index), self.format, path, found);
        }
        self.check_overlap(at, found);
        self.check_expected(at, found);
        for (index, command) in self.on_change.iter().enumerate() {
            let at = at.key("on_change").index(index);
            if command.first().is_none_or(String::is_empty)
                || command.iter().any(|word| word.contains('\0'))
            {
                found.push(
                    Diagnostic::error(
                        at,
                        "invalid-command",
                        "a command is a program and its arguments, without NUL",
                    )
                    .with_hint("write it like `[dconf, update]`"),
                );
            } else if command.iter().any(|word| has_placeholders(word)) {
                found.push(
                    Diagnostic::error(
                        at,
                        "placeholder-not-filled",
                        "placeholders are not filled in commands",
                    )
                    .with_hint("use a step of the script generator"),
                );
            }
        }
    }

    /// Changes that undo or hide each other: their outcome would depend on the order.
    fn check_overlap(&self, at: &Pointer, found: &mut Vec<Diagnostic>) {
        let set = self.set.keys().map(|path| (at.key("set").key(path), path));
        let append = self
            .append
            .keys()
            .map(|path| (at.key("append").key(path), path));
        let remove = self
            .remove
            .iter()
            .enumerate()
            .map(|(index, path)| (at.key("remove").index(index), path));
        let mut all: Vec<_> = set
            .chain(append)
            .chain(remove)
            .map(|(place, path)| (path.as_str(), place))
            .collect();
        // A path sorts directly before what lies below it when `/` sorts before everything else.
        all.sort_by_key(|(path, _)| path.replace('/', "\0"));
        let mut above: Vec<(&str, &Pointer)> = Vec::new();
        for (path, place) in &all {
            let covers = |upper: &str| {
                path.strip_prefix(upper)
                    .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
            };
            while above.last().is_some_and(|(upper, _)| !covers(upper)) {
                above.pop();
            }
            if let Some((_, first)) = above.last() {
                found.push(
                    Diagnostic::error(
                        place.clone(),
                        "overlapping-changes",
                        format!("{first} changes the same place, or one around it"),
                    )
                    .with_hint("say what it shall be in one change"),
                );
            }
            above.push((path, place));
        }
    }

    fn check_expected(&self, at: &Pointer, found: &mut Vec<Diagnostic>) {
        for path in self.expected.keys() {
            if !self.set.contains_key(path)
                && !self.append.contains_key(path)
                && !self.remove.contains(path)
            {
                found.push(
                    Diagnostic::error(
                        at.key("expected").key(path),
                        "expected-without-change",
                        "nothing is changed there, so nothing is compared",
                    )
                    .with_hint("name the same pointer in `set`, `remove` or `append`"),
                );
            }
        }
    }
}

// === impl EditFormat ===

impl EditFormat {
    /// Findings about a value that this language cannot hold.
    fn check_value(self, at: &Pointer, value: &Value, found: &mut Vec<Diagnostic>) {
        let problem = match self {
            Self::Json | Self::Yaml => None,
            Self::Toml => holds_null(value).then_some("TOML has no null"),
            Self::Ini | Self::KeyValue | Self::Systemd => match value {
                Value::Array(items) if items.iter().all(is_scalar) => None,
                one if is_scalar(one) => None,
                _ => Some("here a value is a string, a number, a boolean, or a list of these"),
            },
        };
        if let Some(problem) = problem {
            found.push(Diagnostic::error(at.clone(), "value-not-possible", problem));
        }
    }
}

impl From<EditFormat> for archive::EditFormat {
    fn from(format: EditFormat) -> Self {
        match format {
            EditFormat::Ini => Self::Ini,
            EditFormat::Json => Self::Json,
            EditFormat::Yaml => Self::Yaml,
            EditFormat::Toml => Self::Toml,
            EditFormat::KeyValue => Self::KeyValue,
            EditFormat::Systemd => Self::Systemd,
        }
    }
}

// === impl Dropin ===

impl Dropin {
    /// The file that it becomes.
    pub fn path(&self) -> String {
        let manager = if self.user { "user" } else { "system" };
        let name = self.name.strip_suffix(".conf").unwrap_or(&self.name);
        format!("/etc/systemd/{manager}/{}.d/{name}.conf", self.unit)
    }

    fn check(&self, at: &Pointer, found: &mut Vec<Diagnostic>) {
        if let Err(reason) = check_unit(&self.unit) {
            found.push(Diagnostic::error(
                at.key("unit"),
                "invalid-name",
                format!("`{}`: {reason}", self.unit),
            ));
        }
        if self.name.contains('/') || check_path(&self.path()).is_err() {
            found.push(
                Diagnostic::error(
                    at.key("name"),
                    "invalid-name",
                    format!("`{}` is no file's name", self.name),
                )
                .with_hint("write it like `10-limits`"),
            );
        }
        if self.set.is_empty() {
            found.push(Diagnostic::error(
                at.key("set"),
                "no-change",
                "the drop-in sets nothing",
            ));
        }
        for (path, value) in &self.set {
            let at = at.key("set").key(path);
            check_pointer(&at, EditFormat::Systemd, path, found);
            EditFormat::Systemd.check_value(&at, value, found);
            check_value(&at, value, found);
        }
    }
}

// === impl Directory ===

impl Directory {
    fn check(&self, at: &Pointer, found: &mut Vec<Diagnostic>) {
        check_place(&at.key("path"), &self.path, found);
        check_owner(at, self.owner.as_deref(), self.group.as_deref(), found);
    }
}

// === impl Symlink ===

impl Symlink {
    fn check(&self, at: &Pointer, found: &mut Vec<Diagnostic>) {
        check_place(&at.key("path"), &self.path, found);
        if check_path(&self.path).is_ok()
            && let Err(reason) = link_target(&self.path, &self.to)
        {
            found.push(Diagnostic::error(
                at.key("to"),
                "invalid-target",
                format!("`{}`: {reason}", self.to),
            ));
        }
    }
}

fn check_place(at: &Pointer, path: &str, found: &mut Vec<Diagnostic>) {
    if let Err(reason) = check_path(path) {
        found.push(
            Diagnostic::error(at.clone(), "invalid-path", format!("`{path}`: {reason}"))
                .with_hint("write `/etc/motd`, or `~ada/notes.txt` for a user's home"),
        );
    }
}

/// Whether a pointer can mean something in a file of that format.
fn check_pointer(at: &Pointer, format: EditFormat, path: &str, found: &mut Vec<Diagnostic>) {
    let problem = match tokens(path) {
        Err(reason) => Some((reason, "write it like `/section/key`")),
        Ok(names) => match (format, names.as_slice()) {
            (_, []) => Some((
                "an edit changes a place in the file, not all of it",
                "give the whole file under `files`",
            )),
            (EditFormat::Ini, [_, key]) if !key.is_empty() => None,
            (EditFormat::Ini, _) => Some((
                "in an INI file a pointer is `/section/key`, or `//key` before any section",
                "write a `/` inside a name as `~1`",
            )),
            (EditFormat::KeyValue, [key]) if !key.is_empty() => None,
            (EditFormat::KeyValue, _) => Some((
                "here a pointer is `/KEY`",
                "write a `/` inside a name as `~1`",
            )),
            (EditFormat::Systemd, [section, key]) if !section.is_empty() && !key.is_empty() => None,
            (EditFormat::Systemd, _) => Some((
                "in a unit file a pointer is `/Section/Key`",
                "for example `/Service/ExecStart`",
            )),
            (EditFormat::Json | EditFormat::Yaml | EditFormat::Toml, names) if names.len() > 64 => {
                Some((
                    "a pointer has at most 64 names",
                    "change a place nearer to the root",
                ))
            }
            (EditFormat::Json | EditFormat::Yaml | EditFormat::Toml, _) => None,
        },
    };
    if let Some((reason, hint)) = problem {
        found.push(
            Diagnostic::error(at.clone(), "invalid-pointer", format!("`{path}`: {reason}"))
                .with_hint(hint),
        );
    }
}

fn is_scalar(value: &Value) -> bool {
    matches!(value, Value::String(_) | Value::Number(_) | Value::Bool(_))
}

fn holds_null(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Array(items) => items.iter().any(holds_null),
        Value::Object(members) => members.values().any(holds_null),
        Value::Bool(_) | Value::Number(_) | Value::String(_) => false,
    }
}
