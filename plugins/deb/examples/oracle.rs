//! Resolves many requests and prints what each adds, for comparison with apt: `xtask/oracle` runs both and compares.
//!
//! `oracle STATUS REQUESTS ANSWERS [--recommends] [--no-source-upgrades] [--frozen] PACKAGES…`: one request (packages between blanks) a line in
//! REQUESTS; one answer a line in ANSWERS: the request, a tab, and `name=version …` in order, `UNSAT`, or `NOPKG`. Timings go to standard error.

use std::io::Write;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use bootsplice_deb::Error;
use bootsplice_deb::closure::{Input, resolve};
use bootsplice_deb::index::{Builder, Index};
use bootsplice_deb::origin::Origin;
use bootsplice_deb::pins::Preferences;
use bootsplice_deb::policy::{Base, Policy, Recommends};
use bootsplice_deb::request::Request;
use bootsplice_deb::status::Status;

fn main() -> Result<()> {
    let mut policy = Policy {
        recommends: Recommends::None,
        ..Policy::default()
    };
    let mut places = Vec::new();
    for argument in std::env::args().skip(1) {
        match argument.as_str() {
            "--recommends" => policy.recommends = Recommends::All,
            "--no-source-upgrades" => policy.upgrade_by_source = false,
            "--frozen" => policy.base = Base::Frozen,
            option if option.starts_with("--") => bail!("{option} is no option"),
            _ => places.push(argument),
        }
    }
    let [status, requests, answers, packages @ ..] = places.as_slice() else {
        bail!("oracle STATUS REQUESTS ANSWERS [OPTIONS] PACKAGES…");
    };

    let started = Instant::now();
    let mut prepared = Vec::new();
    let mut builder = Builder::new(|bytes: &[u8]| {
        prepared.extend_from_slice(bytes);
        Ok(())
    });
    for place in packages {
        builder.begin(Origin {
            id: place.clone(),
            ..Origin::default()
        })?;
        let text = std::fs::read(place).with_context(|| place.clone())?;
        for piece in text.chunks(1 << 20) {
            builder.feed(piece)?;
        }
    }
    builder.finish()?;
    eprintln!(
        "prepared {} bytes in {:?}",
        prepared.len(),
        started.elapsed()
    );

    let indexes = [Index::open(prepared.as_slice())?];
    let started = Instant::now();
    let status = Status::parse(&std::fs::read(status)?)?;
    eprintln!(
        "status of {} packages in {:?}",
        status.packages().len(),
        started.elapsed()
    );
    let mut out = std::io::BufWriter::new(std::fs::File::create(answers)?);
    let mut times = Vec::new();
    for line in std::fs::read_to_string(requests)?
        .lines()
        .filter(|line| !line.is_empty())
    {
        let requests = line
            .split_ascii_whitespace()
            .map(Request::parse)
            .collect::<Result<Vec<_>, _>>()?;
        let started = Instant::now();
        let plan = resolve(&Input {
            architectures: &["amd64".to_owned()],
            indexes: &indexes,
            status: &status,
            preferences: &Preferences::default(),
            requests: &requests,
            extras: &[],
            locked: &[],
            policy: &policy,
            stop: None,
        });
        times.push(started.elapsed());
        let answer = match plan {
            Ok(plan) => {
                let mut words: Vec<String> = plan
                    .packages
                    .iter()
                    .map(|package| format!("{}={}", package.name, package.version))
                    .collect();
                words.sort();
                words.join(" ")
            }
            Err(Error::Unsatisfiable { story, .. }) => {
                if requests.len() == 1 && std::env::var_os("STORY").is_some() {
                    eprintln!("{line}: {story}");
                }
                "UNSAT".to_owned()
            }
            Err(Error::UnknownPackage { .. } | Error::NoSuchVersion { .. }) => "NOPKG".to_owned(),
            Err(error) => return Err(error.into()),
        };
        writeln!(out, "{line}\t{answer}")?;
    }
    out.flush()?;
    let first = times.first().copied().unwrap_or_default();
    times.sort();
    let at = |part: usize| {
        times
            .get(times.len() * part / 100)
            .copied()
            .unwrap_or_default()
    };
    let total: Duration = times.iter().sum();
    eprintln!(
        "{} requests in {total:?}: p50 {:?}, p90 {:?}, p99 {:?}, most {:?}, the first {first:?}; read {} bytes of the index",
        times.len(),
        at(50),
        at(90),
        at(99),
        times.last().copied().unwrap_or_default(),
        indexes[0].kept()
    );
    Ok(())
}
