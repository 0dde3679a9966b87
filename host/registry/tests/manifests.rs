//! end-3, end-7 to end-9, end-12: manifests, tags and referrers; components and their inspector; what nothing refers to.

#![allow(clippy::unwrap_used)]

mod common;

use std::time::Duration;

use bootsplice_registry::{Algorithm, ContentDigest, InspectorError, Limits};
use common::Host;
use common::call::{IMAGE, INDEX, descriptor, image, sha256};
use futures::TryStreamExt as _;
use serde_json::{Value, json};

const EMPTY: &str = "application/vnd.oci.empty.v1+json";
const CONFIG: &str = "application/vnd.wasm.config.v0+json";
/// The smallest component: a header and nothing.
const COMPONENT: &[u8] = b"\0asm\x0d\0\x01\0";

#[tokio::test]
async fn a_manifest_is_read_as_it_was_pushed_by_tag_and_by_digest() {
    let host = Host::new();
    let document = host.image("a/b", "latest", b"layer").await;
    let digest = sha256(document.to_string().as_bytes());
    for reference in ["latest", &digest.to_string()] {
        let path = format!("/v2/a/b/manifests/{reference}");
        let answer = host.get(&path).await;
        assert_eq!(answer.body, document.to_string());
        assert_eq!(answer.header("content-type"), IMAGE);
        assert_eq!(answer.header("docker-content-digest"), digest.to_string());
        let head = host.call("HEAD", &path, &[], "").await;
        assert_eq!((head.status.as_u16(), head.body.len()), (200, 0));
        assert_eq!(head.header("content-length"), answer.body.len().to_string());
    }
    // By its other digest it is another manifest of the same bytes, with tags of its own.
    let long = ContentDigest::of(Algorithm::Sha512, document.to_string().as_bytes());
    let answer = host
        .manifest("a/b", &format!("{long}?tag=x&tag=y"), &document)
        .await;
    assert_eq!(answer.status, 201);
    let tags: Vec<_> = answer.headers.get_all("oci-tag").iter().collect();
    assert_eq!(tags, ["x", "y"]);
    let answer = host.get("/v2/a/b/manifests/y").await;
    assert_eq!(answer.header("docker-content-digest"), long.to_string());
}

#[tokio::test]
async fn every_wrong_manifest_has_its_status_and_code_and_is_not_there() {
    let host = Host::new();
    let config = host.blob("a", b"{}").await;
    let (there, nowhere) = (descriptor(EMPTY, &config, 2), sha256(b"nowhere"));
    let good = image(there.clone(), vec![]);
    let index =
        |child: Value| json!({"schemaVersion": 2, "mediaType": INDEX, "manifests": [child]});
    let mut both = good.clone();
    both["manifests"] = json!([]);
    let bad_digest = json!({"mediaType": EMPTY, "digest": "sha256:../../x", "size": 2});
    let cases = [
        (
            "t",
            image(descriptor(EMPTY, &nowhere, 7), vec![]),
            400,
            "MANIFEST_BLOB_UNKNOWN",
        ),
        (
            "t",
            image(there.clone(), vec![descriptor("x/y", &nowhere, 7)]),
            400,
            "MANIFEST_BLOB_UNKNOWN",
        ),
        (
            "t",
            index(descriptor(IMAGE, &nowhere, 7)),
            400,
            "MANIFEST_BLOB_UNKNOWN",
        ),
        (
            "t",
            image(descriptor(EMPTY, &config, 3), vec![]),
            400,
            "MANIFEST_INVALID",
        ),
        ("t", image(bad_digest, vec![]), 400, "MANIFEST_INVALID"),
        ("t", both, 400, "MANIFEST_INVALID"),
        ("-t", good.clone(), 400, "MANIFEST_INVALID"),
        (
            &format!("sha256:{}", "0".repeat(64)),
            good.clone(),
            400,
            "DIGEST_INVALID",
        ),
        ("sha256:0", good.clone(), 400, "DIGEST_INVALID"),
    ];
    for (reference, document, status, code) in cases {
        let answer = host.manifest("a", reference, &document).await;
        assert_eq!(answer.outcome(), (status, code.to_owned()), "{document}");
    }
    let answer = host.manifest("locked/a", "t", &good).await;
    assert_eq!(answer.outcome(), (403, "DENIED".into()));
    let huge = vec![b' '; (4 << 20) + 1];
    let path = "/v2/a/manifests/t";
    let answer = host
        .call("PUT", path, &[("content-type", IMAGE)], huge)
        .await;
    assert_eq!(answer.outcome(), (413, "SIZE_INVALID".into()));
    let deep = "[".repeat(1 << 20);
    let answer = host
        .call("PUT", path, &[("content-type", IMAGE)], deep)
        .await;
    assert_eq!(answer.outcome(), (400, "MANIFEST_INVALID".into()));
    assert_eq!(
        host.get(path).await.outcome(),
        (404, "MANIFEST_UNKNOWN".into())
    );
    assert_eq!(
        host.get("/v2/none/tags/list").await.outcome(),
        (404, "NAME_UNKNOWN".into())
    );
}

#[tokio::test]
async fn versions_stay_and_other_tags_move() {
    let host = Host::new();
    let first = host.image("a", "1.0.0", b"one").await;
    host.image("a", "latest", b"one").await;
    let second = host.image("a", "latest", b"two").await;
    assert_eq!(host.manifest("a", "1.0.0", &first).await.status, 201);
    let digests = [&first, &second].map(|document| sha256(document.to_string().as_bytes()));
    let answer = host.manifest("a", "1.0.0", &second).await;
    assert_eq!(answer.outcome(), (403, "DENIED".into()));
    let text = answer.json()["errors"][0]["message"].to_string();
    for digest in &digests {
        assert!(text.contains(&digest.to_string()), "{text}");
    }
    // Also when it was deleted in between.
    let path = format!("/v2/a/manifests/{}", digests[0]);
    assert_eq!(host.call("DELETE", &path, &[], "").await.status, 202);
    assert_eq!(host.get("/v2/a/manifests/1.0.0").await.status, 404);
    assert_eq!(host.manifest("a", "1.0.0", &second).await.status, 403);
    assert_eq!(host.manifest("a", "1.0.0", &first).await.status, 201);
}

#[tokio::test]
async fn of_two_who_push_one_version_at_once_one_has_it() {
    let host = Host::new();
    let one = host.image("a", "one", b"1").await;
    let two = host.image("a", "two", b"2").await;
    let (first, second) = tokio::join!(
        host.manifest("a", "2.0.0", &one),
        host.manifest("a", "2.0.0", &two)
    );
    let mut both = [first.status.as_u16(), second.status.as_u16()];
    both.sort_unstable();
    assert_eq!(both, [201, 403]);
}

#[tokio::test]
async fn tags_are_listed_in_order_and_in_pages() {
    let host = Host::new();
    for tag in ["c", "a", "B", "d"] {
        host.image("r", tag, b"x").await;
        host.image("r/s", tag, b"x").await;
    }
    let all = host.get("/v2/r/tags/list").await;
    assert_eq!(
        all.json(),
        json!({"name": "r", "tags": ["B", "a", "c", "d"]})
    );
    assert_eq!(all.header("link"), "");
    let page = host.get("/v2/r/tags/list?n=2").await;
    assert_eq!(page.json()["tags"], json!(["B", "a"]));
    let link = page.header("link").to_owned();
    let next = link
        .strip_prefix('<')
        .and_then(|link| link.strip_suffix(">; rel=\"next\""));
    let page = host.get(next.unwrap()).await;
    assert_eq!(
        (page.json()["tags"].clone(), page.header("link")),
        (json!(["c", "d"]), "")
    );
    assert_eq!(
        host.get("/v2/r/tags/list?n=0").await.json()["tags"],
        json!([])
    );
    assert_eq!(host.get("/v2/r/tags/list?n=x").await.status, 400);
    // A deleted tag is gone, its manifest and the other tags are not.
    assert_eq!(
        host.call("DELETE", "/v2/r/manifests/a", &[], "")
            .await
            .status,
        202
    );
    assert_eq!(
        host.get("/v2/r/tags/list").await.json()["tags"],
        json!(["B", "c", "d"])
    );
    assert_eq!(host.get("/v2/r/manifests/c").await.status, 200);
}

#[tokio::test]
async fn referrers_are_found_before_and_after_their_subject_and_by_type() {
    let host = Host::new();
    let config = host.blob("a", b"{}").await;
    let subject = image(descriptor(EMPTY, &config, 2), vec![]);
    let digest = sha256(subject.to_string().as_bytes());
    let path = format!("/v2/a/referrers/{digest}");
    let none = host.get(&path).await;
    assert_eq!(
        (none.status.as_u16(), none.header("content-type")),
        (200, INDEX)
    );
    assert_eq!(none.json()["manifests"], json!([]));
    for kind in ["application/x.sig", "application/x.sbom"] {
        let mut referrer = subject.clone();
        referrer["artifactType"] = kind.into();
        referrer["annotations"] = json!({"of": kind});
        referrer["subject"] = descriptor(IMAGE, &digest, subject.to_string().len());
        let own = sha256(referrer.to_string().as_bytes()).to_string();
        let answer = host.manifest("a", &own, &referrer).await;
        assert_eq!(answer.header("oci-subject"), digest.to_string());
    }
    assert_eq!(
        host.get(&path).await.json()["manifests"]
            .as_array()
            .unwrap()
            .len(),
        2
    );
    let some = host
        .get(&format!("{path}?artifactType=application/x.sig"))
        .await;
    assert_eq!(some.header("oci-filters-applied"), "artifactType");
    let found = &some.json()["manifests"];
    assert_eq!(found.as_array().unwrap().len(), 1);
    assert_eq!(found[0]["artifactType"], "application/x.sig");
    assert_eq!(found[0]["annotations"], json!({"of": "application/x.sig"}));
    let gone = format!("/v2/a/manifests/{}", found[0]["digest"].as_str().unwrap());
    assert_eq!(host.call("DELETE", &gone, &[], "").await.status, 202);
    assert_eq!(
        host.get(&path).await.json()["manifests"]
            .as_array()
            .unwrap()
            .len(),
        1
    );
    assert_eq!(
        host.get("/v2/a/referrers/sha256:x").await.outcome(),
        (400, "DIGEST_INVALID".into())
    );
}

/// A Wasm artifact of the smallest component; its configuration claims `imports`.
async fn artifact(host: &Host, repository: &str, component: &[u8], imports: &[&str]) -> Value {
    let layer = host.blob(repository, component).await;
    let config = json!({"architecture": "wasm", "os": "wasip2", "layerDigests": [layer.to_string()], "component": {"imports": imports, "exports": []}});
    let bytes = config.to_string().into_bytes();
    let config = host.blob(repository, &bytes).await;
    let layer = descriptor("application/wasm", &layer, component.len());
    image(descriptor(CONFIG, &config, bytes.len()), vec![layer])
}

#[tokio::test]
async fn a_component_is_inspected_before_its_manifest_is_there() {
    let host = Host::new();
    let document = artifact(&host, "acme/hello", COMPONENT, &[]).await;
    let refusal = InspectorError::Refused {
        reason: "it exports no generator".into(),
        detail: json!({"pointer": "/world"}),
    };
    *host.inspector.refuse.lock() = Some(refusal);
    let refused = host.manifest("acme/hello", "1.0.0", &document).await;
    assert_eq!(refused.outcome(), (400, "MANIFEST_INVALID".into()));
    assert_eq!(
        refused.json()["errors"][0]["detail"],
        json!({"pointer": "/world"})
    );
    assert_eq!(host.get("/v2/acme/hello/manifests/1.0.0").await.status, 404);
    *host.inspector.refuse.lock() = Some(InspectorError::Denied("it is another's".into()));
    let denied = host.manifest("acme/hello", "1.0.0", &document).await;
    assert_eq!(denied.outcome(), (403, "DENIED".into()));
    *host.inspector.refuse.lock() = None;
    assert_eq!(
        host.manifest("acme/hello", "1.0.0", &document).await.status,
        201
    );
    let component = bootsplice_content::Digest::of(COMPONENT);
    let seen = [("acme/hello".to_owned(), vec!["1.0.0".to_owned()], component)];
    assert_eq!(*host.inspector.seen.lock(), seen);
    // What is used stays; what is not goes, and the inspector hears of it.
    let path = format!(
        "/v2/acme/hello/manifests/{}",
        sha256(document.to_string().as_bytes())
    );
    *host.inspector.used.lock() = Some("profile `web` is pinned to it".into());
    let kept = host.call("DELETE", &path, &[], "").await;
    assert_eq!(kept.outcome(), (405, "DENIED".into()));
    *host.inspector.used.lock() = None;
    assert_eq!(host.call("DELETE", &path, &[], "").await.status, 202);
    assert!(
        host.inspector
            .forgotten
            .lock()
            .contains(&format!("acme/hello@{component}"))
    );
}

#[tokio::test]
async fn an_artifact_that_lies_about_its_component_is_refused() {
    let host = Host::new();
    let module = b"\0asm\x01\0\0\0";
    let lying = artifact(&host, "a", COMPONENT, &["wasi:cli/run@0.2.0"]).await;
    let mut two = artifact(&host, "a", COMPONENT, &[]).await;
    let layer = two["layers"][0].clone();
    two["layers"].as_array_mut().unwrap().push(layer);
    let mut other = artifact(&host, "a", COMPONENT, &[]).await;
    other["layers"][0]["mediaType"] = "application/octet-stream".into();
    let cases = [
        (lying, "wasi:cli/run@0.2.0"),
        (two, "exactly one layer"),
        (other, "application/wasm"),
        (artifact(&host, "a", module, &[]).await, "no component"),
        (
            artifact(&host, "a", b"\0asm\x0d\0\x01\0\xff", &[]).await,
            "no component",
        ),
    ];
    for (document, word) in cases {
        let answer = host.manifest("a", "1.0.0", &document).await;
        assert_eq!(answer.outcome(), (400, "MANIFEST_INVALID".into()), "{word}");
        let text = answer.json()["errors"][0]["message"].to_string();
        assert!(text.contains(word), "{word}: {text}");
    }
    assert!(host.inspector.seen.lock().is_empty());
}

#[tokio::test]
async fn what_a_manifest_needs_stays_and_what_nothing_needs_goes_after_its_time() {
    let grace = Duration::from_secs(3600);
    let host = Host::with(Limits {
        grace,
        ..Limits::default()
    });
    let document = host.image("a", "latest", b"layer").await;
    let layer = sha256(b"layer");
    let path = format!("/v2/a/blobs/{layer}");
    let kept = host.call("DELETE", &path, &[], "").await;
    assert_eq!(kept.outcome(), (405, "DENIED".into()));
    let loose = host.blob("a", b"loose").await;
    assert_eq!(host.registry.collect().await.unwrap().blobs, 0);
    assert_eq!(host.get(&format!("/v2/a/blobs/{loose}")).await.status, 200);
    host.time.advance(grace * 2);
    let freed = host.registry.collect().await.unwrap();
    assert_eq!((freed.blobs, freed.objects, freed.bytes), (1, 1, 5));
    assert_eq!(host.get(&format!("/v2/a/blobs/{loose}")).await.status, 404);
    assert_eq!(host.get(&path).await.body, "layer");
    let manifest = format!(
        "/v2/a/manifests/{}",
        sha256(document.to_string().as_bytes())
    );
    assert_eq!(host.call("DELETE", &manifest, &[], "").await.status, 202);
    host.registry.collect().await.unwrap();
    let left: Vec<_> = host.objects.list(None).try_collect().await.unwrap();
    assert!(left.is_empty(), "{left:?}");
}
