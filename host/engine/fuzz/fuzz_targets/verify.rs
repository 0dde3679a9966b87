#![no_main]

use std::time::{Duration, UNIX_EPOCH};

use bootsplice_engine::blobs::Blob;
use bootsplice_engine::trust::{Keyring, verify};

/// Keeps the parts of an input apart: message, certificates and, if there is one, a detached signature.
const SEAM: &[u8] = b"\n=8<=\n";
const KEY: &[u8] = include_bytes!("../../tests/fixtures/archive-key.asc");

libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    let now = UNIX_EPOCH + Duration::from_secs(1_800_000_000);
    let keyring = |bytes: &[u8]| Keyring {
        certificates: bytes.to_vec(),
        allowed: Vec::new(),
    };
    let mut parts = split(input).into_iter();
    let message = Blob::from_bytes(parts.next().unwrap_or_default().to_vec());
    let certificates = parts.next().unwrap_or_default();
    let detached = parts.next().map(|bytes| Blob::from_bytes(bytes.to_vec()));
    // Foreign keys, foreign message: no panic, no endless work.
    let _ = verify(&message, detached.as_ref(), &[keyring(certificates)], now);
    // A key whose secret half is lost has signed one text and no other.
    if let Ok(verified) = verify(&message, None, &[keyring(KEY)], now) {
        assert_eq!(
            verified.text.as_deref(),
            Some(&b"Origin: Example\n- dash\nSuite: stable\n"[..])
        );
    }
});

fn split(input: &[u8]) -> Vec<&[u8]> {
    let mut parts = Vec::new();
    let mut rest = input;
    while let Some(at) = rest.windows(SEAM.len()).position(|window| window == SEAM) {
        parts.push(&rest[..at]);
        rest = &rest[at + SEAM.len()..];
    }
    parts.push(rest);
    parts
}
