//! A reader that takes nothing is cut off in the end, and may come again.

use std::fs;
use std::io::Read;
use std::time::Duration;

use anyhow::Result;
use bootsplice_tests::Host;

use crate::place::{self, Place, over_http, post};
use crate::wire::{ask, open};

#[test]
fn a_reader_that_takes_nothing_is_cut_off_and_may_come_again() -> Result<()> {
    let place = Place::new()?;
    let config = format!("{}[limits]\nstalled_reader = 2\n", place.config());
    let host = Host::start(&place.state, &config)?;
    place.put_profile(&host, "plain", place::PLAIN)?;
    let id = post(&host, &over_http("i-1"))?;
    let path = format!("GET /v1/launches/{id}/volume");
    let mut stalled = open(&host, &host.token()?, &path, &[], "")?;
    let mut first = vec![0; 1 << 20];
    stalled.reader.read_exact(&mut first)?;
    // Longer than the limit by the kernel's steps between two probes of a closed window.
    std::thread::sleep(Duration::from_secs(8));
    let mut rest = Vec::new();
    let _ = stalled.reader.read_to_end(&mut rest);
    let size = fs::metadata(place::export())?.len() as usize;
    assert!(
        first.len() + rest.len() < size,
        "the whole volume came after a pause that is too long"
    );
    // Where it left off.
    let from = first.len() + rest.len();
    let range = format!("bytes={from}-");
    let again = ask(&host, &path, &[("Range", &range)], "")?;
    assert_eq!((again.status, from + again.body.len()), (206, size));
    Ok(())
}
