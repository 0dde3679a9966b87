//! Stock clients against the registry of a host: skopeo from Debian, oras from PyPI, and `bootsplice plugin push`, which is built on the library below
//! `wkg`. `cargo xtask setup` and `cargo xtask build` put them in place.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use anyhow::{Context, Result, ensure};
use bootsplice_tests::{Host, places};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::place::{Place, files};
use crate::wire::open;

fn digest(bytes: &[u8]) -> String {
    format!("sha256:{}", hex::encode(Sha256::digest(bytes)))
}

/// A small image as an `oci:` directory, and its manifest's digest.
fn layout(directory: &Path) -> Result<String> {
    let blobs = directory.join("blobs/sha256");
    fs::create_dir_all(&blobs)?;
    let put = |bytes: &[u8]| {
        let name = digest(bytes);
        fs::write(blobs.join(&name["sha256:".len()..]), bytes).map(|()| name)
    };
    // Not compressible and larger than one chunk of any client.
    let noise: Vec<u8> = (0_u32..2_000_000)
        .flat_map(|n| n.wrapping_mul(2_654_435_761).to_le_bytes())
        .collect();
    let config = json!({"architecture": "amd64", "os": "linux", "config": {},
        "rootfs": {"type": "layers", "diff_ids": [digest(&noise)]}})
    .to_string();
    let descriptor = |kind: &str, bytes: &[u8]| json!({"mediaType": kind, "digest": digest(bytes), "size": bytes.len()});
    let manifest = json!({
        "schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": descriptor("application/vnd.oci.image.config.v1+json", config.as_bytes()),
        "layers": [descriptor("application/vnd.oci.image.layer.v1.tar", &noise)],
    })
    .to_string();
    put(&noise)?;
    put(config.as_bytes())?;
    let name = put(manifest.as_bytes())?;
    let mut entry = descriptor(
        "application/vnd.oci.image.manifest.v1+json",
        manifest.as_bytes(),
    );
    entry["annotations"] = json!({"org.opencontainers.image.ref.name": "first"});
    let index = json!({"schemaVersion": 2, "manifests": [entry]});
    fs::write(directory.join("index.json"), index.to_string())?;
    fs::write(
        directory.join("oci-layout"),
        r#"{"imageLayoutVersion":"1.0.0"}"#,
    )?;
    Ok(name)
}

fn good(output: Output) -> Result<String> {
    ensure!(
        output.status.success(),
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(String::from_utf8(output.stdout)?)
}

/// `skopeo` with the token of the host for both sides.
fn skopeo(host: &Host, arguments: &[&str]) -> Result<Output> {
    let token = host.token()?;
    let mut skopeo = Command::new("skopeo");
    skopeo.args(["--insecure-policy", "--tmpdir", "/tmp"]);
    skopeo.args(&arguments[..1]);
    let credentials = format!("anyone:{token}");
    match arguments[0] {
        "copy" => {
            for side in ["src", "dest"] {
                skopeo.arg(format!("--{side}-tls-verify=false"));
            }
            skopeo.args([
                format!("--src-creds={credentials}"),
                format!("--dest-creds={credentials}"),
            ]);
            skopeo.arg("--preserve-digests");
        }
        _ => {
            skopeo.args([
                "--tls-verify=false".to_owned(),
                format!("--creds={credentials}"),
            ]);
        }
    }
    let output = skopeo.args(&arguments[1..]).output();
    output.context("skopeo is not here: `cargo xtask setup` installs it")
}

/// The library `oras`, driven by a few lines of Python.
fn oras(host: &Host, repository: &str, verb: &str, argument: &str) -> Result<Value> {
    let python = places::target().join("venv/bin/python");
    let script = places::root().join("tests/clients/oras_client.py");
    let output = Command::new(&python)
        .arg(script)
        .args([
            &host.address().to_string(),
            &host.token()?,
            repository,
            verb,
            argument,
        ])
        .output()
        .with_context(|| format!("{}: `cargo xtask build` installs it", python.display()))?;
    let text = good(output)?;
    let last = text.lines().last().context("oras says something")?;
    Ok(serde_json::from_str(last)?)
}

#[test]
fn skopeo_copies_an_image_in_and_out_and_both_are_the_same() -> Result<()> {
    let place = Place::new()?;
    let host = place.start()?;
    let (from, to) = (place.dir.path().join("from"), place.dir.path().join("to"));
    let manifest = layout(&from)?;
    let remote = format!("docker://{}/acme/deep/picture", host.address());
    let tagged = format!("{remote}:1.0.0");
    let source = format!("oci:{}:first", from.display());
    good(skopeo(&host, &["copy", &source, &tagged])?)?;
    let raw = skopeo(&host, &["inspect", "--raw", &tagged])?;
    assert_eq!(digest(good(raw)?.as_bytes()), manifest);
    let tags: Value = serde_json::from_str(&good(skopeo(&host, &["list-tags", &remote])?)?)?;
    assert_eq!(tags["Tags"], json!(["1.0.0"]));
    let back = format!("oci:{}:again", to.display());
    good(skopeo(
        &host,
        &["copy", &format!("{remote}@{manifest}"), &back],
    )?)?;
    for entry in fs::read_dir(from.join("blobs/sha256"))? {
        let entry = entry?;
        let same = fs::read(to.join("blobs/sha256").join(entry.file_name()))?;
        assert!(same == fs::read(entry.path())?, "{:?}", entry.file_name());
    }
    good(skopeo(&host, &["delete", &tagged])?)?;
    assert!(
        !skopeo(&host, &["inspect", "--raw", &tagged])?
            .status
            .success()
    );
    Ok(())
}

#[test]
fn oras_pushes_and_pulls_an_artifact_and_lists_its_tags() -> Result<()> {
    let place = Place::new()?;
    let host = place.start()?;
    let file = place.dir.path().join("notes.txt");
    fs::write(&file, "Ship it.\n")?;
    let pushed = oras(&host, "acme/notes:latest", "push", &file.to_string_lossy())?;
    assert_eq!(pushed["status"], 201);
    let manifest = oras(&host, "acme/notes:latest", "manifest", "")?;
    assert_eq!(manifest["annotations"]["org.example.kind"], "notes");
    assert_eq!(oras(&host, "acme/notes", "tags", "")?, json!(["latest"]));
    let out = place.dir.path().join("out");
    fs::create_dir(&out)?;
    oras(&host, "acme/notes:latest", "pull", &out.to_string_lossy())?;
    assert_eq!(fs::read(out.join("notes.txt"))?, b"Ship it.\n");
    Ok(())
}

#[test]
fn a_component_that_is_pushed_can_be_used_and_another_under_its_version_is_denied() -> Result<()> {
    let place = Place::new()?;
    let host = place.start()?;
    let reference = format!("{}/acme/timers:0.1.0", host.address());
    let push = |component: &Path| -> Result<Output> {
        let mut command = host.command()?;
        command
            .args(["plugin", "push"])
            .arg(component)
            .arg(&reference);
        Ok(command.output()?)
    };
    good(push(&places::example())?)?;
    // The same again changes nothing.
    good(push(&places::example())?)?;
    let listed = host
        .command()?
        .args(["plugin", "list", "--output", "json"])
        .output()?;
    assert!(good(listed)?.contains("acme"));
    // What it is can be looked at where it lies.
    let inspected = host
        .command()?
        .args(["plugin", "inspect", &reference, "--output", "json"])
        .env("XDG_CACHE_HOME", place.dir.path().join("cache"))
        .env("XDG_STATE_HOME", place.dir.path().join("state"))
        .output()?;
    let inspected: Value = serde_json::from_str(&good(inspected)?)?;
    assert_eq!(inspected["descriptor"]["id"], "timers", "{inspected}");
    let digest = inspected["manifest"].as_str().unwrap_or_default();
    assert!(digest.starts_with("sha256:"), "{inspected}");
    let nowhere = host
        .command()?
        .args(["plugin", "inspect", "acme/timers:9.9.9"])
        .output()?;
    assert_eq!(nowhere.status.code(), Some(3), "{nowhere:?}");
    let other = push(&places::component("config"))?;
    let said = String::from_utf8_lossy(&other.stderr).into_owned();
    assert!(!other.status.success() && said.contains("0.1.0"), "{said}");
    Ok(())
}

#[test]
fn what_is_pushed_lies_where_the_operator_says_and_no_other_host_may_use_that_place() -> Result<()>
{
    let place = Place::new()?;
    let blobs = place.dir.path().join("pushed");
    fs::create_dir(&blobs)?;
    let registry = format!("registry = {:?}\n", format!("file://{}", blobs.display()));
    let config = format!("{registry}{}", place.config());
    let host = Host::start(&place.state, &config)?;
    let mut push = host.command()?;
    push.args(["plugin", "push"]).arg(places::example());
    good(push.arg("acme/timers:0.1.0").output()?)?;
    // A component, its configuration and its manifest; and whose they are.
    assert_eq!(files(&blobs)?.len(), 4);
    assert!(files(&place.state.join("registry"))?.is_empty());
    drop(host);
    let refused = |state: &Path, config: &str| -> Result<String> {
        let refused = Host::start(state, config).err();
        Ok(refused.context("the host started")?.to_string())
    };
    let told = refused(&place.state, &place.config())?;
    assert!(
        told.contains("as `registry` in the configuration"),
        "{told}"
    );
    let other = Place::new()?;
    let theirs = format!("{registry}{}", other.config());
    let told = refused(&other.state, &theirs)?;
    assert!(told.contains("belongs to another host"), "{told}");

    let host = Host::start(&place.state, &config)?;
    let mut pull = host.command()?;
    pull.args(["plugin", "inspect", "acme/timers:0.1.0"]);
    pull.env("XDG_CACHE_HOME", place.dir.path().join("cache"));
    pull.env("XDG_STATE_HOME", place.dir.path().join("seen"));
    assert!(good(pull.output()?)?.contains("timers@0.1.0"));
    Ok(())
}

#[test]
fn without_a_token_the_registry_asks_for_one_and_the_well_known_document_is_open() -> Result<()> {
    let place = Place::new()?;
    let host = place.start()?;
    for path in [
        "/v2/",
        "/v2/acme/timers/tags/list",
        "/v2/acme/timers/manifests/latest",
    ] {
        let refused = open(&host, "none", &format!("GET {path}"), &[], "")?;
        assert_eq!(refused.status, 401, "{path}");
        let asks = refused
            .headers
            .iter()
            .find(|(name, _)| name == "www-authenticate");
        let (_, challenge) = asks.context("it says how")?;
        assert!(
            challenge.starts_with("Basic realm=\"bootsplice\""),
            "{challenge}"
        );
    }
    let known = host.request("GET", "/.well-known/wasm-pkg/registry.json", "")?;
    let known: Value = serde_json::from_str(&known.body)?;
    assert_eq!(known["preferredProtocol"], "oci");
    assert_eq!(known["oci"]["registry"], host.address().to_string());
    Ok(())
}
