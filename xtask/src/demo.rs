//! The whole job in front of one's eyes, through the same commands and requests that an operator and a platform use.
//!
//! Everything but the image and its key is made anew each time, in `target/demo`.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use bootsplice_tests::{Host, Machine, Network, mirror, places};
use serde_json::{Value, json};

use crate::phase::Phases;
use crate::run;

/// How long the guest may take, all in all. Emulated processors need about a minute for Debian alone.
const BOOT_LIMIT: Duration = Duration::from_secs(900);

/// What the profile's last step writes to the console, once its page was served.
const LAST_WORDS: &str = "web-developer is ready";
/// What else it says there: who serves, and the page.
const PROOFS: [&str; 3] = ["nginx version", "redis_version", "GET http://localhost/"];

/// What each line of the agent on the console begins with.
const AGENT: &str = "bootsplice";

pub fn run(phases: &mut Phases) -> Result<()> {
    let place = places::target().join("demo");
    if place.exists() {
        fs::remove_dir_all(&place)
            .with_context(|| format!("removing the last run's {}", place.display()))?;
    }
    let disks = place.join("disks");
    let volumes = place.join("volumes");
    for folder in [&disks, &volumes] {
        fs::create_dir_all(folder)?;
    }
    let state = place.join("state");
    copy_keys(&state)?;
    let store = format!("file://{}", volumes.display());

    phases.run("import the image", || {
        let mut import = Command::new(places::binary("bootsplice"));
        import
            .args(["volume", "import"])
            .arg(places::image())
            .args(["--store", &store, "--name", "debian-12"]);
        import.args(["--point", "base=128MiB", "--point", "users=64MiB"]);
        run::loud(import)
    })?;
    let host = phases.run("start the host", || {
        let (networks, grants) = mirror::configuration()?;
        let sink = format!("[[sinks]]\nname = \"disks\"\ndirectory = {disks:?}");
        let config = format!("volumes = {store:?}\n{networks}\n{sink}\n\n{grants}");
        Host::start(&state, &config)
    })?;
    println!("host at {}, log in {}", host.url(), host.log().display());
    phases.run("save the secret and the profile", || {
        let secret = place.join("secret");
        fs::write(&secret, "a-key-that-only-the-guest-may-see")?;
        let mut put = host.command()?;
        put.args(["secret", "put", "ada-api-key", "--file"])
            .arg(&secret);
        run::loud(put)?;
        fs::remove_file(&secret)?;
        let profile = places::root().join("examples/profiles/web-developer.yaml");
        let mut put = host.command()?;
        put.args(["profile", "put", "web-developer", "--file"])
            .arg(profile);
        run::loud(put)
    })?;
    let id = phases.run("launch: POST /v1/launches", || launch(&host))?;
    phases.run("stream the volume to a file", || committed(&host, &id))?;
    let disk = disks.join("i-0042.raw");
    phases.run("boot it without a network card", || {
        boot(&disk, &place.join("console.log"))
    })
}

/// The image trusts one key; this host signs with it.
fn copy_keys(state: &Path) -> Result<()> {
    fs::create_dir_all(state)?;
    run::quiet({
        let mut copy = run::command("cp", &["-a", "--"]);
        copy.arg(places::image_keys().join("keys")).arg(state);
        copy.stdin(Stdio::null());
        copy
    })
    .map(|_| ())
    .context("the key that the image trusts")
}

fn launch(host: &Host) -> Result<String> {
    let request = json!({
        "instance": {"id": "i-0042", "attributes": {"owner": "ada"}},
        "profile": "web-developer",
        "volume": "debian-12",
        "sink": {"name": "disks", "as": "i-0042.raw"},
        "labels": {"team": "web"},
    });
    println!(
        "POST /v1/launches\n{}\n",
        serde_json::to_string_pretty(&request)?
    );
    let answer = host.request("POST", "/v1/launches", &request.to_string())?;
    let body: Value = serde_json::from_str(&answer.body).with_context(|| answer.body.clone())?;
    println!(
        "{}\n{}\n",
        answer.status,
        serde_json::to_string_pretty(&body)?
    );
    if answer.status != 202 {
        bail!("the host refused the launch with {}", answer.status);
    }
    let id = body["id"].as_str().context("the answer has no id")?;
    Ok(id.to_owned())
}

/// Follows the launch to its end, one line for each change.
fn committed(host: &Host, id: &str) -> Result<()> {
    let mut last = String::new();
    loop {
        let answer = host.request("GET", &format!("/v1/launches/{id}"), "")?;
        let launch: Value =
            serde_json::from_str(&answer.body).with_context(|| answer.body.clone())?;
        let word = |pointer: &str| {
            launch
                .pointer(pointer)
                .and_then(Value::as_str)
                .unwrap_or("-")
                .to_owned()
        };
        let now = format!(
            "launch {}, content {}, stream {}",
            word("/state"),
            word("/content/state"),
            word("/stream/state")
        );
        if now != last {
            println!("{now}");
            last = now;
        }
        match word("/state").as_str() {
            "committed" => return Ok(()),
            "failed" | "cancelled" => bail!(
                "the launch ended as {}",
                serde_json::to_string_pretty(&launch)?
            ),
            _ => std::thread::sleep(Duration::from_millis(200)),
        }
    }
}

fn boot(disk: &Path, console: &Path) -> Result<()> {
    let mut machine = Machine::new(disk)
        .network(Network::None)
        .console(console)
        .start()?;
    let (mut ready, mut applied) = (false, false);
    machine.watch(BOOT_LIMIT, |line| {
        let text = &line.text;
        let said_by_agent = text.contains(AGENT);
        let proof = PROOFS.iter().any(|said| text.contains(said));
        if said_by_agent || proof || text.contains(LAST_WORDS) {
            println!("{line}");
        }
        ready |= text.contains(LAST_WORDS);
        applied |= said_by_agent && text.contains("result applied");
        (ready && applied).then_some(())
    })?;
    machine.press_power()?;
    machine.wait_for_power_off(BOOT_LIMIT)?;
    Ok(())
}
