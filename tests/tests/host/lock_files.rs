//! `bootsplice lock` on a machine without a host: a repository in a directory, signed by a key of the test, and a dpkg status file.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::UNIX_EPOCH;

use anyhow::{Context as _, Result};
use bootsplice_tests::places;
use bootsplice_tests::repository::{Deb, Key, Recipe, Suite};
use serde_json::{Value, json};
use tempfile::TempDir;

const STATUS: &str = "Package: dpkg\nStatus: install ok installed\nArchitecture: amd64\nVersion: 1.21.22\nDescription: in the image\n\n";

/// A machine's directories, and a repository.
struct Bench {
    dir: TempDir,
    key: Key,
    suite: Suite,
}

// === impl Bench ===

impl Bench {
    /// With `tool`, which needs `lib`, and `other`, all in version 1.0.
    fn new() -> Result<Self> {
        let dir = tempfile::tempdir()?;
        fs::create_dir_all(dir.path().join("root/etc"))?;
        fs::write(
            dir.path().join("root/etc/os-release"),
            "ID=debian\nVERSION_CODENAME=bookworm\n",
        )?;
        fs::write(dir.path().join("status"), STATUS)?;
        let now = UNIX_EPOCH.elapsed()?.as_secs();
        let mut bench = Self {
            dir,
            key: Key::new(7)?,
            suite: Suite::new("stable", now - 3600),
        };
        bench.release(&["tool 1.0", "lib 1.0", "other 1.0"])?;
        bench.profile("profile.json", &["debian"], &json!({}))?;
        Ok(bench)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Adds packages and publishes the suite, a minute younger than before.
    fn release(&mut self, packages: &[&str]) -> Result<Vec<Deb>> {
        let mut made = Vec::new();
        for package in packages {
            let (name, version) = package.split_once(' ').context("a name and a version")?;
            let mut recipe = Recipe::new(name, version).field("Source", &format!("src-{name}"));
            if name == "tool" {
                recipe = recipe.field("Depends", "lib (>= 1.0)");
            }
            let deb = recipe.build(&self.path("debs"))?;
            self.suite.add(&self.path("debian"), &deb)?;
            made.push(deb);
        }
        self.suite.date += 60;
        self.suite.publish(&self.path("debian"), &self.key)?;
        Ok(made)
    }

    /// A profile that wants `tool` and `other` from the repositories in these directories.
    fn profile(&self, file: &str, repositories: &[&str], more: &Value) -> Result<()> {
        let key = self.key.inline()?;
        let sources = repositories.iter().map(|repository| {
            let root = self.path(repository);
            let root = root.display();
            format!("Types: deb\nURIs: file://{root}\nSuites: stable\nComponents: main\nSigned-By:\n{key}")
        });
        let sources: Vec<String> = sources.collect();
        let mut with = json!({ "packages": ["tool", "other"], "sources": sources });
        for (key, value) in more.as_object().into_iter().flatten() {
            with[key] = value.clone();
        }
        let step = json!({ "id": "apps", "use": "apt", "at": "base", "with": with });
        let profile = json!({ "name": "web", "steps": [step] });
        Ok(fs::write(self.path(file), profile.to_string())?)
    }

    fn command(&self) -> Command {
        let mut command = Command::new(places::binary("bootsplice"));
        command
            .arg("lock")
            .env("XDG_CACHE_HOME", cache())
            .env("XDG_STATE_HOME", self.path("state"))
            .env_remove("BOOTSPLICE_STORE")
            .env_remove("BOOTSPLICE_CONFIG")
            // Nobody listens there: no host is asked.
            .env("BOOTSPLICE_URL", "http://127.0.0.1:9/");
        command
    }

    /// Resolves a profile with more arguments.
    fn lock(&self, profile: &str, arguments: &[&str]) -> Result<Output> {
        let mut command = self.command();
        command.arg("--profile").arg(self.path(profile));
        command.arg("--base-status").arg(self.path("status"));
        command.arg("--apt-root").arg(self.path("root"));
        command.arg("--plugins").arg(places::plugins());
        let grant = format!("file://{}/", self.dir.path().display());
        command.args(["--output", "json", "--grant", &grant]);
        Ok(command.args(arguments).output()?)
    }

    fn file(&self, name: &str) -> String {
        self.path(name).display().to_string()
    }
}

/// Where the generator is compiled once for all these tests.
fn cache() -> PathBuf {
    places::target().join("lock-tests-cache")
}

fn told(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[track_caller]
fn good(output: &Output) -> Value {
    assert_eq!(output.status.code(), Some(0), "{}", told(output));
    serde_json::from_slice(&output.stdout).unwrap()
}

/// `name=version` of every package, in the lock's order.
fn versions(lock: &Value) -> Vec<String> {
    let packages = lock["steps"][0]["packages"].as_array().unwrap();
    let text = |package: &Value, key: &str| package[key].as_str().unwrap().to_owned();
    let each = packages.iter();
    each.map(|package| format!("{}={}", text(package, "name"), text(package, "version")))
        .collect()
}

fn read(path: &Path) -> Result<Value> {
    Ok(serde_json::from_slice(&fs::read(path)?)?)
}

#[test]
fn a_profile_is_locked_without_a_host_and_every_package_says_all_about_itself() -> Result<()> {
    let mut bench = Bench::new()?;
    let debs = bench.release(&["tool 1.1"])?;
    let out = bench.file("lock.json");
    let lock = good(&bench.lock("profile.json", &["--out", &out])?);
    assert_eq!(versions(&lock), ["lib=1.0", "other=1.0", "tool=1.1"]);
    let packages = &lock["steps"][0]["packages"];
    assert_eq!(packages[0]["reason"], "depends-of tool");
    let tool = &packages[2];
    assert_eq!(tool["reason"], "requested");
    assert_eq!(tool["architecture"], "amd64");
    assert_eq!(tool["sha256"], format!("sha256:{}", debs[0].sha256));
    assert_eq!(tool["size"], debs[0].size);
    let url = tool["urls"][0].as_str().unwrap();
    assert!(
        url.ends_with("/debian/pool/main/tool_1.1_amd64.deb"),
        "{url}"
    );
    assert_eq!(
        tool["source"],
        json!({ "name": "src-tool", "version": "1.1" })
    );
    assert_eq!(tool["repository"]["suite"], "stable");
    assert_eq!(
        tool["repository"]["signed_by"],
        json!([bench.key.fingerprint()])
    );
    assert_eq!(lock["date"], tool["repository"]["released"]);
    // The same inputs give the same bytes, and so does a bill of them.
    assert_eq!(read(&bench.path("lock.json"))?, lock);
    let again = bench.lock("profile.json", &["--out", &bench.file("again.json")])?;
    good(&again);
    assert_eq!(
        fs::read(bench.path("lock.json"))?,
        fs::read(bench.path("again.json"))?
    );
    for format in ["spdx", "cyclonedx"] {
        let bill = |file: &str| -> Result<Output> {
            let mut command = bench.command();
            Ok(command
                .args(["check", &bench.file(file), "--sbom", format])
                .output()?)
        };
        let one = bill("lock.json")?;
        good(&one);
        assert_eq!(one.stdout, bill("again.json")?.stdout);
        let text = String::from_utf8(one.stdout)?;
        assert!(text.contains("pkg:deb/example/tool@1.1?arch=amd64&distro=bookworm"));
    }
    Ok(())
}

#[test]
fn a_lock_holds_until_what_it_needs_changes_and_one_package_is_renewed_alone() -> Result<()> {
    let mut bench = Bench::new()?;
    let lock = bench.file("lock.json");
    good(&bench.lock("profile.json", &["--out", &lock])?);
    bench.release(&["tool 2.0", "lib 2.0", "other 2.0"])?;
    // What is in the lock is there as before.
    good(&bench.lock("profile.json", &["--locked", &lock])?);
    let newer = bench.lock("profile.json", &["--locked", &lock, "--newest"])?;
    assert_eq!(newer.status.code(), Some(8), "{}", told(&newer));
    assert!(
        told(&newer).contains("lib:amd64 1.0 -> 2.0"),
        "{}",
        told(&newer)
    );
    let renewed = bench.file("renewed.json");
    let arguments = ["--from", &lock, "--update", "tool", "--out", &renewed];
    let renewal = good(&bench.lock("profile.json", &arguments)?);
    assert_eq!(versions(&renewal), ["lib=1.0", "other=1.0", "tool=2.0"]);
    let mut command = bench.command();
    let diff = command.args(["diff", &lock, &renewed, "--output", "json"]);
    let change = json!([{ "name": "tool", "architecture": "amd64", "old": "1.0", "new": "2.0" }]);
    let diff = good(&diff.output()?);
    assert_eq!(diff["upgraded"], change);
    assert_eq!(diff["added"], json!([]));
    // Another profile is not what the lock is for.
    bench.profile("other.json", &["debian"], &json!({ "packages": ["tool"] }))?;
    let other = bench.lock("other.json", &["--locked", &lock])?;
    assert_eq!(other.status.code(), Some(8), "{}", told(&other));
    assert!(told(&other).contains("/profile/steps"), "{}", told(&other));
    assert!(
        told(&other).contains("now removed: other:amd64 1.0"),
        "{}",
        told(&other)
    );
    // A version that is gone cannot be had any more.
    let now = bench.suite.date;
    bench.suite = Suite::new("stable", now);
    bench.release(&["tool 2.0", "lib 2.0", "other 2.0"])?;
    let gone = bench.lock("profile.json", &["--locked", &lock])?;
    assert_eq!(gone.status.code(), Some(8), "{}", told(&gone));
    assert!(
        told(&gone).contains("other:amd64 1.0 -> 2.0"),
        "{}",
        told(&gone)
    );
    Ok(())
}

#[test]
fn a_snapshot_is_of_every_source_or_of_none() -> Result<()> {
    let mut bench = Bench::new()?;
    let time = "20260909T000000Z";
    let copy = |from: &str, to: &str| -> Result<()> {
        let done = Command::new("cp")
            .arg("-a")
            .arg(bench.path(from))
            .arg(bench.path(to))
            .status()?;
        anyhow::ensure!(done.success());
        Ok(())
    };
    copy("debian", "second")?;
    fs::create_dir(bench.path("snapshots"))?;
    copy("debian", &format!("snapshots/{time}"))?;
    bench.release(&["tool 2.0", "lib 2.0", "other 2.0"])?;
    let address = |name: &str| format!("file://{}", bench.path(name).display());
    let template = format!("{}/@SNAPSHOTID@/", address("snapshots"));
    let one = json!({ "snapshot": time, "snapshot_servers": { address("debian"): template } });
    bench.profile("one.json", &["debian"], &one)?;
    let lock = good(&bench.lock("one.json", &[])?);
    assert_eq!(versions(&lock), ["lib=1.0", "other=1.0", "tool=1.0"]);
    assert!(
        lock["steps"][0]["packages"][0]["urls"][0]
            .as_str()
            .unwrap()
            .contains(time)
    );
    // The second source has no snapshots: nothing of it is taken from today.
    bench.profile("two.json", &["debian", "second"], &one)?;
    let refused = bench.lock("two.json", &["--out", &bench.file("none.json")])?;
    assert_eq!(refused.status.code(), Some(7), "{}", told(&refused));
    assert!(
        told(&refused).contains("no-snapshots"),
        "{}",
        told(&refused)
    );
    assert!(
        told(&refused).contains("snapshot_servers"),
        "{}",
        told(&refused)
    );
    assert!(!bench.path("none.json").exists());
    Ok(())
}

#[test]
fn a_vulnerable_package_and_an_address_that_nobody_granted_are_refused_by_name() -> Result<()> {
    let bench = Bench::new()?;
    let package = json!({ "ecosystem": "Debian:12", "name": "src-lib" });
    let events = json!([{ "introduced": "0" }, { "fixed": "1.0+fixed" }]);
    let feed = json!({
        "id": "CVE-2099-1",
        "database_specific": { "severity": "HIGH" },
        "affected": [{ "package": package, "ranges": [{ "type": "ECOSYSTEM", "events": events }] }],
    });
    fs::write(bench.path("osv.json"), feed.to_string())?;
    let feed = bench.file("osv.json");
    let vulnerable = bench.lock(
        "profile.json",
        &["--vulnerabilities", &feed, "--fail-on", "medium"],
    )?;
    assert_eq!(vulnerable.status.code(), Some(9), "{}", told(&vulnerable));
    let problem = told(&vulnerable);
    assert!(
        problem.contains("CVE-2099-1 (high) in src-lib 1.0"),
        "{problem}"
    );
    assert!(problem.contains("/steps/0/packages/0"), "{problem}");
    good(&bench.lock(
        "profile.json",
        &["--vulnerabilities", &feed, "--fail-on", "critical"],
    )?);
    // No `--grant`.
    let mut command = bench.command();
    command.arg("--profile").arg(bench.path("profile.json"));
    command.arg("--base-status").arg(bench.path("status"));
    command.arg("--apt-root").arg(bench.path("root"));
    let denied = command.arg("--plugins").arg(places::plugins()).output()?;
    assert_eq!(denied.status.code(), Some(7), "{}", told(&denied));
    assert!(told(&denied).contains("--grant"), "{}", told(&denied));
    // Without a package `dpkg` nobody knows the architecture.
    fs::write(bench.path("status"), "")?;
    let unknown = bench.lock("profile.json", &[])?;
    assert_eq!(unknown.status.code(), Some(7), "{}", told(&unknown));
    assert!(
        told(&unknown).contains("--architecture"),
        "{}",
        told(&unknown)
    );
    Ok(())
}
