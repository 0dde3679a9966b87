//! `bootsplice-agent apply` as an operator runs it, on real disk images.

#![allow(clippy::unwrap_used)]

mod support;

use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use bootsplice_archive::step::{Action, Change, Conflict, EditFormat, FileEdit, OnFailure, Verb};
use bootsplice_content::{BLOCK, Digest};
use support::{POINT_BLOCKS, START, Step, disk, empty_disk, payload, write_keys};

struct Guest {
    folder: tempfile::TempDir,
}

impl Guest {
    fn new(image: &[u8]) -> Self {
        let guest = Self {
            folder: tempfile::tempdir().unwrap(),
        };
        write_keys(&guest.path("keys"));
        std::fs::create_dir_all(guest.path("root/etc")).unwrap();
        std::fs::write(guest.path("root/etc/motd"), "before\n").unwrap();
        std::fs::write(guest.path("root/etc/app.ini"), "[a]\nx = 1\n").unwrap();
        guest.splice(image);
        guest
    }

    fn splice(&self, image: &[u8]) {
        std::fs::write(self.path("disk"), image).unwrap();
    }

    fn path(&self, name: &str) -> std::path::PathBuf {
        self.folder.path().join(name)
    }

    fn command(&self) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_bootsplice-agent"));
        command.arg("apply").arg("--device").arg(self.path("disk"));
        command.arg("--root").arg(self.path("root"));
        command
            .arg("--keys")
            .arg(self.path("keys"))
            .arg("--journal")
            .arg(self.path("state"));
        command
    }

    fn apply(&self) -> Output {
        self.command().output().unwrap()
    }

    /// Path, kind, mode, owner and content of everything in the root.
    fn tree(&self) -> BTreeMap<String, String> {
        let mut found = BTreeMap::new();
        walk(&self.path("root"), "", &mut found);
        found
    }

    fn refused(&self, with: &str) {
        let before = self.tree();
        let output = self.apply();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(3), "{said}");
        assert!(said.contains(with), "`{with}` is not in: {said}");
        assert_eq!(self.tree(), before);
    }

    fn applied(&self) {
        let output = self.apply();
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
    }
}

fn walk(directory: &Path, inner: &str, found: &mut BTreeMap<String, String>) {
    use std::os::unix::fs::MetadataExt as _;
    for entry in std::fs::read_dir(directory).unwrap() {
        let entry = entry.unwrap();
        let name = format!("{inner}/{}", entry.file_name().to_string_lossy());
        let meta = std::fs::symlink_metadata(entry.path()).unwrap();
        let content = if meta.is_file() {
            Digest::of(&std::fs::read(entry.path()).unwrap()).hex()
        } else {
            String::new()
        };
        found.insert(
            name.clone(),
            format!("{:o} {} {} {content}", meta.mode(), meta.uid(), meta.gid()),
        );
        if meta.is_dir() {
            walk(&entry.path(), &name, found);
        }
    }
}

fn steps() -> Vec<Step> {
    let mut one = Step::new(
        "one",
        &[("/etc/motd", "after\n"), ("/opt/deep/er/x", "x\n")],
    );
    one.instance = vec![("/etc/key".into(), b"canary-secret\n".to_vec())];
    one.actions = vec![Action::Edit(FileEdit {
        file: "/etc/app.ini".into(),
        format: EditFormat::Ini,
        create: false,
        changes: vec![Change {
            verb: Verb::Set,
            path: "/a/x".into(),
            value: Some("2".into()),
            expected: None,
        }],
        on_change: vec![],
    })];
    let mut two = Step::new("two", &[]);
    two.files = (0..40)
        .map(|n| (format!("/srv/data/{n}"), vec![n; 3000]))
        .collect();
    vec![one, two]
}

#[test]
fn a_launch_is_applied_once_and_its_secrets_leave_the_disk() {
    let guest = Guest::new(&disk(payload(1), &steps()));
    guest.applied();
    assert_eq!(
        std::fs::read_to_string(guest.path("root/etc/motd")).unwrap(),
        "after\n"
    );
    assert_eq!(
        std::fs::read_to_string(guest.path("root/etc/app.ini")).unwrap(),
        "[a]\nx = 2\n"
    );
    assert_eq!(
        std::fs::read_to_string(guest.path("root/etc/key")).unwrap(),
        "canary-secret\n"
    );
    let image = std::fs::read(guest.path("disk")).unwrap();
    let point = guest.path("point");
    std::fs::write(&point, &image[START as usize..]).unwrap();
    let script = format!(
        "set -o pipefail; zstd -dc < {0} | tar -t; zstd -dc < {0} | grep -c canary-secret || true",
        point.display()
    );
    let output = Command::new("bash").args(["-c", &script]).output().unwrap();
    let listing = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(
        output.status.success() && output.stderr.is_empty(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    assert!(
        listing.contains("bootsplice/two/tree/root/srv/data/7") && listing.trim().ends_with("\n0"),
        "{listing}"
    );
    let (tree, journal) = (
        guest.tree(),
        std::fs::read(guest.path("state/journal.json")).unwrap(),
    );
    guest.applied();
    assert_eq!(guest.tree(), tree);
    assert_eq!(
        std::fs::read(guest.path("state/journal.json")).unwrap(),
        journal
    );
}

#[test]
fn a_flipped_byte_of_any_class_is_refused_and_changes_nothing() {
    let image = disk(payload(1), &steps());
    let guest = Guest::new(&image);
    let header = START as usize + 2 * BLOCK;
    let mut places: Vec<usize> = (0..POINT_BLOCKS as usize)
        .flat_map(|block| {
            [0, 4, 9, 700, BLOCK / 2, BLOCK - 1].map(|at| START as usize + block * BLOCK + at)
        })
        .collect();
    // Frame magic, frame size, magic, envelope length, payload, signature.
    places.extend((0..400).step_by(23).map(|at| header + at));
    // The table: signature, checksum, disk GUID, partition GUID.
    places.extend([512, 528, 568, 1040]);
    for at in places {
        let mut bad = image.clone();
        bad[at] ^= 0x21;
        guest.splice(&bad);
        let before = guest.tree();
        let output = guest.apply();
        assert!(
            matches!(output.status.code(), Some(2 | 3)),
            "byte {at}: {output:?}"
        );
        assert_eq!(guest.tree(), before, "byte {at}");
        assert!(!guest.path("state").exists(), "byte {at}");
    }
}

#[test]
fn an_archive_of_another_disk_partition_or_machine_is_refused() {
    let mut other = payload(1);
    other.disk = uuid::Uuid::from_u128(1);
    Guest::new(&disk(other, &steps())).refused("it is for the disk");
    let mut other = payload(1);
    other.partition = uuid::Uuid::from_u128(1);
    Guest::new(&disk(other, &steps())).refused("it is for the partition");
    let mut other = payload(1);
    other.product_uuid = Some(uuid::Uuid::from_u128(1));
    Guest::new(&disk(other, &steps())).refused("it is for the machine");
    let mut other = payload(1);
    other.points.push("users".into());
    Guest::new(&disk(other, &steps())).refused("`users`");
}

#[test]
fn an_old_archive_is_refused_after_a_newer_one() {
    let guest = Guest::new(&disk(payload(7), &steps()));
    guest.applied();
    guest.splice(&disk(payload(6), &steps()));
    guest.refused("not above 7");
    guest.splice(&disk(payload(8), &steps()));
    guest.applied();
}

#[test]
fn an_empty_point_is_a_failure_unless_the_settings_allow_it() {
    let guest = Guest::new(&empty_disk());
    guest.refused("no archive was spliced");
    std::fs::create_dir_all(guest.path("root/etc/bootsplice")).unwrap();
    std::fs::write(
        guest.path("root/etc/bootsplice/agent.toml"),
        "allow-unspliced = true\n",
    )
    .unwrap();
    guest.applied();
}

#[test]
fn each_conflict_policy_does_what_it_says() {
    for (policy, motd, code) in [
        (Conflict::Replace, "after\n", 0),
        (Conflict::KeepExisting, "before\n", 0),
        (Conflict::Backup, "after\n", 0),
        (Conflict::Fail, "before\n", 4),
    ] {
        let mut step = Step::new("one", &[("/etc/motd", "after\n")]);
        step.conflict = policy;
        let guest = Guest::new(&disk(payload(1), &[step]));
        assert_eq!(guest.apply().status.code(), Some(code), "{policy:?}");
        assert_eq!(
            std::fs::read_to_string(guest.path("root/etc/motd")).unwrap(),
            motd,
            "{policy:?}"
        );
        let backup = std::fs::read_to_string(guest.path("root/etc/motd.bootsplice-launch-1")).ok();
        assert_eq!(
            backup.as_deref(),
            (policy == Conflict::Backup).then_some("before\n")
        );
    }
}

#[test]
fn a_failing_step_stops_the_launch_or_is_reported_by_its_policy() {
    for (policy, code, state) in [
        (OnFailure::Abort, 4, "failed"),
        (OnFailure::Retry, 4, "failed"),
        (OnFailure::Warn, 0, "degraded"),
    ] {
        let mut bad = Step::new("bad", &[("~nobody-here/x", "x")]);
        bad.on_failure = policy;
        let guest = Guest::new(&disk(
            payload(1),
            &[bad, Step::new("next", &[("/etc/next", "x")])],
        ));
        let output = guest.apply();
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        assert_eq!(output.status.code(), Some(code), "{policy:?} {said}");
        assert!(
            said.contains(&format!("launch launch-1 result {state}")),
            "{said}"
        );
        assert!(said.contains("no user `nobody-here`"), "{said}");
        assert_eq!(guest.path("root/etc/next").exists(), code == 0);
    }
}

#[test]
fn paths_stay_inside_the_root_even_through_its_links() {
    let guest = Guest::new(&disk(
        payload(1),
        &[Step::new("one", &[("/link/x", "x\n")])],
    ));
    std::fs::create_dir(guest.path("root/inside")).unwrap();
    std::os::unix::fs::symlink("/inside", guest.path("root/link")).unwrap();
    guest.applied();
    assert!(guest.path("root/inside/x").exists());
}

#[test]
fn a_dry_run_shows_the_steps_and_changes_nothing() {
    let guest = Guest::new(&disk(payload(1), &steps()));
    let before = guest.tree();
    let output = guest.command().arg("--dry-run").output().unwrap();
    assert!(output.status.success());
    assert!(String::from_utf8_lossy(&output.stdout).contains("would run step base/two"));
    assert_eq!(guest.tree(), before);
    assert!(!guest.path("state").exists());
}

#[test]
fn killed_at_random_moments_the_rerun_reaches_the_same_tree() {
    let image = disk(payload(1), &steps());
    let whole = Guest::new(&image);
    let start = Instant::now();
    whole.applied();
    let mut span = start.elapsed().as_micros() as u64;
    let wanted = whole.tree();
    let seed = u64::from(std::process::id());
    println!("seed {seed}");
    let (mut killed, mut rounds) = (0, 0u64);
    while killed < 100 {
        assert!(
            rounds < 1000,
            "of {rounds} runs only {killed} were interrupted"
        );
        let guest = Guest::new(&image);
        let started = Instant::now();
        let mut child = guest
            .command()
            .stdout(std::process::Stdio::null())
            .spawn()
            .unwrap();
        let noise = Digest::of(&[seed.to_le_bytes(), rounds.to_le_bytes()].concat());
        let noise = u64::from_le_bytes(noise.as_bytes()[..8].try_into().unwrap());
        std::thread::sleep(Duration::from_micros(noise % span.max(1)));
        child.kill().unwrap();
        if child.wait().unwrap().success() {
            // It was done before: moments of later rounds are drawn from a shorter time.
            span = span.min(started.elapsed().as_micros() as u64);
        } else {
            killed += 1;
        }
        guest.applied();
        assert_eq!(guest.tree(), wanted, "seed {seed} round {rounds}");
        guest.applied();
        assert_eq!(
            guest.tree(),
            wanted,
            "seed {seed} round {rounds}, second run"
        );
        rounds += 1;
    }
    println!(
        "{killed} of {rounds} were killed before their end, {:?}",
        start.elapsed()
    );
}

#[test]
fn what_this_boot_verified_is_not_read_again_and_a_layer_is_still_checked() {
    use bootsplice_agent::points::{Found, in_image, verify};
    use bootsplice_agent::record::Record;
    let image = disk(payload(1), &steps());
    let guest = Guest::new(&image);
    let points = in_image(&guest.path("disk")).unwrap();
    let keys = [support::key().verifying_key()];
    let launch = |record: Option<&Record>| match verify(&points, &keys, None, record) {
        Ok(Found::Launch(launch)) => Ok(launch),
        Ok(other) => panic!("{other:?}"),
        Err(error) => Err(error.to_string()),
    };
    let verified = launch(None).unwrap();
    let path = guest.path("run/verified.json");
    Record::of(&verified).unwrap().unwrap().save(&path).unwrap();
    let record = Record::load(&path).unwrap();
    let flip = |at: usize| {
        let mut bad = image.clone();
        bad[START as usize + at] ^= 0x21;
        std::fs::write(guest.path("disk"), bad).unwrap();
    };
    // Padding: only who reads everything sees it.
    flip((POINT_BLOCKS as usize - 3) * BLOCK + 999);
    launch(None).unwrap_err();
    launch(Some(&record)).unwrap();
    // A layer: accepted by the record, refused by who reads it.
    let layer = &verified[0].layers[1];
    flip(layer.end as usize - 1);
    let known = launch(Some(&record)).unwrap();
    let read = known[0].read_layer(1, |_, _| Ok::<_, bootsplice_archive::ArchiveError>(()));
    assert!(
        matches!(
            read,
            Err(bootsplice_archive::ArchiveError::Layer { layer: 1, .. })
        ),
        "{read:?}"
    );
    flip(2 * BLOCK + 60);
    launch(Some(&record)).unwrap_err();
    // A good header of another launch is not the recorded one: everything is read.
    let mut other = disk(payload(2), &steps());
    other[START as usize + (POINT_BLOCKS as usize - 3) * BLOCK + 999] ^= 1;
    std::fs::write(guest.path("disk"), other).unwrap();
    launch(Some(&record)).unwrap_err();
}

#[test]
fn a_record_of_another_boot_or_that_others_can_write_is_nothing() {
    use bootsplice_agent::record::Record;
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("verified.json");
    let record = Record::of(&[]).unwrap().unwrap();
    record.save(&path).unwrap();
    assert_eq!(Record::load(&path), Some(record));
    std::fs::set_permissions(&path, PermissionsExt::from_mode(0o620)).unwrap();
    assert_eq!(Record::load(&path), None);
    std::fs::set_permissions(&path, PermissionsExt::from_mode(0o600)).unwrap();
    std::fs::write(&path, r#"{"boot":"another","points":[]}"#).unwrap();
    assert_eq!(Record::load(&path), None);
}

#[test]
fn a_launch_that_is_given_up_leaves_no_secret_on_the_disk() {
    let mut bad = Step::new("bad", &[("~nobody-here/x", "x")]);
    bad.instance = vec![("/etc/key".into(), b"canary-secret\n".to_vec())];
    let guest = Guest::new(&disk(payload(1), &[bad]));
    std::fs::create_dir_all(guest.path("root/etc/bootsplice")).unwrap();
    let settings = guest.path("root/etc/bootsplice/agent.toml");
    std::fs::write(settings, "boots = 2\n").unwrap();
    let secrets = || {
        let image = std::fs::read(guest.path("disk")).unwrap();
        std::fs::write(guest.path("point"), &image[START as usize..]).unwrap();
        let script = format!(
            "set -o pipefail; zstd -dc < {} | grep -c canary-secret || true",
            guest.path("point").display()
        );
        let output = Command::new("bash").args(["-c", &script]).output().unwrap();
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    };
    assert_eq!(guest.apply().status.code(), Some(4));
    assert_eq!(secrets(), "1", "it may be tried again");
    let last = guest.apply();
    assert_eq!(last.status.code(), Some(4));
    let said = String::from_utf8_lossy(&last.stdout).into_owned();
    assert!(said.contains("its secrets are overwritten"), "{said}");
    assert_eq!(secrets(), "0");
    let after = guest.apply();
    let said = String::from_utf8_lossy(&after.stderr).into_owned();
    assert_eq!(after.status.code(), Some(4));
    assert!(said.contains("launch again"), "{said}");
    guest.splice(&disk(payload(2), &steps()));
    guest.applied();
}

#[test]
fn a_refused_report_stays_in_the_queue_with_its_reason_and_without_its_token() {
    use bootsplice_agent::console::Console;
    use bootsplice_agent::report;
    use std::io::{Read as _, Write as _};
    let door = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let mut launch = payload(1);
    launch.report = Some(bootsplice_archive::header::ReportAddress {
        url: format!("http://{}/report", door.local_addr().unwrap()),
        token: "token-canary".into(),
        expires: 100,
    });
    let guest = Guest::new(&disk(launch, &steps()));
    guest.applied();
    let state = guest.path("state");
    let serve = |answer: &'static str| {
        let door = door.try_clone().unwrap();
        std::thread::spawn(move || {
            let (mut guest, _) = door.accept().unwrap();
            let mut request = Vec::new();
            let mut buffer = [0; 4096];
            while !String::from_utf8_lossy(&request).contains("\"launch\"") {
                let count = guest.read(&mut buffer).unwrap();
                assert!(count > 0);
                request.extend_from_slice(&buffer[..count]);
            }
            guest.write_all(answer.as_bytes()).unwrap();
        })
    };
    let busy = serve("HTTP/1.1 503 Busy\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
    assert_eq!(
        report::flush(&state, 1, &mut Console::default()).unwrap(),
        1
    );
    busy.join().unwrap();
    let refuses =
        serve("HTTP/1.1 403 No\r\nContent-Length: 11\r\nConnection: close\r\n\r\nold launch\n");
    assert_eq!(
        report::flush(&state, 1, &mut Console::default()).unwrap(),
        0
    );
    refuses.join().unwrap();
    // Nobody answers now: a refused report is not posted again.
    assert_eq!(
        report::flush(&state, 200, &mut Console::default()).unwrap(),
        0
    );
    let output = Command::new(env!("CARGO_BIN_EXE_bootsplice-agent"))
        .args(["status", "--json", "--journal"])
        .arg(&state)
        .output()
        .unwrap();
    let status: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(status["result"], "applied");
    assert_eq!(status["reports"]["refused"][0]["status"], 403, "{status}");
    assert_eq!(status["reports"]["refused"][0]["reason"], "old launch\n");
    let queue = std::fs::read_dir(state.join("reports")).unwrap();
    for file in queue {
        let text = std::fs::read_to_string(file.unwrap().path()).unwrap();
        assert!(!text.contains("token-canary"), "{text}");
    }
}
