//! Recordings: what came into a run is kept, and the run is repeated without what it came from. On this machine, and of a host's launch.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use anyhow::Result;
use bootsplice_tests::base::quiet;
use bootsplice_tests::places;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::place::{Place, committed, files, post, to_file};

const CANARY: &str = "canary-41d0b7aa-that-no-recording-may-hold";

/// A machine's directories.
struct Desk {
    dir: TempDir,
}

// === impl Desk ===

impl Desk {
    fn new() -> Result<Self> {
        let dir = tempfile::tempdir()?;
        Ok(Self { dir })
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn plugin(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(places::binary("bootsplice"));
        command
            .arg("plugin")
            .args(arguments)
            .current_dir(self.dir.path())
            .env(
                "XDG_CACHE_HOME",
                places::target().join("author-tests-cache"),
            )
            .env("XDG_STATE_HOME", self.path("state"))
            // Nobody listens there: no host is asked.
            .env("BOOTSPLICE_URL", "http://127.0.0.1:9/");
        command
    }
}

fn told(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[track_caller]
fn good(output: &Output) -> Value {
    assert_eq!(output.status.code(), Some(0), "{}", told(output));
    serde_json::from_slice(&output.stdout).unwrap()
}

fn holds(directory: &Path, needle: &str) -> Result<bool> {
    let mut found = false;
    for file in files(directory)? {
        let bytes = fs::read(file)?;
        found |= bytes
            .windows(needle.len())
            .any(|part| part == needle.as_bytes());
    }
    Ok(found)
}

#[test]
fn a_launch_is_recorded_from_its_host_and_replayed_elsewhere_without_its_secrets() -> Result<()> {
    let place = Place::new()?;
    let host = place.start()?;
    let outside = tempfile::tempdir()?;
    fs::write(outside.path().join("secret"), CANARY)?;
    let mut secret = host.command()?;
    secret.args(["secret", "put", "api-key", "--file"]);
    quiet(secret.arg(outside.path().join("secret")))?;
    let profile = json!({"name": "guest", "steps": [
        {"id": "greeting", "use": "config", "at": "base", "with": {"files": [
            {"path": "/etc/motd", "content": "{{instance:id}} for {{instance:attributes.owner}}\n"}]}},
        {"id": "key", "use": "script", "at": "users", "with": {
            "interpreter": "/bin/sh", "secrets": {"KEY": "api-key"}, "text": "printf %s \"$KEY\" > ~ada/.key\n"}},
    ]});
    place.put_profile(&host, "guest", &profile.to_string())?;
    let mut body = to_file("i-1");
    body["profile"] = json!("guest");
    let id = post(&host, &body)?;
    committed(&host, &id)?;

    let desk = Desk::new()?;
    let record = |arguments: &[&str]| -> Result<Output> {
        let mut command = desk.plugin(&["record", "--launch", &id]);
        command.env("BOOTSPLICE_URL", host.url());
        command.env("BOOTSPLICE_TOKEN", host.token()?);
        Ok(command.args(arguments).output()?)
    };
    let made = good(&record(&["--out", "all", "--output", "json"])?);
    assert_eq!(made["launch"], id.as_str(), "{made}");
    assert_eq!(made["steps"].as_array().map(Vec::len), Some(2), "{made}");
    let one = good(&record(&[
        "--step", "key", "--out", "one", "--output", "json",
    ])?);
    assert_eq!(one["steps"].as_array().map(Vec::len), Some(1), "{one}");
    let unknown = record(&["--step", "kye", "--out", "none"])?;
    assert_eq!(unknown.status.code(), Some(7), "{}", told(&unknown));
    assert!(
        told(&unknown).contains("greeting, key"),
        "{}",
        told(&unknown)
    );
    assert!(!desk.path("none").exists());
    assert!(!holds(&desk.path("all"), CANARY)?);
    assert!(
        fs::read_dir(place.state.join("recordings"))?
            .next()
            .is_none()
    );
    drop(host);

    let same = desk
        .plugin(&["replay", "all", "--output", "json", "--plugins"])
        .arg(places::plugins())
        .output()?;
    let same = good(&same);
    assert_eq!(same["same"], true, "{same}");
    Ok(())
}
