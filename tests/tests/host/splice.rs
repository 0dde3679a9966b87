//! What lies on the disk after a launch.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::Result;
use bootsplice_tests::base::quiet;
use serde_json::json;

use crate::disk::{
    check_ext4, check_gpt, first_difference, outside, partitions, points, tar_names,
};
use crate::place::{self, BASE_MIB, MIB, POINT_MIB, Place, committed, post, to_file};

#[test]
fn a_spliced_volume_equals_the_export_outside_its_points() -> Result<()> {
    let place = Place::new()?;
    let host = place.start_with_plain()?;
    let id = post(&host, &to_file("i-1"))?;
    committed(&host, &id)?;
    let disk = place.disk("i-1");
    let size = fs::metadata(&disk)?.len();
    assert_eq!(size, fs::metadata(place::export())?.len());

    let points = points(&disk)?;
    assert_eq!(points, crate::disk::points(&place::export())?);
    for range in outside(&points, size) {
        let different = first_difference(&disk, &place::export(), range.clone())?;
        assert_eq!(different, None, "of the export in {range:?}");
    }
    // Of the imported image, everything but the tables is where it was.
    let (_, root) = partitions(&place::image())?.remove(0);
    assert_eq!(
        first_difference(&disk, &place::image(), root.clone())?,
        None,
        "of the image's root"
    );
    check_gpt(&disk)?;
    check_ext4(&disk, root.start)?;
    for (name, range) in points {
        let names = tar_names(&disk, range)?;
        let wanted = if name.contains("base") {
            "etc/motd"
        } else {
            "Documents/plan.txt"
        };
        let found = names
            .iter()
            .filter(|found| found.ends_with("manifest.json") || found.ends_with("step.json"));
        assert!(found.count() > 0, "{name}: {names:?}");
        // A file with placeholders is a template of its step; the instance layer holds the filled one.
        let file = wanted.rsplit('/').next().unwrap_or(wanted);
        assert!(
            names.iter().any(|name| name.contains(file))
                || names.iter().any(|name| name.ends_with("instance.json")),
            "{name}: {names:?}"
        );
    }
    Ok(())
}

#[test]
fn a_volume_of_twice_the_size_differs_in_its_tables_only() -> Result<()> {
    let place = Place::new()?;
    let host = place.start_with_plain()?;
    let size = 2 * fs::metadata(place::export())?.len();
    let mut body = to_file("i-1");
    body["size"] = json!(size.to_string());
    let id = post(&host, &body)?;
    committed(&host, &id)?;
    let disk = place.disk("i-1");
    assert_eq!(fs::metadata(&disk)?.len(), size);
    check_gpt(&disk)?;
    let old = partitions(&place::export())?;
    let new = partitions(&disk)?;
    assert_eq!(old[0], new[0], "the root stays where it was");
    assert_eq!(
        first_difference(&disk, &place::export(), old[0].1.clone())?,
        None
    );
    check_ext4(&disk, new[0].1.start)?;
    assert_eq!(old.len(), new.len());
    // Outside the tables of the new disk and its points, nothing but the base's bytes.
    let between = old[0].1.end.max(MIB)
        ..points(&disk)?
            .iter()
            .map(|(_, range)| range.start)
            .min()
            .unwrap();
    let last = between.end.min((BASE_MIB - 1) * MIB);
    assert_eq!(
        first_difference(
            &disk,
            &place::export(),
            between.start..last.max(between.start)
        )?,
        None
    );
    assert!(POINT_MIB * 2 * MIB < size);
    Ok(())
}

#[test]
fn the_agent_applies_what_the_host_spliced() -> Result<()> {
    let place = Place::new()?;
    let host = place.start_with_plain()?;
    let id = post(&host, &to_file("i-1"))?;
    committed(&host, &id)?;
    refused_with_another_key(&place, &place.disk("i-1"))?;
    let root = place.dir.path().join("root");
    quiet(Command::new("cp").arg("-a").arg(place::tree()).arg(&root))?;
    quiet(
        Command::new(place::agent())
            .arg("apply")
            .arg("--device")
            .arg(place.disk("i-1"))
            .arg("--root")
            .arg(&root),
    )?;
    assert_eq!(fs::read_to_string(root.join("etc/motd"))?, "i-1 for ada\n");
    assert_eq!(
        fs::read_to_string(root.join("etc/default/grub"))?,
        "# kept\nGRUB_TIMEOUT=1\n"
    );
    assert_eq!(
        fs::read_to_string(root.join("home/ada/Documents/plan.txt"))?,
        "Ship it.\n"
    );
    Ok(())
}

fn refused_with_another_key(place: &Place, disk: &Path) -> Result<()> {
    let keys = place.dir.path().join("other-keys");
    fs::create_dir(&keys)?;
    let other = place.dir.path().join("other-state");
    quiet(place::bootsplice(&["key", "new", "--state"]).arg(&other))?;
    let pem = place::bootsplice(&["key", "export", "--state"])
        .arg(&other)
        .output()?
        .stdout;
    fs::write(keys.join("other.pem"), pem)?;
    let refused = Command::new(place::agent())
        .arg("verify")
        .arg("--device")
        .arg(disk)
        .arg("--keys")
        .arg(&keys)
        .output()?;
    assert_eq!(
        refused.status.code(),
        Some(3),
        "{}",
        String::from_utf8_lossy(&refused.stderr)
    );
    Ok(())
}
