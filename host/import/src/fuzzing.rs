//! What the fuzz targets reach of the inside; no part of the interface.

use std::fs::File;

use bootsplice_volume::Inventory;
use bootsplice_volume::gpt::Partition;

use crate::guest::{self, Guest};

/// The inventory of a guest and the bytes kept of it.
pub fn inventory(file: &File, partitions: &[Partition]) -> (Inventory, usize) {
    let guest = Guest::read(file, partitions);
    let kept = guest.files.values().map(Vec::len).sum();
    (guest.inventory, kept)
}

/// The readers of the guest's texts.
pub fn texts(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    guest::os_release(&text);
    guest::package(&text, "dpkg");
    if let Some(id) = guest::key_id(bytes) {
        assert_eq!(id.len(), 16);
    }
}
