//! The personalised volume as one row of blocks: base, archives and patched blocks by the plan.

use std::sync::Arc;

use bootsplice_blocks::BlockSource;
use bootsplice_content::{BLOCK_U64, Chunk, Digest};

use crate::archive::ArchiveSlot;
use crate::sink::Geometry;
use crate::{Result, SinkError};

/// A run of blocks of one origin.
#[derive(Clone, Debug)]
pub(crate) struct Piece {
    /// The first block in the personalised volume.
    pub(crate) at: u64,
    /// Blocks.
    pub(crate) count: u64,
    pub(crate) kind: Kind,
}

/// Where the blocks of a [`Piece`] come from.
#[derive(Clone, Debug)]
pub(crate) enum Kind {
    /// The base volume, from this block of it on.
    Base {
        from: u64,
    },
    Zero,
    /// One block that the plan rewrote: a partition table.
    Patch(Chunk),
    /// The archive in this slot, from this block of it on.
    Archive {
        slot: usize,
        from: u64,
    },
}

/// Random access to a personalised volume. Serves every sink and any number of HTTP readers at a time.
pub struct VolumeReader {
    geometry: Geometry,
    base_id: Digest,
    base: Arc<dyn BlockSource>,
    pieces: Vec<Piece>,
    archives: Vec<Place>,
}

/// A slot and the blocks that its archive must have.
struct Place {
    slot: ArchiveSlot,
    blocks: u64,
}

// === impl VolumeReader ===

impl VolumeReader {
    /// `pieces` tile the volume in order; each archive piece names a slot.
    pub(crate) fn from_pieces(
        geometry: Geometry,
        base_id: Digest,
        base: Arc<dyn BlockSource>,
        pieces: Vec<Piece>,
        archives: Vec<ArchiveSlot>,
    ) -> Result<Self> {
        let misuse = |reason: String| SinkError::Misuse {
            target: "volume".into(),
            call: "plan",
            reason,
        };
        let mut at = 0;
        let mut archives: Vec<Place> = archives
            .into_iter()
            .map(|slot| Place { slot, blocks: 0 })
            .collect();
        for piece in &pieces {
            if piece.at != at || piece.count == 0 {
                return Err(misuse(format!(
                    "a piece starts at block {}, expected {at}",
                    piece.at
                )));
            }
            at += piece.count;
            match piece.kind {
                Kind::Base { from } if from + piece.count > base.len_blocks() => {
                    return Err(misuse(format!(
                        "blocks {from}+{} of a base of {}",
                        piece.count,
                        base.len_blocks()
                    )));
                }
                Kind::Archive { slot, .. } => match archives.get_mut(slot) {
                    Some(place) => place.blocks += piece.count,
                    None => return Err(misuse(format!("{} archives, no {slot}", archives.len()))),
                },
                _ => {}
            }
        }
        if at != geometry.blocks() {
            return Err(misuse(format!(
                "pieces of {at} blocks, a volume of {}",
                geometry.blocks()
            )));
        }
        Ok(Self {
            geometry,
            base_id,
            base,
            pieces,
            archives,
        })
    }

    pub fn geometry(&self) -> Geometry {
        self.geometry
    }

    /// The id of the base volume.
    pub fn base_id(&self) -> Digest {
        self.base_id
    }

    /// The block, or `None` when it is zero. Waits for the archive that it lies in.
    pub async fn block(&self, block: u64) -> Result<Option<Chunk>> {
        let piece = self.piece(block)?;
        let within = block - piece.at;
        match &piece.kind {
            Kind::Base { from } => Ok(self.base.block(from + within).await?),
            Kind::Zero => Ok(None),
            Kind::Patch(chunk) => Ok(Some(chunk.clone())),
            Kind::Archive { slot, from } => {
                let archive = self.archive(*slot).await?;
                Ok(archive.block(from + within).await?)
            }
        }
    }

    /// The block when it can be had without waiting.
    pub fn ready(&self, block: u64) -> Option<Option<Chunk>> {
        let piece = self.piece(block).ok()?;
        let within = block - piece.at;
        match &piece.kind {
            Kind::Base { from } => self.base.ready(from + within),
            Kind::Zero => Some(None),
            Kind::Patch(chunk) => Some(Some(chunk.clone())),
            Kind::Archive { slot, from } => {
                let place = &self.archives[*slot];
                let archive = place.slot.get()?;
                // One that does not fit goes through `block`, which refuses it.
                (archive.len_blocks() == place.blocks).then(|| archive.ready(from + within))?
            }
        }
    }

    /// How many blocks from `block` on, at most `limit`, are surely zero. Waits as `block` does.
    pub async fn zeros(&self, block: u64, limit: u64) -> Result<u64> {
        let piece = self.piece(block)?;
        let within = block - piece.at;
        let limit = limit.min(piece.count - within);
        match &piece.kind {
            Kind::Base { from } => Ok(self.base.zeros(from + within, limit).await?),
            Kind::Zero => Ok(limit),
            Kind::Patch(_) => Ok(0),
            Kind::Archive { slot, from } => {
                let archive = self.archive(*slot).await?;
                Ok(archive.zeros(from + within, limit).await?)
            }
        }
    }

    /// A hint that `block` will be read soon. Never waits.
    pub fn expect(&self, block: u64) {
        if let Ok(piece) = self.piece(block)
            && let Kind::Base { from } = piece.kind
        {
            self.base.expect(from + block - piece.at);
        }
    }

    /// The archive that `block` lies in, if it lies in one.
    pub(crate) fn slot_at(&self, block: u64) -> Option<&ArchiveSlot> {
        match self.piece(block).ok()?.kind {
            Kind::Archive { slot, .. } => self.archives.get(slot).map(|place| &place.slot),
            _ => None,
        }
    }

    pub(crate) fn pieces(&self) -> &[Piece] {
        &self.pieces
    }

    /// The first block whose content differs between launches of one size: where the first archive starts.
    pub(crate) fn first_archive_block(&self) -> u64 {
        self.pieces
            .iter()
            .find(|piece| matches!(piece.kind, Kind::Archive { .. }))
            .map_or(self.geometry.blocks(), |piece| piece.at)
    }

    /// The whole piece that `block` lies in.
    pub(crate) fn piece(&self, block: u64) -> Result<&Piece> {
        let after = self.pieces.partition_point(|piece| piece.at <= block);
        let piece = after
            .checked_sub(1)
            .and_then(|index| self.pieces.get(index));
        piece
            .filter(|piece| block < piece.at + piece.count)
            .ok_or_else(|| SinkError::Misuse {
                target: "volume".into(),
                call: "read",
                reason: format!(
                    "block {block} of a volume of {}",
                    self.geometry.size / BLOCK_U64
                ),
            })
    }

    async fn archive(&self, slot: usize) -> Result<Arc<dyn BlockSource>> {
        let Place { slot, blocks } = &self.archives[slot];
        let archive = slot.ready().await?;
        if archive.len_blocks() != *blocks {
            return Err(SinkError::Archive {
                point: slot.point().to_owned(),
                reason: format!(
                    "it has {} blocks, its place has {blocks}",
                    archive.len_blocks()
                ),
            });
        }
        Ok(archive)
    }
}
