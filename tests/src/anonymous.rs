//! How much memory of its own a process has: RssAnon, which leaves out what it maps of files.

use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::{Context, Result, bail};

/// What a host may have besides its cache.
pub const OWN: u64 = 64 << 20;
/// What it may have for each stream.
pub const STREAM: u64 = 3 << 19;

const EVERY: Duration = Duration::from_millis(50);

/// The most that a host with a cache of `cache` bytes may have with so many streams.
pub fn limit(cache: u64, streams: u64) -> u64 {
    OWN + cache + STREAM * streams
}

/// RssAnon of a process, in bytes.
pub fn of(process: u32) -> Result<u64> {
    let path = format!("/proc/{process}/status");
    let status = fs::read_to_string(&path).with_context(|| path.clone())?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("RssAnon:"))
        .with_context(|| format!("no RssAnon in {path}"))?;
    let kib: u64 = line.trim().trim_end_matches("kB").trim().parse()?;
    Ok(kib << 10)
}

/// Looks at a process every 50 ms.
pub struct Watch {
    process: u32,
    peak: Arc<AtomicU64>,
    stop: Arc<AtomicBool>,
    thread: JoinHandle<u64>,
}

// === impl Watch ===

impl Watch {
    pub fn start(process: u32) -> Result<Self> {
        let peak = Arc::new(AtomicU64::new(of(process)?));
        let stop = Arc::new(AtomicBool::new(false));
        let thread = std::thread::spawn({
            let (peak, stop) = (peak.clone(), stop.clone());
            move || {
                let mut looks = 0;
                while !stop.load(Ordering::Relaxed) {
                    let Ok(bytes) = of(process) else { break };
                    peak.fetch_max(bytes, Ordering::Relaxed);
                    looks += 1;
                    std::thread::sleep(EVERY);
                }
                looks
            }
        });
        Ok(Self {
            process,
            peak,
            stop,
            thread,
        })
    }

    /// The highest of all looks, in bytes. Fails when the process has gone.
    pub fn peak(self) -> Result<u64> {
        let last = of(self.process)?;
        self.stop.store(true, Ordering::Relaxed);
        match self.thread.join() {
            Ok(1..) => Ok(self.peak.load(Ordering::Relaxed).max(last)),
            _ => bail!("nobody looked at process {}", self.process),
        }
    }
}
