//! The author's loop on a machine without a host: from `plugin new` to cases that hold, by the binary.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use anyhow::{Context as _, Result, ensure};
use bootsplice_tests::places;
use serde_json::Value;
use tempfile::TempDir;

/// A user's directories, and projects.
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

    /// `bootsplice plugin …`, in the desk's directory.
    fn plugin(&self, words: &[&str]) -> Result<Output> {
        let target = places::target().join("author-tests");
        Command::new(places::binary("bootsplice"))
            .arg("plugin")
            .args(words)
            .current_dir(self.dir.path())
            .env("XDG_CACHE_HOME", self.path("cache"))
            .env("XDG_STATE_HOME", self.path("state"))
            .env_remove("CARGO_TARGET_DIR")
            // Crates are there from the workspace's own build; what is built is kept between runs of the test.
            .env("CARGO_NET_OFFLINE", "true")
            .env("CARGO_BUILD_BUILD_DIR", target)
            .output()
            .context("cannot run bootsplice")
    }

    fn good(&self, words: &[&str]) -> Result<String> {
        let output = self.plugin(words)?;
        let told = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "{words:?}: {told}");
        Ok(String::from_utf8(output.stdout)?)
    }

    fn json(&self, words: &[&str]) -> Result<Value> {
        let words = [words, &["--output", "json"]].concat();
        Ok(serde_json::from_str(&self.good(&words)?)?)
    }

    /// Exit code and last words.
    fn bad(&self, words: &[&str]) -> Result<(i32, String)> {
        let output = self.plugin(words)?;
        let told = String::from_utf8_lossy(&output.stderr).into_owned();
        let code = output.status.code().context("killed")?;
        ensure!(code != 0, "{words:?} did not fail: {told}");
        Ok((code, told))
    }
}

/// The example's component under a project's name, without a compiler.
fn example(desk: &Desk) -> Result<&'static str> {
    let project = desk.path("timers");
    fs::create_dir_all(project.join("build"))?;
    fs::write(
        project.join("bootsplice-plugin.toml"),
        "[plugin]\nname = \"timers\"\nlanguage = \"rust\"\n",
    )?;
    fs::copy(places::example(), project.join("build/timers.wasm"))?;
    Ok("timers")
}

fn write(path: &Path, text: &str) -> Result<()> {
    fs::create_dir_all(path.parent().context("a file")?)?;
    Ok(fs::write(path, text)?)
}

#[test]
fn a_component_is_checked_run_and_tested_without_a_host() -> Result<()> {
    let desk = Desk::new()?;
    let project = example(&desk)?;
    let report = desk.json(&["check", project])?;
    assert_eq!(report["errors"], serde_json::json!([]));
    let checks = report["checks"].as_array().context("checks")?;
    assert!(
        checks.len() >= 8 && checks.iter().all(|one| one["ok"] == true),
        "{report}"
    );
    let told = desk.good(&["inspect", "timers/build/timers.wasm"])?;
    assert!(told.contains("bootsplice:generator/plugin@0.1.0"), "{told}");

    let example = report["descriptor"]["examples"][0]["config"].clone();
    write(&desk.path("case.yaml"), &example.to_string())?;
    let words = [
        "run",
        project,
        "--config",
        "case.yaml",
        "--out",
        "archive.tar",
    ];
    let made = desk.json(&words)?;
    let tree = made["steps"][0]["tree"].as_array().context("a tree")?;
    assert!(!tree.is_empty());
    let listed = Command::new("tar")
        .arg("-tf")
        .arg(desk.path("archive.tar"))
        .output()?;
    assert!(listed.status.success());
    let listed = String::from_utf8(listed.stdout)?;
    for entry in tree.iter().filter(|entry| entry["kind"] == "file") {
        let path = entry["path"].as_str().context("a path")?;
        assert!(listed.contains(path), "{path} is not in {listed}");
    }

    // A case: nothing expected, blessed, held, broken.
    write(
        &desk.path("timers/cases/one/config.yaml"),
        &example.to_string(),
    )?;
    write(
        &desk.path("timers/cases/wrong/config.yaml"),
        "no-such-key: 1\n",
    )?;
    let (code, _) = desk.bad(&["test", project])?;
    assert_eq!(code, 1);
    desk.good(&["test", project, "--bless"])?;
    desk.good(&["test", project])?;
    let error = fs::read_to_string(desk.path("timers/cases/wrong/expected/error.json"))?;
    assert!(error.contains("/no-such-key"), "{error}");
    let plan = desk.path("timers/cases/one/expected/plan.json");
    let text = fs::read_to_string(&plan)?;
    fs::write(&plan, text.replacen("0644", "0600", 1))?;
    let output = desk.plugin(&["test", project])?;
    assert_eq!(output.status.code(), Some(1));
    let told = String::from_utf8_lossy(&output.stdout);
    assert!(
        told.contains("plan.json") && told.contains("0600") && told.contains("0644"),
        "{told}"
    );
    Ok(())
}

#[test]
fn what_an_author_gets_wrong_is_told_with_what_to_do() -> Result<()> {
    let desk = Desk::new()?;
    fs::write(desk.path("x.wasm"), "hello")?;
    fs::create_dir(desk.path("empty"))?;
    let project = example(&desk)?;
    fs::remove_file(desk.path("timers/build/timers.wasm"))?;
    for (words, code, part) in [
        (vec!["check", "x.wasm"], 7, "no WebAssembly"),
        (vec!["check", "empty"], 3, "plugin new"),
        (vec!["check", project], 3, "plugin build"),
        (vec!["new", "Bad", "--lang", "c"], 7, "a-z, 0-9"),
        (vec!["new", "timers", "--lang", "c"], 5, "there already"),
        (vec!["new", "x", "--lang", "cobol"], 2, "cobol"),
        (vec!["test", project], 3, "there is no case"),
    ] {
        let told = desk.bad(&words)?;
        assert_eq!(told.0, code, "{words:?}: {}", told.1);
        assert!(told.1.contains(part), "{words:?}: {}", told.1);
    }
    Ok(())
}

#[test]
fn a_new_rust_project_builds_checks_and_holds_its_cases() -> Result<()> {
    let desk = Desk::new()?;
    desk.good(&["new", "my-motd", "--lang", "rust"])?;
    let built = desk.json(&["build", "my-motd"])?;
    assert!(
        built["size"].as_u64().is_some_and(|size| size > 10_000),
        "{built}"
    );
    desk.good(&["check", "my-motd"])?;
    desk.good(&["test", "my-motd", "--bless"])?;
    desk.good(&["test", "my-motd"])?;
    Ok(())
}
