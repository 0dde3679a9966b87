//! Mirrors that fail, cut, lie, lead astray or are busy.

use std::fs;
use std::net::TcpListener;
use std::process::Command;

use anyhow::Result;
use bootsplice_tests::base::quiet;
use bootsplice_tests::repository::Trick;
use serde_json::{Value, json};

use super::{Archive, DEAD, Repo, SOURCES, STEP, Said, archive};

const IN_RELEASE: &str = "dists/stable/InRelease";
const INDEX: &str = "dists/stable/main/binary-amd64/Packages.gz";
const POOL: &str = "pool/main/libhello_2.0-1_amd64.deb";

fn hello(archive: &Archive, repo: &Repo) -> Result<Value> {
    Ok(json!({"packages": ["hello"], "sources": [archive.http(repo)?]}))
}

fn play(archive: &Archive, repo: &Repo, path: &str, trick: Trick) {
    archive.web.play(&format!("/{}/{path}", repo.name), trick);
}

#[test]
fn an_index_that_is_not_what_its_release_says_is_refused() -> Result<()> {
    let archive = archive()?;
    for (name, trick, code) in [
        ("index-flip", Trick::Flip, "integrity"),
        ("index-half", Trick::Half, "integrity"),
        ("index-cut", Trick::Cut, "upstream"),
        ("index-gone", Trick::Status(404), "not-found"),
        ("index-closed", Trick::Status(403), "denied"),
    ] {
        let repo = archive.with_hello(name)?;
        play(&archive, &repo, INDEX, trick);
        let said = archive.refused(&hello(&archive, &repo)?, code, STEP)?;
        assert!(said.contains("Packages.gz"), "{said}");
        assert!(archive.web.asked(&format!("/{name}/pool")).is_empty());
    }
    Ok(())
}

#[test]
fn a_release_that_is_cut_is_refused() -> Result<()> {
    let archive = archive()?;
    for (name, trick, code) in [
        ("release-half", Trick::Half, "signature-malformed"),
        ("release-cut", Trick::Cut, "upstream"),
        ("release-down", Trick::Status(500), "upstream"),
    ] {
        let repo = archive.with_hello(name)?;
        play(&archive, &repo, IN_RELEASE, trick);
        archive.refused(&hello(&archive, &repo)?, code, STEP)?;
    }
    Ok(())
}

#[test]
fn a_package_file_that_is_gone_cut_or_changed_ends_plan_and_launch_and_leaves_nothing() -> Result<()>
{
    let archive = archive()?;
    for (name, trick, code) in [
        ("pool-gone", Trick::Status(404), "not-found"),
        ("pool-flip", Trick::Flip, "integrity"),
        ("pool-half", Trick::Half, "integrity"),
        ("pool-cut", Trick::Cut, "upstream"),
    ] {
        let repo = archive.with_hello(name)?;
        play(&archive, &repo, POOL, trick);
        let (plan, launch) = archive.fails(&hello(&archive, &repo)?)?;
        plan.is(code, STEP);
        assert!(plan.text().contains(POOL), "{}", plan.text());
        assert_eq!(launch["reason"], "generator", "{launch}");
        let detail = launch["detail"].as_str().unwrap_or_default();
        assert!(
            detail.contains(&format!("[{code}]")) && detail.contains(POOL),
            "{detail}"
        );
    }
    Ok(())
}

#[test]
fn a_mirror_that_leads_astray_is_followed_nowhere() -> Result<()> {
    let archive = archive()?;
    let inside = TcpListener::bind("127.0.0.1:0")?;
    inside.set_nonblocking(true)?;
    let port = inside.local_addr()?.port();
    for (index, to) in [
        "http://169.254.169.254/latest/meta-data/".to_owned(),
        "file:///etc/shadow".to_owned(),
        format!("http://127.0.0.1:{port}/"),
        format!("http://localhost:{port}/"),
        "http://[::1]/".to_owned(),
    ]
    .into_iter()
    .enumerate()
    {
        let repo = archive.with_hello(&format!("astray-{index}"))?;
        play(&archive, &repo, IN_RELEASE, Trick::Redirect(to.clone()));
        let said = archive.refused(&hello(&archive, &repo)?, "denied", STEP)?;
        assert!(said.contains(&to[..12]), "{said}");

        let repo = archive.with_hello(&format!("astray-pool-{index}"))?;
        play(&archive, &repo, POOL, Trick::Redirect(to));
        let (plan, launch) = archive.fails(&hello(&archive, &repo)?)?;
        plan.is("denied", STEP);
        assert!(
            launch["detail"].to_string().contains("[denied]"),
            "{launch}"
        );
    }
    assert!(inside.accept().is_err(), "nobody came");
    Ok(())
}

#[test]
fn a_redirect_inside_the_mirror_is_followed() -> Result<()> {
    let archive = archive()?;
    let repo = archive.with_hello("moved")?;
    fs::rename(repo.root.join(POOL), repo.root.join("moved.deb"))?;
    let to = format!("{}moved/moved.deb", archive.web.url());
    play(&archive, &repo, POOL, Trick::Redirect(to));
    archive.plan(&hello(&archive, &repo)?)?.good();
    Ok(())
}

#[test]
fn a_busy_mirror_is_asked_again() -> Result<()> {
    let archive = archive()?;
    let repo = archive.with_hello("busy")?;
    for path in [IN_RELEASE, INDEX, POOL] {
        play(&archive, &repo, path, Trick::BusyOnce);
    }
    archive.plan(&hello(&archive, &repo)?)?.good();
    for path in [IN_RELEASE, INDEX, POOL] {
        let asked = archive.web.asked(&format!("/busy/{path}"));
        assert_eq!(asked.len(), 2, "{path}");
    }
    Ok(())
}

#[test]
fn the_second_mirror_serves_what_the_first_does_not() -> Result<()> {
    let archive = archive()?;
    archive.with_hello("second")?;
    let second = format!("{}second", archive.web.url());
    let source = archive.source(&format!("{DEAD}debian {second}"), "")?;
    let plan = archive
        .plan(&json!({"packages": ["hello"], "sources": [source]}))?
        .good();
    assert_eq!(plan.pins().len(), 2);
    assert!(
        archive
            .web
            .asked("/second/")
            .iter()
            .any(|path| path.ends_with(POOL))
    );

    // A mirror that answers, with wrong bytes.
    let first = archive.with_hello("first")?;
    let other = archive.place.dir.path().join("web/other");
    quiet(Command::new("cp").arg("-a").arg(&first.root).arg(&other))?;
    for path in [INDEX, POOL] {
        play(&archive, &first, path, Trick::Flip);
    }
    let uris = format!("{0}first {0}other", archive.web.url());
    let source = archive.source(&uris, "")?;
    archive
        .plan(&json!({"packages": ["hello"], "sources": [source]}))?
        .good();
    Ok(())
}

#[test]
fn indexes_are_asked_for_by_their_digest_where_that_is_offered() -> Result<()> {
    let archive = archive()?;
    let mut repo = archive.with_hello("by-hash")?;
    repo.suite.by_hash = true;
    archive.publish(&repo)?;
    let folder = repo.root.join("dists/stable/main/binary-amd64");
    for name in ["Packages", "Packages.gz", "Packages.xz"] {
        fs::remove_file(folder.join(name))?;
    }
    archive.plan(&hello(&archive, &repo)?)?.good();
    let asked = archive.web.asked("/by-hash/dists/");
    assert!(
        asked.iter().any(|path| path.contains("/by-hash/SHA256/"))
            && !asked.iter().any(|path| path.contains("Packages")),
        "{asked:?}"
    );
    // A mirror that says it has them and does not.
    let mut repo = archive.with_hello("by-hash-gone")?;
    repo.suite.by_hash = true;
    archive.publish(&repo)?;
    let gone = repo.root.join("dists/stable/main/binary-amd64/by-hash");
    fs::remove_dir_all(gone)?;
    archive.plan(&hello(&archive, &repo)?)?.good();
    let mut repo = archive.with_hello("by-name")?;
    repo.suite.by_hash = true;
    archive.publish(&repo)?;
    let uri = format!("{}by-name", archive.web.url());
    let source = archive.source(&uri, "By-Hash: no\n")?;
    let with = json!({"packages": ["hello"], "sources": [source]});
    archive.plan(&with)?.good();
    assert!(
        archive
            .web
            .asked("/by-name/")
            .contains(&format!("/by-name/{INDEX}")),
        "an entry that wants names gets names"
    );
    Ok(())
}

#[test]
fn sources_that_no_grant_covers_or_whose_keyring_is_missing_are_refused() -> Result<()> {
    let archive = archive()?;
    for uri in [
        "http://127.0.0.1:1/debian",
        "https://deb.example.org/debian",
        "file:///etc",
    ] {
        let with = json!({"packages": ["hello"], "sources": [archive.source(uri, "")?]});
        let said = archive.refused(&with, "denied", STEP)?;
        assert!(said.contains(uri), "{said}");
    }
    let repo = archive.with_hello("no-keyring")?;
    let source = format!(
        "deb [signed-by=/usr/share/keyrings/none.gpg] file://{} stable main",
        repo.root.display()
    );
    let with = json!({"packages": ["hello"], "sources": [source]});
    let said = archive.refused(&with, "no-keyring", SOURCES)?;
    assert!(said.contains("/usr/share/keyrings/none.gpg"), "{said}");
    Ok(())
}

#[test]
fn many_plans_and_launches_at_once_fetch_an_index_and_a_package_once() -> Result<()> {
    let archive = archive()?;
    let repo = archive.with_hello("once")?;
    let name = match archive.profile(&[("base", hello(&archive, &repo)?)])? {
        Ok(name) => name,
        Err(said) => panic!("{}", said.body),
    };
    std::thread::scope(|scope| {
        let asks: Vec<_> = (0..8)
            .map(|_| {
                scope.spawn(|| Said::of(&archive.host, "POST", "/v1/plans", &archive.draft(&name)))
            })
            .collect();
        for ask in asks {
            ask.join().expect("a client")?.good();
        }
        Ok::<_, anyhow::Error>(())
    })?;
    for path in [INDEX, POOL] {
        let asked = archive.web.asked(&format!("/once/{path}"));
        assert_eq!(asked.len(), 1, "{path}");
    }
    archive.launch(&name)?;
    // What is locked and made needs no mirror any more.
    fs::remove_dir_all(&repo.root)?;
    let before = archive.web.asked("/once/").len();
    archive.launch(&name)?;
    assert_eq!(archive.web.asked("/once/").len(), before);
    Ok(())
}
