//! Prepared indexes: made once for a text and its origin, kept in the host's cache, read lazily.

use std::io::Write as _;

use bootsplice_deb::index::{Builder, Index, Pages};
use bootsplice_deb::origin::Origin;
use bootsplice_sdk::blob::BlobWriter;
use bootsplice_sdk::blobs::{Blob, Span};
use bootsplice_sdk::cache;
use bootsplice_sdk::prelude::*;
use bootsplice_sdk::types::Failure;

use crate::acquire::{Archive, Listed, Text, texts};
use crate::config::Config;

/// Raised whenever the same text gives other bytes.
const VERSION: u32 = 2;
/// Most bytes that the host gives in one call.
const MOST: u32 = 1 << 20;
/// Bytes of text that are fed at a time.
const PIECE: u32 = 1 << 20;
/// Seconds that an index is kept without use: a month.
const KEPT: u32 = 30 * 86_400;

/// A blob as an index reads it.
pub struct BlobPages(Blob);

/// The indexes of an archive, in the order of its sources. What was prepared before is neither fetched nor unpacked.
pub fn open(archive: &Archive, config: &Config) -> Result<Vec<Index<'static>>, Error> {
    let mut found = Vec::new();
    for one in &archive.indexes {
        let origin = origin(archive, one);
        found.push(match one.digest() {
            Some(digest) => kept(&key(digest, &origin)?),
            None => None,
        });
    }
    let missing: Vec<&Listed> = archive
        .indexes
        .iter()
        .zip(&found)
        .filter_map(|(one, found)| found.is_none().then_some(one))
        .collect();
    let mut made = texts(&missing, config)?.into_iter();
    let mut indexes = Vec::new();
    for (one, found) in archive.indexes.iter().zip(found) {
        indexes.push(match found {
            Some(index) => index,
            None => {
                let text = made.next();
                let text = text.ok_or_else(|| Error::Fault("fewer texts than indexes".into()))?;
                prepare(origin(archive, one), &text)?
            }
        });
    }
    Ok(indexes)
}

fn key(digest: &str, origin: &Origin) -> Result<String, Error> {
    Ok(format!("index/{VERSION}/{digest}/{}", facts(origin)?))
}

fn kept(key: &str) -> Option<Index<'static>> {
    Index::open(BlobPages(cache::get(key)?)).ok()
}

/// The index of a text, from the cache if it is there after all: not every Release tells the digest of the text.
fn prepare(origin: Origin, text: &Text) -> Result<Index<'static>, Error> {
    let key = key(&text.digest, &origin)?;
    if let Some(index) = kept(&key) {
        return Ok(index);
    }
    let mut writer = BlobWriter::new();
    let mut builder =
        Builder::new(|bytes: &[u8]| writer.write_all(bytes).map_err(|error| error.to_string()));
    let damaged = |error: bootsplice_deb::Error| {
        Error::Upstream(Failure {
            message: format!(
                "the packages of {} {}: {error}",
                origin.asked, origin.component
            ),
            retry_after_ms: None,
        })
    };
    builder.begin(origin.clone()).map_err(damaged)?;
    let mut at = 0;
    while at < text.blob.size() {
        let piece = text.blob.read(at, PIECE)?;
        if piece.is_empty() {
            break;
        }
        at += piece.len() as u64;
        builder.feed(&piece).map_err(damaged)?;
    }
    builder.finish().map_err(damaged)?;
    let blob = writer.finish()?;
    // What the cache does not take is made again next time.
    let _ = cache::put(&key, &blob, Some(KEPT));
    Index::open(BlobPages(blob)).map_err(damaged)
}

/// The facts that pins and requests speak of.
fn origin(archive: &Archive, one: &Listed) -> Origin {
    let used = &archive.suites[one.suite];
    let root = used.roots.first().map_or("", String::as_str);
    let site = root.split_once("://").map_or("", |(_, rest)| rest);
    Origin {
        id: one.suite.to_string(),
        suite: used.release.suite.clone(),
        codename: used.release.codename.clone(),
        asked: used.record.name.clone(),
        version: used.release.version.clone(),
        origin: used.release.origin.clone(),
        label: used.release.label.clone(),
        component: one.component.clone(),
        site: site.split(['/', ':']).next().unwrap_or_default().to_owned(),
        not_automatic: used.release.not_automatic,
        but_automatic_upgrades: used.release.but_automatic_upgrades,
    }
}

/// A digest of the facts that stand in the index.
fn facts(origin: &Origin) -> Result<String, Error> {
    let mut writer = BlobWriter::new();
    write!(writer, "{origin:?}").map_err(|error| Error::Fault(error.to_string()))?;
    Ok(writer.finish()?.digest())
}

// === impl BlobPages ===

impl Pages for BlobPages {
    fn size(&self) -> u64 {
        self.0.size()
    }

    fn read(&self, offset: u64, length: u32) -> Result<Vec<u8>, String> {
        let mut bytes = Vec::with_capacity(length as usize);
        while (bytes.len() as u64) < u64::from(length) {
            let left = length - bytes.len() as u32;
            let piece = self
                .0
                .read(offset + bytes.len() as u64, left.min(MOST))
                .map_err(|error| format!("{error:?}"))?;
            if piece.is_empty() {
                return Err("the index is shorter than it says".into());
            }
            bytes.extend_from_slice(&piece);
        }
        Ok(bytes)
    }

    fn read_many(&self, spans: &[(u64, u32)]) -> Result<Vec<Vec<u8>>, String> {
        let mut found = Vec::with_capacity(spans.len());
        let mut rest = spans;
        while !rest.is_empty() {
            let mut sum = 0u64;
            let many = rest
                .iter()
                .take_while(|(_, length)| {
                    sum += u64::from(*length);
                    sum <= u64::from(MOST)
                })
                .count();
            let (now, later) = rest.split_at(many.max(1));
            rest = later;
            if let [(offset, length)] = now {
                found.push(self.read(*offset, *length)?);
                continue;
            }
            let asked: Vec<Span> = now
                .iter()
                .map(|&(offset, len)| Span { offset, len })
                .collect();
            found.extend(
                self.0
                    .read_many(&asked)
                    .map_err(|error| format!("{error:?}"))?,
            );
        }
        Ok(found)
    }
}
