//! Any partition table over any content: what it points at is read within the image. The input is header and entries at sector 1; the checksums are made to fit.
#![no_main]

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::sync::OnceLock;

use bootsplice_import::fuzzing;
use bootsplice_volume::gpt::Table;

const SIZE: u64 = 4 << 20;
const SECTOR: usize = 512;

libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    static DISK: OnceLock<File> = OnceLock::new();
    let file = DISK.get_or_init(|| {
        std::panic::set_hook(Box::new(|_| {}));
        tempfile::tempfile().expect("room for an image")
    });
    let mut head = vec![0; 512 * 1024];
    let length = input.len().min(head.len() - SECTOR);
    head[SECTOR..SECTOR + length].copy_from_slice(&input[..length]);
    head[SECTOR..SECTOR + 8].copy_from_slice(b"EFI PART");
    let word = |head: &[u8], at: usize| {
        u32::from_le_bytes([head[at], head[at + 1], head[at + 2], head[at + 3]]) as usize
    };
    let start = word(&head, SECTOR + 72).saturating_mul(SECTOR);
    let end = start.saturating_add(word(&head, SECTOR + 80).saturating_mul(128));
    if let Some(entries) = head.get(start..end) {
        let sum = crc32fast::hash(entries);
        head[SECTOR + 88..SECTOR + 92].copy_from_slice(&sum.to_le_bytes());
    }
    head[SECTOR + 16..SECTOR + 20].fill(0);
    let sum = crc32fast::hash(&head[SECTOR..SECTOR + 92]);
    head[SECTOR + 16..SECTOR + 20].copy_from_slice(&sum.to_le_bytes());
    file.set_len(SIZE).expect("room for an image");
    file.write_all_at(&head, 0).expect("room for an image");
    let Ok(table) = Table::read(&head, SIZE) else {
        return;
    };
    let partitions = table.partitions();
    assert!(partitions.iter().all(|one| one.offset + one.length <= SIZE));
    let _ = table.points();
    let (inventory, _) = fuzzing::inventory(file, &partitions);
    assert_eq!(inventory.v, 1);
});
