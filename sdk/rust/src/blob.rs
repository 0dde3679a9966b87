//! Blobs as Rust's readers and writers.

use std::io::{self, Read, Seek, SeekFrom, Write};

use crate::bindings::bootsplice::generator::blobs::{Blob, BlobBuilder};
use crate::bindings::bootsplice::generator::types::Error;

/// Bytes asked from the host at a time.
const READ: u32 = 256 << 10;
/// Most bytes that the host takes in one write.
const WRITE: usize = 256 << 10;

/// Reads a blob from its start, or from anywhere. Buffered: one host call for 256 KiB.
pub struct BlobReader<'a> {
    blob: &'a Blob,
    size: u64,
    /// Where `buffer` begins.
    start: u64,
    buffer: Vec<u8>,
    position: u64,
}

/// Builds a blob of any size. `finish` gives it; without it nothing was made.
pub struct BlobWriter {
    builder: BlobBuilder,
    buffer: Vec<u8>,
}

// === impl Blob ===

impl Blob {
    /// The bytes, from the start.
    pub fn reader(&self) -> BlobReader<'_> {
        BlobReader {
            blob: self,
            size: self.size(),
            start: 0,
            buffer: Vec::new(),
            position: 0,
        }
    }

    /// Up to `max` bytes from the start, in memory. A longer blob is cut.
    pub fn head(&self, max: usize) -> Result<Vec<u8>, Error> {
        let mut bytes = Vec::with_capacity(max.min(usize::try_from(self.size()).unwrap_or(max)));
        self.reader()
            .take(max as u64)
            .read_to_end(&mut bytes)
            .map_err(from_io)?;
        Ok(bytes)
    }

    /// The whole blob in memory, refused past `max` bytes.
    pub fn bytes(&self, max: usize) -> Result<Vec<u8>, Error> {
        if self.size() > max as u64 {
            return Err(Error::Unsupported(format!(
                "{} bytes where at most {max} are read at once",
                self.size()
            )));
        }
        self.head(max)
    }
}

// === impl BlobReader ===

impl Read for BlobReader<'_> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        if self.position >= self.size || out.is_empty() {
            return Ok(0);
        }
        let end = self.start + self.buffer.len() as u64;
        if self.position < self.start || self.position >= end {
            self.buffer = self.blob.read(self.position, READ).map_err(into_io)?;
            self.start = self.position;
            if self.buffer.is_empty() {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
        let from = (self.position - self.start) as usize;
        let count = out.len().min(self.buffer.len() - from);
        out[..count].copy_from_slice(&self.buffer[from..from + count]);
        self.position += count as u64;
        Ok(count)
    }
}

impl Seek for BlobReader<'_> {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let position = match to {
            SeekFrom::Start(position) => Some(position),
            SeekFrom::End(offset) => self.size.checked_add_signed(offset),
            SeekFrom::Current(offset) => self.position.checked_add_signed(offset),
        };
        self.position = position.ok_or(io::ErrorKind::InvalidInput)?;
        Ok(self.position)
    }
}

// === impl BlobWriter ===

impl BlobWriter {
    pub fn new() -> Self {
        Self {
            builder: BlobBuilder::new(),
            buffer: Vec::new(),
        }
    }

    pub fn finish(mut self) -> Result<Blob, Error> {
        self.flush().map_err(from_io)?;
        self.builder.finish()
    }
}

impl Default for BlobWriter {
    fn default() -> Self {
        Self::new()
    }
}

impl Write for BlobWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.buffer.len() == WRITE {
            self.flush()?;
        }
        let count = bytes.len().min(WRITE - self.buffer.len());
        self.buffer.extend_from_slice(&bytes[..count]);
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        if !self.buffer.is_empty() {
            self.builder.write(&self.buffer).map_err(into_io)?;
            self.buffer.clear();
        }
        Ok(())
    }
}

/// A contract's error as an [`io::Error`] that [`from_io`] takes apart again.
pub fn into_io(error: Error) -> io::Error {
    io::Error::other(error)
}

/// The contract's error inside, or a fault of the generator.
pub fn from_io(error: io::Error) -> Error {
    match error.downcast::<Error>() {
        Ok(error) => error,
        Err(error) => Error::Fault(error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_of_the_host_survives_the_way_through_io() {
        let denied = Error::Denied("host".into());
        assert_eq!(from_io(into_io(denied.clone())), denied);
        assert!(matches!(
            from_io(io::ErrorKind::InvalidData.into()),
            Error::Fault(_)
        ));
    }
}
