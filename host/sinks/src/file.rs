//! A volume as a regular file.
//!
//! Written to `<name>.partial`, which this sink makes itself and which is therefore sparse where the volume is zero; synced; renamed; the directory
//! synced. Whoever looks finds the whole volume under its name, or nothing. A `.partial` left by a crash is replaced: whoever holds the lease of
//! the target is the only writer.

use std::fs::File;
use std::ops::Range;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};

use async_trait::async_trait;
use bootsplice_content::Chunk;
use rustix::fs::{AtFlags, Mode, OFlags, RenameFlags, openat, renameat_with, unlinkat};
use rustix::io::Errno;

use crate::disk::{Disk, Writer};
use crate::sink::{Caps, Geometry, Sink};
use crate::{Result, SinkError};

/// A place for a file: a directory that was opened safely, and a name in it.
#[derive(Debug)]
pub struct FileTarget {
    pub(crate) directory: OwnedFd,
    pub(crate) name: String,
    /// What messages call it.
    pub(crate) label: String,
}

/// What to do when the name is taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Existing {
    /// Refuse, before the first byte and again at the end. A volume that a guest may be running on is never replaced by accident.
    Refuse,
    /// Replace it at commit: for a launch that is taken up again and may have renamed already.
    Replace,
}

/// See the module.
pub struct FileSink {
    writer: Writer,
    place: Arc<Place>,
}

struct Place {
    target: FileTarget,
    partial: String,
    existing: Existing,
    /// True while `<name>.partial` is ours to remove.
    unfinished: AtomicBool,
}

/// Ends the name of a file that is not a volume yet.
pub const PARTIAL: &str = ".partial";

const IN_FLIGHT: usize = 4;

// === impl FileTarget ===

impl FileTarget {
    /// A name in a directory that the caller opened. Operators' sinks go through [`NamedSink`](crate::NamedSink), which checks names.
    pub fn new(directory: OwnedFd, name: &str) -> Self {
        Self {
            directory,
            name: name.to_owned(),
            label: name.to_owned(),
        }
    }
}

// === impl FileSink ===

impl FileSink {
    /// Makes the `.partial` file with its final size. Blocking, briefly.
    pub fn create(target: FileTarget, geometry: Geometry, existing: Existing) -> Result<Self> {
        Self::create_over(target, geometry, existing, |file| Arc::new(file))
    }

    /// As `create`, with something between the sink and its file, such as a fault.
    pub(crate) fn create_over(
        target: FileTarget,
        geometry: Geometry,
        existing: Existing,
        over: impl FnOnce(File) -> Arc<dyn Disk>,
    ) -> Result<Self> {
        let label = target.label.clone();
        let failed = |action, error: Errno| SinkError::io(&label, action, error.into());
        let taken = rustix::fs::statat(&target.directory, &target.name, AtFlags::SYMLINK_NOFOLLOW);
        match taken {
            Ok(_) if existing == Existing::Refuse => return Err(already(&label)),
            Ok(stat) if !rustix::fs::FileType::from_raw_mode(stat.st_mode).is_file() => {
                return Err(SinkError::refused(
                    &label,
                    "not a regular file",
                    "a regular file, or nothing",
                ));
            }
            Ok(_) | Err(Errno::NOENT) => {}
            Err(error) => return Err(failed("look for", error)),
        }
        let partial = format!("{}{PARTIAL}", target.name);
        match unlinkat(&target.directory, &partial, AtFlags::empty()) {
            Ok(()) | Err(Errno::NOENT) => {}
            Err(error) => return Err(failed("remove the unfinished file of", error)),
        }
        let flags =
            OFlags::CREATE | OFlags::EXCL | OFlags::RDWR | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file = openat(&target.directory, &partial, flags, Mode::RUSR | Mode::WUSR)
            .map_err(|error| failed("create", error))?;
        let file = File::from(file);
        let place = Arc::new(Place {
            target,
            partial,
            existing,
            unfinished: AtomicBool::new(true),
        });
        let sized = file.set_len(geometry.size);
        let sink = Self {
            writer: Writer::new(label.clone(), geometry, over(file)),
            place,
        };
        // From here on dropping the sink removes the file.
        sized.map_err(
            |error| match error.raw_os_error().map(Errno::from_raw_os_error) {
                Some(Errno::FBIG | Errno::INVAL) => SinkError::refused(
                    &label,
                    format!("a volume of {} bytes", geometry.size),
                    "one that its file system can hold in a file",
                ),
                _ => SinkError::io(&label, "size", error),
            },
        )?;
        Ok(sink)
    }
}

#[async_trait]
impl Sink for FileSink {
    fn caps(&self) -> Caps {
        Caps {
            geometry: self.writer.geometry,
            max_in_flight: IN_FLIGHT,
        }
    }

    async fn put(&self, block: u64, chunk: Chunk) -> Result<()> {
        self.writer.mark("put", block..block.saturating_add(1))?;
        let bytes = self.writer.geometry.bytes(&(block..block + 1));
        self.writer
            .run("write to", move |disk| {
                let length = ((bytes.end - bytes.start) as usize).min(chunk.bytes().len());
                disk.write_at(&chunk.bytes()[..length], bytes.start)
            })
            .await
    }

    /// Nothing to write: the file is this sink's own and sparse.
    async fn zero(&self, blocks: Range<u64>) -> Result<()> {
        self.writer.mark("zero", blocks)
    }

    async fn commit(&self) -> Result<()> {
        self.writer.complete()?;
        if !self.writer.close().await {
            return Err(self.writer.misuse("commit", "the sink is closed".into()));
        }
        self.writer.last("sync", |disk| disk.sync()).await?;
        let place = self.place.clone();
        self.writer
            .last("rename", move |_| place.rename().map_err(Into::into))
            .await
            .map_err(|error| match error {
                SinkError::Io { source, .. }
                    if source.kind() == std::io::ErrorKind::AlreadyExists =>
                {
                    already(&self.writer.target)
                }
                other => other,
            })
    }

    async fn abort(&self) {
        self.writer.close().await;
        let place = self.place.clone();
        let removed = self.writer.last("remove", move |_| {
            place.remove();
            Ok(())
        });
        // Removing reports nothing: there is nobody left to tell.
        let _ = removed.await;
    }
}

// === impl Place ===

impl Place {
    fn rename(&self) -> Result<(), Errno> {
        let FileTarget {
            directory, name, ..
        } = &self.target;
        let directory = directory.as_fd();
        let flags = match self.existing {
            Existing::Refuse => RenameFlags::NOREPLACE,
            Existing::Replace => RenameFlags::empty(),
        };
        match renameat_with(directory, &self.partial, directory, name, flags) {
            // Not every file system knows NOREPLACE; the lease and the look at the start still hold.
            Err(Errno::INVAL) => rustix::fs::renameat(directory, &self.partial, directory, name)?,
            other => other?,
        }
        self.unfinished.store(false, SeqCst);
        if let Err(error) = rustix::fs::fsync(directory) {
            // The name may not survive power loss, so it must not be taken for a volume now either.
            let _ = unlinkat(directory, name, AtFlags::empty());
            return Err(error);
        }
        Ok(())
    }

    fn remove(&self) {
        if self.unfinished.swap(false, SeqCst) {
            let _ = unlinkat(&self.target.directory, &self.partial, AtFlags::empty());
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.remove();
    }
}

fn already(label: &str) -> SinkError {
    SinkError::refused(
        label,
        "it exists",
        "a name that is free; delete the volume first if it is no longer used",
    )
}

#[cfg(test)]
mod tests;
