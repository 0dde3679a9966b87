//! What a step of packages puts into the guest: the same bytes everywhere, files of vendors, steps that are one.

use std::collections::BTreeSet;
use std::fs;
use std::process::Command;

use anyhow::{Context, Result};
use bootsplice_tests::Host;
use bootsplice_tests::base::quiet;
use bootsplice_tests::repository::Recipe;
use serde_json::{Value, json};

use super::{Archive, STEP, Said, archive};
use crate::place::{committed, get, post};

#[test]
fn the_images_own_sources_and_keys_are_used_where_a_step_names_none() -> Result<()> {
    let archive = archive()?;
    archive.with_hello("own")?;
    let plan = archive.plan(&json!({"packages": ["hello"]}))?.good();
    let expected = ["hello_2.0-1_amd64.deb", "libhello_2.0-1_amd64.deb"];
    let names: Vec<_> = plan.pins().into_iter().map(|(name, _)| name).collect();
    assert_eq!(names, expected);
    let pin = &plan.body["points"][0]["steps"][0]["pins"][1]["attributes"];
    assert_eq!(
        (&pin["reason"], &pin["signed-by"], &pin["suite"]),
        (
            &json!("depends-of hello"),
            &json!(archive.key.fingerprint()),
            &json!("stable")
        )
    );
    Ok(())
}

/// The digests of a launch's shared layers, and the time of its lock.
fn layers(host: &Host, draft: &Value) -> Result<Vec<String>> {
    let id = post(host, draft)?;
    committed(host, &id)?;
    let manifest = get(host, &format!("/v1/launches/{id}/manifest"))?;
    let archives = manifest["archives"].as_array().context("archives")?;
    let layers = archives
        .iter()
        .flat_map(|archive| archive["layers"].as_array().into_iter().flatten());
    let shared = layers.filter(|layer| layer["scope"] == "shared");
    Ok(shared.map(|layer| layer["digest"].to_string()).collect())
}

#[test]
fn two_hosts_make_the_same_bytes_from_repositories_in_other_places() -> Result<()> {
    let (one, two) = (archive()?, Archive::new()?);
    let first = one.with_hello("here")?;
    let vendor = Recipe::new("vendor-tool", "1.0").field("Depends", "libhello");
    let deb = vendor.build(&first.root.join("vendor"))?;
    let other = two.place.dir.path().join("web/deeper/there");
    fs::create_dir_all(other.parent().context("a parent")?)?;
    quiet(Command::new("cp").arg("-a").arg(&first.root).arg(&other))?;
    let profile = |archive: &Archive, root: &str| {
        let vendor = format!("{root}/vendor/{}", deb.name());
        let source = archive.source(root, "")?;
        let with = json!({"packages": ["hello", {"url": vendor}], "sources": [source]});
        match archive.profile(&[("base", with)])? {
            Ok(name) => Ok::<_, anyhow::Error>(name),
            Err(said) => panic!("{}", said.body),
        }
    };
    let here = profile(&one, &format!("file://{}", first.root.display()))?;
    let there = profile(&two, &format!("{}deeper/there", two.web.url()))?;
    // The time of a lock is in its entries: the two are asked for until they are of one second.
    let lock = |archive: &Archive, name: &str| {
        let body = json!({"profile": name, "volume": "debian", "renew": true});
        let said = Said::of(&archive.host, "POST", "/v1/locks", &body)?;
        assert_eq!(said.status, 200, "{}", said.text());
        let id = post(&archive.host, &archive.draft(name))?;
        let lock = get(&archive.host, &format!("/v1/launches/{id}/lock"))?;
        let epoch = &lock["points"]["base"]["lock"]["steps"][0]["lock"]["epoch"];
        epoch.as_u64().with_context(|| lock.to_string())
    };
    let mut tries = 0;
    while lock(&one, &here)? != lock(&two, &there)? {
        tries += 1;
        assert!(tries < 20, "no two locks of one second");
    }
    let to_file = |archive: &Archive, name: &str| {
        let mut draft = archive.draft(name);
        draft["sink"] = json!({"name": "disks", "as": format!("{name}.raw")});
        layers(&archive.host, &draft)
    };
    let (ours, theirs) = (to_file(&one, &here)?, to_file(&two, &there)?);
    assert_eq!(ours.len(), 1);
    assert_eq!(ours, theirs);
    Ok(())
}

#[test]
fn a_vendors_file_brings_its_dependencies_from_the_suite() -> Result<()> {
    let archive = archive()?;
    let repo = archive.with_hello("vendor")?;
    let vendor = |name: &str, depends: &str| {
        Recipe::new(name, "1.0")
            .field("Depends", depends)
            .build(&repo.root.join("vendor"))
    };
    let deb = vendor("vendor-tool", "libhello (>= 2.0), dpkg")?;
    let url = format!("file://{}", deb.file.display());
    let source = archive.files(&repo)?;
    let plan = |file: Value| {
        let with = json!({"packages": [file], "sources": [source]});
        Ok::<_, anyhow::Error>(archive.plan(&with)?.good())
    };
    let warned = |plan: &Said| {
        let notes = plan.body["points"][0]["steps"][0]["notes"].to_string();
        notes.contains("vendor-tool_1.0_amd64.deb is pinned by the digest it had")
    };
    let names = BTreeSet::from(["libhello_2.0-1_amd64.deb", "vendor-tool_1.0_amd64.deb"]);
    for (file, warns) in [
        (json!({"url": url}), true),
        (json!({"url": url, "sha256": deb.sha256}), false),
    ] {
        let plan = plan(file)?;
        let pins = plan.pins();
        let found: BTreeSet<_> = pins.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(found, names);
        assert_eq!(warned(&plan), warns, "{}", plan.text());
    }
    let with = json!({"packages": [{"url": url, "sha256": "0".repeat(64)}], "sources": [source]});
    let said = archive.refused(&with, "integrity", STEP)?;
    assert!(said.contains(&deb.sha256), "{said}");
    let holed = vendor("vendor-holed", "nowhere")?;
    let with = json!({"packages": [{"url": format!("file://{}", holed.file.display())}], "sources": [source]});
    let said = archive.refused(&with, "unsatisfiable", STEP)?;
    assert!(
        said.contains("vendor-holed") && said.contains("nowhere"),
        "{said}"
    );
    Ok(())
}

#[test]
fn a_file_that_is_no_package_is_refused() -> Result<()> {
    let archive = archive()?;
    let repo = archive.with_hello("no-package")?;
    let whole = Recipe::new("cut", "1.0").build(&repo.root.join("vendor"))?;
    let bytes = fs::read(&whole.file)?;
    for (name, bytes) in [
        ("page.deb", &b"<html>not found</html>\n"[..]),
        ("empty.deb", b""),
        ("cut.deb", &bytes[..100]),
    ] {
        let file = repo.root.join("vendor").join(name);
        fs::write(&file, bytes)?;
        let with = json!({"packages": [{"url": format!("file://{}", file.display())}], "sources": [archive.files(&repo)?]});
        let said = archive.refused(&with, "unsupported", STEP)?;
        assert!(said.contains(name), "{said}");
    }
    Ok(())
}

#[test]
fn steps_with_packages_at_one_point_are_one_resolution() -> Result<()> {
    let archive = archive()?;
    let mut repo = archive.repository("joined")?;
    for version in ["1.0", "2.0"] {
        archive.add(&mut repo, Recipe::new("shared", version))?;
    }
    for (name, depends) in [("any", "shared"), ("new", "shared (>= 2.0)")] {
        archive.add(
            &mut repo,
            Recipe::new(name, "1.0").field("Depends", depends),
        )?;
    }
    archive.publish(&repo)?;
    let source = archive.files(&repo)?;
    let step = |name: &str| json!({"packages": [name], "sources": [source]});
    let plan = |steps: &[(&str, Value)]| match archive.profile(steps)? {
        Ok(name) => Said::of(&archive.host, "POST", "/v1/plans", &archive.draft(&name)),
        Err(said) => panic!("{}", said.body),
    };
    // Alone, `any` gets the newest.
    let alone = plan(&[("base", step("any"))])?.good().pins();
    assert!(
        alone.contains(&("shared_2.0_amd64.deb".into(), "2.0".into())),
        "{alone:?}"
    );
    for other in ["base", "users"] {
        let said = plan(&[(other, step("any")), ("base", step("shared=1.0"))])?.good();
        let pins: BTreeSet<_> = said.pins().into_iter().map(|(name, _)| name).collect();
        let expected = ["any_1.0_amd64.deb", "shared_1.0_amd64.deb"];
        assert_eq!(pins, expected.map(str::to_owned).into(), "{}", said.text());
        let steps = |point: usize| said.body["points"][point]["steps"].as_array().map(Vec::len);
        assert_eq!(
            (steps(0), steps(1)),
            (Some(1), Some(0)),
            "one, at the earliest point"
        );
    }
    let said = plan(&[("base", step("shared=1.0")), ("base", step("new"))])?;
    said.is("unsatisfiable", STEP);
    assert!(said.text().contains("shared"), "{}", said.text());
    Ok(())
}
