//! Where a secret's value is, and above all where it is not.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Result;
use bootsplice_tests::base::quiet;
use serde_json::json;

use crate::place::{Place, committed, files, get, post, to_file};

const CANARY: &str = "canary-7f3e91c2-that-only-the-guest-may-see";

const PROFILE: &str = r#"
name: secretive
steps:
  - id: key
    use: script
    at: users
    with:
      interpreter: /bin/sh
      secrets: { KEY: api-key }
      text: |
        printf %s "$KEY" > ~ada/.key
"#;

fn holding(directory: &Path, needle: &str) -> Result<Vec<PathBuf>> {
    let mut found = files(directory)?;
    found.retain(|path| {
        fs::read(path).is_ok_and(|bytes| {
            bytes
                .windows(needle.len())
                .any(|part| part == needle.as_bytes())
        })
    });
    Ok(found)
}

#[test]
fn the_canary_secret_is_found_nowhere() -> Result<()> {
    let place = Place::with_own_store()?;
    let host = place.start_with_plain()?;
    let outside = tempfile::tempdir()?;
    let file = outside.path().join("secret");
    fs::write(&file, CANARY)?;
    quiet(
        host.command()?
            .args(["secret", "put", "api-key", "--file"])
            .arg(&file),
    )?;
    place.put_profile(&host, "secretive", PROFILE)?;
    let mut body = to_file("i-1");
    body["profile"] = json!("secretive");
    let id = post(&host, &body)?;
    committed(&host, &id)?;
    let other = post(&host, &to_file("i-2"))?;
    committed(&host, &other)?;

    // The test can see: its own volume carries the value, in a layer that stock zstd opens.
    let points = crate::disk::points(&place.disk("i-1"))?;
    let mut carried = false;
    for (_, range) in points {
        carried |= crate::disk::unpacked(&place.disk("i-1"), range)?
            .windows(CANARY.len())
            .any(|part| part == CANARY.as_bytes());
    }
    assert!(carried, "the guest does not get its secret");

    for path in ["", "/manifest", "/lock", "/timeline"] {
        let told = get(&host, &format!("/v1/launches/{id}{path}"))?.to_string();
        assert!(!told.contains(CANARY), "{path}: {told}");
    }
    fs::remove_file(place.disk("i-1"))?;
    // State, log, configuration, store and the other launch's volume, all below the test's directory.
    assert_eq!(
        holding(place.dir.path(), CANARY)?,
        Vec::<PathBuf>::new(),
        "while the host runs"
    );
    drop(host);
    assert_eq!(
        holding(place.dir.path(), CANARY)?,
        Vec::<PathBuf>::new(),
        "after its end"
    );
    Ok(())
}
