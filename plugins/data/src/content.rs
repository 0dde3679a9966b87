//! From the configuration, and the kinds of its archives, to entries.

use bootsplice_sdk::Pointer;
use bootsplice_sdk::archive::TemplateFormat;
use bootsplice_sdk::config::{entry_attrs, ownership};
use bootsplice_sdk::placeholder::{format_of, has_placeholders};
use bootsplice_sdk::source::Source as Artefact;
use bootsplice_sdk::step::{Entry, Kind as EntryKind, StepContent, Unpack as Unpacked};

use crate::config::{Config, Source, Unpack};
use crate::kind::Kind;

/// What `resolve` found out about one archive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Archive {
    pub kind: Kind,
    /// Bytes without the compression.
    pub unpacked: u64,
}

/// What is to be fetched, by the names of its pins.
pub fn artefacts(config: &Config) -> Vec<(String, Artefact)> {
    let sources = config.sources.iter().enumerate();
    sources
        .filter_map(|(index, source)| Some((name(index), source.artefact()?)))
        .collect()
}

/// The name of the pin of a source: where it stands in the configuration.
pub fn name(index: usize) -> String {
    Pointer::root().key("sources").index(index).into()
}

/// Everything that the step puts into the guest. `archive` tells about the archive behind a pin.
pub fn content<E>(
    config: &Config,
    mut archive: impl FnMut(usize) -> Result<Archive, E>,
) -> Result<StepContent, E> {
    let mut content = StepContent::default();
    for (index, source) in config.sources.iter().enumerate() {
        let path = source.target(config.user.as_deref());
        let archive = if source.unpack == Unpack::No {
            None
        } else {
            Some(archive(index)?)
        };
        if let (Some(mode), Some(_)) = (source.directory_mode, archive) {
            content.entries.push(Entry {
                path: path.clone(),
                kind: EntryKind::Dir(entry_attrs(
                    Some(mode),
                    0o755,
                    source.owner.as_deref(),
                    source.group.as_deref(),
                    source.on_conflict,
                )),
            });
        }
        content.entries.push(Entry {
            kind: kind(source, index, &path, archive),
            path,
        });
        content
            .notes
            .extend(source.artefact().and_then(|artefact| artefact.note()));
    }
    Ok(content)
}

fn kind(source: &Source, index: usize, path: &str, archive: Option<Archive>) -> EntryKind {
    let attrs = || {
        entry_attrs(
            source.mode,
            0o644,
            source.owner.as_deref(),
            source.group.as_deref(),
            source.on_conflict,
        )
    };
    match (archive, &source.content) {
        (Some(archive), _) => EntryKind::Unpacked(Unpacked {
            pin: name(index),
            format: archive.kind.format,
            codec: archive.kind.codec,
            max_size: archive.unpacked,
            strip_components: source.strip_components,
            mode: source.mode.map(|mode| mode.0),
            owner: ownership(source.owner.as_deref(), source.group.as_deref()),
            on_conflict: source.on_conflict,
        }),
        (None, Some(text)) if has_placeholders(text) => {
            let format: TemplateFormat = format_of(path);
            EntryKind::Template(attrs(), text.clone(), format)
        }
        (None, Some(text)) => EntryKind::Bytes(attrs(), text.clone().into_bytes()),
        (None, None) => EntryKind::Pinned(attrs(), name(index)),
    }
}
