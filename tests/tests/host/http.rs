//! The volume over HTTP: whole, in ranges, confirmed, cut short.

use std::fs;
use std::io::Read;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use bootsplice_tests::Host;
use bootsplice_tests::base::quiet;
use serde_json::json;

use crate::place::{self, MIB, Place, committed, counter, end, get, metrics, over_http, post};
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
fn a_client_that_leaves_may_come_again() -> Result<()> {
    let place = Place::new()?;
    let host = place.start_with_plain()?;
    let id = post(&host, &over_http("i-1"))?;
    let path = format!("GET /v1/launches/{id}/volume");
    let mut left = open(&host, &host.token()?, &path, &[], "")?;
    assert_eq!(left.status, 200);
    let mut some = vec![0; MIB as usize];
    left.reader.read_exact(&mut some)?;
    drop(left);
    let again = ask(&host, &path, &[("Range", "bytes=0-1048575")], "")?;
    assert!(again.body == some, "the same first bytes");
    let launch = get(&host, &format!("/v1/launches/{id}"))?;
    assert_eq!(launch["state"], "running", "{launch}");
    Ok(())
}

#[test]
fn a_late_failure_closes_the_body_short_and_fails_the_launch_by_its_pack() -> Result<()> {
    let place = Place::with_own_store()?;
    let host = place.start_with_plain()?;
    place.corrupt_packs()?;
    let id = post(&host, &over_http("i-1"))?;
    cut_short(&place, &host, &id, 0)
}

#[test]
fn fetching_a_damaged_volume_names_the_pack_and_leaves_no_file() -> Result<()> {
    let place = Place::with_own_store()?;
    let host = place.start_with_plain()?;
    place.corrupt_packs()?;
    let id = post(&host, &over_http("i-1"))?;
    let directory = place.dir.path().join("fetched");
    fs::create_dir(&directory)?;
    let fetched = host
        .command()?
        .args(["launch", "fetch", &id, "--file"])
        .arg(directory.join("volume.raw"))
        .output()?;
    let said = String::from_utf8_lossy(&fetched.stderr);
    assert!(!fetched.status.success(), "{said}");
    let pack = place.packs()?.swap_remove(0);
    let name = pack.file_name().context("a pack's name")?.to_string_lossy();
    assert!(said.contains(&*name), "{said}");
    assert_eq!(fs::read_dir(&directory)?.count(), 0);
    Ok(())
}

#[test]
fn a_pack_cut_in_the_middle_of_a_stream_fails_the_launch_by_its_pack() -> Result<()> {
    let place = Place::with_own_store()?;
    let host = place.start_with_plain()?;
    let id = post(&host, &over_http("i-1"))?;
    let first = 4 * MIB as usize;
    let range = format!("bytes=0-{}", first - 1);
    let path = format!("GET /v1/launches/{id}/volume");
    let part = ask(&host, &path, &[("Range", &range)], "")?;
    assert_eq!((part.status, part.body.len()), (206, first));
    // What was read stays in the cache: the stream goes that far before it meets the damage.
    place.cut_packs()?;
    cut_short(&place, &host, &id, first)
}

/// Reads the volume of launch `id`, whose packs are damaged: at least `first` bytes come, all of them right, and then the body ends short, at once and for good.
fn cut_short(place: &Place, host: &Host, id: &str, first: usize) -> Result<()> {
    let started = Instant::now();
    let path = format!("GET /v1/launches/{id}/volume");
    let export = fs::read(place::export())?;
    let cut = ask(host, &path, &[], "")?;
    assert_eq!(cut.status, 200);
    assert_eq!(
        cut.header("content-length"),
        Some(export.len().to_string().as_str())
    );
    let came = cut.body.len();
    assert!((first..export.len()).contains(&came), "{came} bytes came");
    assert!(cut.body == export[..came], "wrong bytes among {came}");

    let launch = end(host, id)?;
    let pack = place.packs()?.swap_remove(0);
    let name = pack.file_name().context("a pack's name")?.to_string_lossy();
    assert_eq!(launch["state"], "failed", "{launch}");
    assert_eq!(launch["reason"], "corrupt", "{launch}");
    assert_eq!(launch["retryable"], false, "{launch}");
    let detail = launch["detail"].as_str().unwrap_or_default();
    assert!(detail.contains(&*name), "{detail}");
    let took = started.elapsed();
    eprintln!("{came} bytes came; ended in {took:?}: {detail}");
    assert!(took < Duration::from_secs(20), "it took {took:?}");

    // Who comes again is told so, and the store is not asked again.
    let before = settled_requests(host)?;
    let again = ask(host, &path, &[], "")?;
    assert_eq!(again.status, 409);
    let told = String::from_utf8_lossy(&again.body);
    assert!(told.contains("corrupt") && told.contains(&*name), "{told}");
    assert_eq!(settled_requests(host)?, before);
    Ok(())
}

/// Requests to the store, once those that were under way have ended.
fn settled_requests(host: &Host) -> Result<f64> {
    let look = || counter(&metrics(host)?, "origin_requests");
    let mut last = look()?;
    for _ in 0..20 {
        std::thread::sleep(Duration::from_millis(500));
        let now = look()?;
        if now == last {
            return Ok(now);
        }
        last = now;
    }
    bail!("the store is asked without end: {last} requests")
}
