//! The configuration of a step. Its schema is `schema.json`.

use std::collections::BTreeMap;

use bootsplice_sdk::prelude::*;
use bootsplice_sdk::source::Source as Artefact;
use serde::Deserialize;

use crate::sources::{self, Source, SourceError};

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    pub packages: Vec<Wish>,
    #[serde(default)]
    pub sources: Option<Vec<String>>,
    #[serde(default)]
    pub credentials: BTreeMap<String, String>,
    #[serde(default)]
    pub preferences: String,
    #[serde(default)]
    pub default_release: Option<String>,
    #[serde(default)]
    pub recommends: Option<Recommends>,
    #[serde(default)]
    pub base: Base,
    #[serde(default = "yes")]
    pub upgrade_by_source: bool,
    #[serde(default)]
    pub allow_removals: bool,
    #[serde(default)]
    pub phased_updates: Phased,
    #[serde(default)]
    pub snapshot: Option<String>,
    #[serde(default)]
    pub snapshot_servers: BTreeMap<String, String>,
    #[serde(default)]
    pub accept_release_changes: bool,
    #[serde(default)]
    pub debconf: Option<String>,
    #[serde(default)]
    pub conffiles: Conffiles,
    #[serde(default)]
    pub hold: Vec<String>,
    #[serde(default)]
    pub later_sources: BTreeMap<String, String>,
}

/// One thing to install.
#[derive(Clone, Debug, Deserialize)]
#[serde(untagged)]
pub enum Wish {
    /// In apt's words.
    Name(String),
    /// A package file.
    File(Artefact),
}

#[derive(Clone, Debug, Deserialize)]
#[serde(untagged)]
pub enum Recommends {
    All(bool),
    Named(Vec<String>),
}

/// What may happen to the image's packages.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Base {
    #[default]
    Minimal,
    Frozen,
    Upgrade,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Phased {
    #[default]
    Never,
    Always,
}

/// Whose version of a changed configuration file stays.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Conffiles {
    #[default]
    Keep,
    Replace,
}

fn yes() -> bool {
    true
}

// === impl Config ===

impl Config {
    /// What the schema cannot say; every finding at once.
    pub fn check(&self) -> Vec<Diagnostic> {
        let root = Pointer::root();
        let mut found = Vec::new();
        for (index, wish) in self.packages.iter().enumerate() {
            let at = root.key("packages").index(index);
            match wish {
                Wish::Name(name) => check_wish(&at, name, &mut found),
                Wish::File(file) => {
                    file.check(&at, &mut found);
                    if file.sha256.is_none() {
                        let finding = Diagnostic::warning(
                            at.key("sha256"),
                            "not-pinned",
                            "without a digest the file is taken as it is when the step is locked",
                        );
                        found
                            .push(finding.with_hint("give the `sha256` that its vendor publishes"));
                    }
                }
            }
        }
        for (index, text) in self.sources.iter().flatten().enumerate() {
            if let Err(errors) = entries(text, "this entry") {
                let at = root.key("sources").index(index);
                found.extend(errors.into_iter().map(|error| {
                    Diagnostic::error(at.clone(), "invalid-source", error.to_string())
                }));
            }
        }
        for (name, text) in &self.later_sources {
            let at = root.key("later_sources").key(name);
            let stem = name.strip_suffix(".list").or(name.strip_suffix(".sources"));
            let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
            if stem.is_none_or(|stem| {
                stem.is_empty() || stem.starts_with('.') || !stem.bytes().all(plain)
            }) {
                found.push(Diagnostic::error(
                    at.clone(),
                    "invalid-name",
                    format!("`{name}` is no name that apt reads: letters, digits, `.`, `_`, `-`, ending in `.list` or `.sources`"),
                ));
            } else if let Err(errors) = sources::parse(text, name, name.ends_with(".sources")) {
                found.extend(errors.into_iter().map(|error| {
                    Diagnostic::error(at.clone(), "invalid-source", error.to_string())
                }));
            }
        }
        for (address, template) in &self.snapshot_servers {
            if !template.contains("@SNAPSHOTID@") {
                let at = root.key("snapshot_servers").key(address);
                let text = format!("`{template}` has no `@SNAPSHOTID@` where the time belongs");
                found.push(Diagnostic::error(at, "invalid-template", text));
            }
        }
        for origin in self.credentials.keys() {
            if !origin.starts_with("https://") {
                found.push(Diagnostic::error(
                    root.key("credentials").key(origin),
                    "insecure",
                    format!("`{origin}` is not `https://…`: a credential is sent to no other"),
                ));
            }
        }
        for (index, name) in self.hold.iter().enumerate() {
            if !is_package(name) {
                let text = format!("`{name}` is no name of a package");
                let at = root.key("hold").index(index);
                found.push(Diagnostic::error(at, "invalid-name", text));
            }
        }
        found
    }

    /// The entries that the configuration gives itself.
    pub fn own_sources(&self) -> Option<Result<Vec<Source>, Vec<SourceError>>> {
        let texts = self.sources.as_ref()?;
        let (mut all, mut errors) = (Vec::new(), Vec::new());
        for (index, text) in texts.iter().enumerate() {
            match entries(text, &format!("/sources/{index}")) {
                Ok(found) => all.extend(found),
                Err(found) => errors.extend(found),
            }
        }
        Some(if errors.is_empty() {
            Ok(all)
        } else {
            Err(errors)
        })
    }

    /// The name of the secret for an address: that of the longest origin it lies below.
    pub fn credential(&self, url: &str) -> Option<&str> {
        let below = |origin: &&String| {
            let origin = origin.trim_end_matches('/');
            url.strip_prefix(origin)
                .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        };
        let origin = self
            .credentials
            .keys()
            .filter(below)
            .max_by_key(|origin| origin.len())?;
        self.credentials.get(origin).map(String::as_str)
    }
}

/// Entries of either style: one-line entries begin with their type.
fn entries(text: &str, name: &str) -> Result<Vec<Source>, Vec<SourceError>> {
    let first = text
        .lines()
        .find(|line| !line.trim().is_empty() && !line.starts_with('#'))
        .unwrap_or_default();
    let kind = first.split_whitespace().next().unwrap_or_default();
    sources::parse(text, name, kind.contains(':'))
}

/// `name[:arch][=version|/suite]`, or `name-`.
fn check_wish(at: &Pointer, wish: &str, found: &mut Vec<Diagnostic>) {
    let (name, choice) = match wish.find(['=', '/']) {
        Some(split) => (&wish[..split], Some(&wish[split + 1..])),
        None => (wish.strip_suffix('-').unwrap_or(wish), None),
    };
    let (name, architecture) = name.split_once(':').unwrap_or((name, "all"));
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    let chosen = |text: &str| {
        !text.is_empty()
            && text
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || b".+~:-*?_".contains(&byte))
    };
    let good = is_package(name)
        && !architecture.is_empty()
        && architecture.bytes().all(plain)
        && choice.is_none_or(chosen);
    if !good {
        let text = format!(
            "`{wish}` names no package: expected `name`, `name=version`, `name/suite`, `name:architecture` or `name-`"
        );
        found.push(Diagnostic::error(at.clone(), "invalid-package", text));
    }
}

/// Debian Policy 5.6.7: at least two characters of lower-case letters, digits, `+`, `-`, `.`, the first a letter or digit.
pub fn is_package(name: &str) -> bool {
    let letter = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    name.len() >= 2
        && name.bytes().next().is_some_and(letter)
        && name
            .bytes()
            .all(|byte| letter(byte) || b"+-.".contains(&byte))
}
