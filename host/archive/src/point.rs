//! A point as a guest finds it: checked whole before anybody acts on a byte of it.

use std::io::{Read, Seek, SeekFrom};

use bootsplice_content::point_frame::{self, FRAME_BLOCKS, LEAST_POINT_BLOCKS};
use bootsplice_content::{BLOCK, BLOCK_U64, Hasher, is_zero};
use ed25519_dalek::VerifyingKey;

use crate::assemble::end_block;
use crate::header::{self, Payload};
use crate::{ArchiveError, FORMAT};

/// What lies where in a point. [`verify`] checked every byte for it: frames, header, signature, layers, end, padding.
#[derive(Clone, Debug)]
pub struct Verified {
    pub payload: Payload,
    /// Byte range of the header within the point.
    pub header: std::ops::Range<u64>,
    /// Byte range of each layer within the point.
    pub layers: Vec<std::ops::Range<u64>>,
}

/// Checks the point that `reader` holds from its start, `length` bytes long, against `trusted` keys. Whether the archive is for this machine is for the caller to judge.
pub fn verify<R: Read + Seek>(
    reader: &mut R,
    length: u64,
    trusted: &[VerifyingKey],
) -> Result<Verified, ArchiveError> {
    let found = outline(reader, length, trusted)?;
    let mut buffer = vec![0; BLOCK];
    for (index, layer) in found.payload.layers.iter().enumerate() {
        let mut hasher = Hasher::new();
        for _ in 0..layer.blocks {
            reader.read_exact(&mut buffer)?;
            hasher.update(&buffer);
        }
        let actual = hasher.finish();
        if actual != layer.digest {
            return Err(ArchiveError::Layer {
                layer: index,
                expected: layer.digest,
                actual,
            });
        }
    }
    reader.read_exact(&mut buffer)?;
    if buffer != end_block().bytes()[..] {
        return Err(ArchiveError::corrupt(
            "end block",
            "it is not the one of this format",
        ));
    }
    let blocks = length / BLOCK_U64;
    check_padding(
        reader,
        &mut buffer,
        blocks - 2 * FRAME_BLOCKS - found.payload.length,
    )?;
    check_frame(reader, &mut buffer, "last frame")?;
    Ok(found)
}

/// Checks the first frame and the header with its signature, and reads no further: enough for who verified the whole point before and knows that it is the same one. Leaves `reader` at the first layer.
pub fn outline<R: Read + Seek>(
    reader: &mut R,
    length: u64,
    trusted: &[VerifyingKey],
) -> Result<Verified, ArchiveError> {
    let wrong = |what: &str, reason: &str| ArchiveError::corrupt(what, reason);
    let blocks = length / BLOCK_U64;
    if !length.is_multiple_of(BLOCK_U64) || blocks < LEAST_POINT_BLOCKS {
        return Err(wrong(
            "point",
            &format!("it has {length} bytes: expected multiples of 512 KiB, at least 4 MiB"),
        ));
    }
    let mut buffer = vec![0; BLOCK];
    reader.seek(SeekFrom::Start(0))?;
    check_frame(reader, &mut buffer, "first frame")?;
    let (payload, header_blocks) = header::open(&mut *reader, trusted)?;
    if payload.blocks != blocks {
        return Err(wrong(
            "point",
            &format!(
                "the header is for {} blocks, there are {blocks}",
                payload.blocks
            ),
        ));
    }
    let sum = payload
        .layers
        .iter()
        .try_fold(header_blocks + 1, |sum, layer| {
            sum.checked_add(layer.blocks)
        });
    if sum != Some(payload.length)
        || payload.length > blocks - 2 * FRAME_BLOCKS
        || payload.format != FORMAT
    {
        return Err(wrong("header", "its layers and lengths do not agree"));
    }
    let mut at = FRAME_BLOCKS + header_blocks;
    let mut layers = Vec::with_capacity(payload.layers.len());
    for layer in &payload.layers {
        layers.push(at * BLOCK_U64..(at + layer.blocks) * BLOCK_U64);
        at += layer.blocks;
    }
    Ok(Verified {
        payload,
        header: FRAME_BLOCKS * BLOCK_U64..(FRAME_BLOCKS + header_blocks) * BLOCK_U64,
        layers,
    })
}

/// What the agent writes over an instance layer of `blocks` blocks once it was applied: a skippable frame of the same length, so that stock tools still read what follows.
pub fn wiped_layer(blocks: u64) -> impl Iterator<Item = Vec<u8>> {
    (0..blocks).map(move |block| wiped_block(blocks, block))
}

fn wiped_block(blocks: u64, block: u64) -> Vec<u8> {
    let mut bytes = vec![0; BLOCK];
    bytes[..8].copy_from_slice(&padding_start(blocks, block));
    bytes
}

/// The first 8 bytes of block `block` of `blocks` blocks of padding: a skippable frame's, or zeros inside of one. Frames hold at most 1 GiB.
fn padding_start(blocks: u64, block: u64) -> [u8; 8] {
    const FRAME: u64 = 2048;
    let mut bytes = [0; 8];
    if block.is_multiple_of(FRAME) {
        let covered = (blocks - block).min(FRAME);
        bytes[..4].copy_from_slice(&point_frame::SKIPPABLE.to_le_bytes());
        bytes[4..].copy_from_slice(&((covered * BLOCK_U64 - 8) as u32).to_le_bytes());
    }
    bytes
}

fn check_frame(reader: &mut impl Read, buffer: &mut [u8], what: &str) -> Result<(), ArchiveError> {
    reader.read_exact(buffer)?;
    if buffer != &point_frame::first_block().bytes()[..] {
        if is_zero(buffer) {
            return Err(ArchiveError::Empty);
        }
        return Err(ArchiveError::corrupt(what, "it is not the constant one"));
    }
    reader.read_exact(buffer)?;
    if !is_zero(buffer) {
        return Err(ArchiveError::corrupt(what, "its second block is not zero"));
    }
    Ok(())
}

fn check_padding(
    reader: &mut impl Read,
    buffer: &mut [u8],
    blocks: u64,
) -> Result<(), ArchiveError> {
    for block in 0..blocks {
        reader.read_exact(buffer)?;
        // Nothing is made to compare with: nearly all of it is zeros.
        if buffer[..8] != padding_start(blocks, block) || !is_zero(&buffer[8..]) {
            return Err(ArchiveError::corrupt(
                "padding",
                format!("block {block} of it is not as the format says"),
            ));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::assemble::tests::{key, point};
    use std::io::Cursor;

    fn check(bytes: &[u8]) -> Result<Verified, ArchiveError> {
        verify(
            &mut Cursor::new(bytes),
            bytes.len() as u64,
            &[key().verifying_key()],
        )
    }

    #[test]
    fn a_whole_point_is_verified_and_its_layers_read() {
        let (bytes, _) = point(20, &[10, 600_000]);
        let verified = check(&bytes).unwrap();
        let mut count = 0;
        for range in &verified.layers {
            let layer = &bytes[range.start as usize..range.end as usize];
            crate::layer::read(layer, 1 << 30, |_, _| {
                count += 1;
                Ok::<_, ArchiveError>(())
            })
            .unwrap();
        }
        assert_eq!(count, 8);
    }

    #[test]
    fn a_flipped_bit_in_any_block_is_refused() {
        let (bytes, _) = point(20, &[10, 600_000]);
        for block in 0..20 {
            for at in [0, 5, 9, 100, 4096, BLOCK / 2, BLOCK - 1] {
                let mut bad = bytes.clone();
                bad[block * BLOCK + at] ^= 0x10;
                assert!(check(&bad).is_err(), "block {block} byte {at}");
            }
        }
    }

    #[test]
    fn a_point_without_archive_is_empty_and_a_cut_one_refused() {
        assert!(matches!(
            check(&vec![0; 8 * BLOCK]),
            Err(ArchiveError::Empty)
        ));
        let mut unspliced = vec![0; 8 * BLOCK];
        let frame = point_frame::first_block();
        unspliced[..BLOCK].copy_from_slice(frame.bytes());
        unspliced[6 * BLOCK..7 * BLOCK].copy_from_slice(frame.bytes());
        assert!(matches!(check(&unspliced), Err(ArchiveError::Empty)));
        let (bytes, _) = point(20, &[10]);
        assert!(check(&bytes[..19 * BLOCK]).is_err());
        assert!(check(&bytes[..100]).is_err());
    }

    #[test]
    fn a_wiped_layer_is_skipped_by_stock_tools_and_never_verified() {
        let (mut bytes, _) = point(20, &[10, 10]);
        let verified = check(&bytes).unwrap();
        let range = verified.layers[1].clone();
        let blocks = (range.end - range.start) / BLOCK_U64;
        let wiped: Vec<u8> = wiped_layer(blocks).flatten().collect();
        bytes[range.start as usize..range.end as usize].copy_from_slice(&wiped);
        assert!(check(&bytes).is_err());
        let spent = header::spend("01JD", "i-1", 1, 1);
        bytes[verified.header.start as usize..verified.header.end as usize].copy_from_slice(&spent);
        assert!(matches!(check(&bytes), Err(ArchiveError::Spent { .. })));
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), &bytes).unwrap();
        let listing = crate::assemble::tests::stock_listing(file.path());
        assert_eq!(listing.len(), 4, "{listing:?}");
    }
}
