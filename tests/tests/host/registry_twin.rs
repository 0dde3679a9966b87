//! The host's registry beside Debian's `docker-registry`: the same requests, and the same answers where the specification says what they are.

use std::fs;
use std::net::TcpListener;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use reqwest::{Client, Method, Response};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::place::Place;

const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const BYTES: &str = "application/octet-stream";
/// Where Debian's registry does what the specification forbids: our status and its.
const OUT_OF_ORDER: (&str, u16, u16) = ("a chunk out of order", 416, 202);

/// Debian's registry on a port of its own. It ends with the value.
struct Twin {
    child: Child,
    base: String,
}

/// One of the two, and who asks it.
struct Side {
    base: String,
    token: Option<String>,
    client: Client,
}

/// What of an answer must be the same.
#[derive(Debug, PartialEq)]
struct Seen {
    what: &'static str,
    status: u16,
    fields: Vec<Option<String>>,
    body: Option<Vec<u8>>,
}

// === impl Twin ===

impl Twin {
    fn start(place: &Place) -> Result<Self> {
        // Nobody else takes a port of the loopback interface in the moment between.
        let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let root = place.dir.path().join("twin");
        let config = json!({
            "version": 0.1, "log": {"level": "error"}, "http": {"addr": format!("127.0.0.1:{port}")},
            "storage": {"filesystem": {"rootdirectory": root}, "delete": {"enabled": true}},
        });
        let file = place.dir.path().join("twin.yml");
        fs::write(&file, config.to_string())?;
        let child = Command::new("docker-registry")
            .arg("serve")
            .arg(&file)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .context("docker-registry is not here: `cargo xtask setup` installs it")?;
        let base = format!("http://127.0.0.1:{port}");
        Ok(Self { child, base })
    }
}

impl Drop for Twin {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

// === impl Side ===

impl Side {
    async fn send(
        &self,
        method: Method,
        path: &str,
        fields: &[(&str, &str)],
        body: &[u8],
    ) -> Result<Response> {
        let url = if path.starts_with("http") {
            path.to_owned()
        } else {
            format!("{}{path}", self.base)
        };
        let mut request = self.client.request(method, url).body(body.to_vec());
        for (name, value) in fields {
            request = request.header(*name, *value);
        }
        if let Some(token) = &self.token {
            request = request.basic_auth("anyone", Some(token));
        }
        Ok(request.send().await?)
    }

    async fn listens(&self) -> Result<()> {
        let started = Instant::now();
        while self.send(Method::GET, "/v2/", &[], b"").await.is_err() {
            ensure!(
                started.elapsed() < Duration::from_secs(30),
                "{} is silent",
                self.base
            );
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        Ok(())
    }

    /// Where a new upload goes, with the sign that a query continues by.
    async fn upload(&self) -> Result<(String, char)> {
        let begun = self
            .send(Method::POST, "/v2/acme/same/blobs/uploads/", &[], b"")
            .await?;
        let location = located(&begun)?;
        let sign = if location.contains('?') { '&' } else { '?' };
        Ok((location, sign))
    }

    /// All requests, one after another.
    async fn life(&self) -> Result<Vec<Seen>> {
        let mut seen = Vec::new();
        let (blob, config) = (b"0123456789".as_slice(), b"{}".as_slice());
        let descriptor = |kind: &str, bytes: &[u8]| json!({"mediaType": kind, "digest": digest(bytes), "size": bytes.len()});
        let manifest = json!({
            "schemaVersion": 2, "mediaType": MANIFEST,
            "config": descriptor("application/vnd.oci.image.config.v1+json", config),
            "layers": [descriptor("application/vnd.oci.image.layer.v1.tar", blob)],
        })
        .to_string();
        let name = digest(manifest.as_bytes());
        let octets = [("content-type", BYTES)];
        let get = |path: String| async move { self.send(Method::GET, &path, &[], b"").await };

        note(&mut seen, "the base", get("/v2/".into()).await?, &[], false).await?;
        let missing = get("/v2/acme/same/manifests/none".into()).await?;
        note(&mut seen, "a tag that is not there", missing, &[], false).await?;
        let missing = get(format!("/v2/acme/same/blobs/{}", digest(b"none"))).await?;
        note(&mut seen, "a blob that is not there", missing, &[], false).await?;

        let (upload, _) = self.upload().await?;
        let first = [("content-type", BYTES), ("content-range", "0-4")];
        let chunk = self
            .send(Method::PATCH, &upload, &first, &blob[..5])
            .await?;
        let upload = located(&chunk)?;
        note(&mut seen, "a chunk", chunk, &["range"], false).await?;
        let status = get(upload.clone()).await?;
        let upload = located(&status).unwrap_or(upload);
        note(&mut seen, "how far an upload is", status, &["range"], false).await?;
        let given_up = self.send(Method::DELETE, &upload, &[], b"").await?;
        note(&mut seen, "an upload given up", given_up, &[], false).await?;
        let gone = self.send(Method::PATCH, &upload, &octets, b"x").await?;
        note(&mut seen, "what was given up", gone, &[], false).await?;

        let (upload, _) = self.upload().await?;
        let late = [("content-type", BYTES), ("content-range", "7-9")];
        let chunk = self.send(Method::PATCH, &upload, &late, &blob[7..]).await?;
        note(&mut seen, "a chunk out of order", chunk, &[], false).await?;

        let (upload, sign) = self.upload().await?;
        let wrong = format!("{upload}{sign}digest={}", digest(b"other"));
        let refused = self.send(Method::PUT, &wrong, &octets, blob).await?;
        note(&mut seen, "bytes of another digest", refused, &[], false).await?;
        for bytes in [blob, config] {
            if bytes == config {
                let path = "/v2/acme/same/manifests/early";
                let early = self
                    .send(
                        Method::PUT,
                        path,
                        &[("content-type", MANIFEST)],
                        manifest.as_bytes(),
                    )
                    .await?;
                note(&mut seen, "a manifest before its blobs", early, &[], false).await?;
            }
            let (upload, sign) = self.upload().await?;
            let whole = format!("{upload}{sign}digest={}", digest(bytes));
            let stored = self.send(Method::PUT, &whole, &octets, bytes).await?;
            note(
                &mut seen,
                "a blob",
                stored,
                &["docker-content-digest"],
                false,
            )
            .await?;
        }
        let at = format!("/v2/acme/same/blobs/{}", digest(blob));
        let headers = ["content-length", "docker-content-digest"];
        let head = self.send(Method::HEAD, &at, &[], b"").await?;
        note(&mut seen, "a blob's header", head, &headers, false).await?;
        let part = self
            .send(Method::GET, &at, &[("range", "bytes=2-4")], b"")
            .await?;
        note(
            &mut seen,
            "a part of a blob",
            part,
            &["content-range", "content-length"],
            true,
        )
        .await?;
        let mount = format!(
            "/v2/acme/twin/blobs/uploads/?mount={}&from=acme/same",
            digest(blob)
        );
        let mounted = self.send(Method::POST, &mount, &[], b"").await?;
        note(
            &mut seen,
            "a mount",
            mounted,
            &["docker-content-digest"],
            false,
        )
        .await?;
        let mount = format!(
            "/v2/acme/twin/blobs/uploads/?mount={}&from=acme/same",
            digest(b"none")
        );
        let mounted = self.send(Method::POST, &mount, &[], b"").await?;
        note(&mut seen, "a mount of nothing", mounted, &[], false).await?;

        let tag = "/v2/acme/same/manifests/latest";
        let broken = self
            .send(Method::PUT, tag, &[("content-type", MANIFEST)], b"{")
            .await?;
        note(&mut seen, "no manifest", broken, &[], false).await?;
        let pushed = self
            .send(
                Method::PUT,
                tag,
                &[("content-type", MANIFEST)],
                manifest.as_bytes(),
            )
            .await?;
        note(
            &mut seen,
            "a manifest",
            pushed,
            &["docker-content-digest"],
            false,
        )
        .await?;
        let accept = [("accept", MANIFEST)];
        let headers = ["content-type", "content-length", "docker-content-digest"];
        for reference in ["latest", &*name] {
            let path = format!("/v2/acme/same/manifests/{reference}");
            for method in [Method::GET, Method::HEAD] {
                let found = self.send(method, &path, &accept, b"").await?;
                note(&mut seen, "the manifest", found, &headers, true).await?;
            }
        }
        let tags = get("/v2/acme/same/tags/list".into()).await?;
        let (status, tags): (_, Value) = (tags.status(), tags.json().await?);
        ensure!(
            status == 200 && tags == json!({"name": "acme/same", "tags": ["latest"]}),
            "{tags}"
        );
        let missing = get("/v2/acme/nowhere/tags/list".into()).await?;
        note(&mut seen, "tags of no repository", missing, &[], false).await?;

        let path = format!("/v2/acme/same/manifests/{name}");
        for what in ["a deletion", "a second deletion"] {
            let gone = self.send(Method::DELETE, &path, &[], b"").await?;
            note(&mut seen, what, gone, &[], false).await?;
        }
        for path in [&*path, tag] {
            let missing = self.send(Method::GET, path, &accept, b"").await?;
            note(&mut seen, "what was deleted", missing, &[], false).await?;
        }
        for what in ["a blob's deletion", "its second deletion"] {
            let gone = self.send(Method::DELETE, &at, &[], b"").await?;
            note(&mut seen, what, gone, &[], false).await?;
        }
        Ok(seen)
    }
}

fn digest(bytes: &[u8]) -> String {
    format!("sha256:{}", hex::encode(Sha256::digest(bytes)))
}

/// The `Location` of an answer, as a whole URL.
fn located(response: &Response) -> Result<String> {
    let location = response.headers().get("location").context("a Location")?;
    Ok(response.url().join(location.to_str()?)?.to_string())
}

async fn note(
    seen: &mut Vec<Seen>,
    what: &'static str,
    response: Response,
    fields: &[&str],
    body: bool,
) -> Result<()> {
    let field = |name: &&str| {
        let value = response.headers().get(*name)?.to_str().ok()?;
        Some(value.to_owned())
    };
    let (status, fields) = (
        response.status().as_u16(),
        fields.iter().map(field).collect(),
    );
    let body = match body {
        true => Some(response.bytes().await?.to_vec()),
        false => None,
    };
    seen.push(Seen {
        what,
        status,
        fields,
        body,
    });
    Ok(())
}

#[tokio::test]
async fn what_the_specification_says_is_answered_as_debians_registry_answers_it() -> Result<()> {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let place = Place::new()?;
    let twin = Twin::start(&place)?;
    let host = place.start()?;
    let client = Client::new();
    let theirs = Side {
        base: twin.base.clone(),
        token: None,
        client: client.clone(),
    };
    let ours = Side {
        base: host.url(),
        token: Some(host.token()?),
        client,
    };
    theirs.listens().await?;
    let (theirs, ours) = (theirs.life().await?, ours.life().await?);
    let mut better = Vec::new();
    for (theirs, ours) in theirs.iter().zip(&ours) {
        if (ours.what, ours.status, theirs.status) == OUT_OF_ORDER {
            better.push(ours.what);
            continue;
        }
        assert_eq!(ours, theirs);
    }
    assert_eq!(ours.len(), theirs.len());
    assert_eq!(better, [OUT_OF_ORDER.0]);
    Ok(())
}
