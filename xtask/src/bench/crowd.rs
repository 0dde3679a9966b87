//! Clients that read a volume side by side, each in a thread with a buffer that it uses again and again.

use std::sync::Barrier;
use std::time::{Duration, Instant};

use anyhow::{Result, anyhow};
use bootsplice_tests::download::{BUFFER, Place};

use super::processor;

/// Places where clients begin are multiples of this.
const BLOCK: u64 = 512 << 10;

/// What one measurement saw.
#[derive(Clone, Copy, Debug)]
pub struct Flow {
    pub bytes: u64,
    pub seconds: f64,
    /// Seconds of processor time that the clients took.
    pub processor: f64,
}

/// Reads with so many clients for so long. Their starts are spread over the volume, so that a short window sees all kinds
/// of it; whoever comes to the end begins at the front.
pub fn read(place: &Place, streams: usize, window: Duration) -> Result<Flow> {
    let spread = place.size / streams as u64 / BLOCK * BLOCK;
    side_by_side(streams, |number| client(place, number * spread, window))
}

/// Reads the whole volume once with each of so many clients.
pub fn whole(place: &Place, streams: usize) -> Result<Flow> {
    side_by_side(streams, |_| {
        let mut buffer = vec![0; BUFFER];
        place.open(0)?.take(place.size, &mut buffer)?;
        Ok(place.size)
    })
}

fn side_by_side(streams: usize, client: impl Fn(u64) -> Result<u64> + Sync) -> Result<Flow> {
    let begin = Barrier::new(streams + 1);
    let before = processor::of(std::process::id())?;
    std::thread::scope(|scope| {
        let clients: Vec<_> = (0..streams as u64)
            .map(|number| {
                let (begin, client) = (&begin, &client);
                scope.spawn(move || {
                    begin.wait();
                    client(number)
                })
            })
            .collect();
        begin.wait();
        let started = Instant::now();
        let mut bytes = 0;
        let mut failed = None;
        for client in clients {
            match client.join().map_err(|_| anyhow!("a client panicked")) {
                Ok(Ok(count)) => bytes += count,
                Ok(Err(error)) | Err(error) => failed = Some(error),
            }
        }
        let seconds = started.elapsed().as_secs_f64();
        match failed {
            Some(error) => Err(error),
            None => Ok(Flow {
                bytes,
                seconds,
                processor: processor::of(std::process::id())? - before,
            }),
        }
    })
}

fn client(place: &Place, from: u64, window: Duration) -> Result<u64> {
    let mut buffer = vec![0; BUFFER];
    let started = Instant::now();
    let mut bytes = 0;
    let mut download = place.open(from)?;
    while started.elapsed() < window {
        match download.next(&mut buffer)? {
            0 => download = place.open(0)?,
            count => bytes += count as u64,
        }
    }
    Ok(bytes)
}

// === impl Flow ===

impl Flow {
    /// MiB a second.
    pub fn rate(&self) -> f64 {
        self.bytes as f64 / self.seconds / f64::from(1 << 20)
    }
}
