//! A placement that is read has exactly the bytes that were read, and every location of a placement page lies within its pack.
#![no_main]

use bootsplice_content::Digest;
use bootsplice_volume::{Pack, Placement, PlacementPage};

libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    if let Ok(placement) = Placement::decode(input) {
        assert_eq!(placement.encode(), input, "two encodings of one placement");
    }
    let packs: Vec<Pack> = [1000, 1 << 26]
        .into_iter()
        .map(|size| Pack {
            path: format!("packs/{size}"),
            size,
            digest: Digest::of(b""),
            etag: None,
        })
        .collect();
    if let Ok(page) = PlacementPage::decode(input, input.len() / 16, &packs) {
        assert_eq!(page.encode(), input);
        for location in &page.0 {
            let end = location.offset + u64::from(location.length);
            assert!(end <= packs[location.pack as usize].size);
        }
    }
});
