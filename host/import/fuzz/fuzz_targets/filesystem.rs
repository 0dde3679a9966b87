//! A damaged ext4 root is read to an end within its bounds. The input is a list of patches of a real, small filesystem: three bytes of offset, one of length, content.
#![no_main]

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::sync::OnceLock;

use bootsplice_import::fuzzing;
use bootsplice_volume::gpt::Partition;

/// Made without checksums, so that damage is read and not only found.
const ROOT: &[u8] = include_bytes!("../root.ext4.zst");

libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    static DISK: OnceLock<(Vec<u8>, File)> = OnceLock::new();
    let (root, file) = DISK.get_or_init(|| {
        // The import catches what panics inside the filesystem's reader; only what escapes it counts.
        std::panic::set_hook(Box::new(|_| {}));
        let root = zstd::decode_all(ROOT).expect("a whole filesystem");
        (root, tempfile::tempfile().expect("room for an image"))
    });
    let mut bytes = root.clone();
    let mut rest = input;
    while let Some((head, tail)) = rest.split_first_chunk::<4>() {
        let offset = u32::from_le_bytes([head[0], head[1], head[2], 0]) as usize % bytes.len();
        let length = usize::from(head[3])
            .min(tail.len())
            .min(bytes.len() - offset);
        bytes[offset..offset + length].copy_from_slice(&tail[..length]);
        rest = &tail[length..];
    }
    file.write_all_at(&bytes, 0).expect("room for an image");
    let partition = Partition {
        number: 1,
        kind: "0FC63DAF-8483-4772-8E79-3D69D8477DE4"
            .parse()
            .expect("a GUID"),
        id: "0FC63DAF-8483-4772-8E79-3D69D8477DE5"
            .parse()
            .expect("a GUID"),
        offset: 0,
        length: bytes.len() as u64,
        label: String::new(),
    };
    let (inventory, kept) = fuzzing::inventory(file, &[partition]);
    assert_eq!(inventory.v, 1);
    assert!(kept <= 512 << 20);
    if input.is_empty() {
        assert_eq!(
            inventory.distro(),
            "debian",
            "the filesystem to start from is good"
        );
    }
});
