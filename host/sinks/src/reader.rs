//! The personalised volume as one row of blocks: base, archives and rewritten tables, by its layout.

use std::sync::Arc;

use bootsplice_blocks::BlockSource;
use bootsplice_content::{Chunk, Digest};
use bootsplice_volume::{Kind, Layout, Segment};

use crate::archive::ArchiveSlot;
use crate::sink::Geometry;
use crate::{Result, SinkError};

/// Random access to a personalised volume. Serves every sink and any number of HTTP readers at a time.
pub struct VolumeReader {
    layout: Layout,
    base_id: Digest,
    base: Arc<dyn BlockSource>,
    /// For each of the layout's points its archive. A point that this launch gives none reads as zeros, which the agent reports.
    archives: Vec<Option<ArchiveSlot>>,
}

// === impl VolumeReader ===

impl VolumeReader {
    /// Joins a layout with what fills it. Each slot names a point of the layout.
    pub fn new(
        layout: Layout,
        base_id: Digest,
        base: Arc<dyn BlockSource>,
        slots: Vec<ArchiveSlot>,
    ) -> Result<Self> {
        let misuse = |reason: String| SinkError::Misuse {
            target: "volume".into(),
            call: "read",
            reason,
        };
        let mut at = 0;
        for segment in &layout.segments {
            if segment.at != at || segment.count == 0 {
                return Err(misuse(format!(
                    "a segment at block {}, expected {at}",
                    segment.at
                )));
            }
            at += segment.count;
            let sound = match segment.kind {
                Kind::Base { from } => from + segment.count <= base.len_blocks(),
                Kind::Patch(index) => segment.count == 1 && index < layout.patches.len(),
                Kind::Point(index) => index < layout.points.len(),
                Kind::Zero => true,
            };
            if !sound {
                return Err(misuse(format!("{segment:?} leads outside its source")));
            }
        }
        if at != layout.blocks() {
            return Err(misuse(format!(
                "segments of {at} blocks, expected {}",
                layout.blocks()
            )));
        }
        let mut archives = vec![None; layout.points.len()];
        for slot in slots {
            let index = layout
                .points
                .iter()
                .position(|point| point.name.as_str() == slot.point());
            let Some(index) = index else {
                return Err(misuse(format!(
                    "an archive for `{}`, which is no point of it",
                    slot.point()
                )));
            };
            archives[index] = Some(slot);
        }
        Ok(Self {
            layout,
            base_id,
            base,
            archives,
        })
    }

    pub fn geometry(&self) -> Geometry {
        Geometry {
            size: self.layout.size,
            sector: self.layout.sector,
        }
    }

    pub fn layout(&self) -> &Layout {
        &self.layout
    }

    /// The id of the base volume.
    pub fn base_id(&self) -> Digest {
        self.base_id
    }

    /// The block, or `None` when it is zero. Waits for the archive that it lies in.
    pub async fn block(&self, block: u64) -> Result<Option<Chunk>> {
        let segment = *self.segment(block)?;
        let within = block - segment.at;
        match segment.kind {
            Kind::Base { from } => Ok(self.base.block(from + within).await?),
            Kind::Zero => Ok(None),
            Kind::Patch(index) => Ok(Some(self.layout.patches[index].clone())),
            Kind::Point(index) => match self.archive(index, segment.count).await? {
                Some(archive) => Ok(archive.block(within).await?),
                None => Ok(None),
            },
        }
    }

    /// The block when it can be had without waiting.
    pub fn ready(&self, block: u64) -> Option<Option<Chunk>> {
        let segment = self.layout.segment(block)?;
        let within = block - segment.at;
        match segment.kind {
            Kind::Base { from } => self.base.ready(from + within),
            Kind::Zero => Some(None),
            Kind::Patch(index) => Some(Some(self.layout.patches[index].clone())),
            Kind::Point(index) => match &self.archives[index] {
                None => Some(None),
                Some(slot) => {
                    let archive = slot.get()?;
                    // One that does not fit goes through `block`, which refuses it.
                    (archive.len_blocks() == segment.count).then(|| archive.ready(within))?
                }
            },
        }
    }

    /// How many blocks from `block` on, at most `limit`, are surely zero. Waits as `block` does.
    pub async fn zeros(&self, block: u64, limit: u64) -> Result<u64> {
        let segment = *self.segment(block)?;
        let within = block - segment.at;
        let limit = limit.min(segment.count - within);
        match segment.kind {
            Kind::Base { from } => Ok(self.base.zeros(from + within, limit).await?.min(limit)),
            Kind::Zero => Ok(limit),
            Kind::Patch(_) => Ok(0),
            Kind::Point(index) => match self.archive(index, segment.count).await? {
                Some(archive) => Ok(archive.zeros(within, limit).await?.min(limit)),
                None => Ok(limit),
            },
        }
    }

    /// A hint that `block` will be read soon. Never waits.
    pub fn expect(&self, block: u64) {
        if let Some(segment) = self.layout.segment(block)
            && let Kind::Base { from } = segment.kind
        {
            self.base.expect(from + block - segment.at);
        }
    }

    /// The archive that `block` lies in, if it lies in one.
    pub(crate) fn slot_at(&self, block: u64) -> Option<&ArchiveSlot> {
        match self.layout.segment(block)?.kind {
            Kind::Point(index) => self.archives[index].as_ref(),
            _ => None,
        }
    }

    /// The first block whose content may differ between launches of one base and size.
    pub(crate) fn first_archive_block(&self) -> u64 {
        let segments = &self.layout.segments;
        let first = segments
            .iter()
            .find(|segment| matches!(segment.kind, Kind::Point(_)));
        first.map_or(self.layout.blocks(), |segment| segment.at)
    }

    fn segment(&self, block: u64) -> Result<&Segment> {
        self.layout.segment(block).ok_or_else(|| SinkError::Misuse {
            target: "volume".into(),
            call: "read",
            reason: format!("block {block} of {}", self.layout.blocks()),
        })
    }

    async fn archive(&self, point: usize, room: u64) -> Result<Option<Arc<dyn BlockSource>>> {
        let Some(slot) = &self.archives[point] else {
            return Ok(None);
        };
        let archive = slot.ready().await?;
        if archive.len_blocks() != room {
            return Err(SinkError::Archive {
                point: slot.point().to_owned(),
                reason: format!(
                    "it has {} blocks, its place has {room}",
                    archive.len_blocks()
                ),
            });
        }
        Ok(Some(archive))
    }
}
