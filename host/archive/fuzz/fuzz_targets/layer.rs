#![no_main]

use bootsplice_archive::{ArchiveError, layer};

libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    let _ = layer::read(input, 1 << 24, |_, content| {
        std::io::copy(content, &mut std::io::sink())?;
        Ok::<_, ArchiveError>(())
    });
});
