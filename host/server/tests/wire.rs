//! What every route shares: problems for everything, request ids, limits, TLS, secrets that never come back.

#![allow(clippy::unwrap_used)]

mod common;

use std::time::Duration;

use bootsplice_server::auth::Verb;
use bootsplice_server::config::Config;
use common::{Host, problem};
use reqwest::Method;
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

#[tokio::test]
async fn everything_that_goes_wrong_is_a_problem_with_the_requests_id() {
    let host = Host::start().await;
    let token = host.token("acme", &Verb::ALL).await;
    let profile = "/v1/profiles/x";
    let send = |method: Method, path: &'static str, media: &'static str, body: String| {
        let request = host
            .request(method, path, &token)
            .header("content-type", media);
        let request = request.body(body);
        async move { problem(request.send().await.unwrap()).await }
    };
    let json_type = "application/json";
    for (method, path, media, body, status, slug) in [
        (
            Method::GET,
            "/nowhere",
            json_type,
            String::new(),
            404,
            "not-found",
        ),
        (
            Method::PATCH,
            profile,
            json_type,
            "{}".into(),
            405,
            "method-not-allowed",
        ),
        (
            Method::PUT,
            profile,
            json_type,
            "{".into(),
            400,
            "invalid-json",
        ),
        (
            Method::PUT,
            profile,
            json_type,
            "\u{feff}{}".into(),
            400,
            "invalid-json",
        ),
        (
            Method::PUT,
            profile,
            "text/plain",
            "{}".into(),
            415,
            "unsupported-media-type",
        ),
        (
            Method::PUT,
            profile,
            json_type,
            "[]".into(),
            422,
            "invalid-profile",
        ),
        (
            Method::PUT,
            profile,
            json_type,
            "[".repeat(10_000),
            400,
            "invalid-json",
        ),
        (
            Method::PUT,
            profile,
            json_type,
            format!("\"{}\"", "x".repeat(5 << 20)),
            413,
            "payload-too-large",
        ),
        (
            Method::PUT,
            "/v1/secrets/a%2Fb",
            json_type,
            "{\"value\":\"x\"}".into(),
            422,
            "invalid-request",
        ),
        (
            Method::DELETE,
            "/v1/profiles/%ff",
            json_type,
            String::new(),
            400,
            "bad-request",
        ),
    ] {
        let (found, body) = send(method.clone(), path, media, body).await;
        assert_eq!(found, status, "{method} {path}: {body}");
        assert!(
            body["type"].as_str().unwrap().ends_with(slug),
            "{method} {path}: {body}"
        );
    }
    let mine = host
        .request(Method::GET, "/healthz", "")
        .header("x-request-id", "mine-1");
    assert_eq!(
        mine.send().await.unwrap().headers()["x-request-id"],
        "mine-1"
    );
    let forged = host
        .request(Method::GET, "/healthz", "")
        .header("x-request-id", "a b");
    assert_ne!(
        forged.send().await.unwrap().headers()["x-request-id"],
        "a b"
    );
}

#[tokio::test]
async fn a_secret_goes_in_and_never_comes_out() {
    let host = Host::start().await;
    let token = host
        .token("acme", &[Verb::SecretsRead, Verb::SecretsWrite])
        .await;
    let path = "/v1/secrets/ada-api-key";
    let canary = json!({ "value": "canary-5b1e" });
    assert_eq!(host.put(path, &token, &canary).await.status(), 201);
    assert_eq!(host.put(path, &token, &canary).await.status(), 204);
    assert_eq!(host.get(path, &token).await.status(), 405);
    let listed = host.get("/v1/secrets", &token).await.text().await.unwrap();
    assert!(listed.contains("ada-api-key") && !listed.contains("canary"));
    let records = std::fs::read(host.app.state.records()).unwrap();
    assert!(!records.windows(6).any(|window| window == b"canary"));
    let wrong = json!({ "value": "canary-5b1e", "base64": "canary-5b1e" });
    let (status, body) = problem(host.put(path, &token, &wrong).await).await;
    assert_eq!(status, 422);
    assert!(!body.to_string().contains("canary"), "{body}");
    assert_eq!(host.delete(path, &token).await.status(), 204);
    assert_eq!(problem(host.delete(path, &token).await).await.0, 404);
}

#[tokio::test]
async fn requests_are_counted_by_route_and_never_by_path() {
    let host = Host::start().await;
    let token = host
        .token("acme", &[Verb::MetricsRead, Verb::ProfilesRead])
        .await;
    host.get("/v1/profiles/some-name", &token).await;
    let text = host.get("/metrics", &token).await.text().await.unwrap();
    let line = "bootsplice_http_requests_total{method=\"GET\",route=\"/v1/profiles/{name}\",status=\"404\"} 1";
    assert!(text.contains(line), "{text}");
    assert!(!text.contains("some-name"));
    assert!(text.ends_with("# EOF\n"));
}

#[tokio::test]
async fn the_openapi_document_names_every_route_with_its_verb() {
    let host = Host::start().await;
    let token = host.token("acme", &[Verb::ProfilesRead]).await;
    let document: serde_json::Value = host
        .get("/openapi.json", &token)
        .await
        .json()
        .await
        .unwrap();
    assert_eq!(
        document["openapi"].as_str().unwrap().split('.').next(),
        Some("3")
    );
    let mut ids = Vec::new();
    for route in bootsplice_server::api::table() {
        let operation = &document["paths"][&route.path][route.method.as_str().to_lowercase()];
        assert!(operation.is_object(), "{} {}", route.method, route.path);
        ids.push(operation["operationId"].as_str().unwrap().to_owned());
    }
    let count = ids.len();
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), count, "operation ids are unique");
    // Every reference leads somewhere.
    let text = document.to_string();
    for part in text.split("\"#/components/schemas/").skip(1) {
        let name = part.split('"').next().unwrap();
        assert!(
            document["components"]["schemas"][name].is_object(),
            "{name}"
        );
    }
}

#[tokio::test]
async fn a_client_that_never_finishes_its_header_is_cut_off_and_others_are_served() {
    let host = Host::start().await;
    let address = host.base.trim_start_matches("http://").to_owned();
    let mut silent = tokio::net::TcpStream::connect(&address).await.unwrap();
    silent
        .write_all(b"GET /healthz HTTP/1.1\r\nHost:")
        .await
        .unwrap();
    assert_eq!(host.get("/healthz", "").await.status(), 200);
    let mut rest = Vec::new();
    let cut = tokio::time::timeout(Duration::from_secs(40), silent.read_to_end(&mut rest)).await;
    assert!(cut.is_ok(), "the connection is still open");
    assert!(!rest.starts_with(b"HTTP/1.1 200"));
}

#[tokio::test]
async fn the_host_stops_when_asked_and_lets_its_directory_go() {
    let directory = tempfile::tempdir().unwrap();
    let host = Host::start_with(Config::default(), directory).await;
    assert_eq!(host.get("/readyz", "").await.status(), 200);
    host.app.shutdown.cancel();
    let base = host.base.clone();
    for _ in 0..100 {
        if reqwest::get(format!("{base}/healthz")).await.is_err() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("the host still answers");
}

/// A certificate for `localhost` and its key, by the openssl that every build machine has.
fn certificate(directory: &std::path::Path) -> bootsplice_server::config::Tls {
    let (certificate, key) = (directory.join("tls.crt"), directory.join("tls.key"));
    let made = std::process::Command::new("openssl")
        .args([
            "req",
            "-x509",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:P-256",
            "-nodes",
            "-days",
            "2",
        ])
        .args([
            "-subj",
            "/CN=localhost",
            "-addext",
            "subjectAltName=DNS:localhost",
        ])
        .args(["-addext", "basicConstraints=critical,CA:FALSE"])
        .arg("-keyout")
        .arg(&key)
        .arg("-out")
        .arg(&certificate)
        .output()
        .unwrap();
    assert!(
        made.status.success(),
        "{}",
        String::from_utf8_lossy(&made.stderr)
    );
    bootsplice_server::config::Tls { certificate, key }
}

#[tokio::test]
async fn tls_is_served_and_the_client_trusts_what_it_is_told_to() {
    use bootsplice_server::client::{Client, ClientError};
    let directory = tempfile::tempdir().unwrap();
    let tls = certificate(directory.path());
    let config = Config {
        tls: Some(tls.clone()),
        ..Config::default()
    };
    let host = Host::start_with(config, directory).await;
    let token = host.token("acme", &[Verb::ProfilesRead]).await;
    let base: url::Url = host.base.parse().unwrap();
    let trusting = Client::new(base.clone(), Some(token.clone()), Some(&tls.certificate)).unwrap();
    let list: serde_json::Value = trusting.get("/v1/profiles").await.unwrap();
    assert_eq!(list["profiles"], json!([]));
    let wary = Client::new(base, Some(token), None).unwrap();
    let refused = wary
        .get::<serde_json::Value>("/v1/profiles")
        .await
        .unwrap_err();
    assert!(
        matches!(refused, ClientError::Unreachable { .. }),
        "{refused}"
    );
}
