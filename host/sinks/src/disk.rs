//! The few calls that a file or device must answer, so that tests can stand in for one and cut its power.

use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use bootsplice_content::BLOCK;
use parking_lot::Mutex;
use rustix::fs::FallocateFlags;
use rustix::io::Errno;
use tokio::sync::RwLock;

use crate::sink::{Coverage, Geometry};
use crate::{Result, SinkError};

/// Blocking writes at offsets. Nothing is durable before `sync`.
pub trait Disk: Send + Sync {
    fn write_at(&self, bytes: &[u8], at: u64) -> io::Result<()>;
    /// Makes `range` read as zeros.
    fn zero(&self, range: Range<u64>) -> io::Result<()>;
    fn sync(&self) -> io::Result<()>;
}

/// Writes to a [`Disk`] off the runtime's threads, with a count of what arrived and a gate that closes when all of them are done.
pub(crate) struct Writer {
    pub(crate) target: String,
    pub(crate) geometry: Geometry,
    disk: Arc<dyn Disk>,
    coverage: Mutex<Coverage>,
    /// Held shared by every write, for as long as its thread runs, also when the caller went away. `None` within: closed.
    gate: Arc<RwLock<Open>>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
struct Open(bool);

pub(crate) static ZEROS: [u8; BLOCK] = [0; BLOCK];

// === impl Disk ===

impl Disk for File {
    fn write_at(&self, bytes: &[u8], at: u64) -> io::Result<()> {
        self.write_all_at(bytes, at)
    }

    /// `fallocate(ZERO_RANGE)`: on a block device the kernel takes the path of the BLKZEROOUT ioctl (Linux 4.9, block/fops.c), with its page
    /// cache dropped and a fallback of its own, and needs no unsafe code here. Where a file system lacks it, zeros are written.
    fn zero(&self, range: Range<u64>) -> io::Result<()> {
        let flags = FallocateFlags::ZERO_RANGE | FallocateFlags::KEEP_SIZE;
        match rustix::fs::fallocate(self, flags, range.start, range.end - range.start) {
            Ok(()) => Ok(()),
            Err(Errno::OPNOTSUPP | Errno::NOSYS | Errno::INVAL) => {
                for at in range.clone().step_by(BLOCK) {
                    let length = (range.end - at).min(BLOCK as u64) as usize;
                    self.write_all_at(&ZEROS[..length], at)?;
                }
                Ok(())
            }
            Err(error) => Err(error.into()),
        }
    }

    fn sync(&self) -> io::Result<()> {
        self.sync_all()
    }
}

// === impl Writer ===

impl Writer {
    pub(crate) fn new(target: String, geometry: Geometry, disk: Arc<dyn Disk>) -> Self {
        Self {
            target,
            geometry,
            disk,
            coverage: Mutex::new(Coverage::new(geometry)),
            gate: Arc::new(RwLock::new(Open(true))),
        }
    }

    pub(crate) fn mark(&self, call: &'static str, blocks: Range<u64>) -> Result<()> {
        let marked = self.coverage.lock().mark(blocks);
        marked.map_err(|reason| self.misuse(call, reason))
    }

    pub(crate) fn complete(&self) -> Result<()> {
        let complete = self.coverage.lock().complete();
        complete.map_err(|reason| self.misuse("commit", reason))
    }

    /// Runs `work` on a blocking thread. Once begun it runs to its end, and [`Writer::close`] waits for it.
    pub(crate) async fn run(
        &self,
        action: &'static str,
        work: impl FnOnce(&dyn Disk) -> io::Result<()> + Send + 'static,
    ) -> Result<()> {
        let gate = self.gate.clone().read_owned().await;
        if *gate != Open(true) {
            return Err(self.misuse(action, "the sink is closed".into()));
        }
        let disk = self.disk.clone();
        let done = tokio::task::spawn_blocking(move || {
            let _gate = gate;
            work(&*disk)
        });
        let result = match done.await {
            Ok(result) => result,
            Err(error) => Err(io::Error::other(error)),
        };
        result.map_err(|error| SinkError::io(&self.target, action, error))
    }

    /// Waits for all writes under way and refuses later ones. True the first time.
    pub(crate) async fn close(&self) -> bool {
        let mut gate = self.gate.write().await;
        std::mem::replace(&mut *gate, Open(false)) == Open(true)
    }

    /// As `run`, after `close`.
    pub(crate) async fn last(
        &self,
        action: &'static str,
        work: impl FnOnce(&dyn Disk) -> io::Result<()> + Send + 'static,
    ) -> Result<()> {
        let disk = self.disk.clone();
        let gate = self.gate.clone().write_owned().await;
        let done = tokio::task::spawn_blocking(move || {
            let _gate = gate;
            work(&*disk)
        });
        let result = match done.await {
            Ok(result) => result,
            Err(error) => Err(io::Error::other(error)),
        };
        result.map_err(|error| SinkError::io(&self.target, action, error))
    }

    pub(crate) fn misuse(&self, call: &'static str, reason: String) -> SinkError {
        SinkError::Misuse {
            target: self.target.clone(),
            call,
            reason,
        }
    }
}
