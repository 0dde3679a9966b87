//! Benches. They measure a release build of the host as a black box, over HTTP, and assert no time.

mod archive;
mod crowd;
mod memory;
mod nginx;
mod plugins;
mod processor;
mod resolve;
mod stand;
mod stream;

use anyhow::Result;
use clap::{Args, Subcommand, ValueEnum};

use crate::phase::Phases;
use crate::{build, setup};

#[derive(Subcommand)]
pub enum Bench {
    /// Throughput of a finished volume over HTTP beside nginx, which serves the same bytes from a file
    Stream(stream::Arguments),
    /// The host's own memory while it streams a large sparse volume to readers of which one stalls; fails above the limit
    Memory(memory::Arguments),
    /// From a request for packages to a lock, in the sandbox, beside apt and libsolv
    Resolve(resolve::Arguments),
    /// Calls of generators, many jobs at once, a start with many plugins installed, an upload of a large one
    Plugins(plugins::Arguments),
}

/// How a result is printed.
#[derive(Clone, Copy, ValueEnum)]
enum Output {
    Table,
    Json,
}

/// What the benches of streams ask.
#[derive(Args)]
struct Common {
    /// Seconds of one measurement
    #[arg(long, default_value_t = 5)]
    seconds: u64,
    #[arg(long, value_enum, default_value_t = Output::Table)]
    output: Output,
    /// Use the release build that is there
    #[arg(long)]
    no_build: bool,
}

pub fn run(bench: Bench, phases: &mut Phases) -> Result<()> {
    setup::everything(phases)?;
    let no_build = match &bench {
        Bench::Stream(stream::Arguments { common, .. })
        | Bench::Memory(memory::Arguments { common, .. }) => common.no_build,
        Bench::Resolve(arguments) => arguments.no_build,
        Bench::Plugins(arguments) => arguments.no_build,
    };
    if !no_build {
        build::release(phases)?;
    }
    match bench {
        Bench::Stream(arguments) => stream::run(arguments, phases),
        Bench::Memory(arguments) => memory::run(arguments, phases),
        Bench::Resolve(arguments) => resolve::run(arguments, phases),
        Bench::Plugins(arguments) => plugins::run(&arguments, phases),
    }
}

/// The one in the middle, or the mean of the two there.
fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let half = sorted.len() / 2;
    match sorted.len() {
        0 => f64::NAN,
        even if even % 2 == 0 => (sorted[half - 1] + sorted[half]) / 2.0,
        _ => sorted[half],
    }
}

#[cfg(test)]
mod tests {
    use super::median;

    #[test]
    fn a_median_is_the_middle_whatever_the_order() {
        assert_eq!(median(&[9.0, 1.0, 2.0]), 2.0);
        assert_eq!(median(&[4.0, 1.0, 2.0, 100.0]), 3.0);
    }
}
