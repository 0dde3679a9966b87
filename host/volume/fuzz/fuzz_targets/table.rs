//! A partition table that is read can get a point and is read back as it was written. The input is the header and the entries; the checksums are made to fit.
#![no_main]

use bootsplice_content::{BLOCK, BLOCK_U64};
use bootsplice_volume::Stage;
use bootsplice_volume::gpt::{NewPoint, Table};

libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    let Some((first, bytes)) = input.split_first_chunk::<3>() else {
        return;
    };
    let sector = if first[0] & 1 == 0 { 512 } else { 4096 };
    let blocks = u64::from(u16::from_le_bytes([first[1], first[2]])) + 1;
    let size = blocks * BLOCK_U64;
    let mut head = vec![0; BLOCK];
    let length = bytes.len().min(BLOCK - sector);
    head[sector..sector + length].copy_from_slice(&bytes[..length]);
    head[sector..sector + 8].copy_from_slice(b"EFI PART");
    seal(&mut head, sector);
    let Ok(mut table) = Table::read(&head, size) else {
        return;
    };
    let _ = table.points();
    let _ = table.backup_range(size);
    let point = NewPoint {
        name: "fuzz".parse().expect("a good name"),
        blocks: 8,
        stage: Stage::Files,
    };
    let grown = size + 9 * BLOCK_U64;
    if table.append_points(&[point], grown).is_err() {
        return;
    }
    let tail = table.write(&mut head, grown);
    assert_eq!(tail.len(), BLOCK);
    let read = Table::read(&head, grown).expect("what was written is read");
    assert_eq!(read, table);
});

fn seal(head: &mut [u8], sector: usize) {
    let word = |head: &[u8], at: usize| {
        u32::from_le_bytes([head[at], head[at + 1], head[at + 2], head[at + 3]]) as usize
    };
    let count = word(head, sector + 80);
    let start = word(head, sector + 72).saturating_mul(sector);
    let end = start.saturating_add(count.saturating_mul(128));
    if let Some(entries) = head.get(start..end) {
        let sum = crc32fast::hash(entries);
        head[sector + 88..sector + 92].copy_from_slice(&sum.to_le_bytes());
    }
    head[sector + 16..sector + 20].fill(0);
    let sum = crc32fast::hash(&head[sector..sector + 92]);
    head[sector + 16..sector + 20].copy_from_slice(&sum.to_le_bytes());
}
