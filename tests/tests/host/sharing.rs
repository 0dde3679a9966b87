//! Work that is done once for many launches.

use anyhow::{Context, Result};
use bootsplice_tests::Host;
use serde_json::Value;

use crate::place::{Place, committed, counter, get, metrics, post, stored_bytes, to_file};

/// Digest and scope of every layer of a launch.
fn layers(host: &Host, id: &str) -> Result<Vec<(String, String)>> {
    let manifest = get(host, &format!("/v1/launches/{id}/manifest"))?;
    let archives = manifest["archives"]
        .as_array()
        .with_context(|| manifest.to_string())?;
    let layers = archives
        .iter()
        .flat_map(|archive| archive["layers"].as_array().into_iter().flatten());
    let word = |layer: &Value, name: &str| layer[name].as_str().unwrap_or_default().to_owned();
    Ok(layers
        .map(|layer| (word(layer, "digest"), word(layer, "scope")))
        .collect())
}

#[test]
fn two_launches_share_every_layer_and_the_second_runs_no_generator() -> Result<()> {
    let place = Place::new()?;
    let host = place.start_with_plain()?;
    let one = post(&host, &to_file("i-1"))?;
    committed(&host, &one)?;
    let before = metrics(&host)?;
    let two = post(&host, &to_file("i-2"))?;
    committed(&host, &two)?;
    let after = metrics(&host)?;
    for name in ["generator_runs_shared", "generator_runs_instance"] {
        assert_eq!(counter(&before, name)?, counter(&after, name)?, "{name}");
    }
    // The name is looked up anew by each launch; no block is.
    let read = counter(&after, "origin_bytes")? - counter(&before, "origin_bytes")?;
    assert!(
        read < 4096.0,
        "the second launch read {read} bytes of the store"
    );
    let (one, two) = (layers(&host, &one)?, layers(&host, &two)?);
    assert_eq!(one.len(), two.len());
    let mut shared = 0;
    for (mine, theirs) in one.iter().zip(&two) {
        assert_eq!(mine.1, theirs.1);
        match mine.1.as_str() {
            "instance" => assert_ne!(mine.0, theirs.0, "the filled layers of two instances"),
            _ => {
                assert_eq!(mine.0, theirs.0, "a shared layer");
                shared += usize::from(mine.1 == "shared");
            }
        }
    }
    assert_eq!(shared, 2, "one for each step: {one:?}");
    Ok(())
}

#[test]
fn sixty_four_cold_launches_read_the_origin_once() -> Result<()> {
    let place = Place::new()?;
    let host = place.start_with_plain()?;
    let ids = std::thread::scope(|scope| {
        let posts: Vec<_> = (0..64)
            .map(|n| {
                let host = &host;
                scope.spawn(move || post(host, &to_file(&format!("i-{n}"))))
            })
            .collect();
        posts
            .into_iter()
            .map(|post| post.join().expect("a client"))
            .collect::<Result<Vec<_>>>()
    })?;
    for id in &ids {
        committed(&host, id)?;
    }
    let counters = metrics(&host)?;
    let stored = stored_bytes(&place.store)?;
    let read = counter(&counters, "origin_bytes")?;
    eprintln!("64 launches read {read} bytes of a store of {stored}");
    assert!(read <= 1.02 * stored as f64, "{read} of {stored}");
    assert_eq!(
        counter(&counters, "generator_runs_shared")?,
        2.0,
        "one run for each step"
    );
    Ok(())
}
