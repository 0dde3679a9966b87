//! A volume on a block device.
//!
//! A device holds somebody's old bytes, often another tenant's disk with its boot loader. So (rule 1): the first and last 1 MiB are zeroed and
//! flushed before anything else; every zero run is zeroed explicitly; block 0 and the last block, where the partition tables lie, wait in
//! memory; then all data, flush, the last block and block 0 but its first sector, flush, that sector, flush. The first sector carries what firmware looks
//! for first (the boot signature and the protective MBR) and a sector is written whole or not at all. So a device that was interrupted at any moment
//! does not boot, and no partition table, not even the backup, is found before all it speaks of is durable.

use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileTypeExt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};

use async_trait::async_trait;
use bootsplice_content::{BLOCK_U64, Chunk};
use parking_lot::Mutex;
use rustix::fs::{SeekFrom, ioctl_blksszget, seek};

use crate::disk::{Disk, Writer};
use crate::sink::{Caps, Geometry, Sink};
use crate::{Result, SinkError};

/// A device that was opened for writing, exclusively where it is a block device.
#[derive(Debug)]
pub struct DeviceTarget {
    pub(crate) file: File,
    /// What messages call it.
    pub(crate) label: String,
}

/// See the module.
pub struct DeviceSink {
    writer: Writer,
    held: Mutex<Held>,
    sealed: AtomicBool,
}

/// The blocks with the partition tables, until all else is durable.
#[derive(Default)]
struct Held {
    first: Option<Chunk>,
    last: Option<Chunk>,
}

/// Bytes that are cleared at both ends before anything else.
const END: u64 = 1024 * 1024;

/// Zeroing is cut into pieces of this size, so that a cancelled stream does not wait for a terabyte.
const ZERO_AT_ONCE: u64 = 256 * 1024 * 1024;

const IN_FLIGHT: usize = 4;

// === impl DeviceTarget ===

impl DeviceTarget {
    /// A device that the caller opened. Operators' sinks go through [`NamedSink`](crate::NamedSink), which opens devices exclusively.
    /// A regular file serves as a device too, of sectors of any size.
    pub fn new(file: File, label: &str) -> Self {
        Self {
            file,
            label: label.to_owned(),
        }
    }

    /// Bytes of the device, and of its logical sector where it has one.
    fn measure(&self) -> io::Result<(u64, Option<u32>)> {
        let size = seek(&self.file, SeekFrom::End(0))?;
        let is_device = self.file.metadata()?.file_type().is_block_device();
        let sector = is_device.then(|| ioctl_blksszget(&self.file)).transpose()?;
        Ok((size, sector))
    }
}

// === impl DeviceSink ===

impl DeviceSink {
    /// Refuses a device of another size or sector size, by name and before it is touched; else clears both ends.
    pub async fn open(target: DeviceTarget, geometry: Geometry) -> Result<Self> {
        let (size, sector) = target
            .measure()
            .map_err(|error| SinkError::io(&target.label, "measure", error))?;
        if size != geometry.size {
            let found = format!("it has {size} bytes");
            let expected = format!(
                "{} bytes: give the launch `size` {size}, or another device",
                geometry.size
            );
            return Err(SinkError::refused(&target.label, found, expected));
        }
        if let Some(sector) = sector
            && sector != geometry.sector
        {
            let found = format!("its sectors have {sector} bytes");
            let expected = format!("sectors of {} bytes, as the volume has", geometry.sector);
            return Err(SinkError::refused(&target.label, found, expected));
        }
        Self::open_over(Arc::new(target.file), target.label, geometry).await
    }

    /// As `open`, over anything that takes writes, its size checked already.
    pub(crate) async fn open_over(
        disk: Arc<dyn Disk>,
        label: String,
        geometry: Geometry,
    ) -> Result<Self> {
        let sink = Self {
            writer: Writer::new(label, geometry, disk),
            held: Mutex::default(),
            sealed: AtomicBool::new(false),
        };
        sink.writer
            .run("clear both ends of", move |disk| {
                clear_ends(disk, geometry.size)
            })
            .await?;
        Ok(sink)
    }

    fn last_block(&self) -> u64 {
        self.writer.geometry.blocks().saturating_sub(1)
    }
}

#[async_trait]
impl Sink for DeviceSink {
    fn caps(&self) -> Caps {
        Caps {
            geometry: self.writer.geometry,
            max_in_flight: IN_FLIGHT,
        }
    }

    async fn put(&self, block: u64, chunk: Chunk) -> Result<()> {
        self.writer.mark("put", block..block.saturating_add(1))?;
        if block == 0 {
            self.held.lock().first = Some(chunk);
            return Ok(());
        }
        if block == self.last_block() {
            self.held.lock().last = Some(chunk);
            return Ok(());
        }
        self.writer
            .run("write to", move |disk| {
                disk.write_at(chunk.bytes(), block * BLOCK_U64)
            })
            .await
    }

    async fn zero(&self, blocks: Range<u64>) -> Result<()> {
        self.writer.mark("zero", blocks.clone())?;
        let bytes = self.writer.geometry.bytes(&blocks);
        let mut at = bytes.start;
        while at < bytes.end {
            let piece = at..(at + ZERO_AT_ONCE).min(bytes.end);
            at = piece.end;
            self.writer
                .run("zero a part of", move |disk| disk.zero(piece))
                .await?;
        }
        Ok(())
    }

    async fn commit(&self) -> Result<()> {
        self.writer.complete()?;
        if !self.writer.close().await {
            return Err(self.writer.misuse("commit", "the sink is closed".into()));
        }
        let Held { first, last } = std::mem::take(&mut *self.held.lock());
        let geometry = self.writer.geometry;
        let last_block = self.last_block();
        self.writer
            .last("finish", move |disk| {
                disk.sync()?;
                if let Some(last) = last {
                    let bytes = geometry.bytes(&(last_block..last_block + 1));
                    let length = (bytes.end - bytes.start) as usize;
                    disk.write_at(&last.bytes()[..length], bytes.start)?;
                }
                if let Some(first) = first {
                    let length = first.bytes().len().min(geometry.size as usize);
                    let (head, rest) = first.bytes()[..length].split_at(geometry.sector as usize);
                    disk.write_at(rest, u64::from(geometry.sector))?;
                    disk.sync()?;
                    disk.write_at(head, 0)?;
                }
                disk.sync()
            })
            .await?;
        self.sealed.store(true, SeqCst);
        Ok(())
    }

    /// Clears both ends again, in case the stream got as far as the tables. What lies between stays, and does not boot.
    async fn abort(&self) {
        self.writer.close().await;
        if self.sealed.load(SeqCst) {
            return;
        }
        *self.held.lock() = Held::default();
        let size = self.writer.geometry.size;
        if let Err(error) = self
            .writer
            .last("clear both ends of", move |disk| clear_ends(disk, size))
            .await
        {
            tracing::warn!(%error, "an aborted device could not be cleared again");
        }
    }
}

fn clear_ends(disk: &dyn Disk, size: u64) -> io::Result<()> {
    disk.zero(0..END.min(size))?;
    if size > END {
        disk.zero(size.saturating_sub(END).max(END)..size)?;
    }
    disk.sync()
}

#[cfg(test)]
mod tests;
