//! Wishes and packages that cannot be had: each refused by its name and at its place, and nothing half done.

use std::fs;
use std::process::Command;

use anyhow::Result;
use bootsplice_tests::base::{Base, quiet};
use bootsplice_tests::repository::Recipe;
use serde_json::{Value, json};

use super::{PACKAGES, SOURCES, STEP, Said, archive};
use crate::place::{self, MIB, POINT_MIB};

#[test]
fn an_unknown_package_is_refused_with_the_names_near_to_it() -> Result<()> {
    let archive = archive()?;
    let repo = archive.with_hello("unknown")?;
    let sources = [archive.files(&repo)?];
    let with = json!({"packages": ["hello", "libhell0"], "sources": sources});
    let said = archive.refused(&with, "unknown-package", &format!("{PACKAGES}/1"))?;
    assert!(
        said.contains("libhell0") && said.contains("libhello"),
        "{said}"
    );
    let with = json!({"packages": ["hello=3.0"], "sources": sources});
    let said = archive.refused(&with, "no-such-version", &format!("{PACKAGES}/0"))?;
    assert!(said.contains("2.0-1"), "says what there is: {said}");
    Ok(())
}

#[test]
fn what_cannot_be_met_is_explained_and_the_images_package_is_named() -> Result<()> {
    let archive = archive()?;
    let mut repo = archive.repository("unsatisfiable")?;
    for recipe in [
        Recipe::new("new-tool", "1.0"),
        Recipe::new("holed", "1.0").field("Depends", "nowhere (>= 2)"),
        Recipe::new("left", "1.0").field("Conflicts", "right"),
        Recipe::new("right", "1.0"),
    ] {
        archive.add(&mut repo, recipe)?;
    }
    archive.publish(&repo)?;
    let source = archive.files(&repo)?;
    let refused = |packages: &[&str]| {
        let with = json!({"packages": packages, "sources": [source]});
        archive.refused(&with, "unsatisfiable", STEP)
    };
    let said = refused(&["new-tool"])?;
    assert!(
        said.contains("old-tool") && said.contains("image"),
        "the image's package is the cause: {said}"
    );
    let said = refused(&["holed"])?;
    assert!(said.contains("holed") && said.contains("nowhere"), "{said}");
    let said = refused(&["left", "right"])?;
    assert!(said.contains("left") && said.contains("right"), "{said}");
    Ok(())
}

#[test]
fn another_architecture_is_refused_and_both_are_named() -> Result<()> {
    let archive = archive()?;
    let repo = archive.with_hello("amd64")?;
    let with = json!({"packages": ["hello:arm64"], "sources": [archive.files(&repo)?]});
    let said = archive.refused(&with, "no-such-version", &format!("{PACKAGES}/0"))?;
    assert!(said.contains("arm64") && said.contains("amd64"), "{said}");

    let mut other = archive.repository("arm64")?;
    other.suite.architecture = "arm64".into();
    let deb = archive.add(
        &mut other,
        Recipe::new("hello", "2.0-1").architecture("arm64"),
    )?;
    archive.publish(&other)?;
    let with = json!({"packages": ["hello"], "sources": [archive.files(&other)?]});
    let said = archive.refused(&with, "no-such-index", SOURCES)?;
    assert!(
        said.contains("binary-amd64") && said.contains("arm64"),
        "{said}"
    );

    let url = format!("file://{}/pool/main/{}", other.root.display(), deb.name());
    let with = json!({"packages": [{"url": url, "sha256": deb.sha256}], "sources": [archive.files(&repo)?]});
    let said = archive.refused(&with, "wrong-architecture", &format!("{PACKAGES}/0"))?;
    assert!(said.contains("arm64") && said.contains("amd64"), "{said}");
    Ok(())
}

#[test]
fn names_that_no_package_has_never_leave_the_profile() -> Result<()> {
    let archive = archive()?;
    let odd = [
        "../../etc/shadow",
        "Hello",
        "a b",
        "hello;reboot",
        "hello\n",
        "-o",
        "hello=$(id)",
        "hello/a b",
        "h\u{e9}llo",
        "x",
    ];
    let said = match archive.profile(&[("base", json!({"packages": odd}))])? {
        Ok(name) => panic!("profile {name} was taken"),
        Err(said) => said,
    };
    assert_eq!((said.status, said.kind()), (422, "invalid-profile"));
    let faults: Vec<Value> = said.body["errors"].as_array().cloned().unwrap_or_default();
    let found: Vec<_> = faults
        .iter()
        .map(|fault| (fault["code"].clone(), fault["pointer"].clone()))
        .collect();
    let expected: Vec<_> = (0..odd.len())
        .map(|index| {
            (
                json!("invalid-package"),
                json!(format!("/steps/0/with/packages/{index}")),
            )
        })
        .collect();
    assert_eq!(found, expected, "{}", said.text());
    Ok(())
}

#[test]
fn a_signed_index_cannot_name_a_file_outside_its_repository() -> Result<()> {
    let archive = archive()?;
    for (index, bad) in [
        "../../etc/shadow",
        "pool/../../../etc/shadow",
        "/etc/shadow",
        "pool/main/a b.deb",
        "http://169.254.169.254/latest",
        "pool/main/x.deb?y",
    ]
    .into_iter()
    .enumerate()
    {
        let mut repo = archive.repository(&format!("leaves-{index}"))?;
        let deb = Recipe::new("hello", "2.0-1").build(&repo.root.join("elsewhere"))?;
        repo.suite.packages = deb.paragraph(bad);
        archive.publish(&repo)?;
        let with = json!({"packages": ["hello"], "sources": [archive.http(&repo)?]});
        let said = archive.refused(&with, "denied", STEP)?;
        assert!(said.contains(bad), "{said}");
        let asked = archive.web.asked(&format!("/leaves-{index}/"));
        assert!(
            asked.iter().all(|path| path.contains("/dists/")),
            "{asked:?}"
        );
    }
    Ok(())
}

#[test]
fn what_an_index_calls_its_packages_leads_nowhere() -> Result<()> {
    let archive = archive()?;
    let paragraph = |version: &str| {
        let digest = "a".repeat(64);
        format!(
            "Package: hello\nVersion: {version}\nArchitecture: amd64\nFilename: pool/x.deb\nSize: 10\nSHA256: {digest}\n\n"
        )
    };
    let good = paragraph("2.0");
    for (index, (packages, code)) in [
        (paragraph("2.0/../../../etc/cron.d/x"), "denied"),
        (paragraph("2.0 1"), "denied"),
        (paragraph("2.0;reboot"), "denied"),
        (paragraph("2.0\u{202e}"), "denied"),
        (good.replace("Size: 10\n", ""), "denied"),
        (good.replace("Filename", "File"), "denied"),
        (good.replace("SHA256", "MD5sum"), "unsupported"),
        (good.replace("Size: 10", "Size: -1"), "upstream"),
        (good.replace("amd64", "../amd64"), "upstream"),
        (good.replace("hello", "../../../etc/hello"), "upstream"),
        (good.replace("hello", "he llo"), "upstream"),
        ("\u{1} nonsense\n\n".to_owned(), "upstream"),
    ]
    .into_iter()
    .enumerate()
    {
        let mut repo = archive.repository(&format!("named-{index}"))?;
        repo.suite.packages = packages;
        archive.publish(&repo)?;
        let with = json!({"packages": ["hello"], "sources": [archive.http(&repo)?]});
        archive.refused(&with, code, STEP)?;
        let asked = archive.web.asked(&format!("/named-{index}/pool"));
        assert!(asked.is_empty(), "{asked:?}");
    }
    Ok(())
}

#[test]
fn a_percent_sign_in_an_index_is_a_character_like_others() -> Result<()> {
    let archive = archive()?;
    let mut repo = archive.repository("percent")?;
    let hello = Recipe::new("hello", "1:2.0-1").seed(archive.number());
    let deb = archive.add(&mut repo, hello)?;
    assert!(deb.name().contains("%3a"), "as apt-get download names it");
    let climbing = Recipe::new("climber", "1.0").build(&repo.root.join("elsewhere"))?;
    let there = repo.root.join("pool/%2e%2e/%2e%2e");
    fs::create_dir_all(&there)?;
    fs::copy(&climbing.file, there.join("climber.deb"))?;
    repo.suite
        .packages
        .push_str(&climbing.paragraph("pool/%2e%2e/%2e%2e/climber.deb"));
    archive.publish(&repo)?;
    for source in [archive.files(&repo)?, archive.http(&repo)?] {
        let with = json!({"packages": ["hello", "climber"], "sources": [source]});
        archive.plan(&with)?.good();
    }
    let asked = archive.web.asked("/percent/pool/");
    let below = |path: &String| path.contains("%25");
    assert!(asked.len() == 2 && asked.iter().all(below), "{asked:?}");
    assert!(archive.web.asked("/climber").is_empty());
    Ok(())
}

#[test]
fn an_image_whose_packages_cannot_be_told_is_refused() -> Result<()> {
    let archive = archive()?;
    let repo = archive.with_hello("no-status")?;
    let with = json!({"packages": ["hello"], "sources": [archive.http(&repo)?]});
    let name = match archive.profile(&[("base", with)])? {
        Ok(name) => name,
        Err(said) => panic!("{}", said.body),
    };
    let image = |volume: &str, status: Option<&str>| -> Result<String> {
        let tree = archive.place.dir.path().join(format!("{volume}-tree"));
        let image = archive.place.dir.path().join(format!("{volume}.raw"));
        fs::create_dir_all(tree.join("var/lib/dpkg"))?;
        fs::write(tree.join("var/lib/dpkg/status"), status.unwrap_or_default())?;
        Base {
            mebibytes: 16,
            noise: 4096,
            agent: true,
            key: Some(place::key()),
        }
        .write(&image, &tree)?;
        if status.is_none() {
            quiet(
                Command::new("debugfs")
                    .args(["-w", "-R", "rm /var/lib/dpkg/status"])
                    .arg(format!("{}?offset={MIB}", image.display())),
            )?;
        }
        place::import(&image, &archive.place.store, volume)?;
        let mut draft = archive.draft(&name);
        draft["volume"] = json!(volume);
        let plan = Said::of(&archive.host, "POST", "/v1/plans", &draft)?;
        let launch = Said::of(&archive.host, "POST", "/v1/launches", &draft)?;
        assert_eq!(
            (plan.status, plan.kind(), launch.status, launch.kind()),
            (422, "plan-refused", 422, "plan-refused"),
            "{} {}",
            plan.text(),
            launch.text()
        );
        Ok(plan.text())
    };
    let said = image("no-status", None)?;
    assert!(said.contains("/var/lib/dpkg/status"), "{said}");
    let broken = "Package: half\nStatus: install ok\nArchitecture: amd64\nVersion: 1 0\n\n";
    let said = image("broken-status", Some(broken))?;
    assert!(said.contains("package database"), "{said}");
    assert_eq!(archive.web.asked("/no-status/pool"), [""; 0]);
    Ok(())
}

#[test]
fn packages_larger_than_their_point_are_refused_before_one_is_fetched() -> Result<()> {
    let archive = archive()?;
    let mut repo = archive.repository("huge")?;
    let noise = 12 << 20;
    let deb = archive.add(&mut repo, Recipe::new("huge", "1.0").noise(noise))?;
    archive.publish(&repo)?;
    let with = json!({"packages": ["huge"], "sources": [archive.http(&repo)?]});
    let name = match archive.profile(&[("base", with)])? {
        Ok(name) => name,
        Err(said) => panic!("{}", said.body),
    };
    for path in ["/v1/plans", "/v1/launches"] {
        let said = Said::of(&archive.host, "POST", path, &archive.draft(&name))?;
        assert_eq!((said.status, said.kind()), (422, "capacity-exceeded"));
        let text = said.text();
        let numbers: Vec<u64> = text
            .split(|c: char| !c.is_ascii_digit())
            .filter_map(|word| word.parse().ok())
            .collect();
        let room = 4 * MIB..POINT_MIB * MIB;
        let need = deb.size..deb.size + 8 * MIB;
        assert!(numbers.iter().any(|number| room.contains(number)), "{text}");
        assert!(numbers.iter().any(|number| need.contains(number)), "{text}");
    }
    let asked = archive.web.asked("/huge/");
    assert!(
        !asked.is_empty() && asked.iter().all(|path| path.contains("/dists/")),
        "{asked:?}"
    );
    Ok(())
}
