//! A file in a configuration, as several generators take it: content in place, or from a URL.

use serde::Deserialize;

use crate::bindings::bootsplice::generator::types::Diagnostic;
use crate::config::{Format, Mode, OnConflict, check_owner, entry_attrs};
use crate::path::check_path;
use crate::placeholder::{check_text, format_of, has_placeholders};
use crate::pointer::Pointer;
use crate::source::Source;
use crate::step::{Entry, Kind};

/// Longest content that stands in a configuration, in bytes (1 MiB).
pub const MAX_CONTENT: usize = 1 << 20;

/// A whole file. Content with placeholders is a template; `template: false` takes it as it is.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct File {
    pub path: String,
    #[serde(default)]
    pub content: Option<String>,
    #[serde(default)]
    pub source: Option<Source>,
    #[serde(default)]
    pub template: Option<bool>,
    #[serde(default)]
    pub format: Option<Format>,
    #[serde(default)]
    pub mode: Option<Mode>,
    #[serde(default)]
    pub owner: Option<String>,
    #[serde(default)]
    pub group: Option<String>,
    #[serde(default)]
    pub on_conflict: OnConflict,
}

// === impl File ===

impl File {
    /// Findings about the file at `at`.
    pub fn check(&self, at: &Pointer, found: &mut Vec<Diagnostic>) {
        if let Err(reason) = check_path(&self.path) {
            found.push(
                Diagnostic::error(
                    at.key("path"),
                    "invalid-path",
                    format!("`{}`: {reason}", self.path),
                )
                .with_hint("write `/etc/motd`, or `~ada/notes.txt` for a user's home"),
            );
        }
        check_owner(at, self.owner.as_deref(), self.group.as_deref(), found);
        match (&self.content, &self.source) {
            (Some(_), Some(_)) => {
                found.push(
                    Diagnostic::error(at.clone(), "two-contents", "it has `content` and `source`")
                        .with_hint("keep one of the two"),
                );
            }
            (None, None) => {
                found.push(
                    Diagnostic::error(
                        at.clone(),
                        "no-content",
                        "it has neither `content` nor `source`",
                    )
                    .with_hint("for an empty file write `content: \"\"`"),
                );
            }
            _ => {}
        }
        if let Some(source) = &self.source {
            source.check(&at.key("source"), found);
            if self.template == Some(true) || self.format.is_some() {
                found.push(
                    Diagnostic::error(
                        at.clone(),
                        "source-is-no-template",
                        "what comes from a URL is taken as it is",
                    )
                    .with_hint("put the text into `content`, or take `template` and `format` away"),
                );
            }
        }
        if let Some(content) = &self.content {
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
                    .with_hint("put it behind a URL and name that as `source`"),
                );
            }
            if self.template != Some(false) {
                check_text(&at.key("content"), content, found);
            }
        }
    }

    /// The entry that the file at `at` becomes. Its pin is called by that pointer.
    pub fn entry(&self, at: &Pointer) -> Entry {
        let attrs = entry_attrs(
            self.mode,
            0o644,
            self.owner.as_deref(),
            self.group.as_deref(),
            self.on_conflict,
        );
        let kind = match (&self.content, &self.source) {
            (None, Some(_)) => Kind::Pinned(attrs, at.to_string()),
            (content, _) => {
                let text = content.clone().unwrap_or_default();
                if self.template != Some(false) && has_placeholders(&text) {
                    let format = self
                        .format
                        .map_or_else(|| format_of(&self.path), Into::into);
                    Kind::Template(attrs, text, format)
                } else {
                    Kind::Bytes(attrs, text.into_bytes())
                }
            }
        };
        Entry {
            path: self.path.clone(),
            kind,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bindings::bootsplice::generator::archive::TemplateFormat;

    fn file(json: &str) -> File {
        serde_json::from_str(json).unwrap()
    }

    #[test]
    fn content_with_a_placeholder_is_a_template_unless_told_otherwise() {
        let at = Pointer::root();
        let template = file(r#"{"path": "/a.json", "content": "{{instance:id}}"}"#).entry(&at);
        assert!(matches!(
            template.kind,
            Kind::Template(_, _, TemplateFormat::Json)
        ));
        let plain = file(r#"{"path": "/a.json", "content": "{{instance:id}}", "template": false}"#)
            .entry(&at);
        assert!(matches!(plain.kind, Kind::Bytes(..)));
        let other = file(r#"{"path": "/a.json", "content": "{{instance:id}}", "format": "plain"}"#)
            .entry(&at);
        assert!(matches!(
            other.kind,
            Kind::Template(_, _, TemplateFormat::Plain)
        ));
    }

    #[test]
    fn every_fault_of_a_file_is_found_at_once() {
        let mut found = Vec::new();
        file(r#"{"path": "etc", "owner": "a b", "content": "{{secret:}}", "source": {"url": "ftp://x/y"}}"#).check(&Pointer::root().key("files").index(0), &mut found);
        let pointers: Vec<_> = found
            .iter()
            .map(|finding| finding.pointer.as_str())
            .collect();
        assert_eq!(
            pointers,
            [
                "/files/0/path",
                "/files/0/owner",
                "/files/0",
                "/files/0/source/url",
                "/files/0/content"
            ]
        );
    }
}
