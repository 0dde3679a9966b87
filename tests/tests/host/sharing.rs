//! Work that is done once for many launches.

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use bootsplice_tests::Host;
use serde_json::{Value, json};

use crate::disk::{points, unpacked};
use crate::place::{Place, committed, counter, get, metrics, post, runs, stored_bytes, to_file};

/// Three steps, of which one needs the instance.
const SPREAD: &str = r#"
name: spread
steps:
  - id: greeting
    use: config
    at: base
    with:
      files:
        - { path: /etc/motd, content: "{{instance:id}} for {{instance:attributes.owner}}\n" }
  - id: backup
    use: timers
    at: base
    with: { spread: 3600, timers: { backup: "daily | root | /usr/bin/backup" } }
  - id: documents
    use: data
    at: users
    with:
      user: ada
      sources:
        - { content: "Ship it.\n", to: Documents/plan.txt }
"#;

/// One run of each generator.
fn once<const N: usize>(generators: [&str; N]) -> BTreeMap<String, f64> {
    generators.map(|name| (name.to_owned(), 1.0)).into()
}

/// Every kind of call of a guest, and the seconds in all of them.
fn calls(metrics: &BTreeMap<String, f64>) -> BTreeMap<&str, f64> {
    let named = metrics
        .iter()
        .filter(|(name, _)| {
            name.starts_with("bootsplice_generator_calls_total{")
                || *name == "bootsplice_generator_seconds_total"
        })
        .map(|(name, value)| (name.as_str(), *value));
    named.collect()
}

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
fn two_launches_share_every_layer_and_the_second_runs_no_instruction_of_a_guest() -> Result<()> {
    let place = Place::new()?;
    let host = place.start_with_plain()?;
    let one = post(&host, &to_file("i-1"))?;
    committed(&host, &one)?;
    let before = metrics(&host)?;
    let two = post(&host, &to_file("i-2"))?;
    committed(&host, &two)?;
    let after = metrics(&host)?;
    assert_eq!(runs(&before, "shared"), once(["config", "data"]));
    assert_eq!(runs(&after, "shared"), once(["config", "data"]));
    assert_eq!(runs(&after, "instance"), once([]));
    assert_eq!(
        calls(&before),
        calls(&after),
        "validate, resolve and generate, and the time in them"
    );
    assert_eq!(calls(&before).len(), 5, "four calls and the seconds");
    assert!(
        calls(&before).values().sum::<f64>() > 4.0,
        "two resolves, two generates"
    );
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
fn only_the_step_that_needs_the_instance_runs_again_for_another() -> Result<()> {
    let place = Place::new()?;
    let host = place.start()?;
    place.put_profile(&host, "spread", SPREAD)?;
    let launch = |instance: &str| {
        let mut body = to_file(instance);
        body["profile"] = json!("spread");
        let id = post(&host, &body)?;
        committed(&host, &id)?;
        let launch = get(&host, &format!("/v1/launches/{id}"))?;
        Ok::<_, anyhow::Error>((id, launch["content"]["steps"].clone()))
    };
    let steps = |greeting: &str, backup: &str, documents: &str| {
        json!([
            {"id": "greeting", "state": greeting},
            {"id": "backup", "state": backup},
            {"id": "documents", "state": documents},
        ])
    };
    let (one, made) = launch("i-1")?;
    assert_eq!(made, steps("generated", "generated", "generated"));
    let counters = metrics(&host)?;
    assert_eq!(runs(&counters, "shared"), once(["config", "data"]));
    assert_eq!(runs(&counters, "instance"), once(["timers"]));

    let lock = get(&host, &format!("/v1/launches/{one}/lock"))?;
    let needs: Vec<_> = lock["points"]["base"]["lock"]["steps"]
        .as_array()
        .with_context(|| lock.to_string())?
        .iter()
        .map(|step| (step["id"].clone(), step["lock"]["needs_instance"].clone()))
        .collect();
    assert_eq!(
        needs,
        [
            (json!("greeting"), json!(false)),
            (json!("backup"), json!(true))
        ]
    );

    let (two, made) = launch("i-2")?;
    assert_eq!(made, steps("cached", "generated", "cached"));
    let counters = metrics(&host)?;
    assert_eq!(runs(&counters, "shared"), once(["config", "data"]));
    let twice = BTreeMap::from([("timers".to_owned(), 2.0)]);
    assert_eq!(runs(&counters, "instance"), twice);

    // A manifest for each point, a layer for each shared step, and one layer of the instance's.
    let (ours, theirs) = (layers(&host, &one)?, layers(&host, &two)?);
    assert_eq!(ours.len(), theirs.len());
    for (mine, other) in ours.iter().zip(&theirs) {
        assert_eq!(mine.1, other.1);
        let same = mine.0 == other.0;
        assert_eq!(same, mine.1 != "instance", "{mine:?} and {other:?}");
    }
    let mut scopes: Vec<_> = ours.into_iter().map(|(_, scope)| scope).collect();
    scopes.sort();
    let expected = ["instance", "manifest", "manifest", "shared", "shared"];
    assert_eq!(scopes, expected);
    assert_ne!(delay(&place, "i-1")?, delay(&place, "i-2")?);
    Ok(())
}

/// The seconds that an instance's disk says it starts its backup late.
fn delay(place: &Place, instance: &str) -> Result<u32> {
    let disk = place.disk(instance);
    let (_, range) = points(&disk)?
        .into_iter()
        .find(|(name, _)| name.ends_with("base"))
        .context("no point `base`")?;
    let tars = unpacked(&disk, range)?;
    let text = String::from_utf8_lossy(&tars);
    let found = text.split("ExecStartPre=/bin/sleep ").nth(1);
    let digits = found.and_then(|rest| rest.lines().next());
    Ok(digits.context("no delay in the archive")?.parse()?)
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
    assert_eq!(runs(&counters, "shared"), once(["config", "data"]));
    Ok(())
}
