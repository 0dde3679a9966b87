//! Takes bytes as they come: hashed on the way, in memory while small, in a nameless file after.

use std::fs::File;
use std::io::{self, Read, Seek, Write};
use std::path::Path;
use std::sync::Arc;

use bootsplice_content::{Digest, Hasher};

use super::Blob;

/// Up to so many bytes a spool stays in memory.
pub(super) const IN_MEMORY: usize = 64 * 1024;

/// A blob in the making.
pub struct Spool {
    directory: Arc<Path>,
    hasher: Hasher,
    len: u64,
    body: Body,
}

enum Body {
    Memory(Vec<u8>),
    /// Without a name, so nothing is left behind whatever happens.
    File(File),
}

// === impl Spool ===

impl Spool {
    pub(super) fn new(directory: Arc<Path>) -> Self {
        Self {
            directory,
            hasher: Hasher::new(),
            len: 0,
            body: Body::Memory(Vec::new()),
        }
    }

    /// Bytes taken so far.
    pub fn len(&self) -> u64 {
        self.len
    }

    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Takes a whole blob.
    pub fn append(&mut self, blob: &Blob) -> io::Result<()> {
        io::copy(&mut blob.reader(), self).map(drop)
    }

    /// The blob, and for the store the file it lies in.
    pub fn finish(self) -> io::Result<Blob> {
        let digest = self.hasher.finish();
        Ok(match self.body {
            Body::Memory(bytes) => Blob::from_memory(bytes.into(), digest),
            Body::File(file) => Blob::from_file(Arc::new(file), self.len, digest),
        })
    }

    /// Writes the content to `to`, durably, and gives its digest and length.
    pub(super) fn persist(self, to: &mut File) -> io::Result<(Digest, u64)> {
        match self.body {
            Body::Memory(bytes) => to.write_all(&bytes)?,
            Body::File(mut file) => {
                file.rewind()?;
                io::copy(&mut file.take(self.len), to)?;
            }
        }
        to.sync_all()?;
        Ok((self.hasher.finish(), self.len))
    }

    /// The digest of what was taken so far.
    pub fn digest(&self) -> Digest {
        self.hasher.clone().finish()
    }
}

impl Write for Spool {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if let Body::Memory(held) = &mut self.body
            && held.len() + bytes.len() > IN_MEMORY
        {
            let mut file = tempfile::tempfile_in(&self.directory)?;
            file.write_all(held)?;
            self.body = Body::File(file);
        }
        match &mut self.body {
            Body::Memory(held) => held.extend_from_slice(bytes),
            Body::File(file) => file.write_all(bytes)?,
        }
        self.hasher.update(bytes);
        self.len += bytes.len() as u64;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
