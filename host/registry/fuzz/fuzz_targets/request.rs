//! Requests of any form to a registry with one image: paths, queries, ranges of blobs and of chunks, conditions, parameters of lists.
//!
//! An input is one or more requests, apart by a line `=`: method and path, headers as `name: value`, an empty line, the body. `{layer}` and `{image}`
//! stand for digests that are there, `{upload}` for the last upload that was begun.
#![no_main]

#[path = "../../tests/common/mod.rs"]
mod common;
mod exchange;

use axum::body::Body;
use axum::http::Request;
use common::call::{Answer, sha256};
use common::{ACME, Host};
use exchange::{RUNTIME, judged};

const LAYER: &[u8] = b"0123456789abcdef";
/// Requests of one input.
const MOST: usize = 8;

libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    let text = String::from_utf8_lossy(input);
    RUNTIME.block_on(async {
        let host = Host::new();
        let image = host.image("acme/x", "latest", LAYER).await;
        let digests = [
            ("{layer}", sha256(LAYER).to_string()),
            ("{image}", sha256(image.to_string().as_bytes()).to_string()),
        ];
        let mut upload = String::new();
        for one in text.split("\n=\n").take(MOST) {
            let mut one = one.replace("{upload}", &upload);
            for (name, digest) in &digests {
                one = one.replace(name, digest);
            }
            let Some(request) = request(&one) else {
                continue;
            };
            let (method, ranged) = (request.method().clone(), request.headers().clone());
            let path = request.uri().path();
            let inside = path == "/v2" || path.starts_with("/v2/");
            let answer = host.send(request).await;
            if inside {
                judged(&answer);
            }
            part(&answer);
            // The server cuts the bodies of errors off.
            if method == "HEAD" && answer.status.is_success() && inside {
                assert!(answer.body.is_empty(), "{answer:?}");
            }
            if answer.status == 206 {
                assert!(ranged.contains_key("range"), "{answer:?}");
            }
            let begun = answer.header("docker-upload-uuid");
            if !begun.is_empty() {
                begun.clone_into(&mut upload);
            }
        }
        // Whatever was asked, the tags of the repository can be listed, and what is there is whole.
        judged(&host.get("/v2/acme/x/tags/list").await);
        let layer = host
            .get(&format!("/v2/acme/x/blobs/{}", sha256(LAYER)))
            .await;
        if layer.status == 200 {
            assert_eq!(layer.body, LAYER);
        }
    });
});

fn request(text: &str) -> Option<Request<Body>> {
    let (head, body) = text.split_once("\n\n").unwrap_or((text, ""));
    let mut lines = head.lines();
    let (method, path) = lines.next()?.split_once(' ')?;
    if !path.starts_with('/') {
        return None;
    }
    let mut request = Request::builder().method(method).uri(path);
    let mut known = false;
    for line in lines {
        let (name, value) = line.split_once(':')?;
        known |= name.eq_ignore_ascii_case("authorization");
        request = request.header(name, value.trim());
    }
    if !known {
        request = request.header("authorization", ACME);
    }
    request.body(Body::from(body.to_owned())).ok()
}

/// A part is as long as it says, and the very bytes of the blob.
fn part(answer: &Answer) {
    let range = answer.header("content-range");
    let Some((span, _)) = range
        .strip_prefix("bytes ")
        .and_then(|range| range.split_once('/'))
    else {
        return;
    };
    let Some((first, last)) = span.split_once('-') else {
        assert_eq!(answer.status, 416, "{answer:?}");
        return;
    };
    let (first, last): (usize, usize) = (first.parse().unwrap(), last.parse().unwrap());
    assert_eq!(answer.status, 206, "{answer:?}");
    assert_eq!(
        answer.header("content-length"),
        (last - first + 1).to_string()
    );
    if !answer.body.is_empty() && answer.body.len() == last - first + 1 && last < LAYER.len() {
        let is_layer = answer.header("docker-content-digest") == sha256(LAYER).to_string();
        assert!(
            !is_layer || answer.body == LAYER[first..=last],
            "{answer:?}"
        );
    }
}
