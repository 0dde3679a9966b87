//! A small disk made by real tools, and requests for it.

#![allow(dead_code, reason = "each test binary uses some of it")]

use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use bootsplice_import::{ImportRequest, Isolation, parse_point};
use object_store::ObjectStore;
use object_store::local::LocalFileSystem;

pub const MIB: u64 = 1 << 20;
pub const ROOT_AT: u64 = 2 * MIB;
pub const ROOT: u64 = 40 * MIB;
pub const IMAGE: u64 = 48 * MIB;

pub fn tool(name: &str, arguments: &[&str]) -> String {
    let output = Command::new(name)
        .args(arguments)
        .output()
        .unwrap_or_else(|error| panic!("{name} is needed: {error}"));
    let text = format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    assert!(output.status.success(), "{name} {arguments:?}: {text}");
    text
}

pub fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// A disk of 48 MiB with an ext4 root that has an agent and a trusted key.
pub fn disk(folder: &Path) -> PathBuf {
    let root = root(folder, 1);
    let image = folder.join("disk.raw");
    let file = File::create(&image).unwrap();
    file.set_len(IMAGE).unwrap();
    tool(
        "sgdisk",
        &[
            "-n",
            "1:4096:+40M",
            "-t",
            "1:8300",
            "-U",
            "6A1D2C3E-0000-4000-8000-000000000001",
            "-u",
            "1:6A1D2C3E-0000-4000-8000-000000000002",
            text(&image),
        ],
    );
    file.write_all_at(&fs::read(&root).unwrap(), ROOT_AT)
        .unwrap();
    image
}

/// Its root's filesystem; another `seed` is another content.
pub fn root(folder: &Path, seed: u64) -> PathBuf {
    let tree = folder.join("tree");
    for directory in ["etc/bootsplice/keys.d", "var/lib/dpkg", "usr/lib"] {
        fs::create_dir_all(tree.join(directory)).unwrap();
    }
    fs::write(
        tree.join("usr/lib/os-release"),
        "ID=debian\nVERSION_CODENAME=\"bookworm\"\n",
    )
    .unwrap();
    std::os::unix::fs::symlink("../usr/lib/os-release", tree.join("etc/os-release")).unwrap();
    fs::write(
        tree.join("etc/passwd"),
        "root:x:0:0:root:/root:/bin/bash\nada:x:1000:1000::/home/ada:/bin/sh\n",
    )
    .unwrap();
    fs::write(tree.join("etc/group"), "root:x:0:\n").unwrap();
    let status = "Package: dpkg\nStatus: install ok installed\nArchitecture: amd64\nVersion: 1.21\n\nPackage: bootsplice-agent\nStatus: install ok installed\nArchitecture: amd64\nVersion: 0.1.0\n";
    fs::write(tree.join("var/lib/dpkg/status"), status).unwrap();
    // The key of 32 zero bytes.
    let key = "-----BEGIN PUBLIC KEY-----\nMCowBQYDK2VwAyEAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n-----END PUBLIC KEY-----\n";
    fs::write(tree.join("etc/bootsplice/keys.d/demo.pem"), key).unwrap();
    // Noise that does not compress, so that packs have a size.
    let mut state = seed;
    let noise: Vec<u8> = std::iter::repeat_with(|| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state as u8
    })
    .take(12 << 20)
    .collect();
    fs::write(tree.join("noise"), noise).unwrap();
    let root = folder.join("root.ext4");
    File::create(&root).unwrap().set_len(ROOT).unwrap();
    tool(
        "mkfs.ext4",
        &[
            "-q",
            "-F",
            "-E",
            "root_owner=0:0",
            "-d",
            text(&tree),
            text(&root),
        ],
    );
    root
}

pub fn request(image: &Path, scratch: &Path, points: &[&str]) -> ImportRequest {
    ImportRequest {
        image: image.to_owned(),
        format: None,
        name: "base".into(),
        points: points
            .iter()
            .map(|point| parse_point(point).unwrap())
            .collect(),
        size: None,
        scratch: scratch.to_owned(),
        isolation: Isolation::WherePossible,
    }
}

pub fn local(folder: &Path) -> (Arc<dyn ObjectStore>, PathBuf) {
    let root = folder.join("store");
    fs::create_dir_all(&root).unwrap();
    (
        Arc::new(LocalFileSystem::new_with_prefix(&root).unwrap()),
        root,
    )
}
