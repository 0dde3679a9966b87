//! Finds insertion points on disks and verifies all of them, to the last byte, before anything is changed; once a boot.

use std::fs::{self, File};
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use bootsplice_archive::header::Payload;
use bootsplice_archive::keys::VerifyingKey;
use bootsplice_archive::layer::{self, LayerEntry};
use bootsplice_archive::{ArchiveError, point};
use bootsplice_content::Hasher;
use uuid::Uuid;

use crate::record::Record;
use crate::{AgentError, gpt};

/// The most that a layer may unpack to: 64 GiB.
const TAR_LIMIT: u64 = 64 << 30;

/// Where a point lies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Point {
    pub name: String,
    pub disk: Uuid,
    pub partition: Uuid,
    /// The partition's device, or an image of a whole disk.
    pub device: PathBuf,
    /// Bytes into `device`.
    pub offset: u64,
    pub length: u64,
}

/// A point whose archive is whole, signed by a trusted key and meant for this machine.
#[derive(Clone, Debug)]
pub struct Trusted {
    pub point: Point,
    pub payload: Payload,
    /// Byte ranges within the point.
    pub header: std::ops::Range<u64>,
    pub layers: Vec<std::ops::Range<u64>>,
}

/// What the points hold, together.
#[derive(Clone, Debug)]
pub enum Found {
    Launch(Vec<Trusted>),
    /// Every header says that this launch was applied.
    Spent {
        launch: String,
        sequence: u64,
    },
    /// No point, or empty ones.
    Unspliced(String),
}

/// A window of a file that starts at 0.
struct Window {
    file: File,
    offset: u64,
    length: u64,
    at: u64,
}

/// Hashes what passes.
struct Hashing {
    window: Window,
    hasher: Hasher,
}

/// The points of a disk image.
pub fn in_image(path: &Path) -> Result<Vec<Point>, AgentError> {
    let failed = |error| AgentError::system(path.display().to_string(), error);
    let mut file = File::open(path).map_err(failed)?;
    let table = gpt::read(&mut file).map_err(failed)?.ok_or_else(|| {
        AgentError::Usage(format!(
            "{} has no valid GUID partition table: give a disk or an image of a whole disk",
            path.display()
        ))
    })?;
    Ok(table
        .points
        .into_iter()
        .map(|partition| Point {
            name: partition.point,
            disk: table.disk,
            partition: partition.guid,
            device: path.to_owned(),
            offset: partition.offset,
            length: partition.length,
        })
        .collect())
}

/// The points of this machine's disks, each by its partition's own device.
pub fn on_this_machine() -> Result<Vec<Point>, AgentError> {
    let mut points = Vec::new();
    let failed = |error| AgentError::system("/sys/block", error);
    for entry in fs::read_dir("/sys/block").map_err(failed)? {
        let name = entry.map_err(failed)?.file_name();
        let name = name.to_string_lossy().into_owned();
        if ["loop", "ram", "zram", "fd", "sr"]
            .iter()
            .any(|kind| name.starts_with(kind))
        {
            continue;
        }
        let Ok(found) = in_image(&Path::new("/dev").join(&name)) else {
            // No table, or a medium that cannot be read: not a disk with points.
            continue;
        };
        let parts = partitions(&name);
        for mut point in found {
            let number = parts.iter().find(|(_, start)| *start == point.offset);
            if let Some((device, _)) = number {
                point.device = Path::new("/dev").join(device);
                point.offset = 0;
            }
            points.push(point);
        }
    }
    points.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(points)
}

/// Partition devices of a disk with the bytes they start at. The kernel counts sectors of 512 bytes here, whatever the disk's are.
fn partitions(disk: &str) -> Vec<(String, u64)> {
    let directory = Path::new("/sys/block").join(disk);
    fs::read_dir(directory)
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| {
            let start = fs::read_to_string(entry.path().join("start")).ok()?;
            let start: u64 = start.trim().parse().ok()?;
            Some((
                entry.file_name().to_string_lossy().into_owned(),
                start * 512,
            ))
        })
        .collect()
}

/// Verifies every point, and that together they are one launch for this machine. Reads every byte, except of points that the record of this boot has; changes nothing.
pub fn verify(
    points: &[Point],
    trusted: &[VerifyingKey],
    product_uuid: Option<Uuid>,
    record: Option<&Record>,
) -> Result<Found, AgentError> {
    if points.is_empty() {
        return Ok(Found::Unspliced(
            "this machine's disks have no insertion point".into(),
        ));
    }
    if let Some(pair) = duplicate(points) {
        return Err(AgentError::refused(pair, "two partitions have this name"));
    }
    let mut good = Vec::new();
    let mut spent = None;
    let mut empty = Vec::new();
    for point in points {
        match verify_one(point, trusted, record) {
            Ok(one) => good.push(one),
            Err(ArchiveError::Spent { launch, sequence }) => {
                spent = spent.max(Some((sequence, launch)));
            }
            Err(ArchiveError::Empty) => empty.push(point.name.as_str()),
            Err(error) => return Err(AgentError::refused(&point.name, error)),
        }
    }
    let Some(first) = good.first() else {
        return Ok(match spent {
            Some((sequence, launch)) => Found::Spent { launch, sequence },
            None => Found::Unspliced(format!(
                "no archive was spliced into [{}]",
                empty.join(", ")
            )),
        });
    };
    let first = first.payload.clone();
    for one in &good {
        check_binding(one, &first, product_uuid)?;
    }
    for name in &first.points {
        if !good.iter().any(|one| &one.point.name == name) {
            return Err(AgentError::refused(
                name,
                "the launch put an archive here and there is none",
            ));
        }
    }
    Ok(Found::Launch(good))
}

fn duplicate(points: &[Point]) -> Option<&str> {
    points.iter().enumerate().find_map(|(index, one)| {
        let again = points[..index].iter().any(|other| other.name == one.name);
        again.then_some(one.name.as_str())
    })
}

fn verify_one(
    point: &Point,
    trusted: &[VerifyingKey],
    record: Option<&Record>,
) -> Result<Trusted, ArchiveError> {
    let mut window = Window::open(point, point.length, 0)?;
    if let Some(record) = record {
        let known = Trusted::new(point, point::outline(&mut window, point.length, trusted)?);
        if record.holds(point, &known.header_bytes()?) {
            return Ok(known);
        }
    }
    let verified = point::verify(&mut window, point.length, trusted)?;
    let trusted = Trusted::new(point, verified);
    // Paths, kinds and modes of every entry, and that every frame unpacks: before the first change, not in the middle.
    for index in 0..trusted.layers.len() {
        trusted.read_layer(index, |_, content| {
            std::io::copy(content, &mut std::io::sink())?;
            Ok::<_, ArchiveError>(())
        })?;
    }
    Ok(trusted)
}

fn check_binding(
    one: &Trusted,
    first: &Payload,
    product_uuid: Option<Uuid>,
) -> Result<(), AgentError> {
    let payload = &one.payload;
    let refused = |reason: String| Err(AgentError::refused(&one.point.name, reason));
    if payload.disk != one.point.disk {
        return refused(format!(
            "it is for the disk {}, this is {}",
            payload.disk, one.point.disk
        ));
    }
    if payload.partition != one.point.partition {
        return refused(format!(
            "it is for the partition {}, this is {}",
            payload.partition, one.point.partition
        ));
    }
    if payload.point != one.point.name {
        return refused(format!("it is for the point `{}`", payload.point));
    }
    if let Some(wanted) = payload.product_uuid
        && product_uuid != Some(wanted)
    {
        let here = product_uuid.map_or("unknown".into(), |uuid| uuid.to_string());
        return refused(format!(
            "it is for the machine {wanted}, this one is {here}"
        ));
    }
    if (&payload.launch, &payload.instance, payload.sequence)
        != (&first.launch, &first.instance, first.sequence)
    {
        return refused(format!(
            "it is of launch {}, another point of launch {}",
            payload.launch, first.launch
        ));
    }
    Ok(())
}

// === impl Trusted ===

impl Trusted {
    fn new(point: &Point, verified: point::Verified) -> Self {
        Self {
            point: point.clone(),
            payload: verified.payload,
            header: verified.header,
            layers: verified.layers,
        }
    }

    /// The header as it lies on the device. At most 16 MiB.
    pub fn header_bytes(&self) -> std::io::Result<Vec<u8>> {
        let length = self.header.end - self.header.start;
        let mut bytes = Vec::new();
        Window::open(&self.point, length, self.header.start)?.read_to_end(&mut bytes)?;
        Ok(bytes)
    }

    /// Streams the entries of layer `index`, and refuses it at its end when it is not the one that the header names.
    pub fn read_layer<E: From<ArchiveError>>(
        &self,
        index: usize,
        visit: impl FnMut(LayerEntry, &mut dyn Read) -> Result<(), E>,
    ) -> Result<(), E> {
        let range = &self.layers[index];
        let window = Window::open(&self.point, range.end - range.start, range.start)
            .map_err(|error| E::from(error.into()))?;
        let mut hashing = Hashing {
            window,
            hasher: Hasher::new(),
        };
        layer::read(&mut hashing, TAR_LIMIT, visit)?;
        // The end of the layer, which no entry needs.
        std::io::copy(&mut hashing, &mut std::io::sink()).map_err(|error| E::from(error.into()))?;
        let (actual, expected) = (hashing.hasher.finish(), self.payload.layers[index].digest);
        if actual != expected {
            return Err(E::from(ArchiveError::Layer {
                layer: index,
                expected,
                actual,
            }));
        }
        Ok(())
    }
}

// === impl Window ===

impl Window {
    fn open(point: &Point, length: u64, skip: u64) -> std::io::Result<Self> {
        Ok(Self {
            file: File::open(&point.device)?,
            offset: point.offset + skip,
            length,
            at: 0,
        })
    }
}

impl Read for Window {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let left = usize::try_from(self.length.saturating_sub(self.at)).unwrap_or(usize::MAX);
        let length = buffer.len().min(left);
        let count = std::os::unix::fs::FileExt::read_at(
            &self.file,
            &mut buffer[..length],
            self.offset + self.at,
        )?;
        self.at += count as u64;
        Ok(count)
    }
}

impl Read for Hashing {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let count = self.window.read(buffer)?;
        self.hasher.update(&buffer[..count]);
        Ok(count)
    }
}

impl Seek for Window {
    fn seek(&mut self, to: SeekFrom) -> std::io::Result<u64> {
        self.at = match to {
            SeekFrom::Start(at) => at,
            SeekFrom::End(by) => self.length.saturating_add_signed(by),
            SeekFrom::Current(by) => self.at.saturating_add_signed(by),
        };
        Ok(self.at)
    }
}
