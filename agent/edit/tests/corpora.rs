//! The fuzzers' promise over their corpora and over every file of the cases, as they are and damaged in seeded ways.

#![allow(clippy::unwrap_used)]

#[path = "../fuzz/fuzz_targets/promise.rs"]
mod promise;

use std::fs;
use std::path::{Path, PathBuf};

use bootsplice_edit::Format;

/// Damaged copies of each input.
const MUTATIONS: u64 = 60;

/// Files below a folder, in a fixed order.
fn files(of: &Path, found: &mut Vec<PathBuf>) {
    let mut entries: Vec<_> = fs::read_dir(of)
        .unwrap_or_else(|error| panic!("{}: {error}", of.display()))
        .map(|entry| entry.expect("listed").path())
        .collect();
    entries.sort();
    for path in entries {
        if path.is_dir() {
            files(&path, found);
        } else {
            found.push(path);
        }
    }
}

fn inputs(format: Format) -> Vec<Vec<u8>> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut paths = Vec::new();
    files(
        &root
            .join("fuzz/corpus")
            .join(format.name().replace('-', "_")),
        &mut paths,
    );
    let mut inputs: Vec<_> = paths
        .iter()
        .map(|path| fs::read(path).expect("read"))
        .collect();
    let mut cases = Vec::new();
    files(&root.join("tests/cases").join(format.name()), &mut cases);
    for before in cases.iter().filter(|path| path.ends_with("before")) {
        let changes = fs::read(before.with_file_name("changes.json")).expect("changes");
        inputs.push([changes, vec![0], fs::read(before).expect("read")].concat());
    }
    inputs
}

/// SplitMix64: small, seeded, the same everywhere.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        usize::try_from((z ^ (z >> 31)) % (limit.max(1) as u64)).expect("below a usize")
    }
}

fn damage(input: &[u8], random: &mut Random) -> Vec<u8> {
    const PIECES: [&[u8]; 12] = [
        b"\n", b"\r", b"\"", b"'", b"[", b"}", b": ", b"# ", b"\\", b"\xff", b"=", b"- ",
    ];
    let mut bytes = input.to_vec();
    // The changes stay whole, so that the damage is in the file.
    let from = bytes
        .iter()
        .position(|&byte| byte == 0)
        .map_or(0, |end| end + 1);
    for _ in 0..=random.below(3) {
        let at = from + random.below(bytes.len() - from + 1);
        match random.below(4) {
            0 if at < bytes.len() => bytes[at] ^= 1 << random.below(8),
            1 => bytes.truncate(at),
            2 => {
                let end = (at + random.below(12)).min(bytes.len());
                bytes.drain(at..end);
            }
            _ => {
                bytes.splice(at..at, PIECES[random.below(PIECES.len())].iter().copied());
            }
        }
    }
    bytes
}

#[test]
fn corpora_and_their_mutations_keep_the_promise() {
    for format in Format::ALL {
        let inputs = inputs(format);
        assert!(
            inputs.len() >= 10,
            "{format} has a corpus of {}",
            inputs.len()
        );
        for (number, input) in inputs.iter().enumerate() {
            promise::keep(format, input);
            for seed in 0..MUTATIONS {
                let mut random = Random((number as u64) << 32 | seed);
                promise::keep(format, &damage(input, &mut random));
            }
        }
    }
}
