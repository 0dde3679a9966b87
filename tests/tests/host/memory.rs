//! The host's own memory is bounded, however large the volume and however slow its readers.

use anyhow::{Context, Result};
use bootsplice_tests::Host;
use bootsplice_tests::anonymous::{Watch, limit};
use bootsplice_tests::download::{BUFFER, Place as Volume};
use bootsplice_tests::wide::Wide;

use crate::place::{self, MIB, Place, get, import, over_http, post};

const READERS: u64 = 16;
const CACHE_MIB: u64 = 64;
/// What each reader reads, from a place of its own.
const SHARE: u64 = 320 * MIB;

#[test]
fn sixteen_readers_of_which_one_stalls_leave_the_host_within_its_memory() -> Result<()> {
    let mut place = Place::new()?;
    place.store = place.dir.path().join("wide");
    let image = place.dir.path().join("wide.raw");
    let wide = Wide {
        mebibytes: 2048,
        period: 16,
        noise: 1,
        text: 1,
        key: place::key(),
    };
    // 250 MiB of data: four times what the cache may keep.
    wide.write(&image, &place.dir.path().join("tree"))?;
    import(&image, &place.store, "base")?;
    let limits = format!("[limits]\nmemory_cache = \"{CACHE_MIB}MiB\"\n");
    let host = Host::start(&place.state, &format!("{}{limits}", place.config()))?;
    place.put_profile(&host, "plain", place::PLAIN)?;
    let watch = Watch::start(host.id())?;
    let id = post(&host, &over_http("i-1"))?;
    let launch = get(&host, &format!("/v1/launches/{id}"))?;
    let volume = Volume {
        address: host.address(),
        path: format!("/v1/launches/{id}/volume"),
        token: Some(host.token()?),
        size: launch["size"].as_u64().context("a launch has a size")?,
    };
    let mut stalled = volume.open(0)?;
    stalled.take(MIB, &mut vec![0; BUFFER])?;
    // Answered once the content is made.
    drop(volume.open(MIB)?);
    std::thread::scope(|scope| {
        let readers: Vec<_> = (1..READERS)
            .map(|number| {
                let volume = &volume;
                scope.spawn(move || {
                    let from = (volume.size - SHARE) / READERS * number;
                    volume.open(from)?.take(SHARE, &mut vec![0; BUFFER])
                })
            })
            .collect();
        readers
            .into_iter()
            .try_for_each(|reader| reader.join().expect("a reader"))
    })?;
    // It stalled all the while and goes on where it was.
    stalled.take(MIB, &mut vec![0; BUFFER])?;
    let (peak, limit) = (watch.peak()?, limit(CACHE_MIB * MIB, READERS));
    eprintln!(
        "RssAnon at its highest {} MiB, limit {} MiB",
        peak / MIB,
        limit / MIB
    );
    assert!(peak <= limit, "{peak} bytes, limit {limit}");
    Ok(())
}
