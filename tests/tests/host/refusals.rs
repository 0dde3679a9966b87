//! What a host does not take, and what it says then.

use std::fs;
use std::process::Command;

use anyhow::Result;
use bootsplice_tests::base::{Base, quiet};
use serde_json::{Value, json};

use crate::place::{
    self, MIB, PLAIN, POINT_MIB, Place, committed, end, files, over_http, post, to_file, try_post,
};
use crate::wire::{ask, open};

#[test]
fn the_same_launch_posted_twice_at_once_is_one() -> Result<()> {
    let place = Place::new()?;
    let host = place.start_with_plain()?;
    let ids = std::thread::scope(|scope| {
        let posts: Vec<_> = (0..8)
            .map(|_| scope.spawn(|| post(&host, &to_file("i-1"))))
            .collect();
        posts
            .into_iter()
            .map(|post| post.join().expect("a client"))
            .collect::<Result<Vec<_>>>()
    })?;
    assert!(ids.iter().all(|id| *id == ids[0]), "{ids:?}");
    committed(&host, &ids[0])?;
    Ok(())
}

#[test]
fn a_key_used_for_another_body_is_a_conflict() -> Result<()> {
    let place = Place::new()?;
    let host = place.start_with_plain()?;
    let key = [("Idempotency-Key", "one")];
    let first = ask(
        &host,
        "POST /v1/launches",
        &key,
        &over_http("i-1").to_string(),
    )?;
    let same = ask(
        &host,
        "POST /v1/launches",
        &key,
        &over_http("i-1").to_string(),
    )?;
    let other = ask(
        &host,
        "POST /v1/launches",
        &key,
        &over_http("i-2").to_string(),
    )?;
    assert_eq!((first.status, same.status, other.status), (202, 200, 409));
    assert!(String::from_utf8_lossy(&other.body).contains("idempotency-conflict"));
    Ok(())
}

#[test]
fn a_leased_target_names_its_holder() -> Result<()> {
    let place = Place::new()?;
    let host = place.start_with_plain()?;
    let holder = post(&host, &to_file("i-1"))?;
    let mut body = to_file("i-2");
    body["sink"]["as"] = json!("i-1.raw");
    let (status, answer) = try_post(&host, &body)?;
    assert_eq!(status, 409, "{answer}");
    assert!(
        answer["type"].to_string().contains("target-leased"),
        "{answer}"
    );
    assert!(
        answer.to_string().contains(&holder),
        "{answer} does not name {holder}"
    );
    Ok(())
}

/// The answer's text, which must be a refusal of this status.
fn refused(host: &bootsplice_tests::Host, body: &Value, status: u16) -> Result<String> {
    let (got, answer) = try_post(host, body)?;
    assert_eq!(got, status, "{answer}");
    assert!(
        answer["type"].is_string() && answer["status"] == status,
        "no problem document: {answer}"
    );
    Ok(answer.to_string())
}

#[test]
fn bad_requests_are_refused_with_the_field_and_the_reason() -> Result<()> {
    let place = Place::new()?;
    let host = place.start_with_plain()?;
    let mut body = over_http("i-1");
    body["instance"]["owner"] = json!("ada");
    assert!(refused(&host, &body, 422)?.contains("/instance/owner"));

    let mut body = over_http("i-1");
    body["instance"]["attributes"] = json!({});
    assert!(refused(&host, &body, 422)?.contains("owner"));

    for escape in ["../x", "/etc/x", "a/../../x", "."] {
        let mut body = to_file("i-1");
        body["sink"]["as"] = json!(escape);
        let (status, answer) = try_post(&host, &body)?;
        assert_eq!(status, 422, "{escape}: {answer}");
    }
    assert!(!place.dir.path().join("x").exists());

    let mut body = over_http("i-1");
    body["volume"] = json!("nothing");
    assert!(refused(&host, &body, 422)?.contains("unknown-volume"));
    let mut body = to_file("i-1");
    body["sink"]["name"] = json!("nowhere");
    assert!(
        refused(&host, &body, 422)?.contains("disks"),
        "says which there are"
    );

    let stranger = open(
        &host,
        "bsp_0000000000000000",
        "POST /v1/launches",
        &[],
        &over_http("i-1").to_string(),
    )?;
    assert_eq!(stranger.status, 401);

    let secret = PLAIN.replace("name: plain", "name: needy")
        + r#"
  - id: key
    use: script
    at: users
    with:
      interpreter: /bin/sh
      secrets: { KEY: no-such-secret }
      text: "true"
"#;
    place.put_profile(&host, "needy", &secret)?;
    let mut body = over_http("i-1");
    body["profile"] = json!("needy");
    assert!(refused(&host, &body, 422)?.contains("no-such-secret"));
    Ok(())
}

#[test]
fn an_archive_larger_than_its_point_is_refused_with_both_numbers() -> Result<()> {
    let place = Place::new()?;
    let host = place.start()?;
    let mut state = 1_u64;
    // Twelve MiB that do not compress, as lines of a file's content.
    let noise: Vec<u8> = std::iter::repeat_with(|| {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as u8
    })
    .take(12 << 20)
    .collect();
    let source = place.dir.path().join("source");
    fs::create_dir(&source)?;
    fs::write(source.join("noise"), noise)?;
    drop(host);
    let config = format!(
        "{}[[grants]]\nurls = [\"file://{}/\"]\n",
        place.config(),
        source.display()
    );
    let host = bootsplice_tests::Host::start(&place.state, &config)?;
    let profile = format!(
        "name: big\nsteps:\n  - id: big\n    use: data\n    at: users\n    with:\n      user: ada\n      sources:\n        - {{ url: \"file://{}/noise\", to: noise }}\n",
        source.display()
    );
    place.put_profile(&host, "big", &profile)?;
    let mut body = to_file("i-1");
    body["profile"] = json!("big");
    let said = refused(&host, &body, 422)?;
    assert!(said.contains("capacity-exceeded"), "{said}");
    let numbers: Vec<u64> = said
        .split(|c: char| !c.is_ascii_digit())
        .filter_map(|word| word.parse().ok())
        .collect();
    // The room is the point without the constant and the header's share; the need is the noise at least.
    let room = |number: &&u64| (4 * MIB..POINT_MIB * MIB).contains(*number);
    assert!(numbers.iter().any(|number| room(&number)), "{said}");
    assert!(
        numbers
            .iter()
            .any(|number| *number >= 12 * MIB && *number < 32 * MIB),
        "{said}"
    );
    assert_eq!(place.partials()?.len(), 0);
    Ok(())
}

#[test]
fn an_image_that_could_not_apply_is_refused_and_both_sets_of_keys_are_named() -> Result<()> {
    let place = Place::with_own_store()?;
    let other = place.dir.path().join("other");
    quiet(place::bootsplice(&["key", "new", "--state"]).arg(&other))?;
    let pem = place::bootsplice(&["key", "export", "--state"])
        .arg(&other)
        .output()?
        .stdout;
    let pem = String::from_utf8(pem)?;
    let small = |name: &str, agent: bool, key: Option<&str>| {
        let image = place.dir.path().join(format!("{name}.raw"));
        let tree = place.dir.path().join(format!("{name}-tree"));
        Base {
            mebibytes: 16,
            noise: 4096,
            agent,
            key,
        }
        .write(&image, &tree)?;
        place::import(&image, &place.store, name)
    };
    small("strange", true, Some(&pem))?;
    small("bare", false, Some(place::key()))?;
    let host = place.start_with_plain()?;
    let mut body = over_http("i-1");
    body["volume"] = json!("bare");
    assert!(refused(&host, &body, 422)?.contains("no bootsplice-agent"));
    body["volume"] = json!("strange");
    let said = refused(&host, &body, 422)?;
    for state in [&place.state, &other] {
        let list = place::bootsplice(&["--output", "json", "key", "list", "--state"])
            .arg(state)
            .output()?
            .stdout;
        let list: Value = serde_json::from_slice(&list)?;
        let id = list
            .pointer("/keys/0/id")
            .or(list.pointer("/0/id"))
            .and_then(Value::as_str);
        let id = id.unwrap_or_else(|| panic!("{list}"));
        assert!(said.contains(id), "{said} does not name {id}");
    }
    Ok(())
}

#[test]
fn a_corrupt_pack_fails_the_launch_and_leaves_no_file() -> Result<()> {
    let place = Place::with_own_store()?;
    place.corrupt_packs()?;
    let host = place.start_with_plain()?;
    let id = post(&host, &to_file("i-1"))?;
    let launch = end(&host, &id)?;
    assert_eq!(
        (&launch["state"], &launch["reason"]),
        (&json!("failed"), &json!("corrupt")),
        "{launch}"
    );
    assert_eq!(files(&place.disks)?.len(), 0);
    Ok(())
}

#[test]
fn a_full_disk_fails_the_launch_and_leaves_nothing() -> Result<()> {
    let place = Place::new()?;
    let disks = place.disks.display().to_string();
    let mounted = Command::new("mount")
        .args(["-t", "tmpfs", "-o", "size=10m", "tmpfs", &disks])
        .output()?;
    if !mounted.status.success() {
        eprintln!(
            "skipped, a small filesystem needs root: {}",
            String::from_utf8_lossy(&mounted.stderr)
        );
        return Ok(());
    }
    let result = (|| {
        let host = place.start_with_plain()?;
        let (status, answer) = try_post(&host, &to_file("i-1"))?;
        let text = match answer["id"].as_str() {
            Some(id) if status == 202 => end(&host, id)?.to_string(),
            _ => answer.to_string(),
        };
        Ok((text, files(&place.disks)?))
    })();
    quiet(Command::new("umount").args(["-l", &disks]))?;
    let (text, left): (String, Vec<_>) = result.map_err(|error: anyhow::Error| error)?;
    assert!(text.contains("no-space"), "{text}");
    assert_eq!(left.len(), 0, "{left:?}");
    Ok(())
}
