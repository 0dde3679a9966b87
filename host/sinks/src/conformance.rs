//! The suite that every sink must pass: the contract of [`Sink`], tried with power cuts.
//!
//! The target starts as another tenant's disk, full of 0xFF with a valid partition table at both ends. The volume that is written is bootable when whole. The power
//! fails at every operation in turn, and of what was not yet flushed an arbitrary part survives, sector by sector, as on a disk with a write cache.

use std::io;
use std::ops::Range;
use std::sync::Arc;

use async_trait::async_trait;
use bootsplice_content::{BLOCK, BLOCK_U64, Chunk, is_zero};
use bytes::Bytes;
use parking_lot::Mutex;

use crate::Result;
use crate::disk::Disk;
use crate::sink::{Geometry, Sink};

/// When the power fails.
#[derive(Clone, Copy, Debug)]
pub struct Cut {
    /// Operations on the target that still work.
    pub after: usize,
    /// Chooses what of the unflushed writes survives.
    pub seed: u64,
}

/// A kind of sink, with a target to try it on.
#[async_trait]
pub trait Bench: Sync {
    /// A sink over a fresh target: [`stale_disk`] where it can hold old bytes, else nothing.
    async fn open(&self, geometry: Geometry, cut: Option<Cut>) -> Result<Box<dyn Sink>>;

    /// What a machine that starts from the target finds there now; `None` when there is nothing to start from.
    fn found(&self) -> Option<Vec<u8>>;
}

/// A disk in memory that forgets, on a power cut, an arbitrary part of what was not flushed.
pub struct CutDisk {
    state: Mutex<State>,
    cut: Option<Cut>,
}

struct State {
    durable: Vec<u8>,
    unflushed: Vec<(Range<u64>, Option<Vec<u8>>)>,
    operations: usize,
    dead: bool,
}

const SECTOR: usize = 512;

/// The volume of the suite: a short last block, zero runs at several places, data between.
pub const GEOMETRY: Geometry = Geometry {
    size: 12 * BLOCK_U64 - 3 * SECTOR as u64,
    sector: SECTOR as u32,
};

/// Tries everything the contract says; panics with what was broken.
pub async fn suite(bench: &dyn Bench) {
    a_committed_volume_is_exact(bench).await;
    an_interrupted_volume_does_not_boot(bench).await;
    an_aborted_or_dropped_volume_does_not_boot(bench).await;
    a_volume_with_a_hole_is_refused(bench).await;
    calls_out_of_place_are_refused(bench).await;
}

async fn a_committed_volume_is_exact(bench: &dyn Bench) {
    let volume = volume();
    for seed in 0..4 {
        let sink = bench
            .open(GEOMETRY, None)
            .await
            .expect("a sound target opens");
        write(&*sink, &volume, seed, usize::MAX)
            .await
            .expect("a sound target takes everything");
        sink.commit().await.expect("a whole volume is committed");
        sink.abort().await; // nothing to abort: must do no harm
        assert_whole(bench.found(), &volume);
    }
}

async fn an_interrupted_volume_does_not_boot(bench: &dyn Bench) {
    let volume = volume();
    for after in 0.. {
        let mut committed = false;
        for seed in 0..6 {
            let cut = Some(Cut { after, seed });
            // Cut while opening: the target was never promised to anybody.
            let Ok(sink) = bench.open(GEOMETRY, cut).await else {
                continue;
            };
            let written = write(&*sink, &volume, seed, usize::MAX).await;
            if written.is_ok() && sink.commit().await.is_ok() {
                assert_whole(bench.found(), &volume);
                committed = true;
                continue;
            }
            assert_not_half_made(
                bench.found(),
                &volume,
                &format!("power cut after {after}, seed {seed}"),
            );
            sink.abort().await;
            assert_not_half_made(
                bench.found(),
                &volume,
                &format!("aborted after {after}, seed {seed}"),
            );
        }
        if committed {
            assert!(after > 2, "the cut never reached the sink's operations");
            return;
        }
    }
}

async fn an_aborted_or_dropped_volume_does_not_boot(bench: &dyn Bench) {
    let volume = volume();
    for blocks in 0..=GEOMETRY.blocks() as usize {
        for drop_it in [false, true] {
            let sink = bench
                .open(GEOMETRY, None)
                .await
                .expect("a sound target opens");
            write(&*sink, &volume, 1, blocks)
                .await
                .expect("a sound target takes everything");
            if drop_it {
                drop(sink);
            } else {
                sink.abort().await;
            }
            let found = bench.found();
            assert!(
                found.is_none_or(|disk| !boots(&disk)),
                "boots after {blocks} blocks"
            );
        }
    }
}

async fn a_volume_with_a_hole_is_refused(bench: &dyn Bench) {
    let volume = volume();
    let sink = bench
        .open(GEOMETRY, None)
        .await
        .expect("a sound target opens");
    write(&*sink, &volume, 2, GEOMETRY.blocks() as usize - 1)
        .await
        .expect("a sound target takes everything");
    assert!(
        sink.commit().await.is_err(),
        "a volume with a hole was committed"
    );
    sink.abort().await;
    assert!(bench.found().is_none_or(|disk| !boots(&disk)));
}

async fn calls_out_of_place_are_refused(bench: &dyn Bench) {
    let volume = volume();
    let sink = bench
        .open(GEOMETRY, None)
        .await
        .expect("a sound target opens");
    let blocks = GEOMETRY.blocks();
    assert!(
        sink.put(blocks, chunk(&volume, 1)).await.is_err(),
        "beyond the end"
    );
    assert!(
        sink.put(u64::MAX, chunk(&volume, 1)).await.is_err(),
        "far beyond the end"
    );
    assert!(
        sink.zero(blocks - 1..blocks + 1).await.is_err(),
        "zeros beyond the end"
    );
    sink.put(1, chunk(&volume, 1))
        .await
        .expect("a block in place");
    assert!(
        sink.put(1, chunk(&volume, 1)).await.is_err(),
        "a block twice"
    );
    sink.abort().await;
    assert!(
        sink.put(2, chunk(&volume, 2)).await.is_err(),
        "a block after the end"
    );
}

/// Gives the first `limit` runs, in an order that `seed` chooses.
async fn write(sink: &dyn Sink, volume: &[u8], seed: u64, limit: usize) -> Result<()> {
    let mut order: Vec<u64> = (0..GEOMETRY.blocks()).collect();
    order.sort_by_key(|block| mix(seed, *block));
    for &block in order.iter().take(limit) {
        if is_zero(chunk(volume, block).bytes()) {
            sink.zero(block..block + 1).await?;
        } else {
            sink.put(block, chunk(volume, block)).await?;
        }
    }
    Ok(())
}

fn chunk(volume: &[u8], block: u64) -> Chunk {
    let bytes = GEOMETRY.bytes(&(block..block + 1));
    let mut padded = volume[bytes.start as usize..bytes.end as usize].to_vec();
    padded.resize(BLOCK, 0);
    Chunk::of(Bytes::from(padded))
}

/// Another tenant's disk.
pub fn stale_disk(size: u64) -> Vec<u8> {
    let mut disk = vec![0xFF; size as usize];
    partition(&mut disk, [7; 16]);
    disk
}

/// What the suite writes.
pub fn volume() -> Vec<u8> {
    let mut volume = vec![0; GEOMETRY.size as usize];
    for (index, block) in volume.chunks_mut(BLOCK).enumerate() {
        if ![3, 4, 5, 8].contains(&index) {
            for (at, word) in block.chunks_mut(8).enumerate() {
                word.copy_from_slice(&mix(index as u64, at as u64).to_le_bytes()[..word.len()]);
            }
        }
    }
    partition(&mut volume, [9; 16]);
    volume
}

fn partition(disk: &mut [u8], guid: [u8; 16]) {
    let mut cursor = io::Cursor::new(disk);
    let mut table =
        gptman::GPT::new_from(&mut cursor, SECTOR as u64, guid).expect("room for a table");
    table[1] = gptman::GPTPartitionEntry {
        partition_type_guid: guid,
        unique_partition_guid: guid,
        starting_lba: 2048,
        ending_lba: 4095,
        attribute_bits: 0,
        partition_name: "root".into(),
    };
    table.write_into(&mut cursor).expect("memory takes a table");
    gptman::GPT::write_protective_mbr_into(&mut cursor, SECTOR as u64)
        .expect("memory takes a record");
}

/// What BIOS and UEFI both ask for first.
fn boots(disk: &[u8]) -> bool {
    disk[510..512] == [0x55, 0xAA]
}

/// Either table is there.
fn has_table(disk: &[u8]) -> bool {
    &disk[SECTOR..SECTOR + 8] == b"EFI PART" || &disk[disk.len() - SECTOR..][..8] == b"EFI PART"
}

fn assert_whole(found: Option<Vec<u8>>, volume: &[u8]) {
    let found = found.expect("a committed volume is found");
    assert_eq!(found.len(), volume.len());
    if let Some(at) = (0..volume.len()).find(|&at| found[at] != volume[at]) {
        panic!(
            "byte {at} is {:#x}, the volume's is {:#x}",
            found[at], volume[at]
        );
    }
}

/// What boots is whole, and a partition table speaks only of data that is there.
fn assert_not_half_made(found: Option<Vec<u8>>, volume: &[u8], when: &str) {
    let Some(found) = found else { return };
    if boots(&found) {
        assert!(found == volume, "{when}: boots, but is not the volume");
    } else if has_table(&found) {
        let data = BLOCK..volume.len() - BLOCK;
        assert!(
            found[data.clone()] == volume[data],
            "{when}: a partition table before its data"
        );
    }
}

/// SplitMix64: arbitrary, and the same every time.
fn mix(seed: u64, value: u64) -> u64 {
    let mut z = seed
        .wrapping_mul(0xD1B5_4A32_D192_ED03)
        .wrapping_add(value.wrapping_add(1).wrapping_mul(0x9E37_79B9_7F4A_7C15));
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

// === impl CutDisk ===

impl CutDisk {
    pub fn new(content: Vec<u8>, cut: Option<Cut>) -> Arc<Self> {
        Arc::new(Self {
            state: Mutex::new(State {
                durable: content,
                unflushed: Vec::new(),
                operations: 0,
                dead: false,
            }),
            cut,
        })
    }

    /// What is on it: after a cut what survived, else everything written.
    pub fn content(&self) -> Vec<u8> {
        let state = self.state.lock();
        let mut content = state.durable.clone();
        for (range, bytes) in &state.unflushed {
            apply(&mut content, range, bytes.as_deref(), |_| true);
        }
        content
    }

    fn operation(&self, write: Option<(Range<u64>, Option<Vec<u8>>)>) -> io::Result<()> {
        let mut state = self.state.lock();
        let state = &mut *state;
        if state.dead {
            return Err(io::Error::other("the power is off"));
        }
        let is_flush = write.is_none();
        if let Some((range, _)) = &write
            && range.end > state.durable.len() as u64
        {
            return Err(io::Error::other("beyond the end of the disk"));
        }
        state.unflushed.extend(write);
        let operation = state.operations;
        state.operations += 1;
        if let Some(cut) = self.cut
            && operation >= cut.after
        {
            state.dead = true;
            for (number, (range, bytes)) in state.unflushed.drain(..).enumerate() {
                apply(&mut state.durable, &range, bytes.as_deref(), |sector| {
                    mix(cut.seed ^ mix(1, number as u64), sector) & 1 == 0
                });
            }
            return Err(io::Error::other("the power failed"));
        }
        if is_flush {
            for (range, bytes) in state.unflushed.drain(..) {
                apply(&mut state.durable, &range, bytes.as_deref(), |_| true);
            }
        }
        Ok(())
    }
}

impl Disk for CutDisk {
    fn write_at(&self, bytes: &[u8], at: u64) -> io::Result<()> {
        self.operation(Some((at..at + bytes.len() as u64, Some(bytes.to_vec()))))
    }

    fn zero(&self, range: Range<u64>) -> io::Result<()> {
        self.operation(Some((range, None)))
    }

    fn sync(&self) -> io::Result<()> {
        self.operation(None)
    }
}

/// Writes those sectors of `range` that `survives` says.
fn apply(
    disk: &mut [u8],
    range: &Range<u64>,
    bytes: Option<&[u8]>,
    survives: impl Fn(u64) -> bool,
) {
    for at in range.clone().step_by(SECTOR) {
        if !survives(at / SECTOR as u64) {
            continue;
        }
        let end = (at + SECTOR as u64).min(range.end);
        let target = &mut disk[at as usize..end as usize];
        match bytes {
            Some(bytes) => target
                .copy_from_slice(&bytes[(at - range.start) as usize..(end - range.start) as usize]),
            None => target.fill(0),
        }
    }
}
