//! `bootsplice plugin upgrade`.

use clap::Args;
use reqwest::Method;

use super::reference::Release;
use crate::cli::exit::Code;
use crate::cli::{Failure, Global, Output};
use crate::upgrade::diff::{Difference, FileChange};
use crate::upgrade::{Upgrade as Done, UpgradeBody, UpgradedProfile};

/// Bring every profile that uses a generator to this release of it: a new revision each. With --dry-run only show what a launch would get then.
///
/// A dry run plans each profile as it is and with the release, on the volume of its last launch, and compares files, packages and actions. A profile that
/// cannot have the release is told with its faults, and the command ends with exit code 7.
#[derive(Args)]
#[command(
    after_help = "Examples:\n  bootsplice plugin upgrade acme/hello@1.3.0 --dry-run\n  bootsplice plugin upgrade acme/hello@1.3.0"
)]
pub struct Upgrade {
    /// `namespace/name@version`; the newest without a version.
    release: Release,
    /// Plan and compare; save nothing.
    #[arg(long)]
    dry_run: bool,
    /// Plan on this volume. [default: that of each profile's last launch]
    #[arg(long, requires = "dry_run")]
    volume: Option<String>,
}

// === impl Upgrade ===

impl Upgrade {
    pub async fn run(self, global: &Global, output: &Output) -> Result<(), Failure> {
        let client = global.client()?;
        let path = format!("{}/upgrade", self.release.path());
        let mut body = UpgradeBody {
            dry_run: self.dry_run,
            volume: self.volume,
            after: None,
        };
        let mut all: Option<Done> = None;
        loop {
            let page = client
                .json::<_, Done>(Method::POST, &path, Some(&body), &[])
                .await?
                .value;
            body.after.clone_from(&page.next);
            match &mut all {
                Some(all) => all.profiles.extend(page.profiles),
                None => all = Some(page),
            }
            if body.after.is_none() {
                break;
            }
        }
        let Some(mut done) = all else { return Ok(()) };
        done.next = None;
        output.answer(&done, || describe(&done));
        let wrong = done.profiles.iter().filter(|one| !one.faults.is_empty());
        match wrong.count() {
            0 => Ok(()),
            count => Err(Failure::new(
                Code::Invalid,
                format!("{count} profiles cannot have {}", done.to),
            )),
        }
    }
}

fn describe(done: &Done) -> String {
    if done.profiles.is_empty() {
        return format!("no profile is pinned to another release than {}", done.to);
    }
    let lines: Vec<_> = done
        .profiles
        .iter()
        .map(|one| profile(one, done.dry_run))
        .collect();
    lines.join("\n")
}

fn profile(one: &UpgradedProfile, dry: bool) -> String {
    let mut text = format!("{}@{}", one.name, one.version);
    match one.saved {
        Some(version) => text.push_str(&format!(": saved as {}@{version}", one.name)),
        None if dry => text.push_str(": would be saved as a new revision"),
        None => text.push_str(": not saved"),
    }
    for step in &one.steps {
        text.push_str(&format!("\n  {}: {} -> {}", step.id, step.from, step.uses));
    }
    for fault in &one.faults {
        text.push_str(&format!(
            "\n  {}: {} [{}]",
            fault.pointer, fault.detail, fault.code
        ));
    }
    if let Some(why) = &one.unplanned {
        text.push_str(&format!("\n  not compared: {why}"));
    }
    if let Some(found) = &one.difference {
        text.push_str(&difference(
            found,
            one.volume.as_deref().unwrap_or_default(),
        ));
    }
    text
}

fn difference(found: &Difference, volume: &str) -> String {
    if found.is_empty() {
        return format!("\n  on {volume}: nothing differs");
    }
    let mut text = format!("\n  on {volume}:");
    for file in &found.files {
        text.push_str(&format!("\n    {}", changed(file)));
    }
    for package in &found.packages {
        let version = |version: &Option<String>| version.clone().unwrap_or_else(|| "none".into());
        text.push_str(&format!(
            "\n    {}: {} -> {}",
            package.name,
            version(&package.before),
            version(&package.after)
        ));
    }
    for action in &found.actions {
        let sign = if action.added { '+' } else { '-' };
        text.push_str(&format!("\n    {sign} {}", action.action));
    }
    if found.more {
        text.push_str("\n    and more than are listed");
    }
    text
}

fn changed(file: &FileChange) -> String {
    match (&file.before, &file.after) {
        (None, Some(new)) => format!("+ {} ({} bytes)", file.path, new.size),
        (Some(old), None) => format!("- {} ({} bytes)", file.path, old.size),
        (Some(old), Some(new)) if old.mode != new.mode => format!(
            "~ {} ({} -> {} bytes, {} -> {})",
            file.path, old.size, new.size, old.mode, new.mode
        ),
        (Some(old), Some(new)) => {
            format!("~ {} ({} -> {} bytes)", file.path, old.size, new.size)
        }
        (None, None) => file.path.clone(),
    }
}
