//! The readers of foreign bytes never panic and never accept what was changed: the corpus of the fuzz targets, mutated with a printed seed.

#![allow(clippy::unwrap_used)]

use std::io::{Cursor, Read as _};

use bootsplice_archive::keys::SigningKey;
use bootsplice_archive::layer::{self, LayerWriter};
use bootsplice_archive::{ArchiveError, header, point};
use bootsplice_content::Digest;

fn key() -> SigningKey {
    SigningKey::from_bytes(&[1; 32])
}

fn layer_bytes() -> Vec<u8> {
    let mut writer = LayerWriter::new(Vec::new(), 1_700_000_000).unwrap();
    writer
        .file("bootsplice/a/step.json", 0o644, 2, &b"{}"[..])
        .unwrap();
    writer.dir("bootsplice/a/tree", 0o755).unwrap();
    writer
        .file(
            &format!("bootsplice/a/tree/{}", "n".repeat(150)),
            0o600,
            3,
            &b"abc"[..],
        )
        .unwrap();
    writer.symlink("bootsplice/a/tree/z", "n").unwrap();
    writer.finish().unwrap().0
}

/// Bytes made of a seed, one after the other.
struct Noise(u64, u64);

impl Noise {
    fn next(&mut self, below: usize) -> usize {
        self.1 += 1;
        let digest = Digest::of(&[self.0.to_le_bytes(), self.1.to_le_bytes()].concat());
        let mut raw = [0; 8];
        raw.copy_from_slice(&digest.as_bytes()[..8]);
        (u64::from_le_bytes(raw) % below as u64) as usize
    }
}

fn read_all(bytes: &[u8]) -> Result<u64, ArchiveError> {
    let mut count = 0;
    layer::read(bytes, 1 << 24, |_, content| {
        std::io::copy(&mut content.take(1 << 24), &mut std::io::sink())?;
        count += 1;
        Ok::<_, ArchiveError>(())
    })?;
    Ok(count)
}

#[test]
fn mutated_layers_headers_and_points_end_in_errors_never_in_panics() {
    let seed = u64::from(std::process::id());
    println!("seed {seed}");
    let mut noise = Noise(seed, 0);
    let layer = layer_bytes();
    assert_eq!(read_all(&layer).unwrap(), 4);
    for _ in 0..300 {
        let mut bad = layer[..1024].to_vec();
        for _ in 0..=noise.next(4) {
            let at = noise.next(400);
            bad[at] = noise.next(256) as u8;
        }
        bad.truncate(1 + noise.next(1024));
        // Whether it is refused depends on what was hit; it ends, and within its bounds.
        let _ = read_all(&bad);
    }
    for _ in 0..300 {
        let mut bad = vec![0; 600];
        bad[..20].copy_from_slice(b"\x51\x2a\x4d\x18\xf8\xff\x07\x00BSPLICE1\x40\x00\x00\x00");
        for byte in &mut bad[20..84] {
            *byte = noise.next(256) as u8;
        }
        bad[noise.next(20)] ^= noise.next(256) as u8;
        assert!(header::open(&bad[..], &[key().verifying_key()]).is_err());
        let length = bad.len() as u64;
        assert!(point::verify(&mut Cursor::new(&bad), length, &[key().verifying_key()]).is_err());
    }
}

#[test]
fn the_tar_bytes_of_a_layer_are_the_same_for_ever() {
    let mut writer = LayerWriter::new(Vec::new(), 1_700_000_000).unwrap();
    writer
        .file("bootsplice/a/step.json", 0o644, 2, &b"{}"[..])
        .unwrap();
    writer.symlink("bootsplice/a/tree", "n").unwrap();
    let (_, record) = writer.finish().unwrap();
    assert_eq!(record.tar_size, 1536);
    assert_eq!(
        record.tar_digest.to_string(),
        "sha256:d658fe72c2ec791b52c74538789d62f453a9e955771f004cf8dcdeb3353ba24d"
    );
}
