//! All attacks at once on a real host, while an innocent tenant works on: what the host's memory and the innocent's waits are before, during and after.
//!
//! The figures are printed; what is asserted is that each attack ends by its name, that memory stays within its bound, that the innocent commits, and that
//! nothing is left behind.

mod servers;

#[path = "../../../host/engine/tests/support/bombs.rs"]
mod bombs;

use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use std::{fs, thread};

use anyhow::{Context, Result, ensure};
use bootsplice_tests::anonymous::{self, Watch};
use bootsplice_tests::{Host, places};
use serde_json::{Value, json};

use self::servers::Hostile;
use crate::place::{MIB, PATIENCE, Place, committed, post, to_file};
use crate::plugins::push::{Answer, push, timers, token};

/// The memory that the operator grants each run of the hostile plugin.
const GRANTED: u64 = 64 * MIB;
const CACHE: u64 = 64 * MIB;

/// An attack by a launch: the configuration, and what its end says, one of these. What is slow ends by its processor time on a busy machine.
type Attack = (&'static str, Value, &'static [&'static str]);

const SLOW: &str = "processor time";

fn attacks(servers: &Hostile) -> Vec<Attack> {
    let fetch = |path: &str| json!({"resolve": "fetch", "urls": [format!("{}{path}", servers.url())], "max_size": 1 << 20});
    vec![
        (
            "an endless loop",
            json!({"do": "loop"}),
            &["processor time"],
        ),
        (
            "memory without end",
            json!({"do": "memory"}),
            &["of memory", SLOW],
        ),
        ("recursion", json!({"do": "recurse"}), &["stack"]),
        (
            "a trap in the middle of a file",
            json!({"do": "trap-mid-write"}),
            &["in the middle"],
        ),
        (
            "output without end",
            json!({"do": "output"}),
            &["limit", SLOW],
        ),
        (
            "entries without end",
            json!({"do": "entries"}),
            &["limit", SLOW],
        ),
        (
            "handles without end",
            json!({"do": "handles"}),
            &["limit", SLOW],
        ),
        (
            "an argument of 16 MiB",
            json!({"do": "argument"}),
            &["exhausted"],
        ),
        (
            "a flood of log",
            json!({"do": "log"}),
            &["content-ready", SLOW],
        ),
        (
            "the cloud's metadata",
            json!({"resolve": "fetch", "urls": ["http://169.254.169.254/latest/"]}),
            &["denied"],
        ),
        (
            "a server that sends nonsense",
            fetch("nonsense"),
            &["upstream"],
        ),
        ("a body without end", fetch("endless"), &["limit"]),
        (
            "a redirect to the cloud's metadata",
            fetch("inside"),
            &["denied"],
        ),
        ("redirects in a circle", fetch("circle"), &["redirect"]),
        ("headers without end", fetch("headers"), &["upstream"]),
    ]
}

#[test]
fn a_wave_of_every_attack_stays_within_its_memory_and_leaves_the_innocent_and_nothing_else()
-> Result<()> {
    let place = Place::new()?;
    let servers = Hostile::start()?;
    let config = format!(
        "private_networks = [\"127.0.0.0/8\"]\n{}[limits]\nmemory_cache = \"{CACHE}B\"\n",
        place.config()
    );
    let host = Host::start(&place.state, &config)?;
    let attacker = token(&host, "mallory", &["mallory"])?;
    good(&push(
        &host,
        &attacker,
        "mallory/hostile",
        "0.0.1",
        &hostile()?,
    )?)?;
    let granted = host
        .command()?
        .args([
            "plugin",
            "grant",
            "mallory/hostile@0.0.1",
            "--memory",
            "64MiB",
            "--time",
            "2s",
            "--fetch",
        ])
        .arg(servers.url())
        .output()?;
    ensure!(granted.status.success(), "{granted:?}");
    let children = descendants(host.id())?;

    let before = innocent(&place, &host, "before", 5)?;
    let idle = anonymous::of(host.id())?;
    let watch = Watch::start(host.id())?;
    let over = AtomicBool::new(false);
    let attacks = attacks(&servers);
    let (during, wave) = thread::scope(|scope| -> Result<_> {
        let innocent = scope.spawn(|| {
            let mut waits = Vec::new();
            while waits.is_empty() || !over.load(Ordering::Relaxed) {
                waits.extend(innocent(
                    &place,
                    &host,
                    &format!("during-{}", waits.len()),
                    1,
                )?);
            }
            anyhow::Ok(waits)
        });
        let started = Instant::now();
        let uploads = scope.spawn(|| uploads(&host, &attacker));
        let launches: Vec<_> = attacks
            .iter()
            .enumerate()
            .map(|(number, attack)| {
                scope.spawn({
                    let (host, attacker) = (&host, &attacker);
                    move || launched(host, attacker, number, attack)
                })
            })
            .collect();
        let ended: Vec<Result<()>> = launches
            .into_iter()
            .map(|launch| launch.join().expect("an attack"))
            .chain([uploads.join().expect("the uploads")])
            .collect();
        let wave = started.elapsed();
        over.store(true, Ordering::Relaxed);
        let waits = innocent.join().expect("the innocent")?;
        let wrong: Vec<_> = ended.into_iter().filter_map(Result::err).collect();
        ensure!(wrong.is_empty(), "{wrong:#?}");
        Ok((waits, wave))
    })?;
    let peak = watch.peak()?;
    let after = innocent(&place, &host, "after", 5)?;
    let rest = anonymous::of(host.id())?;
    eprintln!(
        "a wave of {} launches and {} uploads in {wave:?}; RssAnon {} MiB idle, {} MiB at its highest, {} MiB after",
        attacks.len(),
        bombs::all(&timers()?).len(),
        idle / MIB,
        peak / MIB,
        rest / MIB
    );
    eprintln!(
        "VmRSS {}, VmHWM {}",
        status(host.id(), "VmRSS")?,
        status(host.id(), "VmHWM")?
    );
    for (when, waits) in [("before", &before), ("during", &during), ("after", &after)] {
        eprintln!(
            "the innocent {when}: {} launches, {}",
            waits.len(),
            spread(waits)
        );
    }
    // One attack fills the memory that it is granted; nothing else that a guest does may fill the host's.
    let bound = anonymous::limit(CACHE, 0) + 3 * GRANTED;
    ensure!(peak <= bound, "RssAnon {peak}, bound {bound}");
    ensure!(
        rest <= idle + anonymous::limit(CACHE, 0),
        "RssAnon {rest} after, {idle} before"
    );

    // Code comes from files that the MAC was checked of: no memory is for writing and for running.
    let maps = fs::read_to_string(format!("/proc/{}/maps", host.id()))?;
    let both: Vec<_> = maps.lines().filter(|line| line.contains(" rwx")).collect();
    ensure!(maps.contains(" r-x") && both.is_empty(), "{both:#?}");

    // Nobody who was made for the wave is left: no compiler, no launch, no half volume.
    ensure!(descendants(host.id())? == children, "children were left");
    for token in [host.token()?, attacker] {
        settled(&host, &token)?;
    }
    ensure!(place.partials()?.is_empty(), "{:?}", place.partials()?);
    Ok(())
}

/// Waits until nothing of a tenant runs: what was cancelled a moment ago may still be on its way out.
fn settled(host: &Host, token: &str) -> Result<()> {
    let started = Instant::now();
    loop {
        let all = as_bearer(host, token, "GET /v1/launches?limit=100", "")?.body;
        let busy = ["accepted", "running"].map(|state| format!("\"state\":\"{state}\""));
        if !busy.iter().any(|state| all.contains(state)) {
            return Ok(());
        }
        ensure!(started.elapsed() < PATIENCE, "{all}");
        thread::sleep(Duration::from_millis(100));
    }
}

/// A line of what the kernel says of a process: `VmHWM` is the most memory that it ever had, what it maps of files included.
fn status(process: u32, line: &str) -> Result<String> {
    let all = fs::read_to_string(format!("/proc/{process}/status"))?;
    let found = all.lines().find_map(|one| one.strip_prefix(line));
    Ok(found
        .unwrap_or_default()
        .trim_start_matches(':')
        .trim()
        .to_owned())
}

/// Every hostile component, one after another: a refusal by its name each.
fn uploads(host: &Host, attacker: &str) -> Result<()> {
    for bomb in bombs::all(&timers()?) {
        let answer = push(host, attacker, "mallory/timers", "0.1.0", &bomb.component)?;
        let told = answer.body.chars().take(300).collect::<String>();
        ensure!(
            answer.status == 400,
            "{}: {} {told}",
            bomb.name,
            answer.status
        );
        let named = bomb.says.iter().any(|word| answer.body.contains(word));
        ensure!(named, "{}: {told}", bomb.name);
    }
    Ok(())
}

fn launched(host: &Host, attacker: &str, number: usize, attack: &Attack) -> Result<()> {
    let (name, with, says) = attack;
    let profile = format!("attack-{number}");
    saved(host, attacker, &profile, "mallory/hostile", with).context(*name)?;
    let body = json!({"instance": {"id": profile}, "profile": profile, "volume": "base"});
    let answer = as_bearer(host, attacker, "POST /v1/launches", &body.to_string())?;
    let launch: Value = serde_json::from_str(&answer.body)?;
    // What is refused before it is a launch has ended, too.
    let said = if answer.status >= 400 {
        answer.body
    } else {
        let id = launch["id"].as_str().with_context(|| answer.body.clone())?;
        ended(host, attacker, id)?
    };
    let named = says.iter().any(|word| said.contains(word));
    ensure!(named, "{name}: {said}");
    Ok(())
}

/// The launch once it has failed or its content is there: nobody reads its volume.
fn ended(host: &Host, token: &str, id: &str) -> Result<String> {
    let started = Instant::now();
    loop {
        let said = as_bearer(host, token, &format!("GET /v1/launches/{id}"), "")?.body;
        let launch: Value = serde_json::from_str(&said)?;
        if launch["state"] == "failed" || said.contains("content-ready") {
            let cancel = as_bearer(host, token, &format!("DELETE /v1/launches/{id}"), "")?;
            ensure!(cancel.status < 500, "{cancel:?}");
            return Ok(said);
        }
        ensure!(started.elapsed() < PATIENCE, "{said}");
        thread::sleep(Duration::from_millis(30));
    }
}

/// Another profile each time, so that its generators run; from saving it to the committed volume.
fn innocent(place: &Place, host: &Host, word: &str, times: usize) -> Result<Vec<Duration>> {
    let admin = host.token()?;
    let mut waits = Vec::new();
    for number in 0..times {
        let name = format!("innocent-{word}-{number}");
        let started = Instant::now();
        let with = json!({"sources": [{"content": format!("{name}\n"), "to": "/srv/note.txt"}]});
        saved(host, &admin, &name, "data", &with)?;
        let mut body = to_file(&name);
        body["profile"] = json!(name);
        committed(host, &post(host, &body)?)?;
        waits.push(started.elapsed());
        fs::remove_file(place.disk(&name))?;
    }
    Ok(waits)
}

fn saved(host: &Host, token: &str, name: &str, generator: &str, with: &Value) -> Result<()> {
    let body = json!({"name": name, "steps": [{"id": "work", "use": generator, "at": "base", "with": with}]});
    good(&as_bearer(
        host,
        token,
        &format!("PUT /v1/profiles/{name}"),
        &body.to_string(),
    )?)
}

fn as_bearer(host: &Host, token: &str, head: &str, body: &str) -> Result<Answer> {
    crate::plugins::as_bearer(host, token, head, body)
}

fn good(answer: &Answer) -> Result<()> {
    ensure!((200..300).contains(&answer.status), "{answer:?}");
    Ok(())
}

/// The guest of the engine's own tests, which misbehaves as its configuration says.
fn hostile() -> Result<Vec<u8>> {
    let source = places::root().join("host/engine/tests/guests/hostile");
    let target = places::target().join("guests");
    let status = Command::new("cargo")
        .args([
            "build",
            "--locked",
            "--target",
            "wasm32-wasip2",
            "--target-dir",
        ])
        .arg(&target)
        .current_dir(source)
        .env_remove("RUSTFLAGS")
        .status()?;
    ensure!(status.success(), "the hostile guest does not build");
    Ok(fs::read(target.join("wasm32-wasip2/debug/hostile.wasm"))?)
}

/// How many processes have `parent` for their parent.
fn descendants(parent: u32) -> Result<usize> {
    let mut count = 0;
    for entry in fs::read_dir("/proc")? {
        let stat = fs::read_to_string(entry?.path().join("stat")).unwrap_or_default();
        // `pid (name) state ppid …`; a name may hold anything.
        let after = stat.rsplit(") ").next().unwrap_or_default();
        count += usize::from(after.split(' ').nth(1) == Some(&parent.to_string()));
    }
    Ok(count)
}

fn spread(waits: &[Duration]) -> String {
    let mut waits = waits.to_vec();
    waits.sort_unstable();
    let middle = waits.get(waits.len() / 2).copied().unwrap_or_default();
    let last = waits.last().copied().unwrap_or_default();
    format!("median {middle:?}, longest {last:?}")
}
