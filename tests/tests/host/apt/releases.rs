//! Release files that may not be used.

use std::fs;

use anyhow::Result;
use bootsplice_tests::repository::Key;
use serde_json::json;

use super::{Archive, Repo, SOURCES, STEP, Said, archive, now};

/// The refusal of a plan and of a launch with `hello` from this repository.
fn refused(archive: &Archive, repo: &Repo, code: &str, pointer: &str) -> Result<String> {
    let with = json!({"packages": ["hello"], "sources": [archive.http(repo)?]});
    let said = archive.refused(&with, code, pointer)?;
    let asked = archive.web.asked(&format!("/{}/", repo.name));
    assert!(
        asked.iter().all(|path| path.contains("/dists/")),
        "no package was fetched: {asked:?}"
    );
    Ok(said)
}

#[test]
fn a_suite_that_was_removed_is_refused_by_its_name() -> Result<()> {
    let archive = archive()?;
    let repo = archive.with_hello("removed")?;
    fs::remove_dir_all(repo.suite.directory(&repo.root))?;
    let said = refused(&archive, &repo, "no-release", SOURCES)?;
    assert!(said.contains("removed/ stable"), "{said}");
    Ok(())
}

#[test]
fn a_release_that_expired_or_comes_from_the_future_is_refused() -> Result<()> {
    let archive = archive()?;
    let mut repo = archive.with_hello("expired")?;
    repo.suite.date = now()? - 7 * 86_400;
    repo.suite.valid_until = Some(now()? - 60);
    archive.publish(&repo)?;
    let said = refused(&archive, &repo, "release-expired", SOURCES)?;
    assert!(said.contains("expired/ stable"), "{said}");
    repo.suite.valid_until = Some(now()? + 3600);
    archive.publish(&repo)?;
    let with = json!({"packages": ["hello"], "sources": [archive.http(&repo)?]});
    archive.plan(&with)?.good();

    let mut ahead = archive.with_hello("ahead")?;
    ahead.suite.date = now()? + 86_400;
    archive.publish(&ahead)?;
    refused(&archive, &ahead, "signature-from-the-future", STEP)?;
    Ok(())
}

#[test]
fn a_release_that_was_changed_or_signed_by_a_stranger_or_by_nobody_is_refused() -> Result<()> {
    let archive = archive()?;
    let repo = archive.with_hello("changed")?;
    let file = repo.suite.directory(&repo.root).join("InRelease");
    let text = fs::read_to_string(&file)?;
    fs::write(&file, text.replace("Origin: Example", "Origin: Changed"))?;
    let said = refused(&archive, &repo, "signature-bad", STEP)?;
    assert!(said.contains("changed/ stable"), "{said}");

    let stranger = Key::new(2)?;
    repo.suite.publish(&repo.root, &stranger)?;
    let said = refused(&archive, &repo, "signature-unknown-key", STEP)?;
    assert!(
        said.contains(&stranger.fingerprint()) && said.contains(&archive.key.fingerprint()),
        "names both keys: {said}"
    );

    // Signed before, unsigned now: never a way down.
    let plain =
        &text[text.find("Origin").unwrap_or(0)..text.find("-----BEGIN PGP SIGNATURE").unwrap_or(0)];
    fs::write(&file, plain)?;
    refused(&archive, &repo, "signature-missing", STEP)?;
    fs::remove_file(&file)?;
    fs::write(file.with_file_name("Release"), plain)?;
    let said = refused(&archive, &repo, "no-release", SOURCES)?;
    assert!(said.contains("Release.gpg"), "{said}");
    Ok(())
}

#[test]
fn a_signature_beside_the_release_is_as_good_as_one_inside() -> Result<()> {
    let archive = archive()?;
    let mut repo = archive.with_hello("beside")?;
    repo.suite.inline = false;
    archive.publish(&repo)?;
    let with = json!({"packages": ["hello"], "sources": [archive.http(&repo)?]});
    let plan = archive.plan(&with)?.good();
    assert_eq!(plan.pins().len(), 2);
    let release = repo.suite.directory(&repo.root).join("Release");
    let text = fs::read_to_string(&release)?;
    fs::write(&release, text.replace("Origin: Example", "Origin: Changed"))?;
    refused_after_use(&archive, &repo, "signature-bad")
}

/// As [`refused`], of a repository whose packages were fetched before.
fn refused_after_use(archive: &Archive, repo: &Repo, code: &str) -> Result<()> {
    let with = json!({"packages": ["hello"], "sources": [archive.http(repo)?]});
    archive.refused(&with, code, STEP).map(drop)
}

#[test]
fn a_release_of_another_suite_is_refused() -> Result<()> {
    let archive = archive()?;
    let repo = archive.with_hello("another")?;
    let text = fs::read_to_string(repo.suite.directory(&repo.root).join("InRelease"))?;
    let from = text.find("Origin").unwrap_or(0);
    let to = text.find("-----BEGIN PGP SIGNATURE").unwrap_or(0);
    let other = text[from..to].replace(": stable", ": testing");
    repo.suite.sign(&repo.root, &archive.key, &other)?;
    let said = refused(&archive, &repo, "release-is-another", SOURCES)?;
    assert!(said.contains("testing"), "{said}");
    let weak = text[from..to].replace("SHA256:", "SHA1:");
    repo.suite.sign(&repo.root, &archive.key, &weak)?;
    refused(&archive, &repo, "release-damaged", SOURCES)?;
    Ok(())
}

#[test]
fn an_older_release_than_one_seen_before_is_a_replay() -> Result<()> {
    let archive = archive()?;
    let mut repo = archive.with_hello("replay")?;
    let with = json!({"packages": ["hello"], "sources": [archive.http(&repo)?]});
    let name = match archive.profile(&[("base", with)])? {
        Ok(name) => name,
        Err(said) => panic!("{}", said.body),
    };
    let renew = || {
        let body = json!({"profile": name, "volume": "debian", "renew": true});
        Said::of(&archive.host, "POST", "/v1/locks", &body)
    };
    archive.launch(&name)?;
    repo.suite.date -= 3600;
    archive.publish(&repo)?;
    let said = renew()?;
    said.is("release-replayed", SOURCES);
    assert!(said.text().contains("3600 s older"), "{}", said.text());
    archive.launch(&name)?;
    repo.suite.date += 3601;
    archive.publish(&repo)?;
    assert_eq!(renew()?.status, 200);
    archive.launch(&name)
}

#[test]
fn a_release_that_is_called_otherwise_than_before_is_taken_only_when_told_to() -> Result<()> {
    let archive = archive()?;
    let repo = archive.with_hello("renamed")?;
    let source = archive.http(&repo)?;
    let profile = |accept: bool| {
        let with =
            json!({"packages": ["hello"], "sources": [source], "accept_release_changes": accept});
        match archive.profile(&[("base", with)])? {
            Ok(name) => Ok::<_, anyhow::Error>(name),
            Err(said) => panic!("{}", said.body),
        }
    };
    let lock = |name: &str| {
        let body = json!({"profile": name, "volume": "debian", "renew": true});
        Said::of(&archive.host, "POST", "/v1/locks", &body)
    };
    let (careful, told) = (profile(false)?, profile(true)?);
    for name in [&careful, &told] {
        assert_eq!(lock(name)?.status, 200);
    }
    let file = repo.suite.directory(&repo.root).join("InRelease");
    let text = fs::read_to_string(&file)?;
    let from = text.find("Origin").unwrap_or(0);
    let to = text.find("-----BEGIN PGP SIGNATURE").unwrap_or(0);
    let other = text[from..to].replace("Origin: Example", "Origin: Other");
    repo.suite.sign(&repo.root, &archive.key, &other)?;
    let said = lock(&careful)?;
    said.is("release-changed", SOURCES);
    assert!(
        said.text().contains("`Example` to `Other`"),
        "{}",
        said.text()
    );
    assert_eq!(lock(&told)?.status, 200);
    Ok(())
}
