//! A layer: one step's output as tar entries in zstd frames, in whole blocks (RFC 0002).
//!
//! The tar stream has no end-of-archive records, so layers can follow each other; the one end block of an archive carries them.

use std::io::{self, Read, Write};

use bootsplice_content::point_frame::SKIPPABLE;
use bootsplice_content::{BLOCK, Digest, Hasher, is_zero};
use serde::{Deserialize, Serialize};
use tar::{EntryType, Header};

use crate::{ArchiveError, LEVEL, ROOT};

/// Bytes of tar in one zstd frame, at most.
const FRAME: usize = 8 << 20;
/// Longest path of an entry, and longest target of a link.
const MAX_PATH: usize = 4096;
/// The largest window a reader must have: that of the encoder's level with frames of [`FRAME`] bytes.
const WINDOW_LOG: u32 = 23;

/// What a finished layer is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LayerRecord {
    /// Of the padded bytes: the layer's name.
    pub digest: Digest,
    /// Digest of each block; none for a zero block.
    pub blocks: Vec<Option<Digest>>,
    /// Bytes of the tar stream.
    pub tar_size: u64,
    /// Of the tar stream: the same for ever, whatever the encoder.
    pub tar_digest: Digest,
    pub entries: u64,
}

/// Writes a layer. Entries must come sorted by path; what is written in two runs is the same bytes.
pub struct LayerWriter<W> {
    blocks: BlockWriter<W>,
    compressor: zstd::bulk::Compressor<'static>,
    /// Tar bytes of the frame at hand.
    frame: Vec<u8>,
    compressed: Vec<u8>,
    tar: Hasher,
    tar_size: u64,
    entries: u64,
    mtime: u64,
}

/// Passes bytes on and hashes them, as a whole and by blocks.
struct BlockWriter<W> {
    out: W,
    block: Vec<u8>,
    whole: Hasher,
    digests: Vec<Option<Digest>>,
}

/// An entry as it is read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LayerEntry {
    /// Under `bootsplice/`, checked.
    pub path: String,
    pub mode: u32,
    pub kind: LayerEntryKind,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LayerEntryKind {
    File { size: u64 },
    Dir,
    Symlink { to: String },
}

// === impl LayerWriter ===

impl<W: Write> LayerWriter<W> {
    /// `mtime` (seconds since 1970) stands in every entry: the lock's time.
    pub fn new(out: W, mtime: u64) -> Result<Self, ArchiveError> {
        let mut compressor = zstd::bulk::Compressor::new(LEVEL)?;
        compressor.include_checksum(true)?;
        compressor.include_contentsize(true)?;
        Ok(Self {
            blocks: BlockWriter {
                out,
                block: Vec::with_capacity(BLOCK),
                whole: Hasher::new(),
                digests: Vec::new(),
            },
            compressor,
            frame: Vec::with_capacity(FRAME),
            compressed: Vec::new(),
            tar: Hasher::new(),
            tar_size: 0,
            entries: 0,
            mtime,
        })
    }

    /// Adds a file of exactly `size` bytes from `content`.
    pub fn file(
        &mut self,
        path: &str,
        mode: u32,
        size: u64,
        content: impl Read,
    ) -> Result<(), ArchiveError> {
        self.header(path, EntryType::Regular, mode, size, None)?;
        let copied = io::copy(&mut content.take(size), self)?;
        if copied != size {
            let reason = format!("its content has {copied} bytes, {size} were promised");
            return Err(ArchiveError::entry(path, reason));
        }
        self.pad(size)
    }

    pub fn dir(&mut self, path: &str, mode: u32) -> Result<(), ArchiveError> {
        self.header(path, EntryType::Directory, mode, 0, None)
    }

    pub fn symlink(&mut self, path: &str, to: &str) -> Result<(), ArchiveError> {
        self.header(path, EntryType::Symlink, 0o777, 0, Some(to))
    }

    /// Pads to whole blocks and gives the layer's record.
    pub fn finish(mut self) -> Result<(W, LayerRecord), ArchiveError> {
        self.flush_frame()?;
        let used = self.blocks.block.len();
        if used > 0 || self.blocks.digests.is_empty() {
            let mut gap = BLOCK - used;
            // A skippable frame takes 8 bytes; a smaller gap cannot hold one.
            if gap < 8 {
                gap += BLOCK;
            }
            self.blocks.put(&SKIPPABLE.to_le_bytes())?;
            self.blocks.put(&((gap - 8) as u32).to_le_bytes())?;
            self.blocks.zeros(gap - 8)?;
        }
        self.blocks.out.flush()?;
        let record = LayerRecord {
            digest: self.blocks.whole.finish(),
            blocks: self.blocks.digests,
            tar_size: self.tar_size,
            tar_digest: self.tar.finish(),
            entries: self.entries,
        };
        Ok((self.blocks.out, record))
    }

    fn header(
        &mut self,
        path: &str,
        kind: EntryType,
        mode: u32,
        size: u64,
        to: Option<&str>,
    ) -> Result<(), ArchiveError> {
        check_path(path)?;
        if mode > 0o777 {
            return Err(ArchiveError::entry(
                path,
                format!("mode {mode:o}: expected 0 to 777"),
            ));
        }
        let mut header = Header::new_ustar();
        header.set_entry_type(kind);
        header.set_mode(mode);
        header.set_uid(0);
        header.set_gid(0);
        header.set_mtime(self.mtime);
        header.set_size(size);
        let mut extended = String::new();
        let stored = if kind == EntryType::Directory {
            format!("{path}/")
        } else {
            path.to_owned()
        };
        if header.set_path(&stored).is_err() {
            extended.push_str(&pax_record("path", &stored));
            // A name that did not fit may have left its front part behind: these bytes are a format, and no library's accident.
            if let Some(ustar) = header.as_ustar_mut() {
                ustar.name.fill(0);
                ustar.prefix.fill(0);
            }
            header
                .set_path("bootsplice/long")
                .map_err(|error| ArchiveError::entry(path, error.to_string()))?;
        }
        if let Some(to) = to {
            if to.is_empty() || to.len() > MAX_PATH || to.contains('\0') {
                return Err(ArchiveError::entry(
                    path,
                    "a link's target has 1 to 4,096 bytes and no NUL",
                ));
            }
            if header.set_link_name_literal(to).is_err() {
                extended.push_str(&pax_record("linkpath", to));
                header
                    .set_link_name_literal("long")
                    .map_err(|error| ArchiveError::entry(path, error.to_string()))?;
            }
        }
        header.set_cksum();
        if !extended.is_empty() {
            let mut pax = Header::new_ustar();
            pax.set_entry_type(EntryType::XHeader);
            pax.set_mode(0o644);
            pax.set_uid(0);
            pax.set_gid(0);
            pax.set_mtime(self.mtime);
            pax.set_size(extended.len() as u64);
            pax.set_path("bootsplice/pax")
                .map_err(|error| ArchiveError::entry(path, error.to_string()))?;
            pax.set_cksum();
            self.write_all(pax.as_bytes())?;
            self.write_all(extended.as_bytes())?;
            self.pad(extended.len() as u64)?;
        }
        self.write_all(header.as_bytes())?;
        self.entries += 1;
        Ok(())
    }

    /// Fills up to a multiple of tar's 512 bytes.
    fn pad(&mut self, size: u64) -> Result<(), ArchiveError> {
        let gap = (512 - size % 512) % 512;
        self.write_all(&[0; 512][..gap as usize])?;
        Ok(())
    }

    fn flush_frame(&mut self) -> io::Result<()> {
        if self.frame.is_empty() {
            return Ok(());
        }
        self.compressed.clear();
        self.compressed
            .reserve(zstd::zstd_safe::compress_bound(self.frame.len()));
        self.compressor
            .compress_to_buffer(&self.frame, &mut self.compressed)?;
        self.frame.clear();
        self.blocks.put(&self.compressed)
    }
}

impl<W: Write> Write for LayerWriter<W> {
    /// Tar bytes.
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let taken = bytes.len().min(FRAME - self.frame.len());
        let (now, _) = bytes.split_at(taken);
        self.frame.extend_from_slice(now);
        self.tar.update(now);
        self.tar_size += taken as u64;
        if self.frame.len() == FRAME {
            self.flush_frame()?;
        }
        Ok(taken)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

// === impl BlockWriter ===

impl<W: Write> BlockWriter<W> {
    fn put(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            let (now, rest) = bytes.split_at(bytes.len().min(BLOCK - self.block.len()));
            self.block.extend_from_slice(now);
            bytes = rest;
            if self.block.len() == BLOCK {
                self.digests
                    .push((!is_zero(&self.block)).then(|| Digest::of(&self.block)));
                self.whole.update(&self.block);
                self.out.write_all(&self.block)?;
                self.block.clear();
            }
        }
        Ok(())
    }

    fn zeros(&mut self, mut count: usize) -> io::Result<()> {
        const ZEROS: [u8; 4096] = [0; 4096];
        while count > 0 {
            let now = count.min(ZEROS.len());
            self.put(&ZEROS[..now])?;
            count -= now;
        }
        Ok(())
    }
}

/// Reads the entries of a layer from its padded bytes, each checked, and hands each to `visit` with its content. `tar_limit` bounds the unpacked bytes.
pub fn read<R: Read, E: From<ArchiveError>>(
    padded: R,
    tar_limit: u64,
    mut visit: impl FnMut(LayerEntry, &mut dyn Read) -> Result<(), E>,
) -> Result<(), E> {
    let io = |error: io::Error| E::from(ArchiveError::corrupt("layer", error));
    let mut decoder = zstd::stream::read::Decoder::new(padded).map_err(io)?;
    decoder.window_log_max(WINDOW_LOG).map_err(io)?;
    let mut archive = tar::Archive::new(decoder.take(tar_limit));
    for entry in archive.entries().map_err(io)? {
        let mut entry = entry.map_err(io)?;
        let described = describe(&entry)?;
        visit(described, &mut entry)?;
    }
    Ok(())
}

fn describe<R: Read>(entry: &tar::Entry<'_, R>) -> Result<LayerEntry, ArchiveError> {
    let text = |bytes: &[u8]| {
        String::from_utf8(bytes.to_vec())
            .map_err(|_| ArchiveError::entry(&String::from_utf8_lossy(bytes), "not UTF-8"))
    };
    let header = entry.header();
    let stored = text(&entry.path_bytes())?;
    let path = stored.strip_suffix('/').unwrap_or(&stored).to_owned();
    check_path(&path)?;
    let mode = header.mode()?;
    if mode > 0o777 || header.uid()? != 0 || header.gid()? != 0 {
        return Err(ArchiveError::entry(
            &path,
            "its mode or owner is not one that archives carry",
        ));
    }
    let kind = match header.entry_type() {
        EntryType::Regular => LayerEntryKind::File { size: entry.size() },
        EntryType::Directory => LayerEntryKind::Dir,
        EntryType::Symlink => {
            let to = entry
                .link_name_bytes()
                .ok_or_else(|| ArchiveError::entry(&path, "a link without a target"))?;
            LayerEntryKind::Symlink { to: text(&to)? }
        }
        other => {
            return Err(ArchiveError::entry(
                &path,
                format!("an entry of kind {other:?}"),
            ));
        }
    };
    Ok(LayerEntry { path, mode, kind })
}

/// `bootsplice/…`: relative, plain segments, no control characters.
fn check_path(path: &str) -> Result<(), ArchiveError> {
    let inside = path
        .strip_prefix(ROOT)
        .is_some_and(|rest| rest.starts_with('/'));
    if !inside || path.len() > MAX_PATH {
        return Err(ArchiveError::entry(
            path,
            format!("expected a path under {ROOT}/ of at most {MAX_PATH} bytes"),
        ));
    }
    if path.split('/').any(|part| matches!(part, "" | "." | "..")) || path.contains('\0') {
        return Err(ArchiveError::entry(
            path,
            "empty, `.` or `..` segments, or NUL",
        ));
    }
    Ok(())
}

/// `<length> <key>=<value>\n`, the length counting itself (POSIX.1-2017 pax, extended header).
fn pax_record(key: &str, value: &str) -> String {
    let rest = format!(" {key}={value}\n");
    let mut length = rest.len() + 1;
    while length != rest.len() + length.to_string().len() {
        length = rest.len() + length.to_string().len();
    }
    format!("{length}{rest}")
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn sample(seed: u8, size: usize) -> (Vec<u8>, LayerRecord) {
        let mut writer = LayerWriter::new(Vec::new(), 1_700_000_000).unwrap();
        let noise: Vec<u8> = (0..size as u64)
            .flat_map(|n| {
                Digest::of(&[&[seed][..], &n.to_le_bytes()].concat()).as_bytes()[..8].to_vec()
            })
            .take(size)
            .collect();
        writer
            .file(
                &format!("bootsplice/s{seed}/step.json"),
                0o644,
                size as u64,
                &*noise,
            )
            .unwrap();
        writer
            .dir(&format!("bootsplice/s{seed}/tree"), 0o755)
            .unwrap();
        let long = format!("bootsplice/s{seed}/tree/{}/x", "long".repeat(80));
        writer.file(&long, 0o600, 3, &b"abc"[..]).unwrap();
        writer
            .symlink(&format!("bootsplice/s{seed}/tree/z"), "../a")
            .unwrap();
        writer.finish().unwrap()
    }

    fn entries(bytes: &[u8]) -> Result<Vec<LayerEntry>, ArchiveError> {
        let mut seen = Vec::new();
        read(bytes, 1 << 30, |entry, content| {
            let mut sink = Vec::new();
            content.read_to_end(&mut sink)?;
            seen.push(entry);
            Ok::<_, ArchiveError>(())
        })?;
        Ok(seen)
    }

    #[test]
    fn a_layer_is_whole_blocks_and_is_read_back() {
        let (bytes, record) = sample(1, 700_000);
        assert!(bytes.len().is_multiple_of(BLOCK));
        assert_eq!(record.blocks.len(), bytes.len() / BLOCK);
        assert_eq!(record.digest, Digest::of(&bytes));
        let seen = entries(&bytes).unwrap();
        assert_eq!(seen.len() as u64, record.entries);
        assert_eq!(seen[3].kind, LayerEntryKind::Symlink { to: "../a".into() });
        assert!(seen[2].path.ends_with("/x"));
    }

    #[test]
    fn the_same_entries_give_the_same_bytes() {
        assert_eq!(sample(1, 10_000), sample(1, 10_000));
    }

    #[test]
    fn every_gap_at_the_end_of_a_block_is_padded_so_that_zstd_reads_on() {
        // Noise does not compress: one byte more of content is one byte less of gap.
        let mut gaps = std::collections::BTreeSet::new();
        let around = BLOCK - 1400;
        for size in (around..around + 1400)
            .step_by(512)
            .flat_map(|start| start..start + 40)
        {
            let mut writer = BlockWriter {
                out: Vec::new(),
                block: Vec::new(),
                whole: Hasher::new(),
                digests: Vec::new(),
            };
            writer.put(&vec![1; size]).unwrap();
            gaps.insert((BLOCK - writer.block.len()) % BLOCK);
        }
        for gap in 0..=16usize {
            let mut layer = LayerWriter::new(Vec::new(), 0).unwrap();
            layer.blocks.put(&frame_of(BLOCK - gap)).unwrap();
            let (bytes, _) = layer.finish().unwrap();
            assert!(bytes.len().is_multiple_of(BLOCK), "gap {gap}");
            let blocks = if (1..8).contains(&gap) { 2 } else { 1 };
            assert_eq!(bytes.len(), blocks * BLOCK, "gap {gap}");
            let mut plain = Vec::new();
            zstd::stream::read::Decoder::new(&*bytes)
                .unwrap()
                .read_to_end(&mut plain)
                .unwrap();
        }
    }

    /// A skippable frame of exactly `size` bytes.
    fn frame_of(size: usize) -> Vec<u8> {
        let mut frame = SKIPPABLE.to_le_bytes().to_vec();
        frame.extend_from_slice(&((size - 8) as u32).to_le_bytes());
        frame.resize(size, 0);
        frame
    }

    #[test]
    fn paths_modes_and_kinds_that_no_archive_carries_are_refused() {
        let mut writer = LayerWriter::new(Vec::new(), 0).unwrap();
        for path in [
            "etc/passwd",
            "bootsplice",
            "bootsplice/../x",
            "bootsplice//x",
            "bootsplice/./x",
            "/bootsplice/x",
            "bootsplicex/y",
            "bootsplice/x/",
        ] {
            assert!(writer.dir(path, 0o755).is_err(), "{path}");
        }
        assert!(writer.dir("bootsplice/x", 0o4755).is_err());
        assert!(writer.symlink("bootsplice/x", "").is_err());
        assert!(
            writer.file("bootsplice/x", 0o644, 5, &b"abc"[..]).is_err(),
            "short content"
        );

        for kind in [
            EntryType::Link,
            EntryType::Char,
            EntryType::Block,
            EntryType::Fifo,
        ] {
            let mut header = Header::new_ustar();
            header.set_entry_type(kind);
            header.set_path("bootsplice/x").unwrap();
            header.set_mode(0o644);
            header.set_uid(0);
            header.set_gid(0);
            header.set_size(0);
            header.set_cksum();
            let bytes = zstd::encode_all(&header.as_bytes()[..], 1).unwrap();
            assert!(entries(&bytes).is_err(), "{kind:?}");
        }
    }

    #[test]
    fn the_header_of_a_name_too_long_for_it_says_nothing_but_the_stand_in() {
        let mut writer = LayerWriter::new(Vec::new(), 0).unwrap();
        // Its front part fits the header's prefix, its last does not fit the name.
        let path = format!("bootsplice/{}/{}", "front".repeat(20), "n".repeat(101));
        writer.file(&path, 0o644, 0, io::empty()).unwrap();
        let tar = writer.frame.clone();
        let header = Header::from_byte_slice(&tar[tar.len() - 512..]);
        let ustar = header.as_ustar().unwrap();
        assert_eq!(ustar.prefix, [0; 155]);
        assert_eq!(header.path_bytes().as_ref(), b"bootsplice/long");
        let (bytes, _) = writer.finish().unwrap();
        assert_eq!(entries(&bytes).unwrap()[0].path, path);
    }

    #[test]
    fn a_layer_that_unpacks_to_more_than_allowed_is_cut() {
        let (bytes, _) = sample(1, 100_000);
        let result = read(&*bytes, 50_000, |_, content| {
            io::copy(content, &mut io::sink())?;
            Ok::<_, ArchiveError>(())
        });
        assert!(result.is_err());
    }
}
