//! A manifest from any bytes: it is refused by name, or it is there as it was pushed, and whoever it refers to knows it.
//!
//! The first line is the `Content-Type`, the rest the document. `{config}` and `{layer}` stand for the digests of blobs that are there.
#![no_main]

#[path = "../../tests/common/mod.rs"]
mod common;
mod exchange;

use bootsplice_registry::{Algorithm, ContentDigest};
use common::Host;
use exchange::{RUNTIME, judged};

libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    let Ok(text) = std::str::from_utf8(input) else {
        return;
    };
    let (kind, document) = text.split_once('\n').unwrap_or(("", text));
    if kind.bytes().any(|byte| !(32..127).contains(&byte)) {
        return;
    }
    RUNTIME.block_on(async {
        let host = Host::new();
        let config = host.blob("acme/x", b"{}").await;
        let layer = host.blob("acme/x", b"layer").await;
        let document = document
            .replace("{config}", &config.to_string())
            .replace("{layer}", &layer.to_string());
        let path = "/v2/acme/x/manifests/fuzz";
        let pushed = host
            .call("PUT", path, &[("content-type", kind)], document.clone())
            .await;
        judged(&pushed);
        let found = host.get(path).await;
        if pushed.status != 201 {
            assert_eq!(found.status, 404, "refused, and there: {pushed:?}");
            return;
        }
        let digest = ContentDigest::of(Algorithm::Sha256, document.as_bytes());
        assert_eq!(found.status, 200, "{found:?}");
        assert_eq!(found.body, document);
        assert_eq!(found.header("docker-content-digest"), digest.to_string());
        let subject = pushed.header("oci-subject");
        if !subject.is_empty() {
            let listed = host.get(&format!("/v2/acme/x/referrers/{subject}")).await;
            judged(&listed);
            let text = String::from_utf8_lossy(&listed.body).into_owned();
            assert!(text.contains(&digest.to_string()), "{text}");
        }
    });
});
