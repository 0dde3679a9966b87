//! Disk images with real archives in them.

use std::path::Path;
use std::sync::Arc;

use bootsplice_archive::FORMAT;
use bootsplice_archive::assemble::{Archive, ArchiveBlock, ArchiveLayer};
use bootsplice_archive::header::{LayerScope, Payload};
use bootsplice_archive::keys::{SigningKey, write_public};
use bootsplice_archive::layer::{LayerRecord, LayerWriter};
use bootsplice_archive::step::{
    Action, Conflict, Entry, EntryKind, IndexedAction, ManifestStep, OnFailure, PointManifest,
    Stage, StepDocument, paths,
};
use bootsplice_content::{BLOCK, Digest, point_frame};
use uuid::Uuid;

pub const POINT_BLOCKS: u64 = 12;
pub const START: u64 = 1 << 20;
pub const DISK: u128 = 0xd15c;
pub const PARTITION: u128 = 0x9a87;

pub type Layer = (Vec<u8>, LayerRecord);

/// One step: files (path, content), actions, and secrets in files of the instance layer.
#[derive(Clone)]
pub struct Step {
    pub id: &'static str,
    pub stage: Stage,
    pub files: Vec<(String, Vec<u8>)>,
    pub instance: Vec<(String, Vec<u8>)>,
    pub actions: Vec<Action>,
    pub conflict: Conflict,
    pub on_failure: OnFailure,
}

impl Step {
    pub fn new(id: &'static str, files: &[(&str, &str)]) -> Self {
        Self {
            id,
            stage: Stage::Files,
            files: files
                .iter()
                .map(|(path, text)| ((*path).into(), text.as_bytes().to_vec()))
                .collect(),
            instance: vec![],
            actions: vec![],
            conflict: Conflict::Replace,
            on_failure: OnFailure::Abort,
        }
    }
}

pub fn key() -> SigningKey {
    SigningKey::from_bytes(&[5; 32])
}

pub fn write_keys(directory: &Path) {
    std::fs::create_dir_all(directory).unwrap();
    std::fs::write(
        directory.join("test.pem"),
        write_public(&key().verifying_key()).unwrap(),
    )
    .unwrap();
}

pub fn payload(sequence: u64) -> Payload {
    Payload {
        format: FORMAT,
        base: Digest::of(b"base"),
        disk: Uuid::from_u128(DISK),
        partition: Uuid::from_u128(PARTITION),
        point: "base".into(),
        blocks: POINT_BLOCKS,
        launch: format!("launch-{sequence}"),
        instance: "i-1".into(),
        sequence,
        product_uuid: None,
        issued: 1,
        layers: vec![],
        length: 0,
        points: vec!["base".into()],
        report: None,
    }
}

fn write_step(writer: &mut LayerWriter<Vec<u8>>, step: &Step, instance: bool) {
    let mut files = if instance {
        step.instance.clone()
    } else {
        step.files.clone()
    };
    files.sort();
    let document = StepDocument {
        format: FORMAT,
        entries: files
            .iter()
            .map(|(path, content)| Entry {
                path: path.clone(),
                kind: EntryKind::File,
                mode: 0o640,
                owner: None,
                group: None,
                on_conflict: step.conflict,
                size: content.len() as u64,
                sha256: Some(Digest::of(content)),
                to: None,
            })
            .collect(),
        actions: if instance {
            vec![]
        } else {
            (0..)
                .zip(step.actions.clone())
                .map(|(index, action)| IndexedAction { index, action })
                .collect()
        },
        notes: vec![],
        reboot_required: false,
    };
    let text = serde_json::to_vec(&document).unwrap();
    let path = if instance {
        paths::instance(step.id)
    } else {
        paths::step(step.id)
    };
    writer
        .file(&path, 0o644, text.len() as u64, &text[..])
        .unwrap();
    for (path, content) in &files {
        let path = paths::payload(step.id, instance, path);
        writer
            .file(&path, 0o644, content.len() as u64, &content[..])
            .unwrap();
    }
}

/// A whole disk with one point, `base`.
pub fn disk(payload: Payload, steps: &[Step]) -> Vec<u8> {
    let manifest = PointManifest {
        format: FORMAT,
        profile: "p@1".into(),
        point: "base".into(),
        steps: (0..)
            .zip(steps)
            .map(|(order, step)| ManifestStep {
                id: step.id.into(),
                order,
                generator: "config@1".into(),
                plugin: Digest::of(b"plugin"),
                stage: step.stage,
                after: vec![],
                on_failure: step.on_failure,
                retries: 1,
                backoff: 0,
                timeout: 30,
                shared: true,
                instance: !step.instance.is_empty(),
            })
            .collect(),
    };
    let mut made: Vec<(Layer, Vec<String>, LayerScope)> = vec![];
    let mut writer = LayerWriter::new(vec![], 1).unwrap();
    let text = serde_json::to_vec(&manifest).unwrap();
    writer
        .file(&paths::manifest(), 0o644, text.len() as u64, &text[..])
        .unwrap();
    made.push((writer.finish().unwrap(), vec![], LayerScope::Manifest));
    for step in steps {
        let mut writer = LayerWriter::new(vec![], 1).unwrap();
        write_step(&mut writer, step, false);
        made.push((
            writer.finish().unwrap(),
            vec![step.id.into()],
            LayerScope::Shared,
        ));
    }
    let with_instance: Vec<&Step> = steps
        .iter()
        .filter(|step| !step.instance.is_empty())
        .collect();
    if !with_instance.is_empty() {
        let mut writer = LayerWriter::new(vec![], 1).unwrap();
        for step in &with_instance {
            write_step(&mut writer, step, true);
        }
        let ids = with_instance
            .iter()
            .map(|step| step.id.to_owned())
            .collect();
        made.push((writer.finish().unwrap(), ids, LayerScope::Instance));
    }
    let layers = made
        .iter()
        .map(|((_, record), steps, scope)| ArchiveLayer {
            record: Arc::new(record.clone()),
            steps: steps.clone(),
            scope: *scope,
        })
        .collect();
    let archive = Archive::assemble(payload, layers, &[key()]).unwrap();
    let mut frame = point_frame::first_block().bytes().to_vec();
    frame.resize(2 * BLOCK, 0);
    let mut point = frame.clone();
    for index in 0..archive.len_blocks() {
        match archive.block(index) {
            ArchiveBlock::Inline(chunk) => point.extend_from_slice(chunk.bytes()),
            ArchiveBlock::Layer { layer, index, .. } => {
                point.extend_from_slice(&made[layer].0.0[index * BLOCK..][..BLOCK])
            }
            ArchiveBlock::Zero => point.resize(point.len() + BLOCK, 0),
        }
    }
    point.extend_from_slice(&frame);
    let mut disk = table();
    disk.extend_from_slice(&point);
    disk
}

/// A disk whose point holds what an import writes, and no archive.
pub fn empty_disk() -> Vec<u8> {
    let mut frame = point_frame::first_block().bytes().to_vec();
    frame.resize(2 * BLOCK, 0);
    let mut disk = table();
    disk.extend_from_slice(&frame);
    disk.resize(disk.len() + (POINT_BLOCKS as usize - 4) * BLOCK, 0);
    disk.extend_from_slice(&frame);
    disk
}

/// The first MiB: a partition table with one partition labelled `bootsplice:base`.
fn table() -> Vec<u8> {
    let mut disk = vec![0; START as usize];
    let mut entries = vec![0; 128 * 128];
    entries[..16].fill(1);
    entries[16..32].copy_from_slice(&Uuid::from_u128(PARTITION).to_bytes_le());
    let first = START / 512;
    entries[32..40].copy_from_slice(&first.to_le_bytes());
    entries[40..48].copy_from_slice(&(first + POINT_BLOCKS * 1024 - 1).to_le_bytes());
    for (at, unit) in "bootsplice:base".encode_utf16().enumerate() {
        entries[56 + 2 * at..58 + 2 * at].copy_from_slice(&unit.to_le_bytes());
    }
    let mut header = [0; 92];
    header[..8].copy_from_slice(b"EFI PART");
    header[8..12].copy_from_slice(&0x10000u32.to_le_bytes());
    header[12..16].copy_from_slice(&92u32.to_le_bytes());
    header[56..72].copy_from_slice(&Uuid::from_u128(DISK).to_bytes_le());
    header[72..80].copy_from_slice(&2u64.to_le_bytes());
    header[80..84].copy_from_slice(&128u32.to_le_bytes());
    header[84..88].copy_from_slice(&128u32.to_le_bytes());
    header[88..92].copy_from_slice(&crc32fast::hash(&entries).to_le_bytes());
    let sum = crc32fast::hash(&header);
    header[16..20].copy_from_slice(&sum.to_le_bytes());
    disk[512..604].copy_from_slice(&header);
    disk[1024..1024 + entries.len()].copy_from_slice(&entries);
    disk
}
