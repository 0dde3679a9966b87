//! A content manifest or a launch manifest that is read has exactly the bytes that were read.
#![no_main]

use bootsplice_volume::{ContentManifest, LaunchManifest};

libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    if let Ok(manifest) = ContentManifest::decode(input) {
        assert_eq!(manifest.encode(), input, "two encodings of one volume");
        for page in 0..manifest.pages.len() {
            assert!(manifest.page_blocks(page) > 0);
        }
    }
    if let Ok(manifest) = LaunchManifest::decode(input) {
        assert_eq!(manifest.encode(), input, "two encodings of one launch");
    }
});
