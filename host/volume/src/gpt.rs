//! GUID partition tables (UEFI 2.10 section 5.3) in the two blocks that hold them.
//!
//! The primary table lies in block 0, the backup alone in the last block. A [`Table`] is read from block 0, changed, and written back into both; everything else in
//! block 0, boot code included, stays as it is.

use bootsplice_content::{BLOCK, BLOCK_U64};
use uuid::Uuid;

use crate::{MAX_SIZE, Point, PointName, Stage, VolumeError};

/// Partition type of insertion points.
pub const POINT_TYPE: Uuid = Uuid::from_u128(0xB505_1CE0_70D1_4E4A_9C3B_5A11_CE0B_0075);

/// What the label of an insertion point's partition starts with.
pub const LABEL_PREFIX: &str = "bootsplice:";

/// New points take the first free entry from this one on (numbered from 1): what other tools number stays as it is.
const FIRST_ENTRY: usize = 16;

const SIGNATURE: &[u8; 8] = b"EFI PART";
const HEADER: usize = 92;
const ENTRY: usize = 128;
const MAX_ENTRIES: u32 = 1024;

/// A partition table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Table {
    sector: u32,
    disk: Uuid,
    revision: [u8; 4],
    first_usable: u64,
    /// Sector of the primary entries.
    entries_at: u64,
    /// Raw entries; unused ones are zero.
    entries: Vec<[u8; ENTRY]>,
}

/// One used entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Partition {
    /// From 1.
    pub number: usize,
    pub kind: Uuid,
    pub id: Uuid,
    /// Byte offset in the volume.
    pub offset: u64,
    /// Bytes.
    pub length: u64,
    pub label: String,
}

/// A point to be appended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewPoint {
    pub name: PointName,
    pub blocks: u64,
    pub stage: Stage,
}

// === impl Table ===

impl Table {
    /// Reads the primary table in the first block of a volume of `size` bytes. Sector sizes of 512 and 4,096 bytes are tried.
    pub fn read(head: &[u8], size: u64) -> Result<Self, VolumeError> {
        if size > MAX_SIZE {
            return Err(VolumeError::NoTable(format!(
                "{size} bytes are more than 64 TiB"
            )));
        }
        let sector = [512u32, 4096]
            .into_iter()
            .find(|&sector| {
                head.get(sector as usize..)
                    .is_some_and(|at| at.starts_with(SIGNATURE))
            })
            .ok_or_else(|| VolumeError::NoTable("there is no `EFI PART` in sector 1".into()))?;
        Self::read_with(head, size, sector).map_err(VolumeError::NoTable)
    }

    fn read_with(head: &[u8], size: u64, sector: u32) -> Result<Self, String> {
        let header = head
            .get(sector as usize..sector as usize + HEADER)
            .ok_or("the image ends in the header")?;
        if u32_at(header, 12) as usize != HEADER {
            return Err(format!(
                "a header of {} bytes, expected {HEADER}",
                u32_at(header, 12)
            ));
        }
        let mut unsigned = header.to_vec();
        unsigned[16..20].fill(0);
        if crc32fast::hash(&unsigned) != u32_at(header, 16) {
            return Err("the checksum of the primary header is wrong".into());
        }
        let (count, entry) = (u32_at(header, 80), u32_at(header, 84));
        if entry as usize != ENTRY || count == 0 || count > MAX_ENTRIES {
            return Err(format!(
                "{count} entries of {entry} bytes, expected at most {MAX_ENTRIES} of {ENTRY}"
            ));
        }
        let (entries_at, first_usable) = (u64_at(header, 72), u64_at(header, 40));
        let start = entries_at
            .checked_mul(u64::from(sector))
            .filter(|start| *start < BLOCK_U64);
        let raw = start
            .and_then(|start| head.get(start as usize..start as usize + count as usize * ENTRY))
            .ok_or("the entries do not lie in the first 512 KiB")?;
        if crc32fast::hash(raw) != u32_at(header, 88) {
            return Err("the checksum of the entries is wrong".into());
        }
        let table = Self {
            sector,
            disk: guid_at(header, 56),
            revision: [header[8], header[9], header[10], header[11]],
            first_usable,
            entries_at,
            entries: raw.as_chunks::<ENTRY>().0.to_vec(),
        };
        let partitions = table.partitions();
        for (index, one) in partitions.iter().enumerate() {
            let end = one
                .offset
                .checked_add(one.length)
                .filter(|end| *end <= size && one.length > 0);
            let end =
                end.ok_or_else(|| format!("partition {} does not lie in the image", one.number))?;
            if partitions[..index]
                .iter()
                .any(|other| one.offset < other.offset + other.length && other.offset < end)
            {
                return Err(format!("partition {} overlaps another", one.number));
            }
        }
        Ok(table)
    }

    pub fn sector(&self) -> u32 {
        self.sector
    }

    pub fn disk(&self) -> Uuid {
        self.disk
    }

    /// The used entries by number.
    pub fn partitions(&self) -> Vec<Partition> {
        let sector = u64::from(self.sector);
        let used = self
            .entries
            .iter()
            .enumerate()
            .filter(|(_, entry)| entry[..16] != [0; 16]);
        used.map(|(index, entry)| {
            let (first, last) = (u64_at(entry, 32), u64_at(entry, 40));
            let sectors = last
                .saturating_sub(first)
                .saturating_add(u64::from(last >= first));
            Partition {
                number: index + 1,
                kind: guid_at(entry, 0),
                id: guid_at(entry, 16),
                offset: first.saturating_mul(sector),
                length: sectors.saturating_mul(sector),
                label: label_of(entry),
            }
        })
        .collect()
    }

    /// The insertion points that the table carries, by ascending block. One that is not on block boundaries, too small or misnamed is an error.
    pub fn points(&self) -> Result<Vec<Point>, VolumeError> {
        let mut points = Vec::new();
        for partition in self.partitions() {
            if partition.kind != POINT_TYPE && !partition.label.starts_with(LABEL_PREFIX) {
                continue;
            }
            let name: PointName = partition
                .label
                .strip_prefix(LABEL_PREFIX)
                .unwrap_or_default()
                .parse()?;
            let whole = partition.offset.is_multiple_of(BLOCK_U64)
                && partition.length.is_multiple_of(BLOCK_U64);
            if !whole || partition.length / BLOCK_U64 < Point::LEAST {
                return Err(VolumeError::DoesNotFit {
                    what: "an insertion point in the image",
                    found: format!(
                        "`{name}` at {} with {} bytes",
                        partition.offset, partition.length
                    ),
                    expected: "multiples of 512 KiB, at least 4 MiB".into(),
                });
            }
            points.push(Point {
                stage: Stage::default_of(&name),
                name,
                partition: partition.id,
                first: partition.offset / BLOCK_U64,
                blocks: partition.length / BLOCK_U64,
            });
        }
        points.sort_by_key(|point| point.first);
        Ok(points)
    }

    /// Appends points before the last block of a volume of `size` bytes, in the order given. Their GUIDs are derived from the disk's and their names.
    pub fn append_points(
        &mut self,
        points: &[NewPoint],
        size: u64,
    ) -> Result<Vec<Point>, VolumeError> {
        let does_not_fit = |found: String, expected: &str| VolumeError::DoesNotFit {
            what: "the insertion points",
            found,
            expected: expected.to_owned(),
        };
        let needed = points
            .iter()
            .fold(1u64, |sum, point| sum.saturating_add(point.blocks));
        let blocks = size / BLOCK_U64;
        let occupied = self
            .partitions()
            .iter()
            .map(|one| one.offset + one.length)
            .max()
            .unwrap_or(0);
        let mut first = blocks
            .checked_sub(needed)
            .filter(|first| first * BLOCK_U64 >= occupied.max(BLOCK_U64))
            .ok_or_else(|| {
                does_not_fit(
                    format!("{needed} blocks of 512 KiB in a volume of {blocks}, with partitions up to byte {occupied}"),
                    "a larger `--size` or smaller points",
                )
            })?;
        let mut made = Vec::new();
        for point in points {
            if point.blocks < Point::LEAST {
                return Err(does_not_fit(
                    format!("`{}` with {} blocks", point.name, point.blocks),
                    "at least 4 MiB for a point",
                ));
            }
            let free = (FIRST_ENTRY - 1..self.entries.len())
                .find(|&index| self.entries[index][..16] == [0; 16]);
            let index = free.ok_or_else(|| {
                does_not_fit(
                    "no free entry in the table".into(),
                    "fewer partitions or points",
                )
            })?;
            let id = Uuid::new_v5(&self.disk, point.name.label().as_bytes());
            let mut entry = [0; ENTRY];
            entry[..16].copy_from_slice(&POINT_TYPE.to_bytes_le());
            entry[16..32].copy_from_slice(&id.to_bytes_le());
            for (slot, unit) in entry[56..]
                .chunks_exact_mut(2)
                .zip(point.name.label().encode_utf16())
            {
                slot.copy_from_slice(&unit.to_le_bytes());
            }
            self.entries[index] = entry;
            self.place(index, first, point.blocks);
            made.push(Point {
                name: point.name.clone(),
                partition: id,
                first,
                blocks: point.blocks,
                stage: point.stage,
            });
            first += point.blocks;
        }
        Ok(made)
    }

    /// Moves the partition with the GUID of `point` to another first block.
    pub fn move_point(&mut self, point: &Point, first: u64) -> Result<(), VolumeError> {
        let id = point.partition.to_bytes_le();
        let index = self.entries.iter().position(|entry| entry[16..32] == id);
        let index = index.ok_or_else(|| {
            VolumeError::NoTable(format!(
                "partition {} of point `{}` is not in the table",
                point.partition, point.name
            ))
        })?;
        self.place(index, first, point.blocks);
        Ok(())
    }

    /// Writes the primary table into `head` (block 0), with its protective MBR, and gives the last block of a volume of `size` bytes with the backup.
    pub fn write(&self, head: &mut [u8], size: u64) -> Vec<u8> {
        let sector = u64::from(self.sector);
        let sectors = size / sector;
        let last = sectors - 1;
        let raw: Vec<u8> = self.entries.concat();
        let backup_entries = last - (raw.len() as u64).div_ceil(sector);
        self.protect(head, sectors);
        let primary = self.header(1, last, self.entries_at, backup_entries - 1, &raw);
        let at = sector as usize;
        head[at..at + HEADER].copy_from_slice(&primary);
        let entries = self.entries_at as usize * sector as usize;
        head[entries..entries + raw.len()].copy_from_slice(&raw);
        let mut tail = vec![0; BLOCK];
        let backup = self.header(last, 1, backup_entries, backup_entries - 1, &raw);
        let in_tail = |lba: u64| BLOCK - ((sectors - lba) * sector) as usize;
        tail[in_tail(last)..in_tail(last) + HEADER].copy_from_slice(&backup);
        tail[in_tail(backup_entries)..in_tail(backup_entries) + raw.len()].copy_from_slice(&raw);
        tail
    }

    /// Byte range of the backup table in an image of `size` bytes as it came: what an import makes zero when the volume grows.
    pub fn backup_range(&self, size: u64) -> std::ops::Range<u64> {
        let array = (self.entries.len() * ENTRY).div_ceil(self.sector as usize) as u64;
        size.saturating_sub((array + 1) * u64::from(self.sector))..size
    }

    fn place(&mut self, index: usize, first: u64, blocks: u64) {
        let per_block = BLOCK_U64 / u64::from(self.sector);
        let entry = &mut self.entries[index];
        entry[32..40].copy_from_slice(&(first * per_block).to_le_bytes());
        entry[40..48].copy_from_slice(&((first + blocks) * per_block - 1).to_le_bytes());
    }

    fn header(
        &self,
        own: u64,
        other: u64,
        entries_at: u64,
        last_usable: u64,
        raw: &[u8],
    ) -> [u8; HEADER] {
        let mut header = [0; HEADER];
        header[..8].copy_from_slice(SIGNATURE);
        header[8..12].copy_from_slice(&self.revision);
        header[12..16].copy_from_slice(&(HEADER as u32).to_le_bytes());
        for (at, value) in [
            (24, own),
            (32, other),
            (40, self.first_usable),
            (48, last_usable),
            (72, entries_at),
        ] {
            header[at..at + 8].copy_from_slice(&value.to_le_bytes());
        }
        header[56..72].copy_from_slice(&self.disk.to_bytes_le());
        header[80..84].copy_from_slice(&(self.entries.len() as u32).to_le_bytes());
        header[84..88].copy_from_slice(&(ENTRY as u32).to_le_bytes());
        header[88..92].copy_from_slice(&crc32fast::hash(raw).to_le_bytes());
        let checksum = crc32fast::hash(&header);
        header[16..20].copy_from_slice(&checksum.to_le_bytes());
        header
    }

    /// Fits the size in the protective MBR's 0xEE entry; boot code and a hybrid's other entries stay.
    fn protect(&self, head: &mut [u8], sectors: u64) {
        for entry in head[446..510].chunks_exact_mut(16) {
            if entry[4] == 0xEE {
                let start = u64::from(u32::from_le_bytes([
                    entry[8], entry[9], entry[10], entry[11],
                ]));
                let length = u32::try_from(sectors.saturating_sub(start)).unwrap_or(u32::MAX);
                entry[12..16].copy_from_slice(&length.to_le_bytes());
            }
        }
    }
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(
        *bytes[at..]
            .first_chunk()
            .expect("callers pass whole headers and entries"),
    )
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(
        *bytes[at..]
            .first_chunk()
            .expect("callers pass whole headers and entries"),
    )
}

/// The first three fields of a GUID are little-endian on disk.
fn guid_at(bytes: &[u8], at: usize) -> Uuid {
    Uuid::from_bytes_le(
        *bytes[at..]
            .first_chunk()
            .expect("callers pass whole headers and entries"),
    )
}

fn label_of(entry: &[u8; ENTRY]) -> String {
    let units = entry[56..]
        .as_chunks::<2>()
        .0
        .iter()
        .map(|unit| u16::from_le_bytes(*unit));
    let text: Vec<u16> = units.take_while(|unit| *unit != 0).collect();
    String::from_utf16_lossy(&text)
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The first block of a disk with one partition, made by this module itself.
    pub(crate) fn head(size: u64, first: u64, blocks: u64) -> Vec<u8> {
        let mut table = Table {
            sector: 512,
            disk: Uuid::from_u128(0xD15C),
            revision: [0, 0, 1, 0],
            first_usable: 34,
            entries_at: 2,
            entries: vec![[0; ENTRY]; 128],
        };
        table.entries[0][..16].copy_from_slice(&[7; 16]);
        table.entries[0][16..32].copy_from_slice(&[9; 16]);
        table.place(0, first, blocks);
        let mut head = vec![0; BLOCK];
        head[446 + 4] = 0xEE;
        head[446 + 8] = 1;
        head[510..512].copy_from_slice(&[0x55, 0xAA]);
        table.write(&mut head, size);
        head
    }

    fn points(names: &[(&str, u64)]) -> Vec<NewPoint> {
        let point = |(name, blocks): &(&str, u64)| NewPoint {
            name: name.parse().unwrap(),
            blocks: *blocks,
            stage: Stage::Files,
        };
        names.iter().map(point).collect()
    }

    #[test]
    fn appended_points_are_read_back_and_lie_before_the_last_block() {
        let size = 100 * BLOCK_U64;
        let mut head = head(size, 2, 50);
        let mut table = Table::read(&head, size).unwrap();
        let made = table
            .append_points(&points(&[("base", 16), ("users", 8)]), size)
            .unwrap();
        assert_eq!((made[0].first, made[1].first, made[1].end()), (75, 91, 99));
        let tail = table.write(&mut head, size);
        let read = Table::read(&head, size).unwrap();
        assert_eq!(read, table);
        assert_eq!(read.partitions()[1].number, 16);
        assert_eq!(read.points().unwrap().len(), 2);
        assert_eq!(&tail[BLOCK - 512..BLOCK - 504], SIGNATURE);
        assert!(tail[..BLOCK - 33 * 512].iter().all(|byte| *byte == 0));
    }

    #[test]
    fn points_that_do_not_fit_are_refused_with_both_numbers() {
        let size = 100 * BLOCK_U64;
        let head = head(size, 2, 90);
        let refused = Table::read(&head, size)
            .unwrap()
            .append_points(&points(&[("base", 16)]), size)
            .unwrap_err();
        assert!(refused.to_string().contains("17 blocks"), "{refused}");
        let small = Table::read(&head, size)
            .unwrap()
            .append_points(&points(&[("base", 7)]), size)
            .unwrap_err();
        assert!(small.to_string().contains("4 MiB"), "{small}");
    }

    #[test]
    fn a_damaged_or_foreign_table_is_refused_with_its_reason() {
        let size = 100 * BLOCK_U64;
        let good = head(size, 2, 50);
        for (at, reason) in [
            (512, "EFI PART"),
            (512 + 16, "checksum"),
            (512 + 60, "checksum"),
            (1024 + 40, "entries"),
        ] {
            let mut bad = good.clone();
            bad[at] ^= 1;
            let refused = Table::read(&bad, size).unwrap_err().to_string();
            assert!(refused.contains(reason), "{at}: {refused}");
        }
        assert!(
            Table::read(&good, 20 * BLOCK_U64).is_err(),
            "a partition past the end"
        );
        assert!(Table::read(&good[..600], size).is_err());
        assert!(Table::read(&[], size).is_err());
    }

    proptest! {
        #[test]
        fn no_header_makes_the_reader_panic(at in 512usize..700, value in any::<u64>(), fix in any::<bool>()) {
            let size = 100 * BLOCK_U64;
            let mut bytes = head(size, 2, 50);
            bytes[at..at + 8].copy_from_slice(&value.to_le_bytes());
            if fix {
                bytes[528..532].fill(0);
                let sum = crc32fast::hash(&bytes[512..604]);
                bytes[528..532].copy_from_slice(&sum.to_le_bytes());
            }
            let _ = Table::read(&bytes, size).map(|table| table.points());
        }
    }
}
