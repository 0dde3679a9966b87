//! What a run made: what a launch would put on the disk, read back from the layers that it would carry.

use std::collections::BTreeMap;
use std::io::{Read, Seek, SeekFrom};

use bootsplice_archive::ArchiveError;
use bootsplice_archive::layer::{self, LayerRecord};
use bootsplice_archive::step::{Entry, IndexedAction, StepDocument, paths};
use bootsplice_content::{BLOCK_U64, Digest};
use bytes::Bytes;
use serde::Serialize;

use crate::launch::lock::PinView;
use crate::lock::document::Target;

/// Unpacked bytes of a layer that are read through.
const MOST_TAR: u64 = 64 << 30;
/// A file's bytes are kept for showing and comparing up to this size; a larger one is known by its digest.
const KEPT: u64 = 1 << 20;
/// Of one step, by path, no more bytes than these are kept.
const KEPT_IN_ALL: u64 = 64 << 20;

/// All of a profile, made.
#[derive(Clone, Debug, Serialize)]
pub struct Outcome {
    pub profile: String,
    pub target: Target,
    pub steps: Vec<StepOutcome>,
    /// What differs per launch.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub instance_layer: Option<Layer>,
    /// Every address that was reached for, in order.
    pub fetched: Vec<String>,
}

#[derive(Clone, Debug, Serialize)]
pub struct StepOutcome {
    pub id: String,
    /// `name@version`.
    pub generator: String,
    pub digest: Digest,
    pub at: String,
    /// What it might fetch.
    pub granted: Vec<String>,
    /// `generate`'s clock.
    pub epoch: u64,
    pub needs_instance: bool,
    pub pins: Vec<PinView>,
    /// By path.
    pub tree: Vec<Placed>,
    /// In order, values filled in.
    pub actions: Vec<IndexedAction>,
    pub notes: Vec<String>,
    pub reboot_required: bool,
    /// None when all of it differs per launch.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub layer: Option<Layer>,
    /// Bytes of files, by path.
    #[serde(skip)]
    pub contents: BTreeMap<String, Bytes>,
}

/// One path in the guest.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Placed {
    #[serde(flatten)]
    pub entry: Entry,
    /// It differs per launch.
    pub instance: bool,
}

/// Bytes that a launch carries.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Layer {
    /// Compressed and padded to whole blocks.
    pub bytes: u64,
    pub tar_bytes: u64,
    pub tar_digest: Digest,
    pub entries: u64,
}

// === impl Layer ===

impl Layer {
    pub fn of(record: &LayerRecord) -> Self {
        Self {
            bytes: record.blocks.len() as u64 * BLOCK_U64,
            tar_bytes: record.tar_size,
            tar_digest: record.tar_digest,
            entries: record.entries,
        }
    }
}

// === impl StepOutcome ===

impl StepOutcome {
    /// Adds what a layer holds of this step.
    pub fn read(&mut self, layer: &mut std::fs::File) -> Result<(), ArchiveError> {
        let document = self.read_in(layer)?;
        for (instance, document) in document {
            let placed = document.entries.into_iter();
            self.tree
                .extend(placed.map(|entry| Placed { entry, instance }));
            self.notes.extend(document.notes);
            self.reboot_required |= document.reboot_required;
            self.actions.extend(document.actions);
        }
        self.actions.sort_by_key(|one| one.index);
        self.tree.sort_by(|a, b| a.entry.path.cmp(&b.entry.path));
        Ok(())
    }

    fn read_in(
        &mut self,
        layer: &mut std::fs::File,
    ) -> Result<Vec<(bool, StepDocument)>, ArchiveError> {
        layer.seek(SeekFrom::Start(0))?;
        let mut documents: Vec<(bool, StepDocument)> = Vec::new();
        let mut payloads: BTreeMap<String, String> = BTreeMap::new();
        let (shared, instance) = (paths::step(&self.id), paths::instance(&self.id));
        let own = &mut self.contents;
        let held: usize = own.values().map(Bytes::len).sum();
        let mut room = KEPT_IN_ALL.saturating_sub(held as u64);
        let id = &self.id;
        layer::read(layer, MOST_TAR, |entry, content| {
            if entry.path == shared || entry.path == instance {
                let mut text = Vec::new();
                content.read_to_end(&mut text)?;
                let document: StepDocument = serde_json::from_slice(&text)
                    .map_err(|error| ArchiveError::Io(std::io::Error::other(error)))?;
                let instance = entry.path == instance;
                payloads.extend(document.entries.iter().map(|one| {
                    let inside = paths::payload(id, instance, &one.path);
                    (inside, one.path.clone())
                }));
                documents.push((instance, document));
            } else if let Some(path) = payloads.get(&entry.path) {
                let mut bytes = Vec::new();
                let most = KEPT.min(room);
                content.take(most + 1).read_to_end(&mut bytes)?;
                let size = bytes.len() as u64;
                if size <= most {
                    room -= size;
                    own.insert(path.clone(), bytes.into());
                }
            }
            Ok::<_, ArchiveError>(())
        })?;
        Ok(documents)
    }
}
