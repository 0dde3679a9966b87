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

/// What the fuzz targets start from, by target.
fn seeds(target: &str) -> Vec<(String, Vec<u8>)> {
    let folder = format!("{}/fuzz/seeds/{target}", env!("CARGO_MANIFEST_DIR"));
    let files = std::fs::read_dir(folder).unwrap();
    files
        .map(|file| {
            let file = file.unwrap();
            let name = file.file_name().into_string().unwrap();
            (name, std::fs::read(file.path()).unwrap())
        })
        .collect()
}

#[test]
fn the_fuzz_targets_start_from_layers_and_headers_that_are_read() {
    for (name, bytes) in seeds("layer") {
        assert!(read_all(&bytes).unwrap() > 0, "{name}");
    }
    for (name, mut bytes) in seeds("header") {
        // Their padding is left out, as the target adds it.
        bytes.resize(bootsplice_content::BLOCK, 0);
        let trusted = SigningKey::from_bytes(&[2; 32]).verifying_key();
        let answer = header::open(&bytes[..], &[trusted]);
        let spent = matches!(answer, Err(ArchiveError::Spent { .. }));
        assert!(
            answer.is_ok() || spent && name == "spent",
            "{name}: {answer:?}"
        );
    }
}

#[test]
fn a_layer_is_plain_ustar_and_pax_that_gnu_tar_lists_and_its_bytes_are_the_same_for_ever() {
    let mut writer = LayerWriter::new(Vec::new(), 1_700_000_000).unwrap();
    let long = format!("bootsplice/a/tree/{}/x", "long".repeat(80));
    writer
        .file("bootsplice/a/step.json", 0o644, 2, &b"{}"[..])
        .unwrap();
    writer.dir("bootsplice/a/tree", 0o755).unwrap();
    writer.file(&long, 0o600, 3, &b"abc"[..]).unwrap();
    writer.symlink("bootsplice/a/tree/z", "../a").unwrap();
    let (bytes, record) = writer.finish().unwrap();
    assert_eq!(
        record.tar_digest.to_string(),
        "sha256:14c34215d840ca52a317fbb115ce0cc5e11da121a2916478e00f4a502beca8bb"
    );

    let mut tar = zstd::decode_all(&bytes[..]).unwrap();
    assert_eq!(tar.len() as u64, record.tar_size);
    // POSIX ustar: the magic, and numbers as zero-filled octal ended by one NUL, the checksum's too.
    assert_eq!(&tar[257..265], b"ustar\x0000");
    assert_eq!(&tar[100..108], b"0000644\0");
    assert_eq!(&tar[148..156], b"0012230\0");
    // The records that end an archive, which a layer leaves to the end block.
    tar.resize(tar.len() + 1024, 0);
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("layer.tar");
    std::fs::write(&file, tar).unwrap();
    let listing = std::process::Command::new("tar")
        .args(["-tv", "--full-time", "--numeric-owner", "-f"])
        .arg(&file)
        .env("TZ", "UTC")
        .output()
        .unwrap();
    assert!(listing.status.success() && listing.stderr.is_empty());
    let listing = String::from_utf8(listing.stdout).unwrap();
    let words: Vec<String> = listing
        .lines()
        .map(|line| line.split_whitespace().collect::<Vec<_>>().join(" "))
        .collect();
    let line =
        |mode: &str, size: u32, name: &str| format!("{mode} 0/0 {size} 2023-11-14 22:13:20 {name}");
    let expected = [
        line("-rw-r--r--", 2, "bootsplice/a/step.json"),
        line("drwxr-xr-x", 0, "bootsplice/a/tree/"),
        line("-rw-------", 3, &long),
        line("lrwxrwxrwx", 0, "bootsplice/a/tree/z -> ../a"),
    ];
    assert_eq!(words, expected);
}
