//! The host dies at any moment (SIGKILL, as a power cut would end it) and starts again on the same state.

use std::fs;
use std::io::Read;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result};
use bootsplice_tests::Host;
use bootsplice_tests::base::quiet;
use rustix::process::{Pid, Signal, kill_process};

use crate::disk::{first_difference, outside, points};
use crate::place::{self, Place, end, to_file};

const MOMENTS: u64 = 50;
/// The longest that a host lives after the request: launches of this volume take about as long.
const LONGEST: u64 = 400;

#[test]
fn kill_minus_nine_leaves_no_launch_lying() -> Result<()> {
    let seed = match std::env::var("BOOTSPLICE_SEED") {
        Ok(seed) => seed.parse().context("BOOTSPLICE_SEED")?,
        Err(_) => {
            let mut bytes = [0; 8];
            fs::File::open("/dev/urandom")?.read_exact(&mut bytes)?;
            u64::from_ne_bytes(bytes) | 1
        }
    };
    eprintln!("BOOTSPLICE_SEED={seed}");
    let place = Place::new()?;
    let mut host = place.start_with_plain()?;
    let mut random = seed;
    let (mut committed, mut lost) = (0, 0);
    let mut taken = Vec::new();
    for moment in 0..MOMENTS {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        let instance = format!("i-{moment}");
        let wait = Duration::from_millis(random % LONGEST);
        // The answer may get lost with the host: whoever asks then asks again.
        let body = to_file(&instance);
        let posted = std::thread::scope(|scope| {
            let post = scope.spawn(|| place::post(&host, &body));
            std::thread::sleep(wait);
            let id = i32::try_from(host.id()).ok().and_then(Pid::from_raw);
            kill_process(id.expect("a process"), Signal::KILL).expect("a host that runs");
            post.join().expect("a client")
        });
        host.wait(Duration::from_secs(10))?;
        host.kill();
        host = place.start()?;
        let id = match posted {
            Ok(id) => id,
            Err(_) => {
                lost += 1;
                place::post(&host, &body)?
            }
        };
        taken.push((instance, id));
        // Some are looked at while others of before still run.
        if moment % 5 == 4 {
            for (instance, id) in taken.drain(..) {
                committed += check(&place, &host, &instance, &id)?;
            }
        }
    }
    eprintln!("{committed} of {MOMENTS} committed, {lost} answers were lost with the host");
    assert_eq!(committed, MOMENTS, "a crash is no reason to fail");
    assert_eq!(place.partials()?, Vec::<std::path::PathBuf>::new());
    assert_eq!(
        fs::read_dir(&place.disks)?.count(),
        0,
        "nothing that no launch speaks of"
    );
    Ok(())
}

/// Waits for the end; a Committed launch's disk is whole, any other has none. The disk is removed.
fn check(place: &Place, host: &Host, instance: &str, id: &str) -> Result<u64> {
    let launch = end(host, id)?;
    let disk = place.disk(instance);
    if launch["state"] != "committed" {
        assert!(!disk.exists(), "{launch} left a disk");
        eprintln!("{launch}");
        return Ok(0);
    }
    let size = fs::metadata(&disk)?.len();
    assert_eq!(size, fs::metadata(place::export())?.len());
    for range in outside(&points(&disk)?, size) {
        assert_eq!(
            first_difference(&disk, &place::export(), range)?,
            None,
            "{launch}"
        );
    }
    // Within the points: every layer against its signed digest.
    let keys = place::tree().join("etc/bootsplice/keys.d");
    quiet(
        Command::new(place::agent())
            .arg("verify")
            .arg("--device")
            .arg(&disk)
            .arg("--keys")
            .arg(keys),
    )?;
    fs::remove_file(&disk)?;
    Ok(1)
}
