#![no_main]

use std::io::Cursor;

use bootsplice_archive::{keys::SigningKey, point};

libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    let trusted = SigningKey::from_bytes(&[1; 32]).verifying_key();
    assert!(point::verify(&mut Cursor::new(input), input.len() as u64, &[trusted]).is_err());
});
