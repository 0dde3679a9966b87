//! Prepared indexes: made once for a text and its origin, kept in the host's cache, read lazily.

use std::io::Write as _;

use bootsplice_deb::index::{Builder, Index, Pages};
use bootsplice_deb::origin::Origin;
use bootsplice_sdk::blob::BlobWriter;
use bootsplice_sdk::blobs::{Blob, Span};
use bootsplice_sdk::cache;
use bootsplice_sdk::prelude::*;
use bootsplice_sdk::types::Failure;

use crate::acquire::{Acquired, Archive};

/// Raised whenever the same text gives other bytes.
const VERSION: u32 = 1;
/// Most bytes that the host gives in one call.
const MOST: u32 = 1 << 20;
/// Bytes of text that are fed at a time.
const PIECE: u32 = 1 << 20;
/// Seconds that an index is kept without use: a month.
const KEPT: u32 = 30 * 86_400;

/// A blob as an index reads it.
pub struct BlobPages(Blob);

/// The indexes of an archive, in the order of its sources.
pub fn open(archive: &Archive) -> Result<Vec<Index<'static>>, Error> {
    archive
        .indexes
        .iter()
        .map(|one| opened(archive, one))
        .collect()
}

fn opened(archive: &Archive, one: &Acquired) -> Result<Index<'static>, Error> {
    let origin = origin(archive, one);
    let key = format!("index/{VERSION}/{}/{}", one.digest, facts(&origin)?);
    if let Some(kept) = cache::get(&key)
        && let Ok(index) = Index::open(BlobPages(kept))
    {
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
    while at < one.text.size() {
        let piece = one.text.read(at, PIECE)?;
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
fn origin(archive: &Archive, one: &Acquired) -> Origin {
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
