//! Real boots of personalised volumes: Debian under QEMU's firmware, its own boot loader, the agent from its package.

mod disk;
mod packages;
mod place;

use std::io;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::sync::PoisonError;
use std::sync::mpsc::channel;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use bootsplice_tests::{Machine, Network};
use serde_json::{Value, json};

use crate::disk::{archive_holds, e2fsck_finds_no_fault, holds, sgdisk_finds_no_fault};
use crate::place::{BOOT, MACHINE, Place, launch, put_profile};

/// Speaks when a user's service has run and the agent calls the launch applied.
const PROOF_UNIT: &str = "[Unit]\nAfter=bootsplice-late.service\n[Service]\nType=simple\nStandardOutput=tty\nTTYPath=/dev/console\n\
    ExecStart=/bin/sh -c 'until [ -e /home/ada/by-user-service ] && bootsplice-agent status --json | grep -q applied; do sleep 1; done; echo proof services: system and user'\n\
    [Install]\nWantedBy=multi-user.target\n";
const CANARY: &str = "canary-9c41d7e0-only-for-the-guest";

#[test]
fn two_points_apply_in_their_stages_without_a_network_on_a_disk_that_grew() -> Result<()> {
    let place = Place::new()?;
    let host = place.host("", "")?;
    let secret = json!({ "value": CANARY }).to_string();
    let put = host.request("PUT", "/v1/secrets/api-key", &secret)?;
    ensure!(put.status == 201, "{}", put.body);
    put_profile(
        &host,
        &json!({"name": "boot", "steps": [
            {"id": "skeleton", "use": "config", "at": "base", "with": {
                "files": [
                    {"path": "/etc/skel/hello", "content": "from the skeleton\n"},
                    {"path": "/etc/motd", "content": "{{instance:id}} for {{instance:attributes.owner}}\n"}],
                "edits": [
                    {"file": "/etc/xdg/mimeapps.list", "format": "ini", "create": true,
                        "set": {"/Default Applications/text~1html": "firefox.desktop"}},
                    {"file": "/etc/default/useradd", "format": "key-value", "set": {"/SHELL": "/bin/bash"}}]}},
            {"id": "papers", "use": "data", "at": "users", "with": {
                "user": "ada", "sources": [{"content": "Ship it.\n", "to": "Documents/plan.txt"}]}},
            {"id": "services", "use": "script", "at": "users", "with": {"services": [
                {"unit": "proof.service", "content": PROOF_UNIT},
                {"unit": "proof.service", "user": "ada", "content":
                    "[Service]\nType=oneshot\nRemainAfterExit=yes\nExecStart=/bin/touch %h/by-user-service\n[Install]\nWantedBy=default.target\n"}]}},
            {"id": "proof", "use": "script", "at": "users", "after": ["papers"], "with": {
                "interpreter": "/bin/sh", "secrets": {"KEY": "api-key"},
                "text": "{ echo \"proof skel: $(cat /home/ada/hello)\"\n\
                    echo \"proof owner: $(stat -c %U:%G /home/ada/Documents/plan.txt) $(cat /home/ada/Documents/plan.txt)\"\n\
                    echo \"proof motd: $(cat /etc/motd)\"\n\
                    echo \"proof edit: $(grep -c text/html=firefox.desktop /etc/xdg/mimeapps.list)\"\n\
                    echo \"proof comments: $(grep -c '^#' /etc/default/useradd) $(grep ^SHELL= /etc/default/useradd)\"\n\
                    echo \"proof key: ${#KEY} bytes\"\n\
                    echo \"proof root: $(df --output=size -BM / | tail -n 1 | tr -d ' M')\"; } > /dev/console\n"}}]}),
    )?;
    let base = host.request("GET", "/v1/volumes", "")?;
    ensure!(base.body.contains("debian-12"), "{}", base.body);
    let plan = json!({"instance": {"id": "i-1", "attributes": {"owner": "ada"}}, "profile": "boot", "volume": "debian-12"});
    let planned = host.request("POST", "/v1/plans", &plan.to_string())?;
    let planned: Value = serde_json::from_str(&planned.body)?;
    let size = planned["size"].as_u64().context("a planned size")? * 2;
    let mut request = plan;
    request["size"] = size.into();
    request["sink"] = json!({"name": "disks", "as": "i-1.raw"});
    launch(&host, &request)?;
    let disk = place.path("disks/i-1.raw");
    sgdisk_finds_no_fault(&disk)?;
    ensure!(
        archive_holds(&disk, "users", CANARY)?,
        "the secret never reached the disk"
    );

    let _alone = MACHINE.lock().unwrap_or_else(PoisonError::into_inner);
    let mut machine = Machine::new(&disk)
        .keep_writes()
        .network(Network::None)
        .start()?;
    let mut said = Vec::new();
    machine.watch(BOOT, |line| {
        let text = &line.text;
        if text.contains("bootsplice:") || text.contains("proof ") {
            said.push(text.clone());
        }
        let told = said.iter().any(|line| line.contains("bootsplice: launch"));
        let proven = said.iter().any(|line| line.contains("proof services"));
        (told && proven).then_some(())
    })?;
    machine.press_power()?;
    machine.wait_for_power_off(BOOT)?;
    let position = |marker: &str| {
        said.iter()
            .position(|line| line.contains(marker))
            .with_context(|| format!("`{marker}` is not on the console: {said:#?}"))
    };
    for point in ["base", "users"] {
        position(&format!("point {point} verified"))?;
    }
    let order = [
        "step base/skeleton ok",
        "step users/papers ok",
        "proof skel: from the skeleton",
        "step users/proof ok",
        "result applied",
    ];
    let places: Vec<_> = order
        .iter()
        .map(|one| position(one))
        .collect::<Result<_>>()?;
    ensure!(places.is_sorted(), "out of order: {said:#?}");
    position("proof owner: ada:ada Ship it.")?;
    position("proof motd: i-1 for ada")?;
    position("proof edit: 1")?;
    let comments = &said[position("proof comments: ")?];
    ensure!(
        comments.contains("SHELL=/bin/bash") && !comments.contains(": 0 "),
        "the edit cost the file its comments: {comments}"
    );
    position(&format!("proof key: {} bytes", CANARY.len()))?;
    let root = &said[position("proof root: ")?];
    let mebibytes: u64 = root
        .rsplit(' ')
        .next()
        .and_then(|text| text.trim().parse().ok())
        .with_context(|| root.clone())?;
    // Half of the volume is new, and nearly all of it belongs to the root.
    ensure!(
        mebibytes > (size >> 20) * 3 / 4,
        "the root has {mebibytes} MiB of {size} bytes"
    );
    sgdisk_finds_no_fault(&disk)?;
    ensure!(
        !archive_holds(&disk, "users", CANARY)?,
        "the secret is still in its archive"
    );
    ensure!(!holds(&disk, CANARY)?, "the secret is still on the disk");
    a_second_boot_applies_nothing(&disk)?;
    sgdisk_finds_no_fault(&disk)?;
    e2fsck_finds_no_fault(&disk)
}

fn a_second_boot_applies_nothing(disk: &Path) -> Result<()> {
    let mut machine = Machine::new(disk)
        .keep_writes()
        .network(Network::None)
        .start()?;
    let mut said = Vec::new();
    machine.watch(BOOT, |line| {
        if line.text.contains("bootsplice:") {
            said.push(line.text.clone());
        }
        line.text.contains("proof services").then_some(())
    })?;
    machine.press_power()?;
    machine.wait_for_power_off(BOOT)?;
    let again = said.iter().find(|line| line.contains("step "));
    ensure!(again.is_none(), "a step ran at the second boot: {said:#?}");
    Ok(())
}

#[test]
fn a_guest_with_a_network_reports_and_the_failing_step_is_named() -> Result<()> {
    let place = Place::new()?;
    // The guest sees the machine's loopback as 10.0.2.2; the port must be known before the host has one.
    let door = TcpListener::bind("127.0.0.1:0")?;
    let public = format!(
        "public_url = \"http://10.0.2.2:{}\"",
        door.local_addr()?.port()
    );
    let host = place.host(&public, "")?;
    forward(door, host.address());
    put_profile(
        &host,
        &json!({"name": "fails", "steps": [
            {"id": "good", "use": "config", "at": "base", "with": {"files": [{"path": "/etc/motd", "content": "hello\n"}]}},
            {"id": "bad", "use": "script", "at": "users", "on_failure": "warn",
                "with": {"interpreter": "/bin/sh", "text": "echo the disk is on fire >&2; exit 3\n"}}]}),
    )?;
    let request = json!({"instance": {"id": "i-2"}, "profile": "fails", "volume": "debian-12",
        "sink": {"name": "disks", "as": "i-2.raw"}});
    let id = launch(&host, &request)?;
    let _alone = MACHINE.lock().unwrap_or_else(PoisonError::into_inner);
    let mut machine = Machine::new(place.path("disks/i-2.raw"))
        .network(Network::Host)
        .start()?;
    let waiting = std::thread::spawn({
        let mut wait = host.command()?;
        wait.args(["launch", "wait", &id, "--for", "applied"]);
        wait.args(["--timeout", &BOOT.as_secs().to_string()]);
        move || wait.output()
    });
    machine.wait_for("bootsplice: launch", BOOT)?;
    let output = waiting
        .join()
        .map_err(|_| anyhow::anyhow!("the waiting thread died"))??;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(!output.status.success(), "a degraded guest is no success");
    ensure!(
        said.contains("`bad`") && said.contains("degraded"),
        "{said}"
    );
    let stored = host.request("GET", &format!("/v1/launches/{id}"), "")?;
    let stored: Value = serde_json::from_str(&stored.body)?;
    ensure!(stored["report"]["result"] == "degraded", "{stored}");
    machine.kill();
    Ok(())
}

/// Passes connections on to the host.
fn forward(door: TcpListener, host: SocketAddr) {
    std::thread::spawn(move || {
        for inside in door.incoming().map_while(Result::ok) {
            std::thread::spawn(move || -> io::Result<()> {
                let outside = TcpStream::connect(host)?;
                let (mut from, mut to) = (inside.try_clone()?, outside.try_clone()?);
                let (done, wait) = channel();
                std::thread::spawn(move || {
                    let _ = io::copy(&mut from, &mut to);
                    let _ = to.shutdown(std::net::Shutdown::Write);
                    let _ = done.send(());
                });
                let (mut from, mut to) = (outside, inside);
                io::copy(&mut from, &mut to)?;
                to.shutdown(std::net::Shutdown::Write)?;
                let _ = wait.recv_timeout(Duration::from_secs(10));
                Ok(())
            });
        }
    });
}
