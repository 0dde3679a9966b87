//! The `data` generator: files and trees from URLs and buckets, pinned by digest, unpacked and staged with owner, mode and target.
//!
//! The configuration's schema is `schema.json`. `resolve` fetches each artefact once, looks what kind of archive it is and how large it is
//! without its compression, and pins it; `generate` opens the same bytes by digest. The bytes never enter the sandbox.

pub mod config;
pub mod content;
pub mod kind;
#[cfg(test)]
mod tests;
pub mod zip;

use std::io::ErrorKind;

use bootsplice_sdk::archive::UnpackFormat;
use bootsplice_sdk::blob::from_io;
use bootsplice_sdk::blobs::Blob;
use bootsplice_sdk::job;
use bootsplice_sdk::prelude::*;
use bootsplice_sdk::source::{Pinned, attribute, find, pin_all};

use crate::config::Config;
use crate::content::{Archive, artefacts, content, name};
use crate::kind::{HEAD, Kind as ArchiveKind};

/// Attributes of a pin that is an archive.
const KIND: &str = "kind";
const UNPACKED: &str = "unpacked";

/// The generator.
pub struct DataGenerator;

// === impl DataGenerator ===

impl Generator for DataGenerator {
    type Config = Config;

    fn describe() -> Descriptor {
        let example = |title: &str, config: &str| Example {
            title: title.to_owned(),
            config: config.to_owned(),
        };
        Descriptor {
            id: "data".into(),
            version: env!("CARGO_PKG_VERSION").into(),
            title: "Data".into(),
            summary:
                "Files, trees and archives from URLs and buckets, in the system or a user's home."
                    .into(),
            os_families: vec![OsFamily::Linux],
            stage: StepStage::Files,
            capabilities: CapabilityRequest {
                fetch: vec!["${config:/sources/*/url}".into()],
                secrets: vec!["/sources/*/credential".into()],
            },
            config_schema: include_str!("../schema.json").into(),
            examples: vec![
                example(
                    "A user's documents from a bucket",
                    include_str!("../examples/documents.json"),
                ),
                example(
                    "A web site, a tool and a note",
                    include_str!("../examples/site.json"),
                ),
            ],
            joins_steps: false,
        }
    }

    fn validate(_target: Option<&Target>, config: &Config) -> Vec<Diagnostic> {
        config.check()
    }

    fn resolve(
        _target: &Target,
        config: &Config,
        _previous: Option<Locked>,
    ) -> Result<LockFile, Error> {
        let artefacts = artefacts(config);
        job::progress("fetch", 0, Some(artefacts.len() as u64));
        let mut pinned = pin_all(
            artefacts
                .iter()
                .map(|(name, artefact)| (name.clone(), artefact)),
        )?;
        job::progress(
            "fetch",
            artefacts.len() as u64,
            Some(artefacts.len() as u64),
        );
        let content = content(config, |index| {
            let wanted = name(index);
            let artefact = pinned.iter_mut().find(|pinned| pinned.pin.name == wanted);
            let artefact = artefact
                .ok_or_else(|| Error::Fault(format!("nothing was fetched for {wanted}")))?;
            let archive = inspect(config, index, &artefact.content)?;
            describe_archive(artefact, archive);
            Ok::<_, Error>(archive)
        })?;
        Ok(LockFile {
            pins: pinned.into_iter().map(|pinned| pinned.pin).collect(),
            ..LockFile::without_pins(content.max_output())
        })
    }

    fn generate(
        _target: &Target,
        config: &Config,
        locked: &Locked,
        _instance: Option<&Instance>,
        sink: &Sink,
    ) -> Result<Summary, Error> {
        content(config, |index| recall(locked, index))?.write(locked, sink)
    }
}

/// What kind of archive an artefact is, and its size unpacked.
fn inspect(config: &Config, index: usize, artefact: &Blob) -> Result<Archive, Error> {
    let source = &config.sources[index];
    let url = source.url.as_deref().unwrap_or_default();
    let refused = |code: &str, message: String| {
        let finding = Diagnostic::error(format!("{}/unpack", name(index)), code, message);
        Error::InvalidConfig(vec![
            finding.with_hint("take `unpack` away to stage the file as it is, or repack it"),
        ])
    };
    let file = bootsplice_sdk::source::file_name(url);
    let kind = ArchiveKind::of(&artefact.head(HEAD)?, file, source.unpack)
        .map_err(|reason| refused("not-an-archive", reason))?;
    let unpacked = match (kind.format, kind.codec) {
        (UnpackFormat::Zip, _) => {
            zip::unpacked_size(&mut artefact.reader()).map_err(|error| match error.kind() {
                ErrorKind::InvalidData | ErrorKind::UnexpectedEof => {
                    refused("damaged-archive", format!("{url}: {error}"))
                }
                _ => from_io(error),
            })?
        }
        (UnpackFormat::Tar, None) => artefact.size(),
        (UnpackFormat::Tar, Some(codec)) => {
            let plain = artefact.decompress(codec, source.max_unpacked)?;
            if plain.size() >= 512
                && !kind::is_tar(&plain.head(HEAD)?)
                && source.unpack != config::Unpack::Tar
            {
                return Err(refused(
                    "not-an-archive",
                    format!("`{file}` is packed, and what is in it is no tar"),
                ));
            }
            plain.size()
        }
    };
    if unpacked > source.max_unpacked {
        return Err(refused(
            "too-large",
            format!(
                "{url}: {unpacked} bytes unpacked; `max_unpacked` allows {}",
                source.max_unpacked
            ),
        ));
    }
    Ok(Archive { kind, unpacked })
}

/// Writes into the pin what [`recall`] reads.
fn describe_archive(artefact: &mut Pinned, archive: Archive) {
    artefact
        .pin
        .attributes
        .push((KIND.into(), archive.kind.to_string()));
    artefact
        .pin
        .attributes
        .push((UNPACKED.into(), archive.unpacked.to_string()));
}

fn recall(locked: &Locked, index: usize) -> Result<Archive, Error> {
    let pin = find(locked, &name(index))?;
    let kind = attribute(pin, KIND).and_then(ArchiveKind::parse);
    let unpacked = attribute(pin, UNPACKED).and_then(|size| size.parse().ok());
    match (kind, unpacked) {
        (Some(kind), Some(unpacked)) => Ok(Archive { kind, unpacked }),
        _ => Err(Error::Fault(format!(
            "the lock file does not say what archive {} is: resolve again",
            pin.name
        ))),
    }
}

bootsplice_sdk::export!(DataGenerator);
