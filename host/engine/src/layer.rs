//! From a step's content to its layer, and to the part that is filled per launch (RFC 0002, RFC 0003).
//!
//! What holds no placeholder becomes the step's layer: shared, cached by its key. What holds one is the [`TemplatePart`]: small, kept beside
//! the layer's record, filled by the host for each launch into the one instance layer. No guest code runs for that.

use std::collections::BTreeSet;
use std::io::{self, Read, Write};

use bootsplice_archive::layer::{LayerRecord, LayerWriter};
use bootsplice_archive::step::{self, IndexedAction, StepDocument, paths};
use bootsplice_archive::{ArchiveError, FORMAT};
use bootsplice_content::Digest;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::blobs::Blob;
use crate::content::{
    Attributes, Entry, EntryKind, FillError, GuestPath, Placeholder, StepContent, TemplateFormat,
    Text, Values, action,
};

/// Why a layer could not be written.
#[derive(Debug, thiserror::Error)]
pub enum LayerError {
    /// A launch lacks a value, or a value does not fit where it is to stand. The launch's author must mend it.
    #[error("step `{step}`, {place}: {source}")]
    Fill {
        step: String,
        place: String,
        #[source]
        source: FillError,
    },
    #[error(transparent)]
    Archive(#[from] ArchiveError),
    /// Reading spooled content failed. The operator must look.
    #[error("step `{step}`, {path}: {source}")]
    Content {
        step: String,
        path: String,
        #[source]
        source: io::Error,
    },
}

/// What of a step is filled per launch. Holds names of secrets, never values.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TemplatePart {
    pub entries: Vec<TemplateEntry>,
    pub actions: Vec<IndexedAction>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TemplateEntry {
    pub path: GuestPath,
    pub attributes: Attributes,
    pub format: TemplateFormat,
    pub text: Text,
}

/// One step's share of an instance layer.
#[derive(Clone, Debug)]
pub struct InstancePart<'a> {
    pub step: &'a str,
    pub body: InstanceBody<'a>,
}

#[derive(Clone, Copy, Debug)]
pub enum InstanceBody<'a> {
    /// Of a shared step.
    Template(&'a TemplatePart),
    /// All that a per-instance step made.
    Content(&'a StepContent),
}

/// A payload on its way into a layer.
enum Payload<'a> {
    File(&'a Blob),
    Filled(Zeroizing<String>),
    Dir,
    Symlink(&'a str),
}

/// A step's document and its payloads, sorted by their paths in the archive.
struct Draft<'a> {
    step: &'a str,
    document: StepDocument,
    payloads: Vec<(String, u32, Payload<'a>)>,
}

// === impl TemplatePart ===

impl TemplatePart {
    /// What of `content` holds a placeholder.
    pub fn of(content: &StepContent) -> Self {
        let entries = content
            .entries
            .iter()
            .filter_map(|entry| match &entry.kind {
                EntryKind::Template(text, format) => Some(TemplateEntry {
                    path: entry.path.clone(),
                    attributes: entry.attributes.clone(),
                    format: *format,
                    text: text.clone(),
                }),
                _ => None,
            });
        Self {
            entries: entries.collect(),
            actions: indexed(content).filter(is_template).collect(),
        }
    }

    /// True when nothing is filled: the step has no part in the instance layer.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty() && self.actions.is_empty()
    }

    /// Every placeholder with the place where it stands: what a plan checks before anything runs.
    pub fn placeholders(&self) -> BTreeSet<(Placeholder, String)> {
        let mut found = BTreeSet::new();
        for entry in &self.entries {
            found.extend(
                entry
                    .text
                    .placeholders()
                    .map(|name| (name.clone(), entry.path.to_string())),
            );
        }
        for one in &self.actions {
            // Actions were checked when the generator added them.
            let names = action::placeholders(&one.action).unwrap_or_default();
            found.extend(
                names
                    .into_iter()
                    .map(|name| (name, format!("action {}", one.index))),
            );
        }
        found
    }
}

/// Writes the layer of a shared step. `mtime` is the lock's time. The same content gives the same bytes.
pub fn write_shared<W: Write>(
    step: &str,
    content: &StepContent,
    mtime: u64,
    out: W,
) -> Result<(W, LayerRecord), LayerError> {
    let mut draft = Draft::new(step, content);
    for entry in &content.entries {
        if !matches!(entry.kind, EntryKind::Template(..)) {
            draft.add(entry, None, false)?;
        }
    }
    draft.document.actions = indexed(content).filter(|one| !is_template(one)).collect();
    let mut writer = LayerWriter::new(out, mtime)?;
    draft.write(&mut writer, false)?;
    Ok(writer.finish()?)
}

/// Writes the instance layer of a launch. Values of secrets end here: `out` must be memory, or encrypted (rule 20).
pub fn write_instance<W: Write>(
    parts: &[InstancePart<'_>],
    values: &Values,
    mtime: u64,
    out: W,
) -> Result<(W, LayerRecord), LayerError> {
    let mut parts: Vec<&InstancePart<'_>> = parts.iter().collect();
    parts.sort_by_key(|part| part.step);
    let mut writer = LayerWriter::new(out, mtime)?;
    for part in parts {
        let draft = match part.body {
            InstanceBody::Template(template) => Draft::of_template(part.step, template, values)?,
            InstanceBody::Content(content) => Draft::of_content(part.step, content, values)?,
        };
        draft.write(&mut writer, true)?;
    }
    Ok(writer.finish()?)
}

// === impl Draft ===

impl<'a> Draft<'a> {
    fn new(step: &'a str, content: &StepContent) -> Self {
        let mut draft = Self::empty(step);
        draft.document.notes.clone_from(&content.notes);
        draft.document.reboot_required = content.reboot_required;
        draft
    }

    fn empty(step: &'a str) -> Self {
        Self {
            step,
            document: StepDocument {
                format: FORMAT,
                entries: Vec::new(),
                actions: Vec::new(),
                notes: Vec::new(),
                reboot_required: false,
            },
            payloads: Vec::new(),
        }
    }

    fn of_template(
        step: &'a str,
        template: &'a TemplatePart,
        values: &Values,
    ) -> Result<Self, LayerError> {
        let mut draft = Self::empty(step);
        for entry in &template.entries {
            let filled = draft.fill(&entry.path, &entry.text, entry.format, values)?;
            draft.record(
                &entry.path,
                &entry.attributes,
                Payload::Filled(filled),
                true,
            )?;
        }
        draft.document.actions = draft.fill_actions(template.actions.iter().cloned(), values)?;
        Ok(draft)
    }

    fn of_content(
        step: &'a str,
        content: &'a StepContent,
        values: &Values,
    ) -> Result<Self, LayerError> {
        let mut draft = Self::new(step, content);
        for entry in &content.entries {
            draft.add(entry, Some(values), true)?;
        }
        draft.document.actions = draft.fill_actions(indexed(content), values)?;
        Ok(draft)
    }

    fn add(
        &mut self,
        entry: &'a Entry,
        values: Option<&Values>,
        instance: bool,
    ) -> Result<(), LayerError> {
        let payload = match (&entry.kind, values) {
            (EntryKind::File(blob), _) => Payload::File(blob),
            (EntryKind::Dir, _) => Payload::Dir,
            (EntryKind::Symlink(to), _) => Payload::Symlink(to),
            (EntryKind::Template(text, format), Some(values)) => {
                Payload::Filled(self.fill(&entry.path, text, *format, values)?)
            }
            // Without values there is nothing to fill: templates belong to the instance layer.
            (EntryKind::Template(..), None) => return Ok(()),
        };
        self.record(&entry.path, &entry.attributes, payload, instance)
    }

    fn record(
        &mut self,
        path: &GuestPath,
        attributes: &Attributes,
        payload: Payload<'a>,
        instance: bool,
    ) -> Result<(), LayerError> {
        let (kind, size, sha256, to) = match &payload {
            Payload::File(blob) => {
                let digest = blob
                    .digest()
                    .map_err(|source| self.unreadable(path.as_str(), source))?;
                (step::EntryKind::File, blob.size(), Some(digest), None)
            }
            Payload::Filled(text) => {
                let digest = Digest::of(text.as_bytes());
                (step::EntryKind::File, text.len() as u64, Some(digest), None)
            }
            Payload::Dir => (step::EntryKind::Dir, 0, None, None),
            Payload::Symlink(to) => (step::EntryKind::Symlink, 0, None, Some((*to).to_owned())),
        };
        let (owner, group) = match &attributes.owner {
            Some(owner) => (Some(owner.user.clone()), Some(owner.group.clone())),
            None => (None, None),
        };
        self.document.entries.push(step::Entry {
            path: path.to_string(),
            kind,
            mode: attributes.mode,
            owner,
            group,
            on_conflict: attributes.on_conflict,
            size,
            sha256,
            to,
        });
        self.payloads.push((
            paths::payload(self.step, instance, path.as_str()),
            attributes.mode,
            payload,
        ));
        Ok(())
    }

    fn fill(
        &self,
        path: &GuestPath,
        text: &Text,
        format: TemplateFormat,
        values: &Values,
    ) -> Result<Zeroizing<String>, LayerError> {
        text.fill(values, format)
            .map_err(|source| LayerError::Fill {
                step: self.step.to_owned(),
                place: path.to_string(),
                source,
            })
    }

    fn fill_actions(
        &self,
        actions: impl Iterator<Item = IndexedAction>,
        values: &Values,
    ) -> Result<Vec<IndexedAction>, LayerError> {
        actions
            .map(|one| {
                let action =
                    action::fill(&one.action, values).map_err(|source| LayerError::Fill {
                        step: self.step.to_owned(),
                        place: format!("action {}", one.index),
                        source,
                    })?;
                Ok(IndexedAction {
                    index: one.index,
                    action,
                })
            })
            .collect()
    }

    /// Writes document and payloads, sorted: the document's name sorts before its tree.
    fn write<W: Write>(
        mut self,
        writer: &mut LayerWriter<W>,
        instance: bool,
    ) -> Result<(), LayerError> {
        let path = if instance {
            paths::instance(self.step)
        } else {
            paths::step(self.step)
        };
        self.document.entries.sort_by(|a, b| a.path.cmp(&b.path));
        let document = Zeroizing::new(
            serde_json::to_vec(&self.document)
                .map_err(|error| self.unreadable(&path, io::Error::other(error)))?,
        );
        writer.file(&path, 0o644, document.len() as u64, &document[..])?;
        self.payloads.sort_by(|a, b| a.0.cmp(&b.0));
        for (path, mode, payload) in &self.payloads {
            match payload {
                Payload::File(blob) => writer.file(path, *mode, blob.size(), blob.reader())?,
                Payload::Filled(text) => {
                    writer.file(path, *mode, text.len() as u64, text.as_bytes().by_ref())?
                }
                Payload::Dir => writer.dir(path, *mode)?,
                Payload::Symlink(to) => writer.symlink(path, to)?,
            }
        }
        Ok(())
    }

    fn unreadable(&self, path: &str, source: io::Error) -> LayerError {
        LayerError::Content {
            step: self.step.to_owned(),
            path: path.to_owned(),
            source,
        }
    }
}

/// The actions of a step with their places, shared and filled ones counted together.
fn indexed(content: &StepContent) -> impl Iterator<Item = IndexedAction> + '_ {
    (0..)
        .zip(&content.actions)
        .map(|(index, action)| IndexedAction {
            index,
            action: action.clone(),
        })
}

/// True when an action is filled per launch.
fn is_template(one: &IndexedAction) -> bool {
    action::placeholders(&one.action).is_ok_and(|names| !names.is_empty())
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};
    use std::sync::Arc;

    use bootsplice_archive::step::Command;

    use super::*;
    use crate::content::{Action, StepBuilder, StepLimits};
    use crate::contract::{Instance, OsFamily, Summary};
    use crate::secret::Secret;

    const CANARY: &str = "canary-5e1f";

    fn content() -> StepContent {
        let limits = StepLimits {
            bytes: 1 << 20,
            entries: 100,
            secrets: BTreeSet::from(["key".to_owned()]),
        };
        let mut step = StepBuilder::new(OsFamily::Linux, limits);
        let attributes = Attributes::default;
        step.file("/usr/a", attributes(), Blob::from_bytes(&b"usr"[..]))
            .unwrap();
        step.file("~ada/z", attributes(), Blob::from_bytes(&b"home"[..]))
            .unwrap();
        step.symlink("/usr/link", "a").unwrap();
        step.template(
            "/etc/motd",
            attributes(),
            "hello {{instance:id}}\n",
            TemplateFormat::Plain,
        )
        .unwrap();
        for value in ["constant", "{{secret:key}}"] {
            step.action(Action::Run(Command {
                interpreter: "/bin/sh".into(),
                text: "true".into(),
                arguments: vec![],
                environment: vec![("KEY".into(), value.into())],
                user: None,
                working_directory: None,
            }))
            .unwrap();
        }
        step.finish(Summary::default()).unwrap()
    }

    fn values() -> Values {
        Values {
            instance: Instance {
                id: "i-7".into(),
                profile: "web@1".into(),
                attributes: BTreeMap::new(),
            },
            secrets: Arc::new(|name| (name == "key").then(|| Secret::new(CANARY))),
        }
    }

    /// Paths and contents of a layer, by stock tools' eyes.
    fn members(layer: &[u8]) -> Vec<(String, Vec<u8>)> {
        let mut plain = zstd::decode_all(layer).unwrap();
        plain.extend([0; 1024]);
        let mut archive = tar::Archive::new(&plain[..]);
        archive
            .entries()
            .unwrap()
            .map(|member| {
                let mut member = member.unwrap();
                let mut bytes = Vec::new();
                member.read_to_end(&mut bytes).unwrap();
                (member.path().unwrap().display().to_string(), bytes)
            })
            .collect()
    }

    #[test]
    fn a_layer_is_sorted_and_the_same_every_time() {
        let (first, record) = write_shared("apps", &content(), 1_700_000_000, Vec::new()).unwrap();
        let (second, again) = write_shared("apps", &content(), 1_700_000_000, Vec::new()).unwrap();
        assert_eq!(first, second);
        assert_eq!(record, again);
        let names: Vec<_> = members(&first).into_iter().map(|(name, _)| name).collect();
        assert_eq!(
            names,
            [
                "bootsplice/apps/step.json",
                "bootsplice/apps/tree/home/ada/z",
                "bootsplice/apps/tree/root/usr/a",
                "bootsplice/apps/tree/root/usr/link",
            ]
        );
    }

    #[test]
    fn values_of_a_launch_are_in_its_instance_layer_and_nowhere_else() {
        let content = content();
        let (shared, _) = write_shared("apps", &content, 1, Vec::new()).unwrap();
        let template = TemplatePart::of(&content);
        let kept = serde_json::to_string(&template).unwrap();
        let template: TemplatePart = serde_json::from_str(&kept).unwrap();
        let part = InstancePart {
            step: "apps",
            body: InstanceBody::Template(&template),
        };
        let (instance, _) = write_instance(&[part], &values(), 1, Vec::new()).unwrap();
        let found = members(&instance);
        assert_eq!(found[0].0, "bootsplice/apps/instance.json");
        assert_eq!(
            found[1],
            (
                "bootsplice/apps/instance/root/etc/motd".into(),
                b"hello i-7\n".to_vec()
            )
        );
        let document: StepDocument = serde_json::from_slice(&found[0].1).unwrap();
        assert_eq!(document.actions.len(), 1);
        assert_eq!(
            document.actions[0].index, 1,
            "its place among all actions of the step"
        );
        assert!(String::from_utf8_lossy(&found[0].1).contains(CANARY));
        let plain = zstd::decode_all(&shared[..]).unwrap();
        for elsewhere in [&plain[..], kept.as_bytes()] {
            assert!(
                !elsewhere
                    .windows(CANARY.len())
                    .any(|window| window == CANARY.as_bytes())
            );
        }
        let document: StepDocument = serde_json::from_slice(&members(&shared)[0].1).unwrap();
        assert_eq!(document.actions[0].index, 0);
        assert_eq!(document.actions.len(), 1);
    }

    #[test]
    fn a_per_instance_step_lies_wholly_in_the_instance_layer() {
        let content = content();
        let part = InstancePart {
            step: "apps",
            body: InstanceBody::Content(&content),
        };
        let (instance, _) = write_instance(&[part], &values(), 1, Vec::new()).unwrap();
        let names: Vec<_> = members(&instance)
            .into_iter()
            .map(|(name, _)| name)
            .collect();
        assert_eq!(names.len(), 5);
        assert!(
            names[1..]
                .iter()
                .all(|name| name.starts_with("bootsplice/apps/instance/")),
            "{names:?}"
        );
    }

    #[test]
    fn a_missing_value_names_its_step_and_place() {
        let template = TemplatePart::of(&content());
        let mut values = values();
        values.secrets = crate::secret::no_secrets();
        let part = InstancePart {
            step: "apps",
            body: InstanceBody::Template(&template),
        };
        let error = write_instance(&[part], &values, 1, Vec::new()).unwrap_err();
        assert_eq!(
            error.to_string(),
            "step `apps`, action 1: the launch has no value for {{secret:key}}"
        );
    }
}
