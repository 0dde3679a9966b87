//! Imports with the real tools: qemu-img, sgdisk, mkfs.ext4, debugfs, e2fsck, zstd. A missing tool fails the test by name.

#![allow(clippy::unwrap_used)]

use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use bootsplice_import::{
    Format, ImportError, ImportReport, ImportRequest, export, import, inspect, list, parse_point,
    verify,
};
use object_store::ObjectStore;
use object_store::local::LocalFileSystem;
use object_store::memory::InMemory;
use tempfile::TempDir;

const MIB: u64 = 1 << 20;
const ROOT_AT: u64 = 2 * MIB;
const ROOT: u64 = 40 * MIB;
const IMAGE: u64 = 48 * MIB;

fn tool(name: &str, arguments: &[&str]) -> String {
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

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// A disk of 48 MiB with an ext4 root that has an agent and a trusted key.
fn disk(folder: &Path) -> PathBuf {
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
    let mut state = 1_u64;
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

fn request(image: &Path, scratch: &Path, points: &[&str]) -> ImportRequest {
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
    }
}

fn local(folder: &Path) -> (Arc<dyn ObjectStore>, PathBuf) {
    let root = folder.join("store");
    fs::create_dir_all(&root).unwrap();
    (
        Arc::new(LocalFileSystem::new_with_prefix(&root).unwrap()),
        root,
    )
}

async fn imported(folder: &TempDir) -> (Arc<dyn ObjectStore>, PathBuf, PathBuf, ImportReport) {
    let image = disk(folder.path());
    let (store, root) = local(folder.path());
    let request = request(&image, folder.path(), &["base=8MiB", "users=4MiB"]);
    let report = import(store.clone(), request, |_| {}).await.unwrap();
    (store, root, image, report)
}

#[tokio::test]
async fn an_export_is_the_image_outside_points_and_table_and_stock_tools_agree() {
    let folder = TempDir::new().unwrap();
    let (store, root, image, report) = imported(&folder).await;
    assert_eq!(report.size, IMAGE + 12 * MIB + 512 * 1024);
    assert!(report.warnings.is_empty(), "{:?}", report.warnings);
    let inventory = &report.inventory;
    assert_eq!(
        (inventory.distro(), inventory.release()),
        ("debian", "bookworm")
    );
    assert_eq!(inventory.architecture.as_deref(), Some("amd64"));
    assert_eq!(inventory.agent.as_deref(), Some("0.1.0"));
    assert!(inventory.users.contains("ada"));
    // SHA-256 of 32 zero bytes.
    assert_eq!(
        inventory.trusted_keys.iter().collect::<Vec<_>>(),
        ["66687aadf862bd77"]
    );

    let out = folder.path().join("out.raw");
    assert_eq!(
        export(&store, "base", &out, |_| {}).await.unwrap(),
        report.volume
    );
    assert!(tool("sgdisk", &["-v", text(&out)]).contains("No problems found"));
    assert!(tool("sgdisk", &["-p", text(&out)]).contains("bootsplice:users"));
    // The root's partition and the gaps before it, by cmp.
    let range = (IMAGE - MIB - 34 * 512).to_string();
    tool(
        "cmp",
        &[
            "-i",
            &MIB.to_string(),
            "-n",
            &range,
            text(&image),
            text(&out),
        ],
    );
    let root_out = folder.path().join("root-out");
    let mut bytes = vec![0; ROOT as usize];
    File::open(&out)
        .unwrap()
        .read_exact_at(&mut bytes, ROOT_AT)
        .unwrap();
    fs::write(&root_out, bytes).unwrap();
    tool("e2fsck", &["-fn", text(&root_out)]);

    let pack = fs::read_dir(root.join("packs/sha256"))
        .unwrap()
        .next()
        .unwrap()
        .unwrap()
        .path();
    let unpacked = folder.path().join("pack");
    tool("zstd", &["-q", "-d", text(&pack), "-o", text(&unpacked)]);
    assert_eq!(fs::metadata(&unpacked).unwrap().len() % (512 * 1024), 0);

    // An export imported again, its points kept, is the same volume.
    let again = import(store.clone(), request(&out, folder.path(), &[]), |_| {})
        .await
        .unwrap();
    assert_eq!(again.volume, report.volume);
}

#[tokio::test]
async fn importing_twice_gives_one_id_and_uploads_nothing_new() {
    let folder = TempDir::new().unwrap();
    let (store, _, image, report) = imported(&folder).await;
    let mut again = request(&image, folder.path(), &["base=8MiB", "users=4MiB"]);
    let second = import(store.clone(), again.clone(), |_| {}).await.unwrap();
    assert_eq!(
        (second.volume, second.placement, second.uploaded),
        (report.volume, report.placement, 0)
    );
    assert_eq!(second.reused_blocks, second.data_blocks);
    again.name = "other".into();
    let third = import(store.clone(), again, |_| {}).await.unwrap();
    assert_eq!(third.volume, report.volume);
    assert!(third.uploaded < 512, "only the name: {}", third.uploaded);
    let names: Vec<_> = list(&store)
        .await
        .unwrap()
        .into_iter()
        .map(|named| named.name)
        .collect();
    assert_eq!(names, ["base", "other"]);
    let seen = inspect(&store, "base").await.unwrap();
    assert_eq!(
        (seen.data_blocks, seen.points.len()),
        (report.data_blocks, 2)
    );
}

#[tokio::test]
async fn every_format_of_one_disk_is_one_volume() {
    let folder = TempDir::new().unwrap();
    let image = disk(folder.path());
    let mut ids = Vec::new();
    for extension in ["raw", "qcow2", "vmdk", "vdi", "vhdx"] {
        let path = folder.path().join(format!("copy.{extension}"));
        tool(
            "qemu-img",
            &[
                "convert",
                "-f",
                "raw",
                "-O",
                extension,
                text(&image),
                text(&path),
            ],
        );
        let store: Arc<dyn ObjectStore> = Arc::new(InMemory::new());
        let report = import(
            store.clone(),
            request(&path, folder.path(), &["base=8MiB"]),
            |_| {},
        )
        .await
        .unwrap();
        assert_eq!(verify(&store, "base", |_| {}).await.unwrap().fault, None);
        ids.push(report.volume);
    }
    assert!(ids.iter().all(|id| *id == ids[0]), "{ids:?}");
}

#[tokio::test]
async fn truncated_corrupt_swapped_and_missing_objects_are_each_found_by_name() {
    let folder = TempDir::new().unwrap();
    let (store, root, ..) = imported(&folder).await;
    let good = verify(&store, "base", |_| {}).await.unwrap();
    assert_eq!(good.fault, None);
    let mut objects = Vec::new();
    for kind in [
        "packs/sha256",
        "pages/sha256",
        "manifests/sha256",
        "inventory/sha256",
        "inventory/files/sha256",
        "placements/pages/sha256",
    ] {
        let entry = fs::read_dir(root.join(kind))
            .unwrap()
            .next()
            .unwrap()
            .unwrap();
        objects.push(format!(
            "{kind}/{}",
            entry.file_name().into_string().unwrap()
        ));
    }
    for (index, object) in objects.iter().enumerate() {
        let path = root.join(object);
        let bytes = fs::read(&path).unwrap();
        let mut flipped = bytes.clone();
        flipped[bytes.len() / 2] ^= 1;
        let other = fs::read(root.join(&objects[(index + 1) % objects.len()])).unwrap();
        for damage in [
            Some(flipped),
            Some(bytes[..bytes.len() - 1].to_vec()),
            Some(other),
            None,
        ] {
            match damage {
                Some(damage) => fs::write(&path, damage).unwrap(),
                None => fs::remove_file(&path).unwrap(),
            }
            let fault = verify(&store, "base", |_| {}).await.unwrap().fault;
            assert_eq!(fault.map(|fault| fault.object).as_ref(), Some(object));
        }
        fs::write(&path, bytes).unwrap();
    }
    let out = folder.path().join("bad.raw");
    let mut bytes = fs::read(root.join(&objects[0])).unwrap();
    bytes[1000] ^= 1;
    fs::write(root.join(&objects[0]), bytes).unwrap();
    assert!(matches!(
        export(&store, "base", &out, |_| {}).await,
        Err(ImportError::Damaged { .. })
    ));
    assert!(!out.exists() && !folder.path().join("bad.raw.partial").exists());
}

async fn refusal(path: &Path, format: Option<Format>, folder: &Path) -> String {
    let store: Arc<dyn ObjectStore> = Arc::new(InMemory::new());
    let mut request = request(path, folder, &["base=8MiB"]);
    request.format = format;
    let error = import(store.clone(), request, |_| {}).await.unwrap_err();
    assert!(
        list(&store).await.unwrap().is_empty(),
        "a refused image left a name"
    );
    error.to_string()
}

#[tokio::test]
async fn hostile_images_are_refused() {
    let folder = TempDir::new().unwrap();
    let at = |name: &str| folder.path().join(name);
    let secret = at("secret.raw");
    File::create(&secret).unwrap().set_len(IMAGE).unwrap();

    let backed = at("backed.qcow2");
    tool(
        "qemu-img",
        &[
            "create",
            "-q",
            "-f",
            "qcow2",
            "-b",
            text(&secret),
            "-F",
            "raw",
            text(&backed),
        ],
    );
    assert!(
        refusal(&backed, None, folder.path())
            .await
            .contains("backing file")
    );

    let data = at("data.qcow2");
    let option = format!("data_file={},data_file_raw=on", text(&at("data.bin")));
    tool(
        "qemu-img",
        &[
            "create",
            "-q",
            "-f",
            "qcow2",
            "-o",
            &option,
            text(&data),
            "48M",
        ],
    );
    assert!(
        refusal(&data, None, folder.path())
            .await
            .contains("data file")
    );

    let flat = at("flat.vmdk");
    tool(
        "qemu-img",
        &[
            "create",
            "-q",
            "-f",
            "vmdk",
            "-o",
            "subformat=monolithicFlat",
            text(&flat),
            "48M",
        ],
    );
    assert!(
        refusal(&flat, None, folder.path())
            .await
            .contains("extents")
    );

    let child = at("child.vmdk");
    let parent = at("parent.vmdk");
    tool(
        "qemu-img",
        &["create", "-q", "-f", "vmdk", text(&parent), "48M"],
    );
    tool(
        "qemu-img",
        &[
            "create",
            "-q",
            "-f",
            "vmdk",
            "-b",
            text(&parent),
            "-F",
            "vmdk",
            text(&child),
        ],
    );
    assert!(
        refusal(&child, None, folder.path())
            .await
            .contains("backing file")
    );

    for name in [
        "json:{\"driver\":\"raw\"}",
        "nbd:localhost:10809",
        "https://example.org/disk.qcow2",
    ] {
        for format in [Format::Raw, Format::Qcow2] {
            let error = refusal(Path::new(name), Some(format), folder.path()).await;
            assert!(error.contains("protocols are not read"), "{error}");
        }
    }
    assert!(
        refusal(&secret, Some(Format::Qcow2), folder.path())
            .await
            .contains("not a qcow2")
    );
    assert!(
        refusal(&secret, Some(Format::Vdi), folder.path())
            .await
            .contains("refused")
    );
    // A qcow2 that claims to be raw is taken as raw: nothing in it is followed, and it has no partition table.
    assert!(
        refusal(&backed, Some(Format::Raw), folder.path())
            .await
            .contains("partition table")
    );
    assert!(
        refusal(&secret, None, folder.path())
            .await
            .contains("EFI PART"),
        "no GPT"
    );
}

#[tokio::test]
async fn an_image_without_agent_or_readable_root_is_imported_with_a_warning() {
    let folder = TempDir::new().unwrap();
    let image = disk(folder.path());
    let file = File::options().write(true).open(&image).unwrap();
    let mut state = 7_u64;
    for round in 0..24 {
        // Damage all over the superblock and the group descriptors.
        for _ in 0..16 {
            state = state
                .wrapping_mul(6364136223846793005)
                .wrapping_add(1442695040888963407);
            let at = ROOT_AT + 1024 + (state >> 33) % 5000;
            file.write_all_at(&[(state >> 20) as u8], at).unwrap();
        }
        let store: Arc<dyn ObjectStore> = Arc::new(InMemory::new());
        let report = import(store, request(&image, folder.path(), &[]), |_| {})
            .await
            .unwrap();
        if round == 23 {
            assert!(!report.warnings.is_empty());
        }
    }
}
