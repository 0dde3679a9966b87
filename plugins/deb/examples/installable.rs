//! Prints the names of an archive that cannot be installed on an empty image, for `xtask/oracle/installable.py`: `installable PACKAGES`.
//!
//! What a plan has is installable; so names are asked for many at a time, and those that do not go together are asked for again in halves.

use std::collections::HashSet;

use anyhow::{Context, Result, bail};
use bootsplice_deb::Error;
use bootsplice_deb::closure::{Input, resolve};
use bootsplice_deb::index::{Builder, Index};
use bootsplice_deb::origin::Origin;
use bootsplice_deb::pins::Preferences;
use bootsplice_deb::policy::{Policy, Recommends};
use bootsplice_deb::request::Request;
use bootsplice_deb::status::Status;

/// So many names are asked for at once.
const AT_ONCE: usize = 16;

fn main() -> Result<()> {
    let place = std::env::args().nth(1).context("installable PACKAGES")?;
    let text = std::fs::read_to_string(&place).with_context(|| place.clone())?;
    let mut prepared = Vec::new();
    let mut builder = Builder::new(|bytes: &[u8]| {
        prepared.extend_from_slice(bytes);
        Ok(())
    });
    builder.begin(Origin::default())?;
    builder.feed(text.as_bytes())?;
    builder.finish()?;
    let mut names: Vec<&str> = text
        .lines()
        .filter_map(|line| line.strip_prefix("Package: "))
        .collect();
    names.sort_unstable();
    names.dedup();
    let mut archive = Archive {
        index: [Index::open(prepared.as_slice())?],
        seen: HashSet::new(),
        refused: Vec::new(),
    };
    for names in names.chunks(AT_ONCE) {
        archive.check(names)?;
    }
    for name in &archive.refused {
        println!("{name}");
    }
    Ok(())
}

struct Archive<'a> {
    index: [Index<'a>; 1],
    /// Installable: it was in a plan.
    seen: HashSet<String>,
    refused: Vec<String>,
}

// === impl Archive ===

impl Archive<'_> {
    fn check(&mut self, names: &[&str]) -> Result<()> {
        let open: Vec<&str> = names
            .iter()
            .copied()
            .filter(|name| !self.seen.contains(*name))
            .collect();
        if open.is_empty() {
            return Ok(());
        }
        let requests = open
            .iter()
            .map(|name| Request::parse(name))
            .collect::<Result<Vec<_>, _>>()?;
        let plan = resolve(&Input {
            architectures: &["amd64".to_owned()],
            indexes: &self.index,
            status: &Status::default(),
            preferences: &Preferences::default(),
            requests: &requests,
            extras: &[],
            locked: &[],
            policy: &Policy {
                recommends: Recommends::None,
                ..Policy::default()
            },
            stop: None,
        });
        match plan {
            Ok(plan) => self
                .seen
                .extend(plan.packages.into_iter().map(|package| package.name)),
            Err(Error::Unsatisfiable { .. }) => match open.as_slice() {
                [name] => self.refused.push((*name).to_owned()),
                several => {
                    let (left, right) = several.split_at(several.len() / 2);
                    self.check(left)?;
                    self.check(right)?;
                }
            },
            Err(error) => bail!("{}: {error}", open.join(" ")),
        }
        Ok(())
    }
}
