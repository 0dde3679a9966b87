//! The content of a step as plain data: what a configuration comes to, decided without the host and tested without it, then written to the sink.

use std::collections::HashMap;

use crate::bindings::bootsplice::generator::archive::{
    Action, EntryAttrs, Ownership, Sink, TemplateFormat, UnpackFormat, UnpackOptions,
};
use crate::bindings::bootsplice::generator::blobs::Codec;
use crate::bindings::bootsplice::generator::types::{Diagnostic, Error};
use crate::bindings::exports::bootsplice::generator::generator::{Locked, Summary};
use crate::pointer::Pointer;
use crate::source;

/// Room that an entry's or action's own description takes, in bytes: a tar header, its padding and its line in `step.json`.
const OVERHEAD: u64 = 4096;
/// Most bytes that the host takes in one call for an entry, and for a piece of one.
const PIECE: usize = 1 << 20;
const WRITE: usize = 256 << 10;

/// Entries, actions and notes, in order.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct StepContent {
    pub entries: Vec<Entry>,
    pub actions: Vec<Action>,
    /// For people.
    pub notes: Vec<String>,
    pub reboot_required: bool,
}

/// One thing in the archive, or the many that an archive holds.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    pub path: String,
    pub kind: Kind,
}

/// What an entry is. A pin is named as in the lock file.
#[derive(Clone, Debug, PartialEq)]
pub enum Kind {
    Bytes(EntryAttrs, Vec<u8>),
    /// At most 1 MiB, filled by the host.
    Template(EntryAttrs, String, TemplateFormat),
    /// A pinned artefact as it is.
    Pinned(EntryAttrs, String),
    /// The members of a pinned archive, below the path.
    Unpacked(Unpack),
    Dir(EntryAttrs),
    /// A relative target.
    Symlink(String),
}

/// How a pinned archive is unpacked.
#[derive(Clone, Debug, PartialEq)]
pub struct Unpack {
    pub pin: String,
    pub format: UnpackFormat,
    pub codec: Option<Codec>,
    /// Bytes of the archive without its compression, at most.
    pub max_size: u64,
    pub strip_components: u32,
    pub mode: Option<u32>,
    pub owner: Option<Ownership>,
    pub on_conflict: crate::config::OnConflict,
}

// === impl StepContent ===

impl StepContent {
    /// Upper bound of what [`write`](Self::write) gives besides the pinned bytes, for the lock file. Unpacked archives count with their
    /// `max_size`.
    pub fn max_output(&self) -> u64 {
        let entries = self.entries.iter().map(|entry| {
            let content = match &entry.kind {
                Kind::Bytes(_, bytes) => bytes.len() as u64,
                // Filled values are longer than their placeholders.
                Kind::Template(_, text, _) => 2 * text.len() as u64 + OVERHEAD,
                Kind::Unpacked(unpack) => unpack.max_size,
                Kind::Pinned(..) | Kind::Dir(_) | Kind::Symlink(_) => 0,
            };
            content.saturating_add(OVERHEAD)
        });
        let actions = self
            .actions
            .iter()
            .map(|action| OVERHEAD + action_bytes(action));
        entries.chain(actions).fold(OVERHEAD, u64::saturating_add)
    }

    /// Gives everything to the host, opening pinned artefacts by their digests.
    pub fn write(&self, locked: &Locked, sink: &Sink) -> Result<Summary, Error> {
        for entry in &self.entries {
            entry.write(locked, sink)?;
        }
        for action in &self.actions {
            sink.add_action(action)?;
        }
        Ok(Summary {
            notes: self.notes.clone(),
            reboot_required: self.reboot_required,
        })
    }
}

fn action_bytes(action: &Action) -> u64 {
    let bytes = match action {
        Action::Edit(edit) => {
            edit.file.len()
                + edit
                    .changes
                    .iter()
                    .map(|change| {
                        64 + change.path.len()
                            + text_len(&change.value)
                            + text_len(&change.expected)
                    })
                    .sum::<usize>()
                + edit
                    .on_change
                    .iter()
                    .flatten()
                    .map(|word| word.len() + 8)
                    .sum::<usize>()
        }
        Action::Run(command) => {
            command.text.len()
                + command
                    .arguments
                    .iter()
                    .map(|word| word.len() + 8)
                    .sum::<usize>()
                + command
                    .environment
                    .iter()
                    .map(|(name, value)| name.len() + value.len() + 8)
                    .sum::<usize>()
        }
        Action::Service(service) => service.unit.len(),
    };
    // JSON escapes may make six characters of one, and values are filled in.
    6 * bytes as u64
}

fn text_len(text: &Option<String>) -> usize {
    text.as_ref().map_or(0, String::len)
}

// === impl Entry ===

impl Entry {
    fn write(&self, locked: &Locked, sink: &Sink) -> Result<(), Error> {
        let path = &self.path;
        match &self.kind {
            Kind::Bytes(attrs, bytes) if bytes.len() <= PIECE => sink.put_bytes(path, attrs, bytes),
            Kind::Bytes(attrs, bytes) => {
                let writer = sink.create(path, attrs)?;
                bytes
                    .chunks(WRITE)
                    .try_for_each(|piece| writer.write(piece))?;
                writer.finish()
            }
            Kind::Template(attrs, text, format) => sink.put_template(path, attrs, text, *format),
            Kind::Pinned(attrs, pin) => sink.put_blob(path, attrs, &source::open(locked, pin)?),
            Kind::Dir(attrs) => sink.put_dir(path, attrs),
            Kind::Symlink(to) => sink.put_symlink(path, to),
            Kind::Unpacked(unpack) => {
                let packed = source::open(locked, &unpack.pin)?;
                let plain = match unpack.codec {
                    Some(codec) => packed.decompress(codec, unpack.max_size)?,
                    None => packed,
                };
                let options = UnpackOptions {
                    format: unpack.format,
                    strip_components: unpack.strip_components,
                    mode: unpack.mode,
                    owner: unpack.owner.clone(),
                    on_conflict: unpack.on_conflict.into(),
                };
                sink.unpack(path, &plain, &options).map(|_members| ())
            }
        }
    }
}

/// A finding for each path that stands a second time.
pub fn check_unique<'a>(
    paths: impl IntoIterator<Item = (Pointer, &'a str)>,
    found: &mut Vec<Diagnostic>,
) {
    let mut seen: HashMap<&str, Pointer> = HashMap::new();
    for (at, path) in paths {
        match seen.get(path) {
            Some(first) => found.push(
                Diagnostic::error(
                    at,
                    "duplicate-path",
                    format!("`{path}` is written at {first} already"),
                )
                .with_hint("keep one of the two"),
            ),
            None => {
                seen.insert(path, at);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{OnConflict, entry_attrs};

    #[test]
    fn the_bound_covers_contents_and_unpacked_archives() {
        let attrs = entry_attrs(None, 0o644, None, None, OnConflict::Replace);
        let content = StepContent {
            entries: vec![
                Entry {
                    path: "/a".into(),
                    kind: Kind::Bytes(attrs, vec![0; 10_000]),
                },
                Entry {
                    path: "/b".into(),
                    kind: Kind::Unpacked(Unpack {
                        pin: "x".into(),
                        format: UnpackFormat::Tar,
                        codec: None,
                        max_size: 1 << 20,
                        strip_components: 0,
                        mode: None,
                        owner: None,
                        on_conflict: OnConflict::Replace,
                    }),
                },
            ],
            ..StepContent::default()
        };
        assert!(content.max_output() >= 10_000 + (1 << 20));
        assert!(content.max_output() < 10_000 + (1 << 20) + 16 * OVERHEAD);
    }

    #[test]
    fn a_path_written_twice_is_named_with_both_places() {
        let mut found = Vec::new();
        let at = Pointer::root().key("files");
        check_unique(
            [
                (at.index(0), "/a"),
                (at.index(1), "/b"),
                (at.index(2), "/a"),
            ],
            &mut found,
        );
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].pointer, "/files/2");
        assert!(found[0].message.contains("/files/0"));
    }
}
