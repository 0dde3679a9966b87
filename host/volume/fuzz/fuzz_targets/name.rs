//! Name records, names of volumes and points, and inventories from any bytes.
#![no_main]

use bootsplice_volume::{Inventory, NameRecord, PointName, is_volume_name, paths};

libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    if let Ok(record) = serde_json::from_slice::<NameRecord>(input) {
        let text = serde_json::to_vec(&record).expect("a record is plain data");
        let again: NameRecord = serde_json::from_slice(&text).expect("what was written");
        assert_eq!(again, record);
    }
    if let Ok(inventory) = serde_json::from_slice::<Inventory>(input) {
        let _ = (inventory.distro(), inventory.release());
    }
    let Ok(text) = std::str::from_utf8(input) else {
        return;
    };
    if is_volume_name(text) {
        let path = paths::name(text);
        assert_eq!(path.split('/').count(), 2, "a name leads to one place");
        assert!(text != "." && text != "..");
    }
    if let Ok(name) = text.parse::<PointName>() {
        assert_eq!(name.as_str(), text);
        assert!(name.label().encode_utf16().count() <= 36);
    }
});
