//! Where documents lie in an object store, relative to the store's URL.

use bootsplice_content::Digest;

pub fn manifest(volume: &Digest) -> String {
    format!("manifests/sha256/{}", volume.hex())
}

pub fn page(page: &Digest) -> String {
    format!("pages/sha256/{}", page.hex())
}

pub fn inventory(inventory: &Digest) -> String {
    format!("inventory/sha256/{}", inventory.hex())
}

/// A file that the inventory refers to.
pub fn inventory_file(file: &Digest) -> String {
    format!("inventory/files/sha256/{}", file.hex())
}

pub fn placement(volume: &Digest, version: u32) -> String {
    format!("placements/sha256/{}/{version:08}", volume.hex())
}

pub fn placement_page(page: &Digest) -> String {
    format!("placements/pages/sha256/{}", page.hex())
}

pub fn pack(pack: &Digest) -> String {
    format!("packs/sha256/{}.zst", pack.hex())
}

/// All names lie under here.
pub const NAMES: &str = "names";

pub fn name(name: &str) -> String {
    format!("{NAMES}/{name}")
}
