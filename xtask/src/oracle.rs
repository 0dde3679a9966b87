//! The resolver of Debian's packages beside those who know: apt, libapt's order of versions, and dose. `docs/apt-resolver.md` explains the figures.
//!
//! The inputs are made once in `target/oracle` and kept there, so that a run can be repeated; delete the folder for new ones. The archive is this
//! machine's own, by its apt configuration. Two bases: a small cloud image fresh from that archive, and this machine itself, which has
//! pending upgrades unless it was upgraded just now. All comparisons run before the first failed one fails the chore.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};
use bootsplice_tests::places;

use crate::phase::Phases;
use crate::{run, setup};

const PACKAGES: &[(&str, &str)] = &[
    ("dose-distcheck", "/usr/bin/dose-debcheck"),
    ("mmdebstrap", "/usr/bin/mmdebstrap"),
    (
        "python3-apt",
        "/usr/lib/python3/dist-packages/apt/__init__.py",
    ),
];

/// Debian's keys, where a machine keeps them apart from those that it trusts for all archives.
const KEYRING: &str = "/usr/share/keyrings/debian-archive-keyring.gpg";

/// What makes the small base a cloud image.
const CLOUD: &str = "--include=systemd-sysv,cloud-init,openssh-server";

/// Pairs of versions that are compared.
const VERSIONS: &str = "1100000";

/// Requests that apt solves by our resolver.
const THROUGH_APT: &str = "20";

/// Percent of the answers that must be apt's, without and with recommended packages.
const GOALS: [&str; 2] = ["97", "90"];

/// The inputs and the programs.
struct Oracle {
    folder: PathBuf,
    /// For apt: its sources, lists and caches.
    state: PathBuf,
    requests: PathBuf,
    /// The texts of `Packages`, in the order of the sources; the first is that of the release itself.
    packages: Vec<PathBuf>,
}

/// Makes the inputs, compares everything, and fails when anything is under its goal.
pub fn everything(phases: &mut Phases, requests: usize, seed: u64) -> Result<()> {
    setup::packages(phases, PACKAGES)?;
    let folder = places::target().join("oracle");
    let state = folder.join("state");
    fs::create_dir_all(&state).with_context(|| format!("folder {}", state.display()))?;
    let mut oracle = Oracle {
        requests: folder.join("requests"),
        packages: Vec::new(),
        folder,
        state,
    };
    oracle.packages = phases.run("the archive's lists", || oracle.lists())?;
    let cloud = phases.run("a cloud base by mmdebstrap", || oracle.cloud())?;
    let machine = oracle.folder.join("machine-status");
    if !machine.exists() {
        fs::copy("/var/lib/dpkg/status", &machine).context("this machine's dpkg status")?;
    }
    oracle.choose(requests, seed)?;
    phases.run("build the examples of bootsplice-deb", || {
        let words = ["build", "--release", "-p", "bootsplice-deb", "--examples"];
        let mut cargo = run::command("cargo", &words);
        cargo.current_dir(places::root());
        run::loud(cargo)
    })?;

    let mut failed = Vec::new();
    let mut one = |name: &str, work: &dyn Fn() -> Result<()>| {
        if let Err(error) = phases.run(name, work) {
            eprintln!("{name}: {error:#}");
            failed.push(name.to_owned());
        }
    };
    one("versions against libapt", &|| oracle.versions(seed));
    for (base, status) in [("cloud", &cloud), ("machine", &machine)] {
        for (recommends, goal) in [false, true].into_iter().zip(GOALS) {
            let kind = if recommends { "with" } else { "without" };
            let title = format!("{base} base against apt, {kind} recommends");
            one(&title, &|| oracle.compare(base, status, recommends, goal));
        }
    }
    one("our resolver inside apt", &|| oracle.inside(&cloud));
    one("what cannot be installed, against dose", &|| {
        oracle.installable()
    });
    if !failed.is_empty() {
        bail!("under the goal: {}", failed.join("; "));
    }
    Ok(())
}

// === impl Oracle ===

impl Oracle {
    /// Fetches the lists that this machine's sources name of its own release. Answers the texts of `Packages`.
    fn lists(&self) -> Result<Vec<PathBuf>> {
        let sources = self.state.join("sources.list");
        if !sources.exists() {
            fs::write(&sources, own_sources()?)?;
        }
        let lists = self.state.join("lists");
        fs::create_dir_all(lists.join("partial"))?;
        fs::create_dir_all(self.state.join("cache/archives/partial"))?;
        if fs::read_dir(&lists)?.count() < 2 {
            run::quiet(self.apt("apt-get", &["-q", "update"]))?;
        }
        let words = [
            "indextargets",
            "--format",
            "$(FILENAME)",
            "Created-By: Packages",
        ];
        let found = run::quiet(self.apt("apt-get", &words))?;
        let found: Vec<PathBuf> = found.lines().map(PathBuf::from).collect();
        ensure!(!found.is_empty(), "apt fetched no Packages file");
        for file in &found {
            ensure!(file.exists(), "{} is missing", file.display());
        }
        Ok(found)
    }

    /// A program of apt's with our places, the network as this machine has it.
    fn apt(&self, program: &str, words: &[&str]) -> Command {
        let mut command = run::command(program, words);
        let state = self.state.display();
        for option in [
            format!("Dir::Etc::sourcelist={state}/sources.list"),
            "Dir::Etc::sourceparts=/dev/null".to_owned(),
            format!("Dir::State::lists={state}/lists"),
            format!("Dir::Cache={state}/cache"),
            "Acquire::GzipIndexes=false".to_owned(),
            "Acquire::Languages=none".to_owned(),
            "Debug::NoLocking=1".to_owned(),
        ] {
            command.arg("-o").arg(option);
        }
        if rustix::process::geteuid().is_root() {
            command.args(["-o", "APT::Sandbox::User=root"]);
        }
        command
    }

    /// The dpkg status of a small cloud image.
    fn cloud(&self) -> Result<PathBuf> {
        let status = self.folder.join("cloud-status");
        if status.exists() {
            return Ok(status);
        }
        let fresh = status.with_extension("new");
        let keep = format!(
            "--customize-hook=cp \"$1/var/lib/dpkg/status\" '{}'",
            fresh.display()
        );
        let sources = self.state.join("sources.list");
        run::quiet(run::as_root(
            "mmdebstrap",
            &[
                "--mode=root",
                "--variant=minbase",
                "--format=null",
                CLOUD,
                &keep,
                &release()?,
                "/dev/null",
                &sources.to_string_lossy(),
            ],
        ))?;
        fs::rename(&fresh, &status).context("mmdebstrap left no status")?;
        Ok(status)
    }

    /// Writes as many names of the release as asked for, drawn by the seed.
    fn choose(&self, count: usize, seed: u64) -> Result<()> {
        let text = fs::read_to_string(&self.packages[0])?;
        let names: BTreeSet<&str> = text
            .lines()
            .filter_map(|line| line.strip_prefix("Package: "))
            .collect();
        let mut names: Vec<&str> = names.into_iter().collect();
        let mut state = seed;
        for at in 0..count.min(names.len()) {
            let left = names.len() - at;
            names.swap(at, at + (splitmix(&mut state) % left as u64) as usize);
        }
        names.truncate(count);
        fs::write(&self.requests, names.join("\n") + "\n")?;
        Ok(())
    }

    fn versions(&self, seed: u64) -> Result<()> {
        let mut script = script("versions.py");
        script.args([VERSIONS, &seed.to_string()]);
        run::loud(within(script, &[&example("versions")]))
    }

    fn compare(&self, base: &str, status: &Path, recommends: bool, goal: &str) -> Result<()> {
        let kind = if recommends { "with" } else { "without" };
        let place = |name: &str| self.folder.join(format!("{name}-{base}-{kind}"));
        let (apts, ours, different) = (place("apt"), place("ours"), place("different"));
        let mut oracle = run::command(&example("oracle").to_string_lossy(), &[]);
        oracle.args([status, &self.requests, &ours]);
        if recommends {
            oracle.arg("--recommends");
        }
        oracle.args(&self.packages);
        run::loud(oracle)?;
        let mut apt = within(
            script("apt.py"),
            &[&self.state, status, &self.requests, &apts],
        );
        if recommends {
            apt.arg("recommends");
        }
        run::loud(apt)?;
        let mut compare = within(script("compare.py"), &[&ours, &apts, &different]);
        compare.arg(goal);
        let compared = run::loud(compare);
        let accept = within(script("accept.py"), &[&self.state, status, &different]);
        run::loud(accept).and(compared)
    }

    fn inside(&self, status: &Path) -> Result<()> {
        let places = [&*self.state, status, &self.requests];
        let mut edsp = within(script("edsp.py"), &places);
        edsp.arg(THROUGH_APT).arg(example("edsp"));
        run::loud(edsp)
    }

    fn installable(&self) -> Result<()> {
        let places = [&*self.packages[0], &example("installable")];
        run::loud(within(script("installable.py"), &places))
    }
}

/// One-line sources of this machine's own release, as its apt names them.
fn own_sources() -> Result<String> {
    let release = release()?;
    let format = "$(RELEASE) $(COMPONENT) $(REPO_URI)";
    let words = ["indextargets", "--format", format, "Created-By: Packages"];
    let signed = if Path::new(KEYRING).exists() {
        format!("[signed-by={KEYRING}] ")
    } else {
        String::new()
    };
    let mut lines = Vec::new();
    for line in run::quiet(run::command("apt-get", &words))?.lines() {
        let mut words = line.split_ascii_whitespace();
        let (Some(suite), Some(component), Some(uri)) = (words.next(), words.next(), words.next())
        else {
            continue;
        };
        let pockets = ["", "-updates", "-security"];
        let own = pockets
            .iter()
            .any(|pocket| *suite == format!("{release}{pocket}"));
        if !own || component != "main" {
            continue;
        }
        let line = format!("deb {signed}{uri} {suite} {component}");
        if !lines.contains(&line) {
            lines.push(line);
        }
    }
    // The release itself first: apt's last tie-break among providers goes by the order of its lists.
    let own = format!(" {release} ");
    lines.sort_by_key(|line| !line.contains(&own));
    ensure!(
        lines.first().is_some_and(|line| line.contains(&own)),
        "apt of this machine knows no source with {release} main: the comparison needs Debian and its mirror"
    );
    Ok(lines.join("\n") + "\n")
}

fn release() -> Result<String> {
    let text = fs::read_to_string("/etc/os-release").context("/etc/os-release")?;
    let name = text
        .lines()
        .find_map(|line| line.strip_prefix("VERSION_CODENAME="));
    Ok(name
        .context("/etc/os-release has no VERSION_CODENAME")?
        .trim_matches('"')
        .to_owned())
}

/// The interpreter that python3-apt belongs to, with a script of `xtask/oracle`.
fn script(name: &str) -> Command {
    let place = places::root().join("xtask/oracle").join(name);
    run::command("/usr/bin/python3", &[&place.to_string_lossy()])
}

fn within(mut command: Command, places: &[&Path]) -> Command {
    command.args(places);
    command
}

fn example(name: &str) -> PathBuf {
    places::target().join("release/examples").join(name)
}

/// The next number of a small generator (Steele, Lea, Flood 2014): the same on every machine.
fn splitmix(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut mixed = *state;
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}
