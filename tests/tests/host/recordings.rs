//! Recordings: what came into a run is kept, and the run is repeated without what it came from. On this machine, and of a host's launch.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use anyhow::{Context as _, Result};
use bootsplice_tests::base::quiet;
use bootsplice_tests::places;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::place::{Place, committed, files, post, to_file};

const CANARY: &str = "canary-41d0b7aa-that-no-recording-may-hold";

/// A directory with a file to fetch, and a configuration of `data` that wants it.
struct Desk {
    dir: TempDir,
}

// === impl Desk ===

impl Desk {
    fn new() -> Result<Self> {
        let desk = Self {
            dir: tempfile::tempdir()?,
        };
        fs::write(desk.path("plan.txt"), "Ship it.\n")?;
        let url = format!("file://{}", desk.path("plan.txt").display());
        let config = json!({"user": "ada", "sources": [{"url": url, "to": "Documents/plan.txt"}]});
        fs::write(desk.path("config.json"), config.to_string())?;
        Ok(desk)
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

    /// `data` with the configuration, which may fetch from here.
    fn data(&self, verb: &str, arguments: &[&str]) -> Result<Output> {
        let grant = format!("file://{}/", self.dir.path().display());
        let mut command = self.plugin(&[verb]);
        command.arg(component("data"));
        command.args(["--config", "config.json", "--grant", &grant]);
        Ok(command.args(arguments).output()?)
    }

    /// `data` as a project, with one case that has nothing yet.
    fn project(&self) -> Result<()> {
        for directory in ["data/build", "data/cases/plan"] {
            fs::create_dir_all(self.path(directory))?;
        }
        let text = "[plugin]\nname = \"data\"\nlanguage = \"rust\"\n";
        fs::write(self.path("data/bootsplice-plugin.toml"), text)?;
        fs::copy(component("data"), self.path("data/build/data.wasm"))?;
        Ok(())
    }

    fn replay(&self, recording: &str, component: &Path) -> Result<Output> {
        let mut command = self.plugin(&["replay", recording]);
        command.arg(component).args(["--output", "json"]);
        Ok(command.output()?)
    }
}

fn component(name: &str) -> PathBuf {
    places::plugins().join(format!("{name}.wasm"))
}

fn told(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[track_caller]
fn good(output: &Output) -> Value {
    let said = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(0), "{said}{}", told(output));
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
fn a_recorded_run_is_replayed_without_what_it_fetched_from_and_another_call_is_named() -> Result<()>
{
    let desk = Desk::new()?;
    let arguments = ["--out", "rec", "--output", "json"];
    let made = good(&desk.data("record", &arguments)?);
    assert_eq!(made["steps"][0]["outcome"]["made"]["entries"], 1, "{made}");
    let again = desk.data("record", &arguments)?;
    assert_eq!(again.status.code(), Some(5), "{}", told(&again));

    // Nothing of it is there any more, and the directory of the recording may go elsewhere.
    fs::remove_file(desk.path("plan.txt"))?;
    fs::rename(desk.path("rec"), desk.path("moved"))?;
    let same = good(&desk.replay("moved", &component("data"))?);
    assert_eq!(same["same"], true, "{same}");
    assert_eq!(
        same["steps"][0]["replayed"], made["steps"][0]["outcome"],
        "{same}"
    );

    // A recording in which another address was asked for.
    let lines = desk.path("moved/exchanges.jsonl");
    let text = fs::read_to_string(&lines)?;
    let number = 1 + text
        .lines()
        .position(|line| line.contains("\"call\":\"fetch\""))
        .context("no fetch was recorded")?;
    let changed: Vec<String> = text
        .lines()
        .enumerate()
        .map(|(at, line)| match at + 1 == number {
            true => line.replace("plan.txt", "plot.txt"),
            false => line.to_owned(),
        })
        .collect();
    fs::write(&lines, changed.join("\n") + "\n")?;
    let other = desk.replay("moved", &component("data"))?;
    assert_eq!(other.status.code(), Some(8), "{}", told(&other));
    let said = told(&other);
    assert!(said.contains(&format!("call {number} ")), "{said}");
    assert!(
        said.contains("plot.txt") && said.contains("plan.txt"),
        "{said}"
    );
    // And one whose answer was changed.
    fs::write(&lines, &text)?;
    let blob = files(&desk.path("moved/blobs"))?
        .into_iter()
        .find(|file| fs::read(file).is_ok_and(|bytes| bytes == b"Ship it.\n"))
        .context("the fetched file is in no blob")?;
    fs::write(blob, "Sink it.\n")?;
    let damaged = desk.replay("moved", &component("data"))?;
    assert_eq!(damaged.status.code(), Some(8), "{}", told(&damaged));
    assert!(
        told(&damaged).contains("were changed"),
        "{}",
        told(&damaged)
    );
    Ok(())
}

#[test]
fn a_replay_that_makes_something_else_tells_the_file_and_the_line() -> Result<()> {
    let desk = Desk::new()?;
    let config =
        json!({"files": [{"path": "/etc/motd", "content": "one\nhello from {{instance:id}}\n"}]});
    fs::write(desk.path("motd.json"), config.to_string())?;
    let mut record = desk.plugin(&["record"]);
    record.arg(component("config"));
    record.args([
        "--config",
        "motd.json",
        "--out",
        "rec",
        "--instance",
        "box-7",
        "--output",
        "json",
    ]);
    good(&record.output()?);
    let lines = desk.path("rec/exchanges.jsonl");
    let text = fs::read_to_string(&lines)?;
    fs::write(&lines, text.replace("hello from", "howdy from"))?;
    let other = desk.replay("rec", &component("config"))?;
    assert_eq!(other.status.code(), Some(8), "{}", told(&other));
    let said = told(&other);
    for part in [
        "root/etc/motd",
        "@@ line 2",
        "- hello from box-7",
        "+ howdy from box-7",
    ] {
        assert!(said.contains(part), "no `{part}` in {said}");
    }
    Ok(())
}

#[test]
fn a_run_that_fails_is_recorded_and_fails_the_same_in_its_replay() -> Result<()> {
    let desk = Desk::new()?;
    fs::remove_file(desk.path("plan.txt"))?;
    let failed = desk.data("record", &["--out", "rec"])?;
    assert_ne!(failed.status.code(), Some(0));
    assert!(told(&failed).contains("plan.txt"), "{}", told(&failed));
    fs::write(desk.path("plan.txt"), "It is back.\n")?;
    let same = good(&desk.replay("rec", &component("data"))?);
    assert_eq!(
        same["steps"][0]["replayed"]["failed"]["code"], "not-found",
        "{same}"
    );
    Ok(())
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

#[test]
fn what_a_generator_uses_is_counted_the_same_again_and_growth_is_worse() -> Result<()> {
    let desk = Desk::new()?;
    let bench = |more: &[&str]| -> Result<Output> {
        let words = ["--runs", "3", "--output", "json"];
        desk.data("bench", &[&words, more].concat())
    };
    let first = good(&bench(&["--save", "bench.json"])?);
    let calls = first["cases"][0]["calls"].as_array().context("no calls")?;
    assert_eq!(calls.len(), 2, "{first}");
    for call in calls {
        assert_eq!(call["deterministic"], true, "{first}");
        assert!(call["instructions"].as_u64() > Some(1000), "{first}");
        assert!(call["memory"].as_u64() >= Some(64 << 10), "{first}");
        let wall = &call["wall"];
        assert!(wall["p50"].as_u64() <= wall["p95"].as_u64(), "{first}");
    }
    assert_eq!(calls[0]["call"], "resolve", "{first}");
    assert_eq!(calls[0]["fetched"], 9, "{first}");
    assert!(calls[1]["written"].as_u64() >= Some(9), "{first}");

    // The same again, to the last instruction; and a file with fewer in it was better.
    let against = ["--against", "bench.json", "--tolerance", "0"];
    let same = good(&bench(&against)?);
    assert_eq!(same["compared"]["changes"], json!([]), "{same}");
    let kept = fs::read_to_string(desk.path("bench.json"))?;
    assert!(!kept.contains("wall"), "{kept}");
    let mut fewer: Value = serde_json::from_str(&kept)?;
    fewer["cases"][0]["calls"][1]["instructions"] = json!(1000);
    fs::write(desk.path("bench.json"), fewer.to_string())?;
    let worse = bench(&against)?;
    assert_eq!(worse.status.code(), Some(8), "{}", told(&worse));
    let said = told(&worse);
    assert!(said.contains("generate: instructions were 1,000"), "{said}");
    Ok(())
}

#[test]
fn a_case_with_a_recording_needs_no_network_and_says_when_it_no_longer_fits() -> Result<()> {
    let desk = Desk::new()?;
    desk.project()?;
    let test = |words: &[&str]| -> Result<Output> {
        let mut command = desk.plugin(&["test", "data"]);
        Ok(command.args(words).output()?)
    };
    // What it fetches is in the recording, so the case holds where nothing of it is left.
    let made = desk.data("record", &["--out", "data/cases/plan/recording.tar"])?;
    assert_eq!(made.status.code(), Some(0), "{}", told(&made));
    fs::remove_file(desk.path("plan.txt"))?;
    let blessed = test(&["--bless"])?;
    assert_eq!(blessed.status.code(), Some(0), "{}", told(&blessed));
    let expected = desk.path("data/cases/plan/expected/home/ada/Documents/plan.txt");
    assert_eq!(fs::read_to_string(&expected)?, "Ship it.\n");
    good(&test(&["--output", "json"])?);
    let used = desk
        .plugin(&["bench", "data", "--runs", "1", "--output", "json"])
        .output()?;
    let used = good(&used);
    assert_eq!(used["cases"][0]["case"], "plan", "{used}");

    // A configuration of the author's must be the recorded one.
    let config = fs::read_to_string(desk.path("config.json"))?;
    let own = desk.path("data/cases/plan/config.yaml");
    fs::write(&own, &config)?;
    good(&test(&["--output", "json"])?);
    fs::write(&own, config.replace("plan.txt", "plot.txt"))?;
    let other = test(&["--bless"])?;
    assert_eq!(other.status.code(), Some(1), "{}", told(&other));
    let said = String::from_utf8_lossy(&other.stdout).into_owned();
    assert!(said.contains("test --record"), "{said}");
    assert_eq!(fs::read_to_string(&expected)?, "Ship it.\n");
    Ok(())
}

#[test]
fn a_case_is_recorded_where_its_source_is_and_tested_where_it_is_not() -> Result<()> {
    let desk = Desk::new()?;
    desk.project()?;
    let case = desk.path("data/cases/plan");
    fs::copy(desk.path("config.json"), case.join("config.yaml"))?;
    let test = |words: &[&str]| -> Result<Value> {
        let mut command = desk.plugin(&["test", "data", "--output", "json"]);
        Ok(good(&command.args(words).output()?))
    };
    let grant = format!("file://{}/", desk.dir.path().display());
    let made = test(&["--record", "--bless", "--grant", &grant])?;
    assert_eq!(made[0]["recorded"], true, "{made}");
    assert_eq!(made[0]["verdict"], "blessed", "{made}");
    fs::remove_file(desk.path("plan.txt"))?;
    let held = test(&[])?;
    assert_eq!(held[0]["verdict"], "passed", "{held}");
    // What fetches nothing needs no recording, and gets none.
    fs::write(case.join("config.yaml"), "user: ada\nno-such-key: 1\n")?;
    let made = test(&["--record", "--bless"])?;
    assert_eq!(made[0]["recorded"], false, "{made}");
    assert!(!case.join("recording").exists());
    Ok(())
}
