//! A run of bytes in memory or in a file, immutable and shared.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::FileExt;
use std::sync::{Arc, OnceLock};

use bootsplice_content::{Digest, Hasher};
use bytes::Bytes;

/// Bytes read at a time when hashing or copying.
const STEP: usize = 256 * 1024;

/// Immutable bytes in the host. Cloning shares them; a slice is a view without a copy.
#[derive(Clone, Debug)]
pub struct Blob {
    content: Content,
    offset: u64,
    len: u64,
    /// Known when the bytes were hashed while they arrived; else computed when first asked for.
    digest: Arc<OnceLock<Digest>>,
}

#[derive(Clone, Debug)]
enum Content {
    Memory(Bytes),
    File(Arc<File>),
}

/// Reads a blob from its start.
#[derive(Debug)]
pub struct BlobReader {
    blob: Blob,
    position: u64,
}

// === impl Blob ===

impl Blob {
    /// A blob in memory.
    pub fn from_bytes(bytes: impl Into<Bytes>) -> Self {
        let bytes = bytes.into();
        let len = bytes.len() as u64;
        Self::new(Content::Memory(bytes), len, None)
    }

    pub(super) fn from_memory(bytes: Bytes, digest: Digest) -> Self {
        let len = bytes.len() as u64;
        Self::new(Content::Memory(bytes), len, Some(digest))
    }

    /// A blob over a file that nobody writes to any more.
    pub(super) fn from_file(file: Arc<File>, len: u64, digest: Digest) -> Self {
        Self::new(Content::File(file), len, Some(digest))
    }

    fn new(content: Content, len: u64, digest: Option<Digest>) -> Self {
        Self {
            content,
            offset: 0,
            len,
            digest: Arc::new(digest.map_or_else(OnceLock::new, OnceLock::from)),
        }
    }

    pub fn size(&self) -> u64 {
        self.len
    }

    /// The digest of the bytes; of a slice it is computed once, reading all of it.
    pub fn digest(&self) -> io::Result<Digest> {
        if let Some(digest) = self.digest.get() {
            return Ok(*digest);
        }
        let mut hasher = Hasher::new();
        io::copy(&mut self.reader(), &mut hasher)?;
        let digest = hasher.finish();
        Ok(*self.digest.get_or_init(|| digest))
    }

    /// The digest, when it is known without reading.
    pub fn known_digest(&self) -> Option<Digest> {
        self.digest.get().copied()
    }

    /// At most `len` bytes from `offset`; short only at the end.
    pub fn read_at(&self, offset: u64, len: usize) -> io::Result<Bytes> {
        let start = offset.min(self.len);
        let len = usize::try_from((self.len - start).min(len as u64)).unwrap_or(len);
        match &self.content {
            Content::Memory(bytes) => {
                // In memory, so both fit in usize.
                let at = (self.offset + start) as usize;
                Ok(bytes.slice(at..at + len))
            }
            Content::File(file) => {
                let mut buffer = vec![0; len];
                file.read_exact_at(&mut buffer, self.offset + start)?;
                Ok(buffer.into())
            }
        }
    }

    /// The whole content, for blobs known to be small.
    pub fn to_bytes(&self) -> io::Result<Bytes> {
        self.read_at(
            0,
            usize::try_from(self.len).map_err(|_| io::ErrorKind::FileTooLarge)?,
        )
    }

    /// The half-open range `offset..offset + len` as a blob of its own; none when it is not inside.
    pub fn slice(&self, offset: u64, len: u64) -> Option<Self> {
        let end = offset.checked_add(len)?;
        (end <= self.len).then(|| Self {
            content: self.content.clone(),
            offset: self.offset + offset,
            len,
            digest: if len == self.len {
                self.digest.clone()
            } else {
                Arc::default()
            },
        })
    }

    pub fn reader(&self) -> BlobReader {
        BlobReader {
            blob: self.clone(),
            position: 0,
        }
    }
}

// === impl BlobReader ===

impl Read for BlobReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let bytes = self.blob.read_at(self.position, buffer.len().min(STEP))?;
        buffer[..bytes.len()].copy_from_slice(&bytes);
        self.position += bytes.len() as u64;
        Ok(bytes.len())
    }
}

impl io::Seek for BlobReader {
    fn seek(&mut self, to: io::SeekFrom) -> io::Result<u64> {
        let target = match to {
            io::SeekFrom::Start(at) => Some(at),
            io::SeekFrom::End(by) => self.blob.len.checked_add_signed(by),
            io::SeekFrom::Current(by) => self.position.checked_add_signed(by),
        };
        self.position = target.ok_or(io::ErrorKind::InvalidInput)?;
        Ok(self.position)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slice_of_a_slice_reads_the_right_bytes() {
        let blob = Blob::from_bytes(&b"0123456789"[..]);
        let inner = blob.slice(2, 6).unwrap().slice(1, 3).unwrap();
        assert_eq!(&inner.to_bytes().unwrap()[..], b"345");
        assert_eq!(inner.digest().unwrap(), Digest::of(b"345"));
        assert_eq!(&inner.read_at(2, 100).unwrap()[..], b"5");
        assert!(inner.read_at(9, 1).unwrap().is_empty());
    }

    #[test]
    fn a_slice_outside_is_none_even_when_its_end_overflows() {
        let blob = Blob::from_bytes(&b"0123"[..]);
        assert!(blob.slice(1, 4).is_none());
        assert!(blob.slice(u64::MAX, 2).is_none());
        assert_eq!(blob.slice(4, 0).unwrap().size(), 0);
    }
}
