//! Packages of the real archive and of a vendor, in a guest without a network card.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::PoisonError;

use anyhow::{Context, Result, ensure};
use bootsplice_tests::base::quiet;
use bootsplice_tests::{Machine, Network, mirror};
use serde_json::{Value, json};

use crate::disk::{e2fsck_finds_no_fault, sgdisk_finds_no_fault};
use crate::place::{BOOT, MACHINE, Place, launch, put_profile};

/// Says at each boot what dpkg has and whether the services answer.
const STATE_UNIT: &str = "[Unit]\nAfter=bootsplice-late.service nginx.service redis-server.service\n[Service]\nType=oneshot\nRemainAfterExit=yes\n\
    StandardOutput=tty\nTTYPath=/dev/console\nExecStart=/bin/sh /usr/local/lib/state\n[Install]\nWantedBy=multi-user.target\n";
const STATE: &str = r#"set -u
page=$(python3 -c "from urllib.request import urlopen; print(urlopen('http://localhost/').status)" 2>&1 | tail -n 1)
echo "state page: $page"
echo "state redis: $(redis-cli ping)"
echo "state vendor: $(vendor-tool)"
echo "state dpkg: $(dpkg --audit | wc -l) faults, $(md5sum < /var/lib/dpkg/status)"
echo "state policy: $(ls /usr/sbin/policy-rc.d 2>/dev/null | wc -l)"
echo "state done"
"#;
/// Says once what is installed.
const PROOF: &str = r#"{
dpkg-query -W -f 'proof installed ${db:Status-Abbrev} ${Package} ${Version}
'
for name in $(apt-mark showauto); do echo "proof auto $name"; done
echo "proof done"
} > /dev/console
"#;

#[test]
fn packages_are_installed_without_a_network_as_they_were_locked() -> Result<()> {
    let place = Place::new()?;
    let vendor = vendor(&place.path("vendor"))?;
    let (keys, mut tables) = mirror::configuration()?;
    tables.push_str(&format!(
        "[[grants]]\nurls = [\"file://{}/\"]\n",
        place.path("vendor").display()
    ));
    let host = place.host(&keys, &tables)?;
    put_profile(
        &host,
        &json!({"name": "web", "steps": [
            {"id": "state", "use": "config", "at": "base", "with": {
                "files": [{"path": "/usr/local/lib/state", "content": STATE, "template": false}]}},
            {"id": "packages", "use": "apt", "at": "base", "with": {
                "packages": ["nginx", "redis-server", {"url": format!("file://{}", vendor.display())}],
                "recommends": false}},
            {"id": "proof", "use": "script", "at": "users", "with": {
                "interpreter": "/bin/sh", "text": PROOF,
                "services": [{"unit": "state.service", "content": STATE_UNIT}]}}]}),
    )?;
    let request = json!({"instance": {"id": "i-3"}, "profile": "web", "volume": "debian-12",
        "sink": {"name": "disks", "as": "i-3.raw"}});
    launch(&host, &request)?;
    let locked = locked(&host.request(
        "POST",
        "/v1/locks",
        &json!({"profile": "web", "volume": "debian-12"}).to_string(),
    )?)?;
    for name in ["nginx", "redis-server", "vendor-tool", "tree"] {
        ensure!(
            locked.iter().any(|(locked, _)| locked == name),
            "{name} is not in the lock: {locked:?}"
        );
    }
    let disk = place.path("disks/i-3.raw");

    let _alone = MACHINE.lock().unwrap_or_else(PoisonError::into_inner);
    let first = boot(&disk, &["result applied", "proof done", "state done"])?;
    let installed: BTreeSet<(String, String)> = first
        .iter()
        .filter_map(|line| line.split_once("proof installed ii "))
        .filter_map(|(_, rest)| rest.trim().split_once(' '))
        .map(|(name, version)| (name.trim().to_owned(), version.to_owned()))
        .collect();
    let missing: Vec<_> = locked.difference(&installed).collect();
    ensure!(
        missing.is_empty(),
        "locked and not installed: {missing:?} of {first:#?}"
    );
    let automatic = |name: &str| {
        first
            .iter()
            .any(|line| line.ends_with(&format!("proof auto {name}")))
    };
    ensure!(
        !automatic("nginx") && !automatic("vendor-tool"),
        "what was asked for is marked as automatic: {first:#?}"
    );
    ensure!(
        automatic("tree") && automatic("nginx-common"),
        "what was not asked for is marked as manual: {first:#?}"
    );
    answers(&first)?;

    let second = boot(&disk, &["state done"])?;
    ensure!(
        !said(&second, "bootsplice: step"),
        "a step ran at the second boot: {second:#?}"
    );
    answers(&second)?;
    let dpkg = |lines: &[String]| {
        lines
            .iter()
            .find_map(|line| Some(line.split_once("state dpkg: ")?.1.trim().to_owned()))
    };
    ensure!(
        dpkg(&first) == dpkg(&second),
        "the second boot changed packages: {first:#?} {second:#?}"
    );
    sgdisk_finds_no_fault(&disk)?;
    e2fsck_finds_no_fault(&disk)
}

/// Boots until everything in `until` was said; the lines of the agent and of the proofs.
fn boot(disk: &Path, until: &[&str]) -> Result<Vec<String>> {
    let mut machine = Machine::new(disk)
        .keep_writes()
        .network(Network::None)
        .start()?;
    let mut lines: Vec<String> = Vec::new();
    machine.watch(BOOT, |line| {
        let text = &line.text;
        if ["bootsplice:", "proof ", "state "]
            .iter()
            .any(|word| text.contains(word))
        {
            lines.push(text.clone());
        }
        until.iter().all(|word| said(&lines, word)).then_some(())
    })?;
    machine.press_power()?;
    machine.wait_for_power_off(BOOT)?;
    Ok(lines)
}

fn said(lines: &[String], word: &str) -> bool {
    lines.iter().any(|line| line.contains(word))
}

/// The services run, the vendor's program has what it needs, dpkg finds no fault, and nothing keeps services from starting any more.
fn answers(lines: &[String]) -> Result<()> {
    let expected = [
        "state page: 200",
        "state redis: PONG",
        "state vendor: tree v",
        "state dpkg: 0 faults",
        "state policy: 0",
    ];
    for word in expected {
        ensure!(
            said(lines, word),
            "`{word}` is not on the console: {lines:#?}"
        );
    }
    Ok(())
}

/// Names and versions of the lock.
fn locked(answer: &bootsplice_tests::host::Answer) -> Result<BTreeSet<(String, String)>> {
    ensure!(answer.status == 200, "{}", answer.body);
    let value: Value = serde_json::from_str(&answer.body)?;
    let points = value["points"].as_array().context("points")?;
    let steps = points.iter().filter_map(|point| point["steps"].as_array());
    let pins = steps.flatten().filter_map(|step| step["pins"].as_array());
    let pairs = pins.flatten().filter_map(|pin| {
        let file = pin["name"].as_str()?;
        Some((
            file.split('_').next()?.to_owned(),
            pin["version"].as_str()?.to_owned(),
        ))
    });
    Ok(pairs.collect())
}

/// A package file as a vendor would offer it for download: its dependency is Debian's.
fn vendor(folder: &Path) -> Result<PathBuf> {
    let tree = folder.join("tree");
    fs::create_dir_all(tree.join("DEBIAN"))?;
    fs::create_dir_all(tree.join("usr/bin"))?;
    fs::write(
        tree.join("DEBIAN/control"),
        "Package: vendor-tool\nVersion: 1.2-3\nArchitecture: all\nMaintainer: Vendor <vendor@vendor.example>\nDepends: tree (>= 1.8)\nDescription: says which tree it has\n",
    )?;
    let program = tree.join("usr/bin/vendor-tool");
    fs::write(&program, "#!/bin/sh\ntree --version\n")?;
    quiet(Command::new("chmod").arg("755").arg(&program))?;
    let file = folder.join("vendor-tool.deb");
    quiet(
        Command::new("dpkg-deb")
            .args(["--root-owner-group", "--build"])
            .arg(&tree)
            .arg(&file),
    )?;
    Ok(file)
}
