//! The configuration, and what its schema cannot say about it.

use std::collections::BTreeMap;

use bootsplice_sdk::config::Format;
use bootsplice_sdk::file::{File, MAX_CONTENT};
use bootsplice_sdk::path::{check_path, check_unit, check_user};
use bootsplice_sdk::placeholder::{check_text, has_placeholders};
use bootsplice_sdk::source::Source;
use bootsplice_sdk::step::check_unique;
use bootsplice_sdk::{Diagnostic, Pointer};
use serde::Deserialize;

use crate::parameter::{Parameter, check_variable};

/// Longest script, in bytes.
pub const MAX_TEXT: usize = 64 << 10;

/// `with:` of a step that uses `script`.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    #[serde(default = "shell")]
    pub interpreter: String,
    #[serde(default)]
    pub text: Option<String>,
    /// The script from a URL instead.
    #[serde(default)]
    pub file: Option<Source>,
    #[serde(default)]
    pub arguments: Vec<String>,
    #[serde(default)]
    pub parameters: BTreeMap<String, Parameter>,
    #[serde(default)]
    pub environment: BTreeMap<String, String>,
    /// Variable to name of a secret.
    #[serde(default)]
    pub secrets: BTreeMap<String, String>,
    #[serde(default)]
    pub user: Option<String>,
    #[serde(default)]
    pub working_directory: Option<String>,
    #[serde(default)]
    pub files: Vec<File>,
    #[serde(default)]
    pub services: Vec<Service>,
}

/// A unit to register.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Service {
    pub unit: String,
    #[serde(default)]
    pub content: Option<String>,
    /// Whose manager runs it: the system's when there is none.
    #[serde(default)]
    pub user: Option<String>,
    #[serde(default = "yes")]
    pub enable: bool,
    #[serde(default = "yes")]
    pub start: bool,
}

// === impl Config ===

impl Config {
    /// Every finding at once.
    pub fn check(&self) -> Vec<Diagnostic> {
        let mut found = Vec::new();
        let root = Pointer::root();
        self.check_script(&root, &mut found);
        self.check_variables(&root, &mut found);
        if let Some(Err(reason)) = self.user.as_deref().map(check_user) {
            found.push(Diagnostic::error("/user", "invalid-name", reason));
        }
        if let Some(Err(reason)) = self
            .working_directory
            .as_deref()
            .filter(|directory| *directory != "/")
            .map(check_path)
        {
            found.push(
                Diagnostic::error("/working_directory", "invalid-path", reason)
                    .with_hint("write `/srv/app` or `~ada/work`"),
            );
        }
        for (index, file) in self.files.iter().enumerate() {
            file.check(&root.key("files").index(index), &mut found);
        }
        for (index, service) in self.services.iter().enumerate() {
            service.check(&root.key("services").index(index), &mut found);
        }
        self.check_places(&root, &mut found);
        found
    }

    /// Whether there is something to run, and not only files and services.
    pub fn has_script(&self) -> bool {
        self.text.is_some() || self.file.is_some()
    }

    fn check_script(&self, root: &Pointer, found: &mut Vec<Diagnostic>) {
        if !self.interpreter.starts_with('/') || check_path(&self.interpreter).is_err() {
            found.push(
                Diagnostic::error(
                    "/interpreter",
                    "invalid-path",
                    format!("`{}` is no absolute path", self.interpreter),
                )
                .with_hint("write `/bin/sh` or `/usr/bin/python3`; options belong into the text"),
            );
        }
        match (&self.text, &self.file) {
            (Some(_), Some(_)) => found.push(
                Diagnostic::error("", "two-scripts", "it has `text` and `file`")
                    .with_hint("keep one of the two"),
            ),
            (None, None) if self.services.is_empty() && self.files.is_empty() => {
                found.push(
                    Diagnostic::error(
                        "",
                        "nothing-to-do",
                        "there is nothing to run and nothing to register",
                    )
                    .with_hint("give it `text`, `file`, `files` or `services`"),
                );
            }
            (None, None) => self.check_unused(root, found),
            _ => {}
        }
        if let Some(text) = &self.text {
            check_script_text(&root.key("text"), text, found);
        }
        if let Some(file) = &self.file {
            file.check(&root.key("file"), found);
        }
        for (index, argument) in self.arguments.iter().enumerate() {
            let at = root.key("arguments").index(index);
            check_variable(&at, argument, found);
            if has_placeholders(argument) {
                found.push(
                    Diagnostic::error(at, "placeholder-not-filled", "placeholders are not filled in arguments: every process of the guest can read those")
                        .with_hint("put it under `environment` and use the variable in the script"),
                );
            }
        }
    }

    /// What only a script could use.
    fn check_unused(&self, root: &Pointer, found: &mut Vec<Diagnostic>) {
        for (key, is_there) in [
            ("arguments", !self.arguments.is_empty()),
            ("parameters", !self.parameters.is_empty()),
            ("environment", !self.environment.is_empty()),
            ("secrets", !self.secrets.is_empty()),
            ("user", self.user.is_some()),
            ("working_directory", self.working_directory.is_some()),
        ] {
            if is_there {
                found.push(
                    Diagnostic::error(root.key(key), "no-script", "there is no script to use it")
                        .with_hint("give the step `text` or `file`; a service has its own `user`"),
                );
            }
        }
    }

    fn check_variables(&self, root: &Pointer, found: &mut Vec<Diagnostic>) {
        let parameters = self.parameters.keys().map(|name| ("parameters", name));
        let environment = self.environment.keys().map(|name| ("environment", name));
        let secrets = self.secrets.keys().map(|name| ("secrets", name));
        let mut seen: BTreeMap<&str, &str> = BTreeMap::new();
        for (list, name) in parameters.chain(environment).chain(secrets) {
            let at = root.key(list).key(name);
            if !is_variable(name) {
                found.push(
                    Diagnostic::error(
                        at,
                        "invalid-name",
                        format!("`{name}` is no name of an environment variable"),
                    )
                    .with_hint("use letters, digits and `_`, not beginning with a digit"),
                );
            } else if name.starts_with("BOOTSPLICE_") {
                found.push(
                    Diagnostic::error(
                        at,
                        "reserved-name",
                        "names with `BOOTSPLICE_` belong to the agent",
                    )
                    .with_hint("choose another name"),
                );
            } else if let Some(first) = seen.insert(name, list) {
                found.push(
                    Diagnostic::error(
                        at,
                        "duplicate-variable",
                        format!("`{name}` stands under `{first}` already"),
                    )
                    .with_hint("keep one of the two"),
                );
            }
        }
        for (name, parameter) in &self.parameters {
            parameter.check(&root.key("parameters").key(name), found);
        }
        for (name, value) in &self.environment {
            let at = root.key("environment").key(name);
            check_variable(&at, value, found);
            check_text(&at, value, found);
        }
        for (name, secret) in &self.secrets {
            let fits = (1..=128).contains(&secret.len())
                && secret
                    .bytes()
                    .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-'));
            if !fits {
                found.push(
                    Diagnostic::error(
                        root.key("secrets").key(name),
                        "invalid-name",
                        "a secret's name has 1 to 128 letters, digits, `.`, `_` and `-`",
                    )
                    .with_hint("give the name of a secret, never its value"),
                );
            }
        }
    }

    fn check_places(&self, root: &Pointer, found: &mut Vec<Diagnostic>) {
        let files = self.files.iter().enumerate().map(|(index, file)| {
            (
                root.key("files").index(index).key("path"),
                file.path.clone(),
            )
        });
        let units = self
            .services
            .iter()
            .enumerate()
            .filter_map(|(index, service)| {
                let at = root.key("services").index(index);
                service
                    .content
                    .as_ref()
                    .map(|_| (at.key("content"), service.path()))
            });
        let places: Vec<_> = files.chain(units).collect();
        check_unique(
            places.iter().map(|(at, path)| (at.clone(), path.as_str())),
            found,
        );
    }
}

// === impl Service ===

impl Service {
    /// Where its unit file lies.
    pub fn path(&self) -> String {
        match &self.user {
            Some(user) => format!("~{user}/.config/systemd/user/{}", self.unit),
            None => format!("/etc/systemd/system/{}", self.unit),
        }
    }

    fn check(&self, at: &Pointer, found: &mut Vec<Diagnostic>) {
        if let Err(reason) = check_unit(&self.unit) {
            found.push(Diagnostic::error(
                at.key("unit"),
                "invalid-name",
                format!("`{}`: {reason}", self.unit),
            ));
        } else if self.unit.contains("@.") && (self.start || self.enable) {
            found.push(
                Diagnostic::error(at.key("unit"), "template-unit", format!("`{}` is a template: only its instances are enabled and started", self.unit))
                    .with_hint("say `enable: false, start: false` here, and register `name@instance.service` as another service"),
            );
        }
        if let Some(Err(reason)) = self.user.as_deref().map(check_user) {
            found.push(Diagnostic::error(at.key("user"), "invalid-name", reason));
        }
        match &self.content {
            Some(content) if content.len() > MAX_CONTENT => {
                found.push(Diagnostic::error(
                    at.key("content"),
                    "too-long",
                    format!("{} bytes; at most {MAX_CONTENT}", content.len()),
                ));
            }
            Some(content) => {
                check_text(&at.key("content"), content, found);
                if self.enable && !content.lines().any(|line| line.trim() == "[Install]") {
                    found.push(
                        Diagnostic::error(
                            at.key("enable"),
                            "nothing-to-enable",
                            "the unit file has no [Install] section",
                        )
                        .with_hint("add one, or say `enable: false`"),
                    );
                }
            }
            None if !self.enable && !self.start => {
                found.push(Diagnostic::error(
                    at.clone(),
                    "nothing-to-do",
                    "the unit is neither written, enabled nor started",
                ));
            }
            None => {}
        }
    }
}

/// The template format of unit files.
pub const UNIT_FORMAT: Format = Format::Ini;

/// Findings about the text of a script, wherever it came from.
pub fn check_script_text(at: &Pointer, text: &str, found: &mut Vec<Diagnostic>) {
    if text.trim().is_empty() {
        found.push(Diagnostic::error(
            at.clone(),
            "empty-script",
            "the script is empty",
        ));
    }
    if text.len() > MAX_TEXT {
        found.push(
            Diagnostic::error(
                at.clone(),
                "too-long",
                format!("{} bytes; at most {MAX_TEXT}", text.len()),
            )
            .with_hint("put the long part under `files` and call it"),
        );
    }
    if text.contains('\0') {
        found.push(Diagnostic::error(
            at.clone(),
            "holds-nul",
            "a script is text, without NUL",
        ));
    }
    if has_placeholders(text) {
        found.push(
            Diagnostic::warning(at.clone(), "placeholder-not-filled", "the text is no template: the placeholder stays as it stands here")
                .with_hint("put it under `environment`, or name the secret under `secrets`, and use the variable"),
        );
    }
}

fn is_variable(name: &str) -> bool {
    let mut bytes = name.bytes();
    bytes
        .next()
        .is_some_and(|first| first.is_ascii_alphabetic() || first == b'_')
        && bytes.all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

fn shell() -> String {
    "/bin/sh".to_owned()
}

fn yes() -> bool {
    true
}
