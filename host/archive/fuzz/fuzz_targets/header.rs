#![no_main]

use bootsplice_archive::{header, keys::SigningKey};

libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    // Nobody signed this: whatever it is, it does not open.
    let trusted = SigningKey::from_bytes(&[1; 32]).verifying_key();
    assert!(header::open(input, &[trusted]).is_err());
});
