//! Small worlds, written as they stand in `Packages` and `status`.

mod base;
mod distroless;
mod semantics;

use super::*;
use crate::index::Builder;
use crate::policy::Recommends;

/// Packages as `name version; Field: value; …`, one a line.
pub(super) struct World {
    /// Each suite's name and packages.
    pub suites: Vec<(&'static str, String)>,
    pub status: String,
    pub architectures: Vec<String>,
    pub preferences: String,
    pub policy: Policy,
    pub extras: Vec<Extra>,
    pub locked: Vec<(String, String, String)>,
}

/// Stanzas of Packages from lines.
fn packages(lines: &str) -> String {
    stanzas(lines, |name, version| {
        format!(
            "Filename: pool/{name}_{version}.deb\nSize: 10\nSHA256: {}\n",
            "ab".repeat(32)
        )
    })
}

/// Stanzas of dpkg's status from lines.
fn installed(lines: &str) -> String {
    stanzas(lines, |_, _| "Status: install ok installed\n".to_owned())
}

fn stanzas(lines: &str, more: impl Fn(&str, &str) -> String) -> String {
    let mut out = String::new();
    for line in lines.lines().map(str::trim).filter(|line| !line.is_empty()) {
        let mut parts = line.split("; ");
        let (name, version) = parts.next().unwrap().split_once(' ').unwrap();
        let fields: Vec<&str> = parts.collect();
        let mut stanza = format!("Package: {name}\nVersion: {version}\n");
        let has = |field: &str| {
            fields
                .iter()
                .any(|known| known.starts_with(&format!("{field}:")))
        };
        if !has("Architecture") {
            stanza += "Architecture: amd64\n";
        }
        let own = more(name, version);
        for default in own.lines() {
            if !has(default.split(':').next().unwrap()) {
                stanza += &format!("{default}\n");
            }
        }
        for field in &fields {
            stanza += &format!("{field}\n");
        }
        out += &stanza;
        out.push('\n');
    }
    out
}

pub(super) fn world(available: &str, base: &str) -> World {
    World {
        suites: vec![("bookworm", packages(available))],
        status: installed(base),
        architectures: vec!["amd64".to_owned()],
        preferences: String::new(),
        policy: Policy {
            recommends: Recommends::None,
            ..Policy::default()
        },
        extras: Vec::new(),
        locked: Vec::new(),
    }
}

// === impl World ===

impl World {
    pub fn suite(mut self, name: &'static str, available: &str) -> Self {
        self.suites.push((name, packages(available)));
        self
    }

    pub fn policy(mut self, change: impl FnOnce(&mut Policy)) -> Self {
        change(&mut self.policy);
        self
    }

    pub fn plan(&self, requests: &str) -> Result<Plan> {
        let bytes = self.index();
        let indexes = [Index::open(bytes.as_slice())?];
        let status = Status::parse(self.status.as_bytes())?;
        let mut preferences = Preferences::default();
        preferences.read(self.preferences.as_bytes())?;
        let requests = requests
            .split_whitespace()
            .map(Request::parse)
            .collect::<Result<Vec<_>>>()?;
        resolve(&Input {
            architectures: &self.architectures,
            indexes: &indexes,
            status: &status,
            preferences: &preferences,
            requests: &requests,
            extras: &self.extras,
            locked: &self.locked,
            policy: &self.policy,
            stop: None,
        })
    }

    pub fn index(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        let mut builder = Builder::new(|piece: &[u8]| {
            bytes.extend_from_slice(piece);
            Ok(())
        });
        for (suite, text) in &self.suites {
            builder
                .begin(Origin {
                    id: (*suite).to_owned(),
                    suite: (*suite).to_owned(),
                    codename: (*suite).to_owned(),
                    not_automatic: suite.ends_with("-backports"),
                    but_automatic_upgrades: suite.ends_with("-backports"),
                    ..Origin::default()
                })
                .unwrap();
            builder.feed(text.as_bytes()).unwrap();
        }
        builder.finish().unwrap();
        bytes
    }

    /// The plan as `name=version` in alphabetical order.
    pub fn adds(&self, requests: &str) -> String {
        let plan = self
            .plan(requests)
            .unwrap_or_else(|error| panic!("{requests}: {error}"));
        let mut words: Vec<String> = plan
            .packages
            .iter()
            .map(|package| match package.architecture.as_str() {
                "amd64" | "all" => format!("{}={}", package.name, package.version),
                other => format!("{}:{other}={}", package.name, package.version),
            })
            .chain(
                plan.removed
                    .iter()
                    .map(|removal| format!("-{}", removal.name)),
            )
            .collect();
        words.sort();
        words.join(" ")
    }

    pub fn refusal(&self, requests: &str) -> String {
        self.plan(requests).unwrap_err().to_string()
    }
}
