//! What every test here begins with: one small base volume in a store and one state directory with its key and the
//! compiled generators, made once; each test works on copies. Compiling takes most of a minute, so the state directory
//! outlives the run, for as long as the binaries and the generators are the ones that made it.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::time::{Duration, Instant, UNIX_EPOCH};

use anyhow::{Context, Result, bail};
use bootsplice_tests::base::{Base, quiet};
use bootsplice_tests::{Host, places};
use serde_json::{Value, json};
use tempfile::TempDir;

pub const MIB: u64 = 1 << 20;
pub const BASE_MIB: u64 = 96;
pub const POINT_MIB: u64 = 8;
const NOISE: usize = 12 << 20;
/// How long one launch of a small volume may take on a busy machine.
pub const PATIENCE: Duration = Duration::from_secs(90);

/// Two steps, one in each point; the first has placeholders.
pub const PLAIN: &str = r#"
name: plain
steps:
  - id: greeting
    use: config
    at: base
    with:
      edits:
        - { file: /etc/default/grub, format: key-value, set: { /GRUB_TIMEOUT: "1" } }
      files:
        - { path: /etc/motd, content: "{{instance:id}} for {{instance:attributes.owner}}\n" }
  - id: documents
    use: data
    at: users
    with:
      user: ada
      sources:
        - { content: "Ship it.\n", to: Documents/plan.txt }
"#;

/// What all tests share and none changes.
struct Common {
    place: PathBuf,
    state: PathBuf,
    key: String,
}

/// One test's own directories.
pub struct Place {
    pub dir: TempDir,
    pub store: PathBuf,
    pub state: PathBuf,
    pub disks: PathBuf,
}

fn common() -> &'static Common {
    static COMMON: OnceLock<Common> = OnceLock::new();
    COMMON.get_or_init(|| make().expect("the base volume of these tests"))
}

/// Kept in the target directory. The volume is made anew by each run of the tests.
fn make() -> Result<Common> {
    let state = compiled()?;
    let place = places::target().join("host-tests");
    if place.exists() {
        fs::remove_dir_all(&place)?;
    }
    fs::create_dir_all(&place)?;
    let exported = bootsplice(&["key", "export", "--state"])
        .arg(&state)
        .output()?;
    let key = String::from_utf8(exported.stdout)?;
    let base = Base {
        mebibytes: BASE_MIB,
        noise: NOISE,
        agent: true,
        key: Some(&key),
    };
    let image = place.join("base.raw");
    base.write(&image, &place.join("tree"))?;
    let store = place.join("store");
    import(&image, &store, "base")?;
    quiet(
        bootsplice(&["volume", "export", "--store"])
            .arg(url(&store))
            .args(["--file"])
            .arg(place.join("export.raw"))
            .arg("base"),
    )?;
    Ok(Common { place, state, key })
}

/// A state directory with a key and the generators compiled, from the last run if nothing that made it has changed.
fn compiled() -> Result<PathBuf> {
    let place = places::target().join("host-tests-state");
    let (state, stamp) = (place.join("state"), place.join("made-by"));
    let made_by = makers()?;
    if fs::read_to_string(&stamp).is_ok_and(|last| last == made_by) {
        return Ok(state);
    }
    if place.exists() {
        fs::remove_dir_all(&place)?;
    }
    fs::create_dir_all(&place)?;
    quiet(bootsplice(&["key", "new", "--state"]).arg(&state))?;
    let plugins = place.join("plugins");
    fs::create_dir(&plugins)?;
    for component in components()? {
        let name = component.file_name().context("a component's name")?;
        fs::copy(&component, plugins.join(name))?;
    }
    // The first start compiles the generators; copies of this state find them compiled.
    Host::start(&state, &format!("plugins = {plugins:?}\n"))?.kill();
    fs::write(&stamp, made_by)?;
    Ok(state)
}

/// The built-in generators, and the example, which can do what none of those does: ask for the instance.
fn components() -> Result<Vec<PathBuf>> {
    let mut components = files(&places::plugins())?;
    components.push(places::example());
    Ok(components)
}

/// Size and time of each file that a compiled state depends on.
fn makers() -> Result<String> {
    let mut files = components()?;
    files.extend(["bootsplice", "bootsplice-compile"].map(places::binary));
    files.sort();
    let mut made_by = String::new();
    for file in files {
        let facts = fs::metadata(&file)
            .with_context(|| format!("{}: `cargo xtask build` builds it", file.display()))?;
        let time = facts.modified()?.duration_since(UNIX_EPOCH)?;
        writeln!(made_by, "{} {} {time:?}", file.display(), facts.len())?;
    }
    Ok(made_by)
}

pub fn import(image: &Path, store: &Path, name: &str) -> Result<()> {
    fs::create_dir_all(store)?;
    let mut import = bootsplice(&["volume", "import"]);
    import
        .arg(image)
        .args(["--store", &url(store), "--name", name]);
    import.args([
        "--point",
        &format!("base={POINT_MIB}MiB"),
        "--point",
        &format!("users={POINT_MIB}MiB"),
    ]);
    quiet(&mut import)
}

pub fn bootsplice(arguments: &[&str]) -> Command {
    let mut command = Command::new(places::binary("bootsplice"));
    command.args(arguments);
    command
}

pub fn agent() -> PathBuf {
    let small = places::agent();
    if small.is_file() {
        small
    } else {
        places::binary("bootsplice-agent")
    }
}

fn url(directory: &Path) -> String {
    format!("file://{}", directory.display())
}

/// The base volume as `bootsplice volume export` writes it.
pub fn export() -> PathBuf {
    common().place.join("export.raw")
}

/// The disk image that was imported.
pub fn image() -> PathBuf {
    common().place.join("base.raw")
}

/// The files that the image was made of.
pub fn tree() -> PathBuf {
    common().place.join("tree")
}

pub fn key() -> &'static str {
    &common().key
}

/// All bytes of manifests, pages, placements, packs and inventory of a store.
pub fn stored_bytes(directory: &Path) -> Result<u64> {
    let mut total = 0;
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        let kind = entry.file_type()?;
        total += if kind.is_dir() {
            stored_bytes(&entry.path())?
        } else {
            entry.metadata()?.len()
        };
    }
    Ok(total)
}

/// Every file below a directory.
pub fn files(directory: &Path) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        match entry.file_type()? {
            kind if kind.is_dir() => found.extend(files(&entry.path())?),
            kind if kind.is_file() => found.push(entry.path()),
            _ => {}
        }
    }
    Ok(found)
}

// === impl Place ===

impl Place {
    /// A fresh state with the shared store.
    pub fn new() -> Result<Self> {
        let common = common();
        let dir = tempfile::tempdir()?;
        let disks = dir.path().join("disks");
        fs::create_dir(&disks)?;
        quiet(
            Command::new("cp")
                .arg("-a")
                .arg(&common.state)
                .arg(dir.path()),
        )?;
        Ok(Place {
            store: common.place.join("store"),
            state: dir.path().join("state"),
            disks,
            dir,
        })
    }

    /// A fresh state with a store that the test may damage.
    pub fn with_own_store() -> Result<Self> {
        let mut place = Self::new()?;
        quiet(
            Command::new("cp")
                .arg("-a")
                .arg(&place.store)
                .arg(place.dir.path()),
        )?;
        place.store = place.dir.path().join("store");
        Ok(place)
    }

    pub fn config(&self) -> String {
        format!(
            "volumes = {:?}\n[[sinks]]\nname = \"disks\"\ndirectory = {:?}\n",
            url(&self.store),
            self.disks
        )
    }

    pub fn start(&self) -> Result<Host> {
        Host::start(&self.state, &self.config())
    }

    /// A host with the profile `plain`.
    pub fn start_with_plain(&self) -> Result<Host> {
        let host = self.start()?;
        self.put_profile(&host, "plain", PLAIN)?;
        Ok(host)
    }

    pub fn put_profile(&self, host: &Host, name: &str, text: &str) -> Result<()> {
        let file = self.dir.path().join(format!("{name}.yaml"));
        fs::write(&file, text)?;
        quiet(
            host.command()?
                .args(["profile", "put", name, "--file"])
                .arg(&file),
        )
    }

    pub fn disk(&self, instance: &str) -> PathBuf {
        self.disks.join(format!("{instance}.raw"))
    }

    /// Flips bits in the second half of every pack; only for a store of one's own.
    pub fn corrupt_packs(&self) -> Result<()> {
        for pack in self.packs()? {
            let size = fs::metadata(&pack)?.len();
            let file = fs::OpenOptions::new().read(true).write(true).open(&pack)?;
            for at in (size / 2..size).step_by(64 << 10) {
                let mut byte = [0];
                file.read_exact_at(&mut byte, at)?;
                file.write_all_at(&[byte[0] ^ 1], at)?;
            }
        }
        Ok(())
    }

    /// Cuts every pack in the middle; only for a store of one's own.
    pub fn cut_packs(&self) -> Result<()> {
        for pack in self.packs()? {
            let file = fs::OpenOptions::new().write(true).open(&pack)?;
            file.set_len(file.metadata()?.len() / 2)?;
        }
        Ok(())
    }

    /// The packs of the store.
    pub fn packs(&self) -> Result<Vec<PathBuf>> {
        files(&self.store.join("packs"))
    }

    pub fn partials(&self) -> Result<Vec<PathBuf>> {
        let mut found = files(&self.disks)?;
        found.retain(|path| path.extension().is_some_and(|end| end == "partial"));
        Ok(found)
    }
}

/// The body of a launch of `plain` to a file.
pub fn to_file(instance: &str) -> Value {
    let mut body = over_http(instance);
    body["sink"] = json!({"name": "disks", "as": format!("{instance}.raw")});
    body
}

/// The body of a launch of `plain` that a client reads.
pub fn over_http(instance: &str) -> Value {
    json!({"instance": {"id": instance, "attributes": {"owner": "ada"}}, "profile": "plain", "volume": "base"})
}

/// Posts a launch that must be taken, and gives its id.
pub fn post(host: &Host, body: &Value) -> Result<String> {
    let (status, answer) = try_post(host, body)?;
    if status != 202 && status != 200 {
        bail!("{status} {answer}");
    }
    Ok(answer["id"].as_str().context("no id")?.to_owned())
}

pub fn try_post(host: &Host, body: &Value) -> Result<(u16, Value)> {
    let answer = host.request("POST", "/v1/launches", &body.to_string())?;
    let value = serde_json::from_str(&answer.body).with_context(|| answer.body.clone())?;
    Ok((answer.status, value))
}

pub fn get(host: &Host, path: &str) -> Result<Value> {
    let answer = host.request("GET", path, "")?;
    serde_json::from_str(&answer.body).with_context(|| format!("{} {}", answer.status, answer.body))
}

/// The launch once it is final.
pub fn end(host: &Host, id: &str) -> Result<Value> {
    let started = Instant::now();
    loop {
        let launch = get(host, &format!("/v1/launches/{id}"))?;
        match launch["state"].as_str() {
            Some("committed" | "failed" | "cancelled") => return Ok(launch),
            _ if started.elapsed() > PATIENCE => bail!("not final after {PATIENCE:?}: {launch}"),
            _ => std::thread::sleep(Duration::from_millis(30)),
        }
    }
}

pub fn committed(host: &Host, id: &str) -> Result<()> {
    let launch = end(host, id)?;
    if launch["state"] != "committed" {
        let log = fs::read_to_string(host.log()).unwrap_or_default();
        let tail: Vec<_> = log
            .lines()
            .filter(|line| !line.contains("\"answered\""))
            .collect();
        bail!(
            "{launch}\n{}",
            tail[tail.len().saturating_sub(10)..].join("\n")
        );
    }
    Ok(())
}

/// The host's counters, labels in their names.
pub fn metrics(host: &Host) -> Result<BTreeMap<String, f64>> {
    let answer = host.request("GET", "/metrics", "")?;
    if answer.status != 200 {
        bail!("{} {}", answer.status, answer.body);
    }
    let lines = answer.body.lines().filter(|line| !line.starts_with('#'));
    Ok(lines
        .filter_map(|line| line.split_once(' '))
        .filter_map(|(name, value)| Some((name.to_owned(), value.parse().ok()?)))
        .collect())
}

/// Runs of `generate` so far, by generator: those whose layers are `shared`, or those for one `instance`.
pub fn runs(metrics: &BTreeMap<String, f64>, scope: &str) -> BTreeMap<String, f64> {
    let named = metrics.iter().filter_map(|(name, value)| {
        let labels = name.strip_prefix("bootsplice_generator_runs_total{")?;
        let (generator, rest) = labels.strip_prefix("generator=\"")?.split_once('"')?;
        (rest == format!(",scope=\"{scope}\"}}")).then(|| (generator.to_owned(), *value))
    });
    named.collect()
}

pub fn counter(metrics: &BTreeMap<String, f64>, name: &str) -> Result<f64> {
    let full = format!("bootsplice_{name}_total");
    metrics
        .get(&full)
        .copied()
        .with_context(|| format!("no {full} in {:?}", metrics.keys()))
}
