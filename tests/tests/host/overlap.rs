//! The stream does not wait for the content: base bytes go while a generator works, and only a point waits, at its mark (rule 30).
//!
//! The generator is `data`, held by the server that its artefact comes from: the artefact was pinned when the profile was locked, and the
//! host has forgotten its bytes since, as it does after its retention, so that `generate` fetches them again.

use std::fs;
use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::Command;
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use bootsplice_tests::Host;
use bootsplice_tests::base::quiet;
use serde_json::{Value, json};

use crate::disk::{first_difference, outside, points};
use crate::place::{self, MIB, Place, committed, get, over_http, post, to_file};
use crate::wire::open;

/// How long something may take that nothing holds. The gate must open before the fetch layer's 30 s of silence are over.
const SOON: Duration = Duration::from_secs(15);

/// An HTTP server with one artefact, whose answers wait for a gate.
struct Source {
    address: SocketAddr,
    gate: Arc<Gate>,
    content: Arc<Vec<u8>>,
}

#[derive(Default)]
struct Gate {
    state: Mutex<GateState>,
    changed: Condvar,
}

#[derive(Default)]
struct GateState {
    open: bool,
    /// Requests that came.
    asked: u64,
    /// What came and was no request for the artefact.
    wrong: Vec<String>,
}

/// A host that has the lock of the profile `held` and not its artefact, and the source with its gate closed.
struct Bench {
    place: Place,
    host: Host,
    source: Source,
    /// The name of the partition of the first point on the volume.
    point: String,
    /// Where the archive begins in it: the frame before it, two blocks, is the base's (RFC 0002).
    mark: u64,
}

// === impl Source ===

impl Source {
    fn start() -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let source = Self {
            address: listener.local_addr()?,
            gate: Arc::default(),
            content: Arc::new(
                (0..1_000_000_u32)
                    .map(|n| (n.wrapping_mul(n) >> 7) as u8)
                    .collect(),
            ),
        };
        let (gate, content) = (source.gate.clone(), source.content.clone());
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let (gate, content) = (gate.clone(), content.clone());
                std::thread::spawn(move || answer(stream, &gate, &content));
            }
        });
        Ok(source)
    }

    fn url(&self) -> String {
        format!("http://{}/artefact.bin", self.address)
    }

    fn set(&self, open: bool) {
        self.gate.state.lock().unwrap().open = open;
        self.gate.changed.notify_all();
    }

    /// How many requests came so far, all of them right.
    fn asked(&self) -> u64 {
        let state = self.gate.state.lock().unwrap();
        assert!(state.wrong.is_empty(), "{:?}", state.wrong);
        state.asked
    }
}

/// One connection, one request, one answer once the gate is open.
fn answer(stream: TcpStream, gate: &Gate, content: &[u8]) {
    let mut lines = BufReader::new(&stream).lines();
    let request = lines.next().and_then(Result::ok).unwrap_or_default();
    while lines
        .next()
        .is_some_and(|line| line.is_ok_and(|line| !line.is_empty()))
    {}
    let mut state = gate.state.lock().unwrap();
    if request != "GET /artefact.bin HTTP/1.1" {
        return state.wrong.push(request);
    }
    state.asked += 1;
    drop(gate.changed.wait_while(state, |state| !state.open).unwrap());
    let length = content.len();
    let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n");
    let _ = (&stream).write_all(&[head.as_bytes(), content].concat());
}

// === impl Bench ===

impl Bench {
    fn new() -> Result<Self> {
        let place = Place::new()?;
        let source = Source::start()?;
        source.set(true);
        let config = format!(
            "private_networks = [\"127.0.0.1/32\"]\n{}[[grants]]\nurls = [\"http://{}/\"]\n",
            place.config(),
            source.address
        );
        let host = Host::start(&place.state, &config)?;
        let profile = format!(
            "name: held\nsteps:\n  - id: artefact\n    use: data\n    at: base\n    with:\n      sources:\n        - {{ url: \"{}\", to: /srv/artefact.bin }}\n",
            source.url()
        );
        place.put_profile(&host, "held", &profile)?;
        let locked = host.request(
            "POST",
            "/v1/locks",
            &json!({"profile": "held", "volume": "base"}).to_string(),
        )?;
        ensure!(locked.status == 200, "{} {}", locked.status, locked.body);
        assert_eq!(source.asked(), 1, "resolving fetches once");
        host.kill();

        source.set(false);
        std::thread::sleep(Duration::from_millis(50));
        let forgetful = format!("{config}[limits]\ncache_retention = 0\n");
        let host = Host::start(&place.state, &forgetful)?;
        soon("the artefact is forgotten", || {
            let log = fs::read_to_string(host.log())?;
            Ok(log
                .contains("deleted what nobody used for long")
                .then_some(()))
        })?;
        let (point, range) = points(&place::export())?
            .into_iter()
            .min_by_key(|(_, range)| range.start)
            .context("no point")?;
        Ok(Self {
            place,
            host,
            source,
            point,
            mark: range.start + MIB,
        })
    }

    /// Posts the launch, and comes back when its generator is at work and held.
    fn launch(&self, mut body: Value) -> Result<String> {
        body["profile"] = json!("held");
        let id = post(&self.host, &body)?;
        soon("the generator fetches", || {
            Ok((self.source.asked() == 2).then_some(()))
        })?;
        Ok(id)
    }

    fn look(&self, id: &str) -> Result<Value> {
        get(&self.host, &format!("/v1/launches/{id}"))
    }

    /// The launch once its stream is held at a mark, its content still in the making.
    fn held(&self, id: &str) -> Result<Value> {
        let launch = soon("the stream is held", || {
            let launch = self.look(id)?;
            ensure!(launch["state"] == "running", "{launch}");
            Ok((launch["stream"]["state"] == "held-at-mark").then_some(launch))
        })?;
        assert_eq!(launch["content"]["state"], "generating", "{launch}");
        let steps = json!([{"id": "artefact", "state": "generating"}]);
        assert_eq!(launch["content"]["steps"], steps, "{launch}");
        // The record follows what is told live by a quarter of a second.
        soon("the record says so", || {
            let told = get(&self.host, &format!("/v1/launches/{id}/timeline"))?;
            Ok(told.to_string().contains("held-at-mark").then_some(()))
        })?;
        Ok(launch)
    }

    /// Every byte outside the points is the export's, and the agent takes what is in them.
    fn verify(&self, disk: &std::path::Path) -> Result<()> {
        let size = fs::metadata(disk)?.len();
        assert_eq!(size, fs::metadata(place::export())?.len());
        for range in outside(&points(disk)?, size) {
            let different = first_difference(disk, &place::export(), range)?;
            assert_eq!(different, None);
        }
        let root = self.place.dir.path().join("root");
        quiet(Command::new("cp").arg("-a").arg(place::tree()).arg(&root))?;
        quiet(
            Command::new(place::agent())
                .args(["apply", "--device"])
                .arg(disk)
                .arg("--root")
                .arg(&root),
        )?;
        let applied = fs::read(root.join("srv/artefact.bin"))?;
        assert!(applied == *self.source.content, "the artefact in the guest");
        Ok(())
    }

    /// The stream was held before the content was ready, and went on after.
    fn timeline(&self, id: &str) -> Result<()> {
        let told = get(&self.host, &format!("/v1/launches/{id}/timeline"))?;
        let moments = told["timeline"].as_array().context(told.to_string())?;
        let at = |event: &str| {
            let found = moments.iter().position(|moment| moment["event"] == event);
            found.with_context(|| format!("no {event} in {told}"))
        };
        assert!(at("flowing")? < at("held-at-mark")?, "{told}");
        assert!(at("held-at-mark")? < at("content-ready")?, "{told}");
        assert!(at("content-ready")? < at("committed")?, "{told}");
        Ok(())
    }
}

/// Asks until there is an answer.
fn soon<T>(what: &str, mut ask: impl FnMut() -> Result<Option<T>>) -> Result<T> {
    let started = Instant::now();
    loop {
        if let Some(answer) = ask().with_context(|| what.to_owned())? {
            return Ok(answer);
        }
        if started.elapsed() > SOON {
            bail!("not within {SOON:?}: {what}");
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn base_bytes_arrive_while_a_generator_is_held_and_only_the_point_waits() -> Result<()> {
    let bench = Bench::new()?;
    let mark = bench.mark;
    let id = bench.launch(over_http("i-1"))?;
    let path = format!("GET /v1/launches/{id}/volume");
    let started = Instant::now();
    let mut volume = open(&bench.host, &bench.host.token()?, &path, &[], "")?;
    assert_eq!(volume.status, 200);
    let size = fs::metadata(place::export())?.len();
    let length = volume
        .headers
        .iter()
        .find(|(name, _)| name == "content-length");
    assert_eq!(
        length.map(|(_, value)| value.clone()),
        Some(size.to_string())
    );

    // Everything before the point comes while the gate is closed.
    let mut bytes = vec![0; mark as usize];
    volume.reader.read_exact(&mut bytes)?;
    let took = started.elapsed();
    let export = fs::read(place::export())?;
    assert!(bytes == export[..bytes.len()], "the base's bytes");
    let launch = bench.held(&id)?;
    let point = launch["stream"]["point"].as_str().context("a point")?;
    assert!(bench.point.ends_with(point), "{launch}");
    assert_eq!(launch["stream"]["bytes"], mark, "{launch}");

    // And nothing more.
    let socket = volume.reader.get_ref();
    socket.set_read_timeout(Some(Duration::from_millis(500)))?;
    let waited = volume.reader.read(&mut [0]).map_err(|error| error.kind());
    assert!(
        matches!(waited, Err(ErrorKind::WouldBlock | ErrorKind::TimedOut)),
        "{waited:?}"
    );
    assert_eq!(bench.held(&id)?["stream"]["bytes"], mark);
    assert_eq!(bench.source.asked(), 2);
    eprintln!("{} bytes came in {took:?} with the generator held", mark);

    bench.source.set(true);
    let socket = volume.reader.get_ref();
    socket.set_read_timeout(Some(Duration::from_secs(60)))?;
    volume.reader.read_to_end(&mut bytes)?;
    assert_eq!(bytes.len() as u64, size);
    let disk = bench.place.dir.path().join("received.raw");
    fs::write(&disk, bytes)?;
    let sum = Command::new("sha256sum").arg(&disk).output()?.stdout;
    let sum = String::from_utf8(sum)?;
    let sum = sum.split(' ').next().unwrap_or_default();
    let confirmed = bench.host.request(
        "POST",
        &format!("/v1/launches/{id}/confirm"),
        &json!({"sha256": format!("sha256:{sum}")}).to_string(),
    )?;
    assert_eq!(confirmed.status, 200, "{}", confirmed.body);
    assert_eq!(bench.look(&id)?["state"], "committed");
    bench.timeline(&id)?;
    bench.verify(&disk)
}

#[test]
fn a_file_is_written_up_to_the_mark_while_a_generator_is_held() -> Result<()> {
    let bench = Bench::new()?;
    let id = bench.launch(to_file("i-1"))?;
    let launch = bench.held(&id)?;
    let mark = bench.mark;
    let bytes = launch["stream"]["bytes"].as_u64().context("bytes")?;
    assert!(bytes >= mark, "{launch}");
    assert!(!bench.place.disk("i-1").exists(), "not whole yet");
    let partials = bench.place.partials()?;
    let [partial] = &partials[..] else {
        bail!("{partials:?} are no one partial file");
    };
    assert_eq!(first_difference(partial, &place::export(), 0..mark)?, None);

    bench.source.set(true);
    committed(&bench.host, &id)?;
    bench.verify(&bench.place.disk("i-1"))?;
    bench.timeline(&id)
}
