//! Reads partition tables (UEFI 2.10 section 5.3): disk GUID, and the partitions that are insertion points. Bounded; checksums are checked.

use std::io::{self, Read, Seek, SeekFrom};

use uuid::Uuid;

/// GPT labels of insertion points start so.
pub const LABEL: &str = "bootsplice:";

/// A disk's GUID and its insertion points.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Table {
    pub disk: Uuid,
    pub points: Vec<Partition>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Partition {
    /// From 1, as the kernel counts.
    pub number: u32,
    pub guid: Uuid,
    /// The label behind [`LABEL`].
    pub point: String,
    /// Bytes.
    pub offset: u64,
    pub length: u64,
}

/// The table of `disk`, if it has one. The backup table is not consulted: a disk whose primary table is damaged is for its owner to repair.
pub fn read(disk: &mut (impl Read + Seek)) -> io::Result<Option<Table>> {
    for sector in [512, 4096] {
        if let Some(table) = read_with(disk, sector)? {
            return Ok(Some(table));
        }
    }
    Ok(None)
}

fn read_with(disk: &mut (impl Read + Seek), sector: u64) -> io::Result<Option<Table>> {
    let mut header = [0; 92];
    if !read_at(disk, sector, &mut header)? || &header[..8] != b"EFI PART" {
        return Ok(None);
    }
    let mut summed = header;
    summed[16..20].fill(0);
    if word(&header, 12) != 92 || crc32fast::hash(&summed) != word(&header, 16) {
        return Ok(None);
    }
    let (count, size) = (word(&header, 80), word(&header, 84));
    if count > 1024 || !(128..=4096).contains(&size) {
        return Ok(None);
    }
    let mut entries = vec![0; (count * size) as usize];
    let at = long(&header, 72).saturating_mul(sector);
    if !read_at(disk, at, &mut entries)? || crc32fast::hash(&entries) != word(&header, 88) {
        return Ok(None);
    }
    let points = (1..)
        .zip(entries.chunks_exact(size as usize))
        .filter_map(|(number, entry)| partition(number, entry, sector))
        .collect();
    Ok(Some(Table {
        disk: guid(&header, 56),
        points,
    }))
}

fn partition(number: u32, entry: &[u8], sector: u64) -> Option<Partition> {
    let units: Vec<u16> = entry[56..128]
        .chunks_exact(2)
        .map(|pair| u16::from_le_bytes([pair[0], pair[1]]))
        .take_while(|unit| *unit != 0)
        .collect();
    let label = String::from_utf16(&units).ok()?;
    let point = label.strip_prefix(LABEL)?.to_owned();
    let (first, last) = (long(entry, 32), long(entry, 40));
    let sectors = last.checked_sub(first)?.checked_add(1)?;
    Some(Partition {
        number,
        guid: guid(entry, 16),
        point,
        offset: first.checked_mul(sector)?,
        length: sectors.checked_mul(sector)?,
    })
}

/// False when the disk ends before.
fn read_at(disk: &mut (impl Read + Seek), at: u64, buffer: &mut [u8]) -> io::Result<bool> {
    disk.seek(SeekFrom::Start(at))?;
    match disk.read_exact(buffer) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(false),
        Err(error) => Err(error),
    }
}

fn word(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}

fn long(bytes: &[u8], at: usize) -> u64 {
    u64::from(word(bytes, at)) | u64::from(word(bytes, at + 4)) << 32
}

fn guid(bytes: &[u8], at: usize) -> Uuid {
    let mut raw = [0; 16];
    raw.copy_from_slice(&bytes[at..at + 16]);
    Uuid::from_bytes_le(raw)
}
