#![no_main]

use std::io::Read;

use bootsplice_archive::{header, keys::SigningKey};

libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    // Nobody signed this: whatever it is, it does not open. Padding follows, which a short input could never have.
    let trusted = SigningKey::from_bytes(&[1; 32]).verifying_key();
    let padded = input.chain(std::io::repeat(0).take(header::MAX_BLOCKS * 512 * 1024));
    assert!(header::open(padded, &[trusted]).is_err());
});
