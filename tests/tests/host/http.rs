//! The volume over HTTP: whole, in ranges, confirmed, cut short.

use std::fs;
use std::io::Read;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result};
use bootsplice_tests::Host;
use bootsplice_tests::base::quiet;
use serde_json::json;

use crate::place::{self, MIB, Place, committed, end, get, over_http, post};
use crate::wire::{ask, open};

fn sha256(host: &Host, id: &str) -> Result<String> {
    let path = format!("GET /v1/launches/{id}/volume");
    let answer = ask(
        host,
        &path,
        &[("Want-Repr-Digest", "sha-256=1"), ("Range", "bytes=0-0")],
        "",
    )?;
    assert_eq!(answer.status, 206);
    Ok(answer
        .header("repr-digest")
        .context("no Repr-Digest")?
        .to_owned())
}

#[test]
fn a_volume_is_read_whole_and_in_ranges_of_the_same_bytes() -> Result<()> {
    let place = Place::new()?;
    let host = place.start_with_plain()?;
    let id = post(&host, &over_http("i-1"))?;
    let get = format!("GET /v1/launches/{id}/volume");
    let whole = ask(&host, &get, &[], "")?;
    assert_eq!(whole.status, 200);
    let size = fs::metadata(place::export())?.len() as usize;
    assert_eq!(
        whole.header("content-length"),
        Some(size.to_string().as_str())
    );
    assert_eq!(whole.body.len(), size);

    let digest = sha256(&host, &id)?;
    for (from, to) in [
        (0, 511),
        (MIB as usize - 7, 3 * MIB as usize + 11),
        (size - 9 * MIB as usize, size - 1),
    ] {
        let range = format!("bytes={from}-{to}");
        let part = ask(&host, &get, &[("Range", &range)], "")?;
        assert_eq!(part.status, 206);
        assert_eq!(
            part.header("content-range"),
            Some(format!("bytes {from}-{to}/{size}").as_str())
        );
        assert!(
            part.body == whole.body[from..=to],
            "{range} differs from the whole"
        );
        let etag = part.header("etag").context("a part has an ETag")?;
        let same = ask(
            &host,
            &get,
            &[("Range", "bytes=0-9"), ("If-Range", etag)],
            "",
        )?;
        assert_eq!((same.status, same.body.len()), (206, 10));
    }
    let beyond = ask(&host, &get, &[("Range", &format!("bytes={size}-"))], "")?;
    assert_eq!(
        (beyond.status, beyond.header("content-range")),
        (416, Some(format!("bytes */{size}").as_str()))
    );
    let other = open(
        &host,
        &host.token()?,
        &get,
        &[("Range", "bytes=0-9"), ("If-Range", "\"another\"")],
        "",
    )?;
    assert_eq!(
        other.status, 200,
        "a range of another volume is answered with the whole one"
    );
    assert!(digest.starts_with("sha-256=:"), "{digest}");
    Ok(())
}

#[test]
fn only_the_right_digest_commits_and_fetch_does_all_of_it() -> Result<()> {
    let place = Place::new()?;
    let host = place.start_with_plain()?;
    let id = post(&host, &over_http("i-1"))?;
    sha256(&host, &id)?;
    let wrong = json!({"sha256": format!("sha256:{}", "0".repeat(64))}).to_string();
    let refused = host.request("POST", &format!("/v1/launches/{id}/confirm"), &wrong)?;
    assert_eq!(refused.status, 409, "{}", refused.body);
    assert!(refused.body.contains("digest-mismatch"), "{}", refused.body);
    assert_ne!(
        get(&host, &format!("/v1/launches/{id}"))?["state"],
        "committed"
    );

    let id = post(&host, &over_http("i-2"))?;
    let file = place.dir.path().join("fetched.raw");
    quiet(
        host.command()?
            .args(["launch", "fetch", &id, "--file"])
            .arg(&file),
    )?;
    committed(&host, &id)?;
    let points = crate::disk::points(&file)?;
    let size = fs::metadata(&file)?.len();
    for range in crate::disk::outside(&points, size) {
        assert_eq!(
            crate::disk::first_difference(&file, &place::export(), range)?,
            None
        );
    }
    let keys = place::tree().join("etc/bootsplice/keys.d");
    quiet(
        Command::new(place::agent())
            .arg("verify")
            .arg("--device")
            .arg(&file)
            .arg("--keys")
            .arg(keys),
    )?;
    assert!(!file.with_extension("raw.partial").exists());
    Ok(())
}

#[test]
fn a_volume_that_nobody_confirms_fails_at_its_deadline() -> Result<()> {
    let place = Place::new()?;
    let host = place.start_with_plain()?;
    let mut body = over_http("i-1");
    body["deadline_seconds"] = json!(2);
    let id = post(&host, &body)?;
    let launch = end(&host, &id)?;
    assert_eq!(
        (&launch["state"], &launch["reason"]),
        (&json!("failed"), &json!("unconfirmed")),
        "{launch}"
    );
    Ok(())
}

#[test]
fn a_late_failure_closes_the_body_short_and_a_client_that_leaves_may_come_again() -> Result<()> {
    let place = Place::with_own_store()?;
    let host = place.start_with_plain()?;
    let id = post(&host, &over_http("i-1"))?;
    let path = format!("GET /v1/launches/{id}/volume");
    let mut left = open(&host, &host.token()?, &path, &[], "")?;
    assert_eq!(left.status, 200);
    let mut some = vec![0; 1 << 20];
    left.reader.read_exact(&mut some)?;
    drop(left);
    std::thread::sleep(Duration::from_millis(100));
    let again = ask(&host, &path, &[("Range", "bytes=0-1048575")], "")?;
    assert!(again.body == some, "the same first bytes");

    // Another host without the blocks in its caches, whose packs are damaged.
    drop(host);
    let _ = fs::remove_dir_all(place.state.join("cache/blocks"));
    place.corrupt_packs()?;
    let host = place.start()?;
    let id = post(&host, &over_http("i-2"))?;
    let path = format!("GET /v1/launches/{id}/volume");
    let size = fs::metadata(place::export())?.len();
    let cut = ask(&host, &path, &[], "");
    if let Ok(cut) = cut {
        assert!(
            cut.status != 200 || (cut.body.len() as u64) < size,
            "{} with {} bytes",
            cut.status,
            cut.body.len()
        );
    }
    let launch = get(&host, &format!("/v1/launches/{id}"))?;
    assert_ne!(launch["state"], "committed", "{launch}");
    Ok(())
}
