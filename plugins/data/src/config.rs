//! The configuration, and what its schema cannot say about it.

use bootsplice_sdk::Diagnostic;
use bootsplice_sdk::config::{Mode, OnConflict, check_owner};
use bootsplice_sdk::file::MAX_CONTENT;
use bootsplice_sdk::path::{check_path, check_relative, check_user};
use bootsplice_sdk::placeholder::check_text;
use bootsplice_sdk::pointer::Pointer;
use bootsplice_sdk::source::{MAX_SIZE, Sha256, Source as Artefact, file_name};
use bootsplice_sdk::step::check_unique;
use serde::{Deserialize, Deserializer};
use serde_json::Value;

/// `with:` of a step that uses `data`.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// In whose home relative targets lie.
    #[serde(default)]
    pub user: Option<String>,
    pub sources: Vec<Source>,
}

/// One file or archive, and where it goes.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Source {
    #[serde(default)]
    pub url: Option<String>,
    #[serde(default)]
    pub content: Option<String>,
    #[serde(default)]
    pub sha256: Option<Sha256>,
    #[serde(default)]
    pub credential: Option<String>,
    #[serde(default)]
    pub unpack: Unpack,
    #[serde(default)]
    pub strip_components: u32,
    #[serde(default = "largest")]
    pub max_unpacked: u64,
    pub to: String,
    #[serde(default)]
    pub mode: Option<Mode>,
    #[serde(default)]
    pub directory_mode: Option<Mode>,
    #[serde(default)]
    pub owner: Option<String>,
    #[serde(default)]
    pub group: Option<String>,
    #[serde(default)]
    pub on_conflict: OnConflict,
}

/// `unpack:`, which is `false`, `true`, `tar` or `zip`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Unpack {
    /// One file, as it is.
    #[default]
    No,
    /// An archive of the kind that it shows itself.
    Any,
    Tar,
    Zip,
}

// === impl Config ===

impl Config {
    /// Every finding at once.
    pub fn check(&self) -> Vec<Diagnostic> {
        let mut found = Vec::new();
        let root = Pointer::root();
        if let Some(Err(reason)) = self.user.as_deref().map(check_user) {
            found.push(Diagnostic::error("/user", "invalid-name", reason));
        }
        if self.sources.is_empty() {
            found.push(
                Diagnostic::error("/sources", "nothing-to-do", "the step stages nothing")
                    .with_hint("give it a source with `url` and `to`"),
            );
        }
        for (index, source) in self.sources.iter().enumerate() {
            source.check(
                &root.key("sources").index(index),
                self.user.as_deref(),
                &mut found,
            );
        }
        let files: Vec<_> = self
            .sources
            .iter()
            .enumerate()
            .filter(|(_, source)| source.unpack == Unpack::No)
            .collect();
        let targets: Vec<_> = files
            .iter()
            .map(|(index, source)| (*index, source.target(self.user.as_deref())))
            .collect();
        check_unique(
            targets.iter().map(|(index, target)| {
                (root.key("sources").index(*index).key("to"), target.as_str())
            }),
            &mut found,
        );
        found
    }
}

// === impl Source ===

impl Source {
    /// The artefact behind the URL, if there is one.
    pub fn artefact(&self) -> Option<Artefact> {
        Some(Artefact {
            url: self.url.clone()?,
            sha256: self.sha256.clone(),
            credential: self.credential.clone(),
        })
    }

    /// Where it goes in the guest: the file's path, or the directory that an archive is unpacked into.
    pub fn target(&self, user: Option<&str>) -> String {
        let mut target = match user {
            Some(user) if !self.to.starts_with(['/', '~']) => format!("~{user}/{}", self.to),
            _ => self.to.clone(),
        };
        if target.ends_with('/') {
            if self.unpack == Unpack::No {
                target.push_str(self.url.as_deref().map_or("", file_name));
            } else {
                target.pop();
            }
        }
        target
    }

    fn check(&self, at: &Pointer, user: Option<&str>, found: &mut Vec<Diagnostic>) {
        match (&self.url, &self.content) {
            (Some(_), Some(_)) => found.push(
                Diagnostic::error(at.clone(), "two-contents", "it has `url` and `content`")
                    .with_hint("keep one of the two"),
            ),
            (None, None) => {
                found.push(
                    Diagnostic::error(
                        at.clone(),
                        "no-content",
                        "it has neither `url` nor `content`",
                    )
                    .with_hint("name the `url` of a file or archive"),
                );
            }
            _ => {}
        }
        if let Some(artefact) = self.artefact() {
            artefact.check(at, found);
        }
        self.check_content(at, found);
        self.check_target(at, user, found);
        check_owner(at, self.owner.as_deref(), self.group.as_deref(), found);
        if self.unpack == Unpack::No {
            for (key, is_there) in [
                ("strip_components", self.strip_components != 0),
                ("directory_mode", self.directory_mode.is_some()),
                ("max_unpacked", self.max_unpacked != MAX_SIZE),
            ] {
                if is_there {
                    found.push(
                        Diagnostic::error(
                            at.key(key),
                            "only-for-archives",
                            "nothing is unpacked here",
                        )
                        .with_hint("say `unpack: true`, or take it away"),
                    );
                }
            }
        }
    }

    fn check_content(&self, at: &Pointer, found: &mut Vec<Diagnostic>) {
        let Some(content) = &self.content else { return };
        if content.len() > MAX_CONTENT {
            found.push(
                Diagnostic::error(
                    at.key("content"),
                    "too-long",
                    format!(
                        "{} bytes; at most {MAX_CONTENT} stand in a profile",
                        content.len()
                    ),
                )
                .with_hint("put it behind a URL"),
            );
        }
        check_text(&at.key("content"), content, found);
        for (key, is_there) in [
            ("unpack", self.unpack != Unpack::No),
            ("sha256", self.sha256.is_some()),
            ("credential", self.credential.is_some()),
        ] {
            if is_there {
                found.push(
                    Diagnostic::error(
                        at.key(key),
                        "only-for-urls",
                        "content that stands here is not fetched",
                    )
                    .with_hint("take it away, or name a `url`"),
                );
            }
        }
    }

    fn check_target(&self, at: &Pointer, user: Option<&str>, found: &mut Vec<Diagnostic>) {
        let at = at.key("to");
        let relative = !self.to.starts_with(['/', '~']);
        if relative && user.is_none() {
            found.push(
                Diagnostic::error(
                    at,
                    "relative-target",
                    format!("`{}` is relative, and the step has no `user`", self.to),
                )
                .with_hint(format!(
                    "write `/{}`, or name the `user` whose home it lies in",
                    self.to
                )),
            );
            return;
        }
        let target = self.target(user);
        let verdict = match user {
            // The user's own name has its own finding.
            Some(user) if relative => {
                check_relative(target.strip_prefix(&format!("~{user}/")).unwrap_or(&target))
            }
            _ => check_path(&target),
        };
        if let Err(reason) = verdict {
            found.push(
                Diagnostic::error(at, "invalid-path", format!("`{}`: {reason}", self.to))
                    .with_hint(
                        "write `/srv/www`, `~ada/Documents`, or with `user: ada` just `Documents`",
                    ),
            );
        }
    }
}

// === impl Unpack ===

impl<'de> Deserialize<'de> for Unpack {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match Value::deserialize(deserializer)? {
            Value::Bool(false) => Ok(Self::No),
            Value::Bool(true) => Ok(Self::Any),
            Value::String(kind) if kind == "tar" => Ok(Self::Tar),
            Value::String(kind) if kind == "zip" => Ok(Self::Zip),
            other => Err(serde::de::Error::custom(format!(
                "`unpack` is true, false, tar or zip, not {other}"
            ))),
        }
    }
}

fn largest() -> u64 {
    MAX_SIZE
}
