//! What an earlier unit of this boot verified (RFC 0002): a file of root's below `/run`, so that the later units need not read every byte of every point again.
//!
//! It binds the boot, where each point lies, and the digest of its header. The header's signature is checked each time, and it binds the digest of each layer, which is checked by whoever reads one.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use bootsplice_content::Digest;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::journal::write_whole;
use crate::points::{Point, Trusted};
use crate::{AgentError, clock};

/// Larger than any record of a machine's points.
const LARGEST: u64 = 1 << 20;

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Record {
    boot: String,
    points: Vec<RecordedPoint>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct RecordedPoint {
    name: String,
    disk: Uuid,
    partition: Uuid,
    device: std::path::PathBuf,
    /// The kernel's number of the device, or the file's filesystem and inode.
    number: (u64, u64),
    offset: u64,
    length: u64,
    /// SHA-256 of the header's bytes, hexadecimal.
    header: String,
}

// === impl Record ===

impl Record {
    /// Of points that were verified to their last byte just now. None when the boot has no id.
    pub fn of(verified: &[Trusted]) -> std::io::Result<Option<Self>> {
        let Some(boot) = clock::boot_id() else {
            return Ok(None);
        };
        let points = verified
            .iter()
            .map(|one| RecordedPoint::of(&one.point, &one.header_bytes()?))
            .collect::<std::io::Result<_>>()?;
        Ok(Some(Self { boot, points }))
    }

    /// The record at `path`, if it is of this boot and nobody but us can have written it. Whatever else lies there is as good as nothing: all is verified again.
    pub fn load(path: &Path) -> Option<Self> {
        let meta = fs::symlink_metadata(path).ok()?;
        let ours = meta.is_file()
            && meta.uid() == rustix::process::geteuid().as_raw()
            && meta.mode() & 0o077 == 0
            && meta.len() <= LARGEST;
        if !ours {
            return None;
        }
        let record: Self = serde_json::from_slice(&fs::read(path).ok()?).ok()?;
        (Some(&record.boot) == clock::boot_id().as_ref()).then_some(record)
    }

    pub fn save(&self, path: &Path) -> Result<(), AgentError> {
        let bytes = serde_json::to_vec(self)
            .map_err(|error| AgentError::system("the record of this boot", error))?;
        write_whole(path, &bytes)
    }

    /// Whether this very header was at this very place when the point was verified.
    pub fn holds(&self, point: &Point, header: &[u8]) -> bool {
        RecordedPoint::of(point, header).is_ok_and(|now| self.points.contains(&now))
    }
}

// === impl RecordedPoint ===

impl RecordedPoint {
    fn of(point: &Point, header: &[u8]) -> std::io::Result<Self> {
        use std::os::unix::fs::FileTypeExt as _;
        let meta = fs::metadata(&point.device)?;
        let number = if meta.file_type().is_block_device() {
            (0, meta.rdev())
        } else {
            (meta.dev(), meta.ino())
        };
        Ok(Self {
            name: point.name.clone(),
            disk: point.disk,
            partition: point.partition,
            device: point.device.clone(),
            number,
            offset: point.offset,
            length: point.length,
            header: Digest::of(header).hex(),
        })
    }
}
