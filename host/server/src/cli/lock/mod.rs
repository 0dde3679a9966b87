//! `bootsplice lock`: lock files, on this machine without a host, or of a host.

mod answer;
mod file;
mod gate;
mod resolve;

use std::path::PathBuf;

use bootsplice_engine::grant::UrlPrefix;
use clap::{Args, Subcommand};

use self::file::{read, write};
use super::exit::Code;
use super::{Failure, Global, Output};
use crate::lock::feed::Threshold;
use crate::lock::sbom::Format as Bill;
use crate::lock::{Diff, LockFile};

/// Write down what a profile needs on a base: every package and file by version, address and digest.
///
/// With `--base-status`, or with `--volume` and `--store`, it is resolved on this machine and no host is asked. With `--volume` alone the host tells the
/// lock that its launches use.
#[derive(Args)]
#[command(
    args_conflicts_with_subcommands = true,
    subcommand_negates_reqs = true,
    after_help = AFTER
)]
pub struct Lock {
    #[command(subcommand)]
    command: Option<LockCommand>,
    #[command(flatten)]
    wanted: Wanted,
}

const AFTER: &str = "\
Examples:
  bootsplice lock --profile web.yaml --base-status /var/lib/dpkg/status --out web.lock.json
  bootsplice lock --profile web.yaml --base-status status --locked web.lock.json
  bootsplice lock --profile web.yaml --base-status status --from web.lock.json --update nginx --out web.lock.json
  bootsplice lock --profile web.yaml --volume debian-12 --store file:///srv/volumes --output json
  bootsplice lock --profile web.yaml --base-status status --sbom cyclonedx --sbom-out web.cdx.json --vulnerabilities osv/ --fail-on high
  bootsplice lock diff old.json new.json
  bootsplice lock check web.lock.json --vulnerabilities tracker.json --fail-on any

Exit codes besides the usual: 8 the lock does not hold (`--locked`), 9 vulnerable (`--fail-on`)";

#[derive(Subcommand)]
enum LockCommand {
    /// Name what two lock files do not have in common: added, removed, upgraded, downgraded, replaced.
    #[command(after_help = "Example: bootsplice lock diff old.json new.json --output json")]
    Diff { old: PathBuf, new: PathBuf },
    /// Look at a lock file without resolving: its packages, its bill of materials, its vulnerabilities.
    #[command(
        after_help = "Example: bootsplice lock check web.lock.json --sbom spdx --vulnerabilities osv/ --fail-on high"
    )]
    Check {
        lock: PathBuf,
        #[command(flatten)]
        wanted: Judged,
    },
}

#[derive(Args)]
#[group(skip)]
pub struct Wanted {
    /// The profile: YAML or JSON; `-` reads standard input.
    #[arg(long, required = true)]
    profile: Option<PathBuf>,
    /// A base volume by its name.
    #[arg(long, conflicts_with = "base_status")]
    volume: Option<String>,
    /// The object store of the volume: it is resolved here, and no host is asked.
    #[arg(long, env = "BOOTSPLICE_STORE")]
    store: Option<String>,
    /// The image's `/var/lib/dpkg/status`.
    #[arg(long)]
    base_status: Option<PathBuf>,
    /// The root directory whose `etc/apt`, `usr/share/keyrings` and os-release count; this machine's when absent.
    #[arg(long, requires = "base_status")]
    apt_root: Option<PathBuf>,
    /// Debian's name of the image's architecture; that of the package `dpkg` in the status file when absent.
    #[arg(long, requires = "base_status")]
    architecture: Option<String>,
    /// Write the lock to this file.
    #[arg(long)]
    out: Option<PathBuf>,
    /// Fail (8) unless this lock holds: for this profile, with every file still to be had and nothing missing or too much.
    #[arg(long, conflicts_with_all = ["from", "update"])]
    locked: Option<PathBuf>,
    /// With `--locked`: fail as well when the repositories have newer versions.
    #[arg(long, requires = "locked")]
    newest: bool,
    /// Stay at the versions of this lock where they will do.
    #[arg(long)]
    from: Option<PathBuf>,
    /// With `--from`: only this package is renewed; several times for several.
    #[arg(long, value_name = "NAME", requires = "from")]
    update: Vec<String>,
    #[command(flatten)]
    judged: Judged,
    #[command(flatten)]
    machine: Machine,
}

/// What is made of a lock.
#[derive(Args)]
#[group(skip)]
pub struct Judged {
    /// Answer with a bill of materials in this format instead of the lock.
    #[arg(long, value_enum)]
    sbom: Option<Bill>,
    /// Write the bill of materials to this file, and answer with the lock.
    #[arg(long, requires = "sbom")]
    sbom_out: Option<PathBuf>,
    /// Known vulnerabilities: OSV entries (a file or a directory of `*.json`), or the JSON of Debian's security tracker.
    #[arg(long, value_name = "FEED")]
    vulnerabilities: Option<PathBuf>,
    /// Fail (9) when one is so bad or worse; `any` counts also what nobody rated.
    #[arg(long, value_enum, requires = "vulnerabilities")]
    fail_on: Option<Threshold>,
}

/// How it is resolved on this machine.
#[derive(Args)]
#[group(skip)]
#[command(next_help_heading = "This machine")]
pub struct Machine {
    /// Let generators fetch below this address too, besides the web addresses that the profile and the apt settings name: file:///srv/debian/
    #[arg(long, value_name = "URL", value_parser = UrlPrefix::parse)]
    grant: Vec<UrlPrefix>,
    /// A private network where repositories may be: 10.1.0.0/16
    #[arg(long, value_name = "CIDR")]
    private_network: Vec<String>,
    /// A host's configuration, for its grants, proxy and certificates.
    #[arg(long, env = "BOOTSPLICE_CONFIG")]
    config: Option<PathBuf>,
    /// Directory of generators. [default: `plugins` beside the executable]
    #[arg(long)]
    plugins: Option<PathBuf>,
    /// Where compiled generators and fetched indexes are kept. [default: $XDG_CACHE_HOME/bootsplice]
    #[arg(long)]
    cache: Option<PathBuf>,
}

// === impl Lock ===

impl Lock {
    pub async fn run(self, global: &Global, output: &Output) -> Result<(), Failure> {
        match self.command {
            None => resolve::run(self.wanted, global, output).await,
            Some(LockCommand::Diff { old, new }) => {
                let (old, new) = (read(&old)?, read(&new)?);
                let diff = Diff::between(&old, &new);
                output.answer(&diff, || answer::diff(&diff));
                Ok(())
            }
            Some(LockCommand::Check { lock, wanted }) => finish(&read(&lock)?, &wanted, output),
        }
    }
}

/// Answers with a lock or its bill of materials, then judges it.
fn finish(lock: &LockFile, wanted: &Judged, output: &Output) -> Result<(), Failure> {
    let bill = wanted.sbom.map(|format| format.write(lock));
    // A feed that cannot be read is told before anything is answered.
    let findings = gate::findings(lock, wanted)?;
    match (&bill, &wanted.sbom_out) {
        (Some(bill), Some(path)) => {
            let text = serde_json::to_string_pretty(bill)
                .map_err(|error| Failure::new(Code::Failure, error.to_string()))?;
            write(path, &format!("{text}\n"))?;
            output.answer(lock, || answer::lock(lock));
        }
        (Some(bill), None) => Output::new(super::Format::Json).answer(bill, String::new),
        (None, _) => output.answer(lock, || answer::lock(lock)),
    }
    gate::judge(lock, &findings, wanted.fail_on)
}
