//! A store with the Debian image, a host on it, and its launches.

use std::path::PathBuf;
use std::process::Command;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use bootsplice_tests::base::quiet;
use bootsplice_tests::{Host, places};
use serde_json::Value;

/// From power on to the last word. Emulated processors need a minute or two, busy ones more.
pub const BOOT: Duration = Duration::from_secs(1200);
const STREAM: Duration = Duration::from_secs(300);
/// One machine at a time: two emulated ones on two processors take more than twice as long.
pub static MACHINE: Mutex<()> = Mutex::new(());

/// A store with the Debian image, and a state directory whose key the image trusts.
pub struct Place {
    dir: tempfile::TempDir,
}

// === impl Place ===

impl Place {
    pub fn new() -> Result<Self> {
        let place = Self {
            dir: tempfile::tempdir()?,
        };
        for name in ["volumes", "disks"] {
            std::fs::create_dir(place.path(name))?;
        }
        let keys = places::image_keys();
        quiet(
            Command::new("cp")
                .arg("-a")
                .arg(&keys)
                .arg(place.path("state")),
        )?;
        let mut import = Command::new(places::binary("bootsplice"));
        import.args(["volume", "import"]).arg(places::image());
        import.args(["--store", &place.store(), "--name", "debian-12"]);
        import.args(["--point", "base=32MiB", "--point", "users=32MiB"]);
        quiet(&mut import)?;
        Ok(place)
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub fn store(&self) -> String {
        format!("file://{}", self.path("volumes").display())
    }

    /// A host with more keys at the top of its configuration and more tables at its end.
    pub fn host(&self, keys: &str, tables: &str) -> Result<Host> {
        let config = format!(
            "{keys}\nvolumes = {:?}\n[[sinks]]\nname = \"disks\"\ndirectory = {:?}\n{tables}\n",
            self.store(),
            self.path("disks")
        );
        Host::start(&self.path("state"), &config)
    }
}

pub fn put_profile(host: &Host, profile: &Value) -> Result<()> {
    let name = profile["name"].as_str().context("a name")?;
    let answer = host.request("PUT", &format!("/v1/profiles/{name}"), &profile.to_string())?;
    ensure!(answer.status == 201, "{}", answer.body);
    Ok(())
}

/// Launches into the file sink and waits until the volume is committed; its id.
pub fn launch(host: &Host, request: &Value) -> Result<String> {
    let answer = host.request("POST", "/v1/launches", &request.to_string())?;
    ensure!(answer.status == 202, "{}", answer.body);
    let launch: Value = serde_json::from_str(&answer.body)?;
    let id = launch["id"].as_str().context("an id")?.to_owned();
    let started = Instant::now();
    loop {
        let answer = host.request("GET", &format!("/v1/launches/{id}"), "")?;
        let launch: Value = serde_json::from_str(&answer.body)?;
        match launch["state"].as_str() {
            Some("committed") => return Ok(id),
            Some("failed" | "cancelled") => anyhow::bail!("{}", answer.body),
            _ => ensure!(started.elapsed() < STREAM, "{}", answer.body),
        }
        std::thread::sleep(Duration::from_millis(100));
    }
}
