//! A lock is chosen once: what a profile was resolved to stays until somebody or its age asks for more (rule 17).

use std::fs;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result};
use bootsplice_tests::Host;
use serde_json::{Value, json};

use crate::place::{Place, committed, get, metrics, post, runs, to_file};

/// One step that takes a file of the operator's, unpinned; its locks are as `policy` says.
fn profile(source: &Path, policy: &str) -> String {
    format!(
        "name: news\nlocks: {policy}\nsteps:\n  - id: paper\n    use: data\n    at: base\n    with:\n      sources:\n        - {{ url: \"file://{}\", to: /srv/paper.txt }}\n",
        source.display()
    )
}

fn start(place: &Place) -> Result<Host> {
    let grants = format!(
        "[[grants]]\nurls = [\"file://{}/\"]\n[limits]\nleast_lock_age = 1\n",
        place.dir.path().display()
    );
    Host::start(&place.state, &format!("{}{grants}", place.config()))
}

fn lock(host: &Host, renew: bool) -> Result<String> {
    let body = json!({"profile": "news", "volume": "base", "renew": renew});
    let answer = host.request("POST", "/v1/locks", &body.to_string())?;
    assert_eq!(answer.status, 200, "{}", answer.body);
    let value: Value = serde_json::from_str(&answer.body)?;
    let pin = &value["points"][0]["steps"][0]["pins"][0]["digest"];
    Ok(pin.as_str().context(answer.body.clone())?.to_owned())
}

/// Launches and gives what the launch's lock pins the artefact to.
fn launch(host: &Host, instance: &str) -> Result<String> {
    let mut body = to_file(instance);
    body["profile"] = json!("news");
    let id = post(host, &body)?;
    committed(host, &id)?;
    let lock = get(host, &format!("/v1/launches/{id}/lock"))?;
    let pin = &lock["points"]["base"]["lock"]["steps"][0]["lock"]["pins"][0]["digest"];
    Ok(pin.as_str().with_context(|| lock.to_string())?.to_owned())
}

#[test]
fn a_lock_stays_until_it_is_renewed() -> Result<()> {
    let place = Place::new()?;
    let source = place.dir.path().join("paper.txt");
    fs::write(&source, "Monday\n")?;
    let host = start(&place)?;
    place.put_profile(&host, "news", &profile(&source, "pinned"))?;
    let monday = launch(&host, "i-1")?;
    fs::write(&source, "Tuesday\n")?;
    std::thread::sleep(Duration::from_secs(2));
    assert_eq!(launch(&host, "i-2")?, monday, "what was chosen stays");
    assert_eq!(lock(&host, false)?, monday);
    let before = metrics(&host)?;
    let tuesday = lock(&host, true)?;
    assert_ne!(tuesday, monday);
    assert_eq!(launch(&host, "i-3")?, tuesday);
    assert_eq!(launch(&host, "i-4")?, tuesday);
    let of_data = |metrics| runs(metrics, "shared").get("data").copied();
    assert_eq!(of_data(&before), Some(1.0));
    assert_eq!(
        of_data(&metrics(&host)?),
        Some(2.0),
        "one layer for both launches of the new lock"
    );
    Ok(())
}

#[test]
fn a_lock_older_than_its_profile_wants_is_made_anew() -> Result<()> {
    let place = Place::new()?;
    let source = place.dir.path().join("paper.txt");
    fs::write(&source, "Monday\n")?;
    let host = start(&place)?;
    place.put_profile(&host, "news", &profile(&source, "{ max_age: 1 }"))?;
    let monday = launch(&host, "i-1")?;
    fs::write(&source, "Tuesday\n")?;
    std::thread::sleep(Duration::from_secs(2));
    assert_ne!(launch(&host, "i-2")?, monday);
    Ok(())
}
