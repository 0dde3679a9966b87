//! A page that is read covers the blocks it was asked for and has exactly the bytes that were read. The first two bytes are the number of blocks.
#![no_main]

use bootsplice_volume::Page;

libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    let Some((count, bytes)) = input.split_first_chunk::<2>() else {
        return;
    };
    let blocks = usize::from(u16::from_le_bytes(*count));
    if let Ok(page) = Page::decode(bytes, blocks) {
        assert_eq!(page.blocks().len(), blocks);
        assert_eq!(page.encode(), bytes, "two encodings of one page");
        assert_eq!(page.digest().is_some(), page.data_blocks() > 0);
    }
});
