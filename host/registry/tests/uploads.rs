//! end-2, end-4 to end-6, end-10, end-11, end-13, end-14: how blobs come in, are read and go.

#![allow(clippy::unwrap_used)]

mod common;

use std::time::Duration;

use axum::body::Body;
use axum::http::Request;
use bootsplice_registry::{Algorithm, ContentDigest, Limits};
use common::call::sha256;
use common::{ACME, Host, OTHER};
use futures::TryStreamExt as _;

#[tokio::test]
async fn every_way_to_push_a_blob_gives_the_same_blob() {
    let host = Host::new();
    let bytes = vec![7_u8; 3 << 20];
    let digest = sha256(&bytes);
    let long = ContentDigest::of(Algorithm::Sha512, &bytes);

    let begun = host.call("POST", "/v2/a/b/blobs/uploads/", &[], "").await;
    assert_eq!((begun.status.as_u16(), begun.header("range")), (202, "0-0"));
    let place = begun.header("location").to_owned();
    // Chunk by chunk, as `wkg` does.
    let (first, rest) = bytes.split_at(1 << 20);
    let answer = host
        .call(
            "PATCH",
            &place,
            &[("content-range", "0-1048575")],
            first.to_vec(),
        )
        .await;
    assert_eq!(
        (answer.status.as_u16(), answer.header("range")),
        (202, "0-1048575")
    );
    let wrong = host
        .call(
            "PATCH",
            &place,
            &[("content-range", "0-1048575")],
            first.to_vec(),
        )
        .await;
    assert_eq!(wrong.outcome(), (416, "BLOB_UPLOAD_INVALID".into()));
    assert_eq!(wrong.header("range"), "0-1048575");
    let status = host.get(&place).await;
    assert_eq!(
        (status.status.as_u16(), status.header("range")),
        (204, "0-1048575")
    );
    assert_eq!(status.header("location"), place);
    // The rest without a range, then the digest without a body.
    let answer = host.call("PATCH", &place, &[], rest.to_vec()).await;
    assert_eq!(answer.status, 202);
    let done = host
        .call("PUT", &format!("{place}?digest={digest}"), &[], "")
        .await;
    assert_eq!(done.status, 201);
    assert_eq!(done.header("location"), format!("/v2/a/b/blobs/{digest}"));
    assert_eq!(done.header("docker-content-digest"), digest.to_string());
    assert_eq!(
        host.get(&place).await.outcome(),
        (404, "BLOB_UPLOAD_UNKNOWN".into())
    );

    // All in the last request; all in the first; in SHA-512.
    let begun = host.call("POST", "/v2/c/blobs/uploads/", &[], "").await;
    let place = begun.header("location").to_owned();
    let done = host
        .call(
            "PUT",
            &format!("{place}?digest={digest}"),
            &[],
            bytes.clone(),
        )
        .await;
    assert_eq!(done.status, 201);
    host.blob("d", &bytes).await;
    let path = format!("/v2/e/blobs/uploads/?digest={long}");
    assert_eq!(
        host.call("POST", &path, &[], bytes.clone()).await.status,
        201
    );
    for path in [
        format!("/v2/a/b/blobs/{digest}"),
        format!("/v2/c/blobs/{digest}"),
        format!("/v2/d/blobs/{digest}"),
        format!("/v2/e/blobs/{long}"),
    ] {
        let answer = host.get(&path).await;
        assert_eq!(
            (answer.status.as_u16(), &answer.body),
            (200, &bytes.clone().into()),
            "{path}"
        );
        let head = host.call("HEAD", &path, &[], "").await;
        assert_eq!(
            (head.header("content-length"), head.body.len()),
            ("3145728", 0),
            "{path}"
        );
    }
}

#[tokio::test]
async fn what_is_wrong_with_an_upload_is_told_and_leaves_no_blob() {
    let host = Host::new();
    let digest = sha256(b"hello");
    let cases = [
        (
            "POST",
            format!("/v2/a/blobs/uploads/?digest={digest}"),
            400,
            "DIGEST_INVALID",
        ),
        (
            "POST",
            "/v2/a/blobs/uploads/?digest=sha256:x".into(),
            400,
            "DIGEST_INVALID",
        ),
        (
            "POST",
            "/v2/a/blobs/uploads/?digest=md5:d41d8cd98f00b204e9800998ecf8427e".into(),
            400,
            "DIGEST_INVALID",
        ),
        ("POST", "/v2/A/blobs/uploads/".into(), 400, "NAME_INVALID"),
        ("POST", "/v2/locked/x/blobs/uploads/".into(), 403, "DENIED"),
        (
            "PATCH",
            "/v2/a/blobs/uploads/none".into(),
            404,
            "BLOB_UPLOAD_UNKNOWN",
        ),
        (
            "PUT",
            format!("/v2/a/blobs/uploads/none?digest={digest}"),
            404,
            "BLOB_UPLOAD_UNKNOWN",
        ),
        (
            "DELETE",
            "/v2/a/blobs/uploads/none".into(),
            404,
            "BLOB_UPLOAD_UNKNOWN",
        ),
        ("PUT", "/v2/a/blobs/uploads/".into(), 405, "UNSUPPORTED"),
        ("GET", format!("/v2/a/blobs/{digest}"), 404, "BLOB_UNKNOWN"),
        (
            "DELETE",
            format!("/v2/a/blobs/{digest}"),
            404,
            "BLOB_UNKNOWN",
        ),
        ("GET", "/v2/a/nothing/here".into(), 404, "UNSUPPORTED"),
    ];
    for (method, path, status, code) in cases {
        let answer = host.call(method, &path, &[], "goodbye").await;
        assert_eq!(
            answer.outcome(),
            (status, code.to_owned()),
            "{method} {path}"
        );
        assert_eq!(
            answer.header("docker-distribution-api-version"),
            "registry/2.0"
        );
    }
    let begun = host.call("POST", "/v2/a/blobs/uploads/", &[], "").await;
    let place = begun.header("location").to_owned();
    for range in ["bytes 0-6", "0-", "6-0"] {
        let answer = host
            .call("PATCH", &place, &[("content-range", range)], "goodbye")
            .await;
        assert_eq!(
            answer.outcome(),
            (400, "BLOB_UPLOAD_INVALID".into()),
            "{range}"
        );
    }
    let answer = host
        .call("PATCH", &place, &[("content-range", "0-99")], "goodbye")
        .await;
    assert_eq!(answer.outcome(), (400, "SIZE_INVALID".into()));
    assert_eq!(
        host.call("PUT", &place, &[], "").await.outcome(),
        (400, "BLOB_UPLOAD_INVALID".into())
    );
    // Another tenant has no such upload.
    let other = host
        .call("GET", &place, &[("authorization", OTHER)], "")
        .await;
    assert_eq!(other.status, 404);
    assert_eq!(host.call("DELETE", &place, &[], "").await.status, 204);
    assert_eq!(host.get(&place).await.status, 404);
    assert_eq!(objects(&host).await, 0);
}

#[tokio::test]
async fn without_credentials_everything_but_discovery_asks_for_them() {
    let host = Host::new();
    for path in [
        "/v2",
        "/v2/",
        "/v2/a/tags/list",
        "/v2/A/x",
        "/v2/a/manifests/latest",
    ] {
        let request = Request::get(path).body(Body::empty()).unwrap();
        let answer = host.send(request).await;
        assert_eq!(answer.outcome(), (401, "UNAUTHORIZED".into()), "{path}");
        assert!(
            answer
                .header("www-authenticate")
                .starts_with("Basic realm=\"bootsplice\"")
        );
    }
    let known = Request::get("/.well-known/wasm-pkg/registry.json")
        .header("host", "plugins.example:8443")
        .body(Body::empty());
    let document = host.send(known.unwrap()).await.json();
    assert_eq!(document["preferredProtocol"], "oci");
    assert_eq!(document["oci"]["registry"], "plugins.example:8443");
    assert_eq!(host.get("/v2/").await.status, 200);
}

#[tokio::test]
async fn a_body_that_breaks_off_is_no_blob_and_a_chunk_can_be_sent_on() {
    let host = Host::new();
    let digest = sha256(b"whole");
    let broken = |method: &str, path: &str| {
        let pieces = futures::stream::iter([
            Ok::<_, std::io::Error>(bytes::Bytes::from_static(b"wh")),
            Err(std::io::Error::other("gone")),
        ]);
        Request::builder()
            .method(method)
            .uri(path)
            .header("authorization", ACME)
            .body(Body::from_stream(pieces))
            .unwrap()
    };
    let path = format!("/v2/a/blobs/uploads/?digest={digest}");
    let answer = host.send(broken("POST", &path)).await;
    assert_eq!(answer.outcome(), (400, "BLOB_UPLOAD_INVALID".into()));
    assert_eq!(objects(&host).await, 0);
    let begun = host.call("POST", "/v2/a/blobs/uploads/", &[], "").await;
    let place = begun.header("location").to_owned();
    assert_eq!(host.send(broken("PATCH", &place)).await.status, 400);
    assert_eq!(host.get(&place).await.header("range"), "0-1");
    let path = format!("{place}?digest={digest}");
    let done = host
        .call("PUT", &path, &[("content-range", "2-4")], "ole")
        .await;
    assert_eq!(done.status, 201);
}

#[tokio::test]
async fn the_same_blob_pushed_by_many_at_once_is_stored_once() {
    let host = Host::new();
    let bytes = vec![1_u8; 9 << 20];
    let all = (0..8).map(|number| {
        let (host, bytes) = (&host, &bytes);
        async move { host.blob(&format!("r{}", number % 3), bytes).await }
    });
    futures::future::join_all(all).await;
    assert_eq!(objects(&host).await, 1);
    let answer = host.get(&format!("/v2/r2/blobs/{}", sha256(&bytes))).await;
    assert_eq!(answer.body, bytes);
}

#[tokio::test]
async fn a_blob_is_mounted_only_from_where_the_caller_may_read() {
    let host = Host::new();
    let digest = host.blob("private/a", b"secret").await;
    let mount = |from: &str| format!("/v2/b/blobs/uploads/?mount={digest}{from}");
    let as_other = [("authorization", OTHER)];
    for from in ["", "&from=private/a", "&from=nowhere"] {
        let answer = host.call("POST", &mount(from), &as_other, "").await;
        assert_eq!(answer.status, 202, "{from}");
        assert!(answer.header("location").contains("/blobs/uploads/"));
    }
    for from in ["&from=private/a", ""] {
        let answer = host.call("POST", &mount(from), &[], "").await;
        assert_eq!(answer.status, 201, "{from}");
        assert_eq!(answer.header("location"), format!("/v2/b/blobs/{digest}"));
    }
    assert_eq!(
        host.get(&format!("/v2/b/blobs/{digest}")).await.body,
        "secret"
    );
}

#[tokio::test]
async fn parts_of_a_blob_are_read_and_deleted_blobs_are_not() {
    let host = Host::new();
    let digest = host.blob("a", b"0123456789").await;
    let path = format!("/v2/a/blobs/{digest}");
    let part = host.call("GET", &path, &[("range", "bytes=2-4")], "").await;
    assert_eq!((part.status.as_u16(), &part.body[..]), (206, &b"234"[..]));
    assert_eq!(part.header("content-range"), "bytes 2-4/10");
    let none = host.call("GET", &path, &[("range", "bytes=10-")], "").await;
    assert_eq!(
        (none.status.as_u16(), none.header("content-range")),
        (416, "bytes */10")
    );
    let same = host
        .call(
            "GET",
            &path,
            &[("if-none-match", &format!("\"{digest}\""))],
            "",
        )
        .await;
    assert_eq!(same.status, 304);
    assert_eq!(host.call("DELETE", &path, &[], "").await.status, 202);
    assert_eq!(host.get(&path).await.status, 404);
}

#[tokio::test]
async fn limits_are_kept_and_say_so() {
    let host = Host::with(Limits {
        blob: 1000,
        spool: 1500,
        sessions: 2,
        session: Duration::from_secs(60),
        ..Limits::default()
    });
    let big = vec![0_u8; 1001];
    let path = format!("/v2/a/blobs/uploads/?digest={}", sha256(&big));
    let answer = host.call("POST", &path, &[], big).await;
    assert_eq!(answer.outcome(), (413, "SIZE_INVALID".into()));
    let begin = || host.call("POST", "/v2/a/blobs/uploads/", &[], "");
    let (first, second) = (begin().await, begin().await);
    let third = begin().await;
    assert_eq!(third.outcome(), (429, "TOOMANYREQUESTS".into()));
    assert_ne!(third.header("retry-after"), "");
    let half = vec![0_u8; 900];
    let answer = host
        .call("PATCH", first.header("location"), &[], half.clone())
        .await;
    assert_eq!(answer.status, 202);
    let full = host
        .call("PATCH", second.header("location"), &[], half.clone())
        .await;
    assert_eq!(full.status, 429);
    // Time gives the place of both back.
    host.time.advance(Duration::from_secs(61));
    let fresh = begin().await;
    assert_eq!(fresh.status, 202);
    let answer = host
        .call("PATCH", fresh.header("location"), &[], half)
        .await;
    assert_eq!(answer.status, 202);
}

#[tokio::test]
async fn a_namespace_holds_no_more_than_its_share_and_others_have_theirs() {
    let host = Host::with(Limits {
        namespace: 1500,
        ..Limits::default()
    });
    let put = async |repository: &str, byte: u8| {
        let bytes = vec![byte; 1000];
        let path = format!("/v2/{repository}/blobs/uploads/?digest={}", sha256(&bytes));
        host.call("POST", &path, &[], bytes).await
    };
    assert_eq!(put("a/one", 1).await.status, 201);
    // The same again needs no room; another repository of the namespace has none left.
    assert_eq!(put("a/one", 1).await.status, 201);
    let stored = objects(&host).await;
    for repository in ["a/one", "a/two"] {
        let answer = put(repository, 2).await;
        assert_eq!(answer.outcome(), (403, "DENIED".into()));
    }
    assert_eq!(objects(&host).await, stored, "what was refused was stored");
    assert_eq!(put("ab/one", 2).await.status, 201);
    // A mount is no way around it.
    let digest = sha256(&vec![2; 1000]);
    let path = format!("/v2/a/two/blobs/uploads/?mount={digest}&from=ab/one");
    assert_eq!(host.call("POST", &path, &[], "").await.status, 403);
    // What was deleted makes room.
    let path = format!("/v2/a/one/blobs/{}", sha256(&vec![1; 1000]));
    assert_eq!(host.call("DELETE", &path, &[], "").await.status, 202);
    assert_eq!(put("a/two", 2).await.status, 201);
}

async fn objects(host: &Host) -> usize {
    let found: Vec<_> = host.objects.list(None).try_collect().await.unwrap();
    found.len()
}
