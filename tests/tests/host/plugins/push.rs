//! Pushing a component as any client of the OCI distribution specification does, over plain HTTP; and components that differ in few bytes.

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bootsplice_tests::{Host, places};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";

/// An answer of the registry.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub location: Option<String>,
    pub body: String,
}

/// The example in Rust: `timers` 0.1.0, which fetches nothing.
pub fn timers() -> Result<Vec<u8>> {
    read(&places::example())
}

/// A built-in generator's component.
pub fn built_in(generator: &str) -> Result<Vec<u8>> {
    read(&places::component(generator))
}

fn read(path: &Path) -> Result<Vec<u8>> {
    fs::read(path).with_context(|| format!("{}: `cargo xtask build` builds it", path.display()))
}

/// The same component with other bytes where `from` stands, once at least. Both are of one length, so it is as whole as before.
pub fn patched(component: &[u8], from: &str, to: &str) -> Result<Vec<u8>> {
    assert_eq!(from.len(), to.len(), "a component keeps its lengths");
    let mut bytes = component.to_vec();
    let mut found = 0;
    for at in 0..bytes.len() - from.len() {
        if bytes[at..].starts_with(from.as_bytes()) {
            bytes[at..at + to.len()].copy_from_slice(to.as_bytes());
            found += 1;
        }
    }
    if found == 0 {
        bail!("{from:?} stands nowhere in the component");
    }
    Ok(bytes)
}

/// The example as another version of itself. Its version stands before its title.
pub fn timers_as(version: &str) -> Result<Vec<u8>> {
    patched(&timers()?, "0.1.0Timers", &format!("{version}Timers"))
}

pub fn digest(bytes: &[u8]) -> String {
    format!("sha256:{}", hex::encode(Sha256::digest(bytes)))
}

/// Pushes a component to `repository` under `tag`, blobs first; the answer is that of its manifest, or the first that is no success.
pub fn push(
    host: &Host,
    token: &str,
    repository: &str,
    tag: &str,
    component: &[u8],
) -> Result<Answer> {
    let config = config(component);
    for blob in [config.as_bytes(), component] {
        let path = format!("/v2/{repository}/blobs/uploads/");
        let begun = send(host, token, "POST", &path, "", b"")?;
        if begun.status != 202 {
            return Ok(begun);
        }
        let location = begun.location.context("an upload has a Location")?;
        let location = location
            .split_once("/v2/")
            .map(|(_, rest)| format!("/v2/{rest}"))
            .context("an upload lies below /v2/")?;
        let sign = if location.contains('?') { '&' } else { '?' };
        let path = format!("{location}{sign}digest={}", digest(blob));
        let put = send(host, token, "PUT", &path, "application/octet-stream", blob)?;
        if put.status != 201 {
            return Ok(put);
        }
    }
    let manifest = manifest(component);
    let path = format!("/v2/{repository}/manifests/{tag}");
    send(host, token, "PUT", &path, MANIFEST, manifest.as_bytes())
}

/// The manifest of a component, in the layout of the CNCF.
pub fn manifest(component: &[u8]) -> String {
    let config = config(component);
    let blob = |media_type: &str, bytes: &[u8]| json!({"mediaType": media_type, "digest": digest(bytes), "size": bytes.len()});
    json!({
        "schemaVersion": 2, "mediaType": MANIFEST,
        "config": blob("application/vnd.wasm.config.v0+json", config.as_bytes()),
        "layers": [blob("application/wasm", component)],
    })
    .to_string()
}

fn config(component: &[u8]) -> String {
    let created = "2026-01-02T03:04:05Z";
    json!({"created": created, "architecture": "wasm", "os": "wasip2", "layerDigests": [digest(component)]}).to_string()
}

/// One request to the registry, with the token as the password.
pub fn send(
    host: &Host,
    token: &str,
    method: &str,
    path: &str,
    kind: &str,
    body: &[u8],
) -> Result<Answer> {
    let mut stream = TcpStream::connect(host.address())?;
    stream.set_read_timeout(Some(Duration::from_secs(200)))?;
    let basic = STANDARD.encode(format!("token:{token}"));
    let kind = if kind.is_empty() {
        String::new()
    } else {
        format!("Content-Type: {kind}\r\n")
    };
    write!(
        stream,
        "{method} {path} HTTP/1.1\r\nHost: {}\r\nAuthorization: Basic {basic}\r\n{kind}Content-Length: {}\r\nConnection: close\r\n\r\n",
        host.address(),
        body.len()
    )?;
    stream.write_all(body)?;
    let mut reader = BufReader::new(stream);
    let mut line = String::new();
    reader.read_line(&mut line)?;
    let status = line.split(' ').nth(1).and_then(|code| code.parse().ok());
    let status = status.with_context(|| format!("{line:?} is no status line"))?;
    let (mut location, mut length) = (None, None);
    loop {
        line.clear();
        if reader.read_line(&mut line)? <= 2 {
            break;
        }
        match line.split_once(':') {
            Some((name, value)) if name.eq_ignore_ascii_case("location") => {
                location = Some(value.trim().to_owned());
            }
            Some((name, value)) if name.eq_ignore_ascii_case("content-length") => {
                length = value.trim().parse::<u64>().ok();
            }
            _ => {}
        }
    }
    let mut body = String::new();
    match length {
        Some(length) => reader.take(length).read_to_string(&mut body)?,
        None => reader.read_to_string(&mut body)?,
    };
    Ok(Answer {
        status,
        location,
        body,
    })
}

/// A token of `tenant` that pushes into its namespaces and works with profiles and launches.
pub fn token(host: &Host, tenant: &str, namespaces: &[&str]) -> Result<String> {
    let body = json!({
        "tenant": tenant, "namespaces": namespaces,
        "verbs": ["plugins:read", "plugins:write", "profiles:read", "profiles:write", "launches:read", "launches:write"],
    });
    let answer = host.request("POST", "/v1/tokens", &body.to_string())?;
    let value: Value = serde_json::from_str(&answer.body)?;
    let token = value["token"].as_str();
    Ok(token.with_context(|| answer.body.clone())?.to_owned())
}
