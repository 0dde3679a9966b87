//! The command itself: a child process, as an operator runs it.

#![allow(clippy::unwrap_used)]

use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

/// A host as a child process, killed with the value.
struct Host {
    child: Child,
    url: String,
    state: PathBuf,
}

fn bootsplice() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_bootsplice"));
    for name in [
        "BOOTSPLICE_URL",
        "BOOTSPLICE_TOKEN",
        "BOOTSPLICE_STATE",
        "BOOTSPLICE_CONFIG",
    ] {
        command.env_remove(name);
    }
    command
}

impl Host {
    fn start(state: &Path) -> Self {
        let log = state.with_extension("log");
        // None: what a build left beside the binary would be compiled first.
        let plugins = state.with_extension("plugins");
        std::fs::create_dir_all(&plugins).unwrap();
        let child = bootsplice()
            .args(["serve", "--listen", "127.0.0.1:0", "--state"])
            .arg(state)
            .arg("--plugins")
            .arg(&plugins)
            .stderr(std::fs::File::create(&log).unwrap())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let mut host = Self {
            child,
            url: String::new(),
            state: state.to_owned(),
        };
        let end = Instant::now() + Duration::from_secs(60);
        while host.url.is_empty() {
            assert!(Instant::now() < end, "{}", host.log());
            assert!(host.child.try_wait().unwrap().is_none(), "{}", host.log());
            std::thread::sleep(Duration::from_millis(50));
            for line in host.log().lines() {
                // Every line is JSON, so that a machine can read the log whole.
                let Ok(event) = serde_json::from_str::<serde_json::Value>(line) else {
                    continue;
                };
                if event["message"] == "listening" {
                    host.url = format!("http://{}", event["address"].as_str().unwrap());
                }
            }
        }
        host
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.state.with_extension("log")).unwrap()
    }

    fn token(&self) -> String {
        std::fs::read_to_string(self.state.join("admin.token"))
            .unwrap()
            .trim()
            .to_owned()
    }

    fn run(&self, arguments: &[&str], input: &str) -> Output {
        let mut child = bootsplice()
            .args(arguments)
            .env("BOOTSPLICE_URL", &self.url)
            .env("BOOTSPLICE_TOKEN", self.token())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        child
            .stdin
            .take()
            .unwrap()
            .write_all(input.as_bytes())
            .unwrap();
        child.wait_with_output().unwrap()
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

#[test]
fn the_first_start_writes_a_private_token_and_the_log_never_shows_it() {
    let directory = tempfile::tempdir().unwrap();
    let state = directory.path().join("state");
    let token = {
        let host = Host::start(&state);
        let mode = std::fs::metadata(state.join("admin.token"))
            .unwrap()
            .permissions()
            .mode();
        assert_eq!(mode & 0o777, 0o600);
        let listed = host.run(&["token", "list"], "");
        assert!(listed.status.success(), "{}", text(&listed.stderr));
        let secret = host.token().rsplit_once('_').unwrap().1.to_owned();
        assert!(!host.log().contains(&secret) && !text(&listed.stdout).contains(&secret));
        host.token()
    };
    // Killed without warning and started again: the same token, not another.
    let host = Host::start(&state);
    assert_eq!(host.token(), token);
    assert!(host.run(&["token", "list"], "").status.success());
}

#[test]
fn a_second_host_on_one_state_directory_is_refused_by_name() {
    let directory = tempfile::tempdir().unwrap();
    let host = Host::start(&directory.path().join("state"));
    let second = bootsplice()
        .args(["serve", "--listen", "127.0.0.1:0", "--state"])
        .arg(&host.state)
        .output()
        .unwrap();
    assert_eq!(second.status.code(), Some(1));
    assert!(text(&second.stderr).contains("in use by another bootsplice host"));
    assert!(
        host.run(&["token", "list"], "").status.success(),
        "the first goes on"
    );
}

#[test]
fn another_address_without_tls_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let refused = bootsplice()
        .args(["serve", "--listen", "0.0.0.0:0", "--state"])
        .arg(directory.path().join("state"))
        .output()
        .unwrap();
    assert_eq!(refused.status.code(), Some(2));
    assert!(text(&refused.stderr).contains("--insecure-http"));
    assert!(!directory.path().join("state").exists(), "nothing was made");
}

#[test]
fn exit_codes_say_what_went_wrong() {
    let directory = tempfile::tempdir().unwrap();
    let host = Host::start(&directory.path().join("state"));
    let code = |arguments: &[&str]| host.run(arguments, "").status.code();
    assert_eq!(code(&["profile", "list"]), Some(0));
    assert_eq!(code(&["profile", "lits"]), Some(2));
    assert_eq!(code(&["profile", "get", "nothing"]), Some(3));
    assert_eq!(code(&["--token", "bst_x", "profile", "list"]), Some(4));
    assert_eq!(
        code(&["--url", "http://127.0.0.1:9", "profile", "list"]),
        Some(6)
    );
    let invalid = host.run(
        &["--output", "json", "profile", "put", "x", "-f", "-"],
        "name: x\nsteps: [{ id: a, use: nothing, at: base }]\n",
    );
    assert_eq!(invalid.status.code(), Some(7), "{}", text(&invalid.stderr));
    let problem: serde_json::Value = serde_json::from_slice(&invalid.stderr).unwrap();
    assert_eq!(problem["errors"][0]["pointer"], "/steps/0/use");
}

#[test]
fn secrets_and_tokens_are_managed_from_the_command_line() {
    let directory = tempfile::tempdir().unwrap();
    let host = Host::start(&directory.path().join("state"));
    let put = host.run(&["secret", "put", "ada-api-key"], "canary-5b1e");
    assert!(put.status.success(), "{}", text(&put.stderr));
    assert!(text(&host.run(&["secret", "list"], "").stdout).contains("ada-api-key"));
    let made = host.run(
        &[
            "token",
            "create",
            "--tenant",
            "web",
            "--verb",
            "secrets:read",
        ],
        "",
    );
    let token = text(&made.stdout).trim().to_owned();
    assert!(token.starts_with("bst_"), "{}", text(&made.stderr));
    // Another tenant sees nothing of it.
    let theirs = host.run(&["--token", &token, "secret", "list"], "");
    assert!(theirs.status.success() && !text(&theirs.stdout).contains("ada-api-key"));
    let id = token.split('_').nth(1).unwrap();
    assert!(host.run(&["token", "revoke", id], "").status.success());
    assert_eq!(
        host.run(&["--token", &token, "secret", "list"], "")
            .status
            .code(),
        Some(4)
    );
    assert!(
        host.run(&["secret", "delete", "ada-api-key"], "")
            .status
            .success()
    );
    assert_eq!(
        host.run(&["secret", "delete", "ada-api-key"], "")
            .status
            .code(),
        Some(3)
    );
    assert!(!host.log().contains("canary"));
}

#[test]
fn keys_are_made_and_retired_without_a_host() {
    let directory = tempfile::tempdir().unwrap();
    let state = directory.path().join("state");
    let key = |arguments: &[&str]| {
        let (verb, rest) = arguments.split_first().unwrap();
        let mut command = bootsplice();
        command
            .args(["key", verb, "--state"])
            .arg(&state)
            .args(rest);
        command.output().unwrap()
    };
    assert_eq!(key(&["rotate"]).status.code(), Some(5), "nothing to rotate");
    let first = text(&key(&["new"]).stdout).trim().to_owned();
    assert_eq!(first.len(), 16);
    let pem = text(&key(&["export"]).stdout);
    assert!(pem.starts_with("-----BEGIN PUBLIC KEY-----"), "{pem}");
    assert_eq!(
        key(&["retire", &first, "--no-volumes"]).status.code(),
        Some(5)
    );
    let second = text(&key(&["rotate"]).stdout).trim().to_owned();
    assert_ne!(second, first);
    assert_eq!(
        key(&["export"]).status.code(),
        Some(2),
        "two are active: name one"
    );
    assert!(key(&["retire", &first, "--no-volumes"]).status.success());
    let listed = text(&key(&["list"]).stdout);
    let line = |id: &str| {
        listed
            .lines()
            .find(|line| line.starts_with(id))
            .unwrap()
            .to_owned()
    };
    assert!(line(&first).contains("retired") && line(&second).contains("active"));
}

#[test]
fn every_command_explains_itself() {
    for noun in [
        "", "serve", "volume", "profile", "plugin", "secret", "key", "token",
    ] {
        let mut command = bootsplice();
        if !noun.is_empty() {
            command.arg(noun);
        }
        let help = command.arg("--help").output().unwrap();
        assert!(help.status.success() && help.stdout.len() > 200, "{noun}");
    }
}
