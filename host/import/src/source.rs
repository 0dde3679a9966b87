//! The content of the volume to be, block by block: the raw image under a few blocks of our own.

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt;

use bootsplice_content::{BLOCK, BLOCK_U64};
use bytes::Bytes;

/// Blocks of the volume, holes skipped.
pub(crate) struct Source<'a> {
    pub(crate) file: &'a File,
    /// Bytes of the image.
    pub(crate) size: u64,
    /// Bytes that become zero: the image's own backup table.
    pub(crate) cleared: Range<u64>,
    /// Blocks whose content in the image does not count: the inside of points it brought along.
    pub(crate) emptied: Vec<Range<u64>>,
    /// Blocks that replace the image's.
    pub(crate) patches: BTreeMap<u64, Bytes>,
}

// === impl Source ===

impl Source<'_> {
    /// The first block from `block` on that may hold data.
    pub(crate) fn next(&self, block: u64) -> io::Result<Option<u64>> {
        let patch = self.patches.range(block..).next().map(|(&at, _)| at);
        let mut from = block;
        let data = loop {
            let Some(found) = self.data(from)? else {
                break None;
            };
            match self.emptied.iter().find(|range| range.contains(&found)) {
                Some(range) => from = range.end,
                None => break Some(found),
            }
        };
        Ok(patch.into_iter().chain(data).min())
    }

    /// Fills `buffer`, one block long; past the image's end it is zero.
    pub(crate) fn read(&self, block: u64, buffer: &mut [u8]) -> io::Result<()> {
        if let Some(patch) = self.patches.get(&block) {
            buffer.copy_from_slice(patch);
            return Ok(());
        }
        let offset = block * BLOCK_U64;
        let length = self.size.saturating_sub(offset).min(BLOCK_U64) as usize;
        self.file.read_exact_at(&mut buffer[..length], offset)?;
        buffer[length..].fill(0);
        let start = self.cleared.start.saturating_sub(offset).min(BLOCK_U64) as usize;
        let end = self.cleared.end.saturating_sub(offset).min(BLOCK_U64) as usize;
        buffer[start..end.max(start)].fill(0);
        Ok(())
    }

    fn data(&self, block: u64) -> io::Result<Option<u64>> {
        let offset = block * BLOCK_U64;
        if offset >= self.size {
            return Ok(None);
        }
        match rustix::fs::seek(self.file, rustix::fs::SeekFrom::Data(offset)) {
            Ok(found) if found < self.size => Ok(Some(found / BLOCK_U64)),
            Ok(_) | Err(rustix::io::Errno::NXIO) => Ok(None),
            // Block devices and some filesystems know no holes.
            Err(rustix::io::Errno::INVAL | rustix::io::Errno::OPNOTSUPP) => Ok(Some(block)),
            Err(error) => Err(error.into()),
        }
    }
}

/// A buffer for one block.
pub(crate) fn buffer() -> Vec<u8> {
    vec![0; BLOCK]
}
