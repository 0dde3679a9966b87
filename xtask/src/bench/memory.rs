//! `bench memory`: the host's own memory while many read a large sparse volume and one of them stalls, and what the
//! stalled one costs the others.
//!
//! The limit is 64 MiB, the cache's budget and 1.5 MiB for each stream, in RssAnon. It is a counter, so it fails the
//! bench; throughput is printed only.

use std::time::Duration;

use anyhow::{Result, ensure};
use bootsplice_tests::anonymous::{Watch, limit, of};
use bootsplice_tests::download::BUFFER;
use bootsplice_tests::wide::Wide;
use clap::Args;
use serde_json::json;

use super::stand::Stand;
use super::{Common, Output, crowd, median};
use crate::phase::Phases;

const MIB: f64 = (1_u64 << 20) as f64;

#[derive(Args)]
pub struct Arguments {
    /// Rounds; each measures once with the stalled reader and once without
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..))]
    pairs: u32,
    /// MiB of the volume; of each 16 one is noise and one is text
    #[arg(long, default_value_t = 8192, value_parser = clap::value_parser!(u64).range(256..))]
    size: u64,
    /// The host's memory cache in MiB
    #[arg(long, default_value_t = 256)]
    cache: u64,
    /// Readers, the stalled one among them
    #[arg(long, default_value_t = 16, value_parser = clap::value_parser!(u64).range(2..=256))]
    readers: u64,
    #[command(flatten)]
    pub(super) common: Common,
}

pub fn run(arguments: Arguments, phases: &mut Phases) -> Result<()> {
    let stand = phases.run("set up host and volume", || {
        let wide = Wide {
            mebibytes: arguments.size,
            period: 16,
            noise: 1,
            text: 1,
            key: "",
        };
        Stand::new("memory", wide, arguments.cache)
    })?;
    let volume = stand.volume()?;
    let window = Duration::from_secs(arguments.common.seconds);
    let others = arguments.readers as usize - 1;
    let before = of(stand.host.id())?;
    let watch = Watch::start(stand.host.id())?;
    let (mut alone, mut beside) = (Vec::new(), Vec::new());
    phases.run("read the whole volume side by side", || {
        let mut stalled = volume.open(0)?;
        stalled.take(1 << 20, &mut vec![0; BUFFER])?;
        crowd::whole(&volume, others)
    })?;
    phases.run("measure", || {
        for round in 0..arguments.pairs {
            for turn in 0..2 {
                if (round + turn) % 2 == 0 {
                    alone.push(crowd::read(&volume, others, window)?.rate());
                } else {
                    let mut stalled = volume.open(0)?;
                    stalled.take(1 << 20, &mut vec![0; BUFFER])?;
                    beside.push(crowd::read(&volume, others, window)?.rate());
                }
            }
        }
        Ok(())
    })?;
    let peak = watch.peak()?;
    let limit = limit(arguments.cache << 20, arguments.readers);
    let ratios: Vec<f64> = beside.iter().zip(&alone).map(|(b, a)| b / a).collect();
    let (peak_mib, limit_mib) = (peak as f64 / MIB, limit as f64 / MIB);
    match arguments.common.output {
        Output::Table => {
            println!("RssAnon before {:.0} MiB", before as f64 / MIB);
            println!("RssAnon at its highest {peak_mib:.0} MiB, limit {limit_mib:.0} MiB");
            println!("{others} readers, alone: {:.0} MiB/s", median(&alone));
            println!("beside a stalled one: {:.0} MiB/s", median(&beside));
            println!("ratio {:.2} of {ratios:.2?}", median(&ratios));
        }
        Output::Json => println!(
            "{:#}",
            json!({
                "bench": "memory",
                "rss_anon": {"before": before, "peak": peak, "limit": limit},
                "readers": arguments.readers,
                "mib_per_second": {"alone": alone, "beside_a_stalled_one": beside},
                "ratio": {"median": median(&ratios), "all": ratios},
            })
        ),
    }
    ensure!(
        peak <= limit,
        "RssAnon of {peak_mib:.0} MiB is above its limit of {limit_mib:.0} MiB"
    );
    Ok(())
}
