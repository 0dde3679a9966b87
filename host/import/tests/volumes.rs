//! Imports with the real tools: qemu-img, sgdisk, mkfs.ext4, debugfs, e2fsck, zstd. A missing tool fails the test by name.

#![allow(clippy::unwrap_used)]

mod common;

use std::fs::{self, File};
use std::io::{Seek, SeekFrom};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bootsplice_import::{Format, ImportError, ImportReport, export, import, inspect, list, verify};
use common::{IMAGE, MIB, ROOT, ROOT_AT, disk, local, request, root, text, tool};
use object_store::ObjectStore;
use object_store::memory::InMemory;
use tempfile::TempDir;

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

#[tokio::test]
async fn an_encrypted_image_is_refused() {
    let folder = TempDir::new().unwrap();
    let at = |name: &str| folder.path().join(name);
    let secret = "secret,id=key,data=correct-horse";
    let cheap = "iter-time=10";
    let (inner, outer) = (at("encrypted.qcow2"), at("encrypted.raw"));
    let options = format!("encrypt.format=luks,encrypt.key-secret=key,encrypt.{cheap}");
    let create = |format: &str, options: &str, path: &Path| {
        tool(
            "qemu-img",
            &[
                "create",
                "-q",
                "--object",
                secret,
                "-f",
                format,
                "-o",
                options,
                text(path),
                "48M",
            ],
        );
    };
    create("qcow2", &options, &inner);
    create("luks", &format!("key-secret=key,{cheap}"), &outer);
    let said = refusal(&inner, None, folder.path()).await;
    assert!(said.contains("it is encrypted"), "{said}");
    let said = refusal(&outer, None, folder.path()).await;
    assert!(said.contains("encrypted (LUKS)"), "{said}");
}

#[tokio::test]
async fn every_format_with_a_backing_file_is_refused_for_it() {
    let folder = TempDir::new().unwrap();
    for format in ["qcow2", "qcow", "qed", "vmdk"] {
        let parent = folder.path().join(format!("parent.{format}"));
        let child = folder.path().join(format!("child.{format}"));
        let create = ["create", "-q", "-f", format];
        tool("qemu-img", &[&create[..], &[text(&parent), "48M"]].concat());
        let backed = ["-b", text(&parent), "-F", format, text(&child)];
        tool("qemu-img", &[&create[..], &backed].concat());
        let said = refusal(&child, None, folder.path()).await;
        assert!(said.contains("backing file"), "{format}: {said}");
        // Not even when the file that it names is gone.
        fs::remove_file(&parent).unwrap();
        let said = refusal(&child, None, folder.path()).await;
        assert!(said.contains("backing file"), "{format}: {said}");
    }
}

#[tokio::test]
async fn a_disk_with_sectors_of_4096_bytes_keeps_them() {
    let folder = TempDir::new().unwrap();
    let content = fs::read(root(folder.path(), 1)).unwrap();
    let image = folder.path().join("disk.raw");
    let mut file = File::options()
        .create_new(true)
        .read(true)
        .write(true)
        .open(&image)
        .unwrap();
    file.set_len(IMAGE).unwrap();
    file.write_all_at(&content, ROOT_AT).unwrap();
    let linux = uuid::uuid!("0FC63DAF-8483-4772-8E79-3D69D8477DE4").to_bytes_le();
    let mut table = gptman::GPT::new_from(&mut file, 4096, [3; 16]).unwrap();
    table[1] = gptman::GPTPartitionEntry {
        partition_type_guid: linux,
        unique_partition_guid: [4; 16],
        starting_lba: ROOT_AT / 4096,
        ending_lba: (ROOT_AT + ROOT) / 4096 - 1,
        attribute_bits: 0,
        partition_name: "root".into(),
    };
    table.write_into(&mut file).unwrap();
    gptman::GPT::write_protective_mbr_into(&mut file, 4096).unwrap();

    let (store, _) = local(folder.path());
    let wanted = request(&image, folder.path(), &["base=8MiB"]);
    let report = import(store.clone(), wanted, |_| {}).await.unwrap();
    assert!(report.warnings.is_empty(), "{:?}", report.warnings);
    let seen = inspect(&store, "base").await.unwrap();
    assert_eq!((seen.sector, seen.volume), (4096, report.volume));
    assert_eq!(seen.inventory.distro(), "debian");

    // Another reader finds both copies of the table, and in them the root where it was and the point.
    let out = folder.path().join("out.raw");
    export(&store, "base", &out, |_| {}).await.unwrap();
    let mut exported = File::open(&out).unwrap();
    let size = exported.metadata().unwrap().len();
    for lba in [1, size / 4096 - 1] {
        exported.seek(SeekFrom::Start(lba * 4096)).unwrap();
        let header = gptman::GPTHeader::read_from(&mut exported).unwrap();
        assert_eq!(header.primary_lba, lba);
        let entries = header.read_partitions(&mut exported, 4096).unwrap();
        let used: Vec<_> = entries.iter().filter(|entry| entry.is_used()).collect();
        assert_eq!(used.len(), 2);
        assert_eq!(used[0], &table[1]);
        assert_eq!(used[1].partition_name.as_str(), "bootsplice:base");
        let point = &seen.points[0];
        assert_eq!(used[1].starting_lba * 4096, point.first * 512 * 1024);
    }
    let mut bytes = vec![0; ROOT as usize];
    exported.read_exact_at(&mut bytes, ROOT_AT).unwrap();
    assert!(bytes == content, "the root is as it was");
}
