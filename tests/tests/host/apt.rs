//! Packages, by a real host, from small repositories that the tests make and sign.

mod bad_input;
mod layers;
mod mirrors;
mod mutation;
mod releases;

use std::fs;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::UNIX_EPOCH;

use anyhow::{Context, Result};
use bootsplice_tests::Host;
use bootsplice_tests::base::Base;
use bootsplice_tests::repository::{Deb, Key, Recipe, Suite, Web};
use serde_json::{Value, json};

use crate::place::{self, Place, committed, end, files, post, try_post};

/// An installed package that others of these tests are at odds with.
const INSTALLED: &str = "Package: old-tool\nStatus: install ok installed\nArchitecture: amd64\nVersion: 1.0\nConflicts: new-tool\nDescription: in the image\n\n";

/// A mirror that does not answer: nothing listens on the port of the discard service.
pub const DEAD: &str = "http://127.0.0.1:9/";
/// Where faults of the only step's sources and wishes stand.
pub const SOURCES: &str = "/profile/steps/0/with/sources";
pub const PACKAGES: &str = "/profile/steps/0/with/packages";
pub const STEP: &str = "/profile/steps/0";

/// What all tests here share: one host whose image knows a repository and its key, and a web server.
pub struct Archive {
    pub host: Host,
    pub web: Web,
    pub key: Key,
    pub place: Place,
    numbers: AtomicU64,
}

/// A repository of one test.
pub struct Repo {
    pub name: String,
    pub root: PathBuf,
    pub suite: Suite,
}

/// A host's answer to a plan.
pub struct Said {
    pub status: u16,
    pub body: Value,
}

pub fn now() -> Result<u64> {
    Ok(UNIX_EPOCH.elapsed()?.as_secs())
}

/// The archive that other tests use at this time, or a new one: it ends with the last of them.
pub fn archive() -> Result<Arc<Archive>> {
    static SHARED: Mutex<Weak<Archive>> = Mutex::new(Weak::new());
    let mut shared = SHARED.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(archive) = shared.upgrade() {
        return Ok(archive);
    }
    let archive = Arc::new(Archive::new()?);
    *shared = Arc::downgrade(&archive);
    Ok(archive)
}

// === impl Archive ===

impl Archive {
    pub fn new() -> Result<Self> {
        let place = Place::with_own_store()?;
        let root = place.dir.path().join("web");
        fs::create_dir(&root)?;
        let key = Key::new(1)?;
        let tree = place.dir.path().join("tree");
        for (path, text) in [
            ("var/lib/dpkg/status", INSTALLED.as_bytes()),
            ("usr/share/keyrings/own.gpg", &key.keyring()?),
            (
                "etc/apt/sources.list.d/own.sources",
                format!(
                    "Types: deb\nURIs: file://{}/own\nSuites: stable\nComponents: main\nSigned-By: /usr/share/keyrings/own.gpg\n",
                    root.display()
                )
                .as_bytes(),
            ),
        ] {
            let path = tree.join(path);
            fs::create_dir_all(path.parent().context("a parent")?)?;
            fs::write(path, text)?;
        }
        let image = place.dir.path().join("debian.raw");
        Base {
            mebibytes: 16,
            noise: 4096,
            agent: true,
            key: Some(place::key()),
        }
        .write(&image, &tree)?;
        place::import(&image, &place.store, "debian")?;
        let web = Web::serve(root.clone())?;
        let config = format!(
            "private_networks = [\"127.0.0.1/32\"]\n{}[[grants]]\nurls = [\"file://{}/\", {:?}, \"{DEAD}\"]\n",
            place.config(),
            root.display(),
            web.url()
        );
        let host = Host::start(&place.state, &config)?;
        Ok(Self {
            host,
            web,
            key,
            place,
            numbers: AtomicU64::new(100),
        })
    }

    /// A number that no other test has.
    pub fn number(&self) -> u64 {
        self.numbers.fetch_add(1, Ordering::Relaxed)
    }

    /// A repository below the web server's root with a suite `stable` that is not published yet.
    pub fn repository(&self, name: &str) -> Result<Repo> {
        Ok(Repo {
            name: name.to_owned(),
            root: self.place.dir.path().join("web").join(name),
            suite: Suite::new("stable", now()? - 60),
        })
    }

    /// One with `hello`, which needs `libhello`: other files than those of any other repository.
    pub fn with_hello(&self, name: &str) -> Result<Repo> {
        let mut repo = self.repository(name)?;
        let seed = self.number();
        let library = Recipe::new("libhello", "2.0-1").field("Source", "hello");
        let hello = Recipe::new("hello", "2.0-1").field("Depends", "libhello (>= 2.0)");
        for recipe in [library, hello] {
            self.add(&mut repo, recipe.seed(seed))?;
        }
        self.publish(&repo)?;
        Ok(repo)
    }

    pub fn add(&self, repo: &mut Repo, recipe: Recipe) -> Result<Deb> {
        let deb = recipe.build(&self.place.dir.path().join("built").join(&repo.name))?;
        repo.suite.add(&repo.root, &deb)?;
        Ok(deb)
    }

    pub fn publish(&self, repo: &Repo) -> Result<()> {
        repo.suite.publish(&repo.root, &self.key)
    }

    /// An entry of sources.list for addresses, with more lines, signed by the archive's key.
    pub fn source(&self, uris: &str, more: &str) -> Result<String> {
        Ok(format!(
            "Types: deb\nURIs: {uris}\nSuites: stable\nComponents: main\n{more}Signed-By:\n{}",
            self.key.inline()?
        ))
    }

    /// An entry for a repository by its files.
    pub fn files(&self, repo: &Repo) -> Result<String> {
        self.source(&format!("file://{}", repo.root.display()), "")
    }

    /// An entry for a repository by the web server.
    pub fn http(&self, repo: &Repo) -> Result<String> {
        self.source(&format!("{}{}", self.web.url(), repo.name), "")
    }

    /// Puts a profile of these steps, each of `apt`; its name, or the refusal.
    pub fn profile(&self, steps: &[(&str, Value)]) -> Result<Result<String, Said>> {
        let name = format!("p-{}", self.number());
        let steps = steps.iter().enumerate().map(
            |(index, (at, with))| json!({"id": format!("s{index}"), "use": "apt", "at": at, "with": with}),
        );
        let profile = json!({"name": name, "steps": steps.collect::<Vec<_>>()});
        let path = format!("/v1/profiles/{name}");
        let said = Said::of(&self.host, "PUT", &path, &profile)?;
        Ok(match said.status {
            201 => Ok(name),
            _ => Err(said),
        })
    }

    pub fn draft(&self, profile: &str) -> Value {
        json!({"instance": {"id": format!("i-{}", self.number())}, "profile": profile, "volume": "debian"})
    }

    /// A launch into a file, to its end as Committed.
    pub fn launch(&self, profile: &str) -> Result<()> {
        let mut draft = self.draft(profile);
        let file = format!(
            "{}.raw",
            draft["instance"]["id"].as_str().unwrap_or_default()
        );
        draft["sink"] = json!({"name": "disks", "as": file});
        committed(&self.host, &post(&self.host, &draft)?)
    }

    /// A plan of one step.
    pub fn plan(&self, with: &Value) -> Result<Said> {
        match self.profile(&[("base", with.clone())])? {
            Ok(name) => Said::of(&self.host, "POST", "/v1/plans", &self.draft(&name)),
            Err(said) => Ok(said),
        }
    }

    /// A step that is refused: by a plan and by a launch alike, with this code at this place of the profile. Nothing half
    /// done is left. What was said.
    pub fn refused(&self, with: &Value, code: &str, pointer: &str) -> Result<String> {
        let name = match self.profile(&[("base", with.clone())])? {
            Ok(name) => name,
            Err(said) => panic!("the profile itself was refused: {}", said.body),
        };
        let mut draft = self.draft(&name);
        let plan = Said::of(&self.host, "POST", "/v1/plans", &draft)?;
        plan.is(code, pointer);
        let file = format!("{name}.raw");
        draft["sink"] = json!({"name": "disks", "as": file});
        let (status, launch) = try_post(&self.host, &draft)?;
        let launch = Said {
            status,
            body: launch,
        };
        launch.is(code, pointer);
        self.left(&name)?;
        Ok(plan.text())
    }

    /// A step whose packages cannot be had: the plan says it, and the launch fails with it. What the plan said, and the
    /// launch.
    pub fn fails(&self, with: &Value) -> Result<(Said, Value)> {
        let name = match self.profile(&[("base", with.clone())])? {
            Ok(name) => name,
            Err(said) => panic!("the profile itself was refused: {}", said.body),
        };
        let mut draft = self.draft(&name);
        let plan = Said::of(&self.host, "POST", "/v1/plans", &draft)?;
        draft["sink"] = json!({"name": "disks", "as": format!("{name}.raw")});
        let (status, launch) = try_post(&self.host, &draft)?;
        assert_eq!(status, 202, "{launch}");
        let launch = end(&self.host, launch["id"].as_str().context("an id")?)?;
        assert_eq!(launch["state"], "failed", "{launch}");
        self.left(&name)?;
        Ok((plan, launch))
    }

    /// Nothing of this profile's launches lies in the sink.
    fn left(&self, name: &str) -> Result<()> {
        let left = files(&self.place.disks)?;
        let mine = |path: &PathBuf| path.display().to_string().contains(&format!("{name}."));
        assert!(!left.iter().any(mine), "{left:?}");
        Ok(())
    }
}

// === impl Said ===

impl Said {
    pub fn of(host: &Host, method: &str, path: &str, body: &Value) -> Result<Self> {
        let answer = host.request(method, path, &body.to_string())?;
        let body = serde_json::from_str(&answer.body)
            .with_context(|| format!("{path}: {}", answer.body))?;
        Ok(Self {
            status: answer.status,
            body,
        })
    }

    /// The last word of `type`.
    pub fn kind(&self) -> &str {
        let kind = self.body["type"].as_str().unwrap_or_default();
        kind.rsplit('/').next().unwrap_or_default()
    }

    pub fn text(&self) -> String {
        self.body.to_string()
    }

    pub fn code(&self) -> &str {
        self.body["errors"][0]["code"].as_str().unwrap_or_default()
    }

    /// A problem document with this as its first fault.
    pub fn is(&self, code: &str, pointer: &str) {
        assert!(self.status >= 400, "{}", self.text());
        assert_eq!(
            (self.code(), self.body["errors"][0]["pointer"].as_str()),
            (code, Some(pointer)),
            "{}",
            self.text()
        );
    }

    /// The pins of a plan's steps: name and version of each package.
    pub fn pins(&self) -> Vec<(String, String)> {
        let word = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let points = self.body["points"].as_array().into_iter().flatten();
        let steps = points.flat_map(|point| point["steps"].as_array().into_iter().flatten());
        let pins = steps.flat_map(|step| step["pins"].as_array().into_iter().flatten());
        pins.map(|pin| (word(&pin["name"]), word(&pin["version"])))
            .collect()
    }

    /// It is a plan.
    pub fn good(self) -> Self {
        assert_eq!(self.status, 200, "{}", self.text());
        self
    }
}
