//! Our resolver inside apt: an external solver by apt's protocol (EDSP 0.5, `doc/external-dependency-solver-protocol.md` of apt's source).
//!
//! `apt-get -o Dir::Bin::Solvers=DIR --solver bootsplice -s install nginx`, with this program as `DIR/bootsplice`: a scenario comes on standard
//! input, the solution goes to standard output, and apt checks and simulates it. Recommended packages are left out unless the program is called
//! `bootsplice-recommends`, for the protocol does not tell whether they are wanted.

use std::io::{Read, Write};

use anyhow::{Context, Result};
use bootsplice_deb::closure::{From, Input, resolve};
use bootsplice_deb::control::{Stanza, stanzas};
use bootsplice_deb::index::{Builder, Index};
use bootsplice_deb::origin::Origin;
use bootsplice_deb::pins::Preferences;
use bootsplice_deb::policy::{Base, Policy, Recommends};
use bootsplice_deb::request::Request;
use bootsplice_deb::status::Status;

/// Fields that mean the same in a scenario as in `Packages`.
const SAME: [&str; 14] = [
    "Package",
    "Architecture",
    "Version",
    "Multi-Arch",
    "Essential",
    "Priority",
    "Pre-Depends",
    "Depends",
    "Recommends",
    "Suggests",
    "Conflicts",
    "Breaks",
    "Provides",
    "Replaces",
];

/// A scenario, its packages as the library reads them.
struct Scenario {
    architectures: Vec<String>,
    requests: Vec<Request>,
    policy: Policy,
    status: String,
    /// The candidates; the file name is apt's number.
    packages: String,
    /// Which number an installed package has: name, architecture, number.
    installed: Vec<(String, String, String)>,
}

fn main() -> Result<()> {
    let mut text = Vec::new();
    std::io::stdin().lock().read_to_end(&mut text)?;
    let called = std::env::args().next().unwrap_or_default();
    let scenario = Scenario::read(&text, called.ends_with("-recommends"))?;
    let answer = solution(&scenario)
        .unwrap_or_else(|error| format!("Error: bootsplice\nMessage: {error:#}\n\n"));
    std::io::stdout().lock().write_all(answer.as_bytes())?;
    Ok(())
}

fn solution(scenario: &Scenario) -> Result<String> {
    let mut prepared = Vec::new();
    let mut builder = Builder::new(|bytes: &[u8]| {
        prepared.extend_from_slice(bytes);
        Ok(())
    });
    builder.begin(Origin::default())?;
    for piece in scenario.packages.as_bytes().chunks(1 << 20) {
        builder.feed(piece)?;
    }
    builder.finish()?;
    let plan = resolve(&Input {
        architectures: &scenario.architectures,
        indexes: &[Index::open(prepared.as_slice())?],
        status: &Status::parse(scenario.status.as_bytes())?,
        preferences: &Preferences::default(),
        requests: &scenario.requests,
        extras: &[],
        locked: &[],
        policy: &scenario.policy,
        stop: None,
    })?;
    let mut answer = String::new();
    for package in &plan.packages {
        let From::Archive { filename, .. } = &package.from else {
            continue;
        };
        answer += &format!("Install: {filename}\nPackage: {}\n\n", package.name);
    }
    for gone in &plan.removed {
        let mut installed = scenario.installed.iter();
        let (_, _, number) = installed
            .find(|(name, architecture, _)| {
                *name == gone.name && *architecture == gone.architecture
            })
            .context("a removed package that was not installed")?;
        answer += &format!("Remove: {number}\nPackage: {}\n\n", gone.name);
    }
    Ok(answer)
}

// === impl Scenario ===

impl Scenario {
    fn read(text: &[u8], recommends: bool) -> Result<Self> {
        let mut stanzas = stanzas(text);
        let request = stanzas.next().context("an empty scenario")??;
        let field = |name| -> Result<&str> { Ok(request.field(name)?.unwrap_or_default()) };
        let yes = |name| -> Result<bool> { Ok(field(name)? == "yes") };
        let mut architectures = vec![field("Architecture")?.to_owned()];
        for other in field("Architectures")?.split_ascii_whitespace() {
            if !architectures.iter().any(|known| known == other) {
                architectures.push(other.to_owned());
            }
        }
        let mut requests = Vec::new();
        for name in field("Install")?.split_ascii_whitespace() {
            requests.push(Request::parse(name)?);
        }
        for name in field("Remove")?.split_ascii_whitespace() {
            requests.push(Request {
                remove: true,
                ..Request::parse(name)?
            });
        }
        let all = yes("Upgrade-All")? || yes("Upgrade")? || yes("Dist-Upgrade")?;
        let policy = Policy {
            base: if all { Base::Upgrade } else { Base::Minimal },
            recommends: if recommends {
                Recommends::All
            } else {
                Recommends::None
            },
            allow_removals: yes("Dist-Upgrade")?,
            ..Policy::default()
        };
        let mut scenario = Self {
            architectures,
            requests,
            policy,
            status: String::new(),
            packages: String::new(),
            installed: Vec::new(),
        };
        for stanza in stanzas {
            scenario.take(&stanza?)?;
        }
        Ok(scenario)
    }

    fn take(&mut self, stanza: &Stanza<'_>) -> Result<()> {
        let installed = stanza.field("Installed")? == Some("yes");
        if !installed && stanza.field("APT-Candidate")? != Some("yes") {
            return Ok(());
        }
        let number = stanza.need("APT-ID")?;
        let out = if installed {
            self.installed.push((
                stanza.need("Package")?.to_owned(),
                stanza.need("Architecture")?.to_owned(),
                number.to_owned(),
            ));
            let held = stanza.field("Hold")? == Some("yes");
            let want = if held { "hold" } else { "install" };
            self.status += &format!("Status: {want} ok installed\n");
            &mut self.status
        } else {
            let digest = "11".repeat(32);
            self.packages += &format!("Filename: {number}\nSize: 0\nSHA256: {digest}\n");
            &mut self.packages
        };
        for name in SAME {
            if let Some(value) = stanza.field(name)? {
                *out += &format!("{name}: {value}\n");
            }
        }
        if let Some(source) = stanza.field("Source")? {
            let version = stanza.field("Source-Version")?.unwrap_or_default();
            *out += &format!("Source: {source} ({version})\n");
        }
        out.push('\n');
        Ok(())
    }
}
