//! `bench stream`: a finished volume over HTTP beside nginx serving the same bytes from a file, all of it in memory.
//!
//! One round measures each server once with so many streams, and each round begins with another server. The ratio of a
//! round is bootsplice over the better nginx of that round: what else the machine does weighs on both.

use std::fs::File;
use std::io::Read;
use std::time::Duration;

use anyhow::{Result, ensure};
use bootsplice_tests::download::{BUFFER, Place};
use bootsplice_tests::wide::Wide;
use clap::Args;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::nginx::Nginx;
use super::stand::Stand;
use super::{Common, Output, crowd, median, processor};
use crate::phase::Phases;

const GIB: f64 = (1_u64 << 30) as f64;
const FILE: &str = "volume.raw";

#[derive(Args)]
pub struct Arguments {
    /// Rounds; each measures every server once
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..))]
    pairs: u32,
    /// MiB of the volume: a third noise, a third text, a third zero. It must fit twice into memory
    #[arg(long, default_value_t = 1024, value_parser = clap::value_parser!(u64).range(128..))]
    size: u64,
    /// Concurrent streams, one measurement after another
    #[arg(long, value_delimiter = ',', default_values_t = [1, 16, 64], value_parser = clap::value_parser!(u64).range(1..=256))]
    streams: Vec<u64>,
    #[command(flatten)]
    pub(super) common: Common,
}

struct Server {
    name: &'static str,
    place: Place,
    process: u32,
}

/// One server's measurements with so many streams.
#[derive(Default)]
struct Seen {
    /// MiB a second.
    rates: Vec<f64>,
    /// Processor seconds of the server for a GiB.
    costs: Vec<f64>,
    /// The clients' for a GiB.
    clients: Vec<f64>,
}

pub fn run(arguments: Arguments, phases: &mut Phases) -> Result<()> {
    let stand = phases.run("set up host and volume", || {
        let wide = Wide {
            mebibytes: arguments.size,
            period: 12,
            noise: 4,
            text: 4,
            key: "",
        };
        Stand::new("stream", wide, arguments.size + 256)
    })?;
    let root = stand.place.join("root");
    std::fs::create_dir(&root)?;
    let file = root.join(FILE);
    phases.run("write the finished volume to a file", || stand.fetch(&file))?;
    let (on, off) = phases.run("start nginx", || {
        let on = Nginx::start(&stand.place.join("nginx-on"), &root, true)?;
        let off = Nginx::start(&stand.place.join("nginx-off"), &root, false)?;
        Ok((on, off))
    })?;
    let volume = stand.volume()?;
    let served = |nginx: &Nginx| Place {
        address: nginx.address,
        path: format!("/{FILE}"),
        token: None,
        size: volume.size,
    };
    let servers = [
        Server {
            name: "bootsplice",
            place: volume.clone(),
            process: stand.host.id(),
        },
        Server {
            name: "nginx sendfile on",
            place: served(&on),
            process: on.id(),
        },
        Server {
            name: "nginx sendfile off",
            place: served(&off),
            process: off.id(),
        },
    ];
    phases.run("compare the bytes", || {
        let mut read = File::open(&file)?;
        let wanted = digest(|buffer| Ok(read.read(buffer)?))?;
        for server in &servers {
            let mut body = server.place.open(0)?;
            let came = digest(|buffer| body.next(buffer))?;
            ensure!(came == wanted, "{} gives other bytes", server.name);
        }
        Ok(())
    })?;
    let window = Duration::from_secs(arguments.common.seconds);
    let mut results = Vec::new();
    for &streams in &arguments.streams {
        let name = format!("measure with {streams} streams");
        let seen = phases.run(&name, || {
            measure(&servers, streams as usize, arguments.pairs, window)
        })?;
        results.push((streams, seen));
    }
    match arguments.common.output {
        Output::Table => table(&servers, &results),
        Output::Json => println!("{:#}", report(&servers, &results)),
    }
    Ok(())
}

fn measure(servers: &[Server], streams: usize, rounds: u32, window: Duration) -> Result<Vec<Seen>> {
    let mut seen: Vec<Seen> = servers.iter().map(|_| Seen::default()).collect();
    for round in 0..rounds as usize {
        for turn in 0..servers.len() {
            let at = (round + turn) % servers.len();
            let server = &servers[at];
            let before = processor::of_family(server.process)?;
            let flow = crowd::read(&server.place, streams, window)?;
            let gibibytes = flow.bytes as f64 / GIB;
            let took = processor::of_family(server.process)? - before;
            seen[at].rates.push(flow.rate());
            seen[at].costs.push(took / gibibytes);
            seen[at].clients.push(flow.processor / gibibytes);
        }
    }
    Ok(seen)
}

/// For each round bootsplice over the better of the others.
fn ratios(seen: &[Seen]) -> Vec<f64> {
    let (ours, others) = seen.split_at(1);
    let rounds = ours[0].rates.iter().enumerate();
    rounds
        .map(|(round, rate)| {
            let best = others.iter().map(|other| other.rates[round]);
            rate / best.fold(f64::MIN_POSITIVE, f64::max)
        })
        .collect()
}

fn range(values: &[f64]) -> (f64, f64) {
    let least = values.iter().copied().fold(f64::INFINITY, f64::min);
    (least, values.iter().copied().fold(0.0, f64::max))
}

fn table(servers: &[Server], results: &[(u64, Vec<Seen>)]) {
    println!("streams  server               MiB/s (least–most)     server s/GiB  client s/GiB");
    for (streams, seen) in results {
        for (server, seen) in servers.iter().zip(seen) {
            let (least, most) = range(&seen.rates);
            println!(
                "{streams:7}  {:18} {:7.0} ({least:.0}–{most:.0})  {:16.3}  {:12.3}",
                server.name,
                median(&seen.rates),
                median(&seen.costs),
                median(&seen.clients),
            );
        }
        let ratios = ratios(seen);
        let (least, most) = range(&ratios);
        println!(
            "{streams:7}  bootsplice / better nginx: {:.2} ({least:.2}–{most:.2})",
            median(&ratios)
        );
    }
}

fn report(servers: &[Server], results: &[(u64, Vec<Seen>)]) -> Value {
    let results = results.iter().map(|(streams, seen)| {
        let each = servers.iter().zip(seen).map(|(server, seen)| {
            json!({
                "server": server.name,
                "mib_per_second": {"median": median(&seen.rates), "all": seen.rates},
                "server_seconds_per_gib": median(&seen.costs),
                "client_seconds_per_gib": median(&seen.clients),
            })
        });
        let ratios = ratios(seen);
        json!({
            "streams": streams,
            "servers": each.collect::<Vec<_>>(),
            "ratio_to_better_nginx": {"median": median(&ratios), "all": ratios},
        })
    });
    json!({"bench": "stream", "results": results.collect::<Vec<_>>()})
}

/// SHA-256 of what `read` gives until it gives nothing.
fn digest(mut read: impl FnMut(&mut [u8]) -> Result<usize>) -> Result<[u8; 32]> {
    let mut hash = Sha256::new();
    let mut buffer = vec![0; BUFFER];
    loop {
        match read(&mut buffer)? {
            0 => return Ok(hash.finalize().into()),
            count => hash.update(&buffer[..count]),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Seen, ratios};

    #[test]
    fn a_round_is_compared_with_the_better_of_the_others_in_that_round() {
        let seen = [[6.0, 6.0], [3.0, 12.0], [2.0, 4.0]].map(|rates| Seen {
            rates: rates.to_vec(),
            ..Seen::default()
        });
        assert_eq!(ratios(&seen), [2.0, 0.5]);
    }
}
