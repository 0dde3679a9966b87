//! What is measured: a release build of the host with a wide base volume and one launch of it whose content is made.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use bootsplice_tests::download::Place;
use bootsplice_tests::wide::Wide;
use bootsplice_tests::{Host, places};
use serde_json::{Value, json};

use crate::run;

const PATIENCE: Duration = Duration::from_secs(300);

/// One step in each point.
const PROFILE: &str = r#"
name: bench
steps:
  - id: greeting
    use: config
    at: base
    with:
      files:
        - { path: /etc/motd, content: "{{instance:id}}\n" }
  - id: documents
    use: data
    at: users
    with:
      user: ada
      sources:
        - { content: "Ship it.\n", to: Documents/plan.txt }
"#;

pub struct Stand {
    /// Removed and made anew by each bench of that name.
    pub place: PathBuf,
    pub host: Host,
    launch: String,
    size: u64,
}

// === impl Stand ===

impl Stand {
    /// `wide` says what the base volume is like; its key is the new host's. `cache` is the host's memory cache in MiB.
    pub fn new(name: &str, wide: Wide<'_>, cache: u64) -> Result<Self> {
        let place = places::target().join("bench").join(name);
        if place.exists() {
            fs::remove_dir_all(&place)?;
        }
        let store = place.join("volumes");
        fs::create_dir_all(&store)?;
        let (state, store) = (place.join("state"), format!("file://{}", store.display()));
        run::quiet(bootsplice(&["key", "new", "--state"], &state))?;
        let key = run::quiet(bootsplice(&["key", "export", "--state"], &state))?;
        let (image, tree) = (place.join("base.raw"), place.join("tree"));
        Wide { key: &key, ..wide }.write(&image, &tree)?;
        let mut import = bootsplice(&["volume", "import"], &image);
        import.args(["--store", &store, "--name", "wide"]);
        import.args(["--point", "base=8MiB", "--point", "users=8MiB"]);
        run::quiet(import)?;
        fs::remove_file(&image)?;

        // Only what the profile names: each one is compiled at the host's first start.
        let plugins = place.join("plugins");
        fs::create_dir(&plugins)?;
        for generator in ["config", "data"] {
            let component = places::component(generator);
            fs::copy(&component, plugins.join(format!("{generator}.wasm")))
                .with_context(|| format!("component {}", component.display()))?;
        }
        let config = format!(
            "volumes = {store:?}\nplugins = {plugins:?}\n[limits]\nmemory_cache = \"{cache}MiB\"\nvolume_retention = 86400\n"
        );
        let host = Host::start_as(&places::release("bootsplice"), &state, &config)?;
        let profile = place.join("bench.yaml");
        fs::write(&profile, PROFILE)?;
        let mut put = host.command()?;
        put.args(["profile", "put", "bench", "--file"])
            .arg(&profile);
        run::quiet(put)?;
        let request = json!({"instance": {"id": "i-1"}, "profile": "bench", "volume": "wide"});
        let answer = host.request("POST", "/v1/launches", &request.to_string())?;
        ensure!(answer.status == 202, "{} {}", answer.status, answer.body);
        let launch: Value = serde_json::from_str(&answer.body)?;
        let stand = Stand {
            place,
            host,
            launch: launch["id"].as_str().context("no id")?.to_owned(),
            size: launch["size"].as_u64().context("no size")?,
        };
        stand.wait()?;
        Ok(stand)
    }

    /// Waits until the content is made.
    fn wait(&self) -> Result<()> {
        let started = Instant::now();
        loop {
            let path = format!("/v1/launches/{}", self.launch);
            let answer = self.host.request("GET", &path, "")?;
            let launch: Value = serde_json::from_str(&answer.body)?;
            if launch["content"]["state"] == "ready" {
                return Ok(());
            }
            let over = launch["state"] == "failed" || started.elapsed() > PATIENCE;
            if over {
                bail!("the content is not made: {launch}");
            }
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// Where the volume is read.
    pub fn volume(&self) -> Result<Place> {
        Ok(Place {
            address: self.host.address(),
            path: format!("/v1/launches/{}/volume", self.launch),
            token: Some(self.host.token()?),
            size: self.size,
        })
    }

    /// Writes the volume to a file and thereby ends the launch as Committed.
    pub fn fetch(&self, file: &Path) -> Result<()> {
        let mut fetch = self.host.command()?;
        fetch
            .args(["launch", "fetch", &self.launch, "--file"])
            .arg(file);
        run::quiet(fetch).map(|_| ())
    }
}

fn bootsplice(arguments: &[&str], path: &Path) -> Command {
    let mut command = Command::new(places::release("bootsplice"));
    command.args(arguments).arg(path);
    command
}
