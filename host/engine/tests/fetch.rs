//! The fetch layer from inside a guest: against a real server, real files, and a bucket.

#![allow(
    clippy::unwrap_used,
    reason = "helpers of tests fail by panicking, like tests"
)]

mod support;

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use bootsplice_content::Digest;
use bootsplice_engine::blobs::Scope;
use bootsplice_engine::content::EntryKind;
use bootsplice_engine::contract::Quota;
use bootsplice_engine::fetch::Bucket;
use bootsplice_engine::grant::{Grants, UrlPrefix};
use bootsplice_engine::{EngineConfig, GeneratorError, Job, Secret};
use object_store::ObjectStoreExt;
use parking_lot::Mutex;
use serde_json::{Value, json};
use support::{Bench, heard};

/// A path and the `Authorization` that came with it.
type Asked = (String, Option<String>);

/// A server that counts what it is asked and answers by path.
#[derive(Clone, Default)]
struct Origin {
    asked: Arc<Mutex<Vec<Asked>>>,
    content: Arc<Mutex<HashMap<String, Vec<u8>>>>,
    stumbles: Arc<AtomicUsize>,
    /// Slow answers that are being given, and the most there were.
    slow: Arc<AtomicUsize>,
    most: Arc<AtomicUsize>,
    url: String,
}

// === impl Origin ===

impl Origin {
    async fn start() -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let origin = Self {
            url: format!("http://{}", listener.local_addr().unwrap()),
            ..Self::default()
        };
        let app = axum::Router::new()
            .fallback(Self::answer)
            .with_state(origin.clone());
        tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
        origin
    }

    async fn answer(State(origin): State<Self>, uri: Uri, headers: HeaderMap) -> Response {
        let authorization = headers
            .get("authorization")
            .map(|value| value.to_str().unwrap().to_owned());
        origin
            .asked
            .lock()
            .push((uri.path().to_owned(), authorization.clone()));
        if let Some(to) = uri.path().strip_prefix("/to/") {
            let to = to.replace("%3A", ":").replace("%2F", "/");
            return (StatusCode::FOUND, [("location", to)]).into_response();
        }
        if let Some(seconds) = uri.path().strip_prefix("/wait/")
            && origin.asked(uri.path()) == 1
        {
            let pause = [("retry-after", seconds.to_owned())];
            return (StatusCode::TOO_MANY_REQUESTS, pause).into_response();
        }
        if uri.path().starts_with("/slow/") {
            let now = origin.slow.fetch_add(1, Ordering::SeqCst) + 1;
            origin.most.fetch_max(now, Ordering::SeqCst);
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
            origin.slow.fetch_sub(1, Ordering::SeqCst);
        }
        match uri.path() {
            "/round" => (StatusCode::FOUND, [("location", "/round")]).into_response(),
            "/private" if authorization.as_deref() != Some("Bearer s3cret") => {
                StatusCode::UNAUTHORIZED.into_response()
            }
            "/stumble" if origin.stumbles.fetch_add(1, Ordering::SeqCst) < 2 => {
                StatusCode::SERVICE_UNAVAILABLE.into_response()
            }
            path => match origin.content.lock().get(path) {
                Some(bytes) => bytes.clone().into_response(),
                None => StatusCode::NOT_FOUND.into_response(),
            },
        }
    }

    fn put(&self, path: &str, bytes: &[u8]) -> String {
        self.content.lock().insert(path.into(), bytes.to_vec());
        format!("{}{path}", self.url)
    }

    fn asked(&self, path: &str) -> usize {
        self.asked
            .lock()
            .iter()
            .filter(|(asked, _)| asked == path)
            .count()
    }
}

async fn bench() -> Bench {
    Bench::with(allow_loopback).await
}

fn allow_loopback(config: &mut EngineConfig) {
    config.fetch.allow_networks = vec!["127.0.0.0/8".parse().unwrap()];
    config.fetch.backoff = std::time::Duration::from_millis(10);
}

fn granted(bench: &Bench, tenant: &str, prefixes: &[&str], config: Value) -> Job {
    let mut job = bench.job(config);
    job.tenant = tenant.into();
    job.grants = Grants {
        fetch: prefixes
            .iter()
            .map(|prefix| UrlPrefix::parse(prefix).unwrap())
            .collect(),
        credentials: vec![],
    };
    job
}

fn content_of(step: &bootsplice_engine::content::StepContent, path: &str) -> Vec<u8> {
    let entry = step
        .entries
        .iter()
        .find(|entry| entry.path.as_str() == path)
        .unwrap();
    match &entry.kind {
        EntryKind::File(blob) => blob.to_bytes().unwrap().to_vec(),
        other => panic!("{other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_pinned_is_fetched_once_and_generated_offline() {
    let (bench, origin) = (bench().await, Origin::start().await);
    let url = origin.put("/a", b"content of a");
    let heard = heard();
    let mut job = granted(
        &bench,
        "acme",
        &[&origin.url],
        json!({"resolve": "fetch", "urls": [url], "do": "fetch-pins"}),
    );
    job.observer = heard.clone();
    let lock = bench
        .engine
        .resolve(&bench.hostile, &job, None)
        .await
        .unwrap();
    assert_eq!(lock.pins[0].digest, Digest::of(b"content of a"));
    assert!(
        matches!(&lock.scope, Scope::Private { tenant, .. } if tenant == "acme"),
        "an inner host is no public one"
    );
    assert_eq!(*heard.urls.lock(), [url]);
    // The guest asks for the pin at an address of its own: the lock's is used, and here none at all.
    let step = bench
        .engine
        .generate(&bench.hostile, &job, &lock, None)
        .await
        .unwrap();
    assert_eq!(content_of(&step, "/got/0"), b"content of a");
    assert_eq!(origin.asked("/a"), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_changed_artefact_is_an_integrity_error_and_an_unpinned_fetch_is_denied() {
    let (bench, origin) = (bench().await, Origin::start().await);
    let url = origin.put("/a", b"before");
    let job = |what: &str| {
        granted(
            &bench,
            "acme",
            &[&origin.url],
            json!({"resolve": "fetch", "urls": [url], "do": what}),
        )
    };
    let lock = bench
        .engine
        .resolve(&bench.hostile, &job("nothing"), None)
        .await
        .unwrap();
    origin.put("/a", b"after!");
    let later = std::time::SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(1 << 34);
    bench.engine.blobs().sweep(later).unwrap();
    let error = bench
        .engine
        .generate(&bench.hostile, &job("fetch-pins"), &lock, None)
        .await
        .unwrap_err();
    assert!(matches!(error, GeneratorError::Integrity { .. }), "{error}");
    let error = bench
        .engine
        .generate(&bench.hostile, &job("fetch-unpinned"), &lock, None)
        .await
        .unwrap_err();
    assert!(matches!(error, GeneratorError::Denied(_)), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stolen_digest_gives_nothing() {
    let (bench, origin) = (bench().await, Origin::start().await);
    let url = origin.put("/private", b"acme's private bytes");
    let mut theirs = granted(
        &bench,
        "acme",
        &[&origin.url],
        json!({"resolve": "fetch", "urls": [url], "credential": "token"}),
    );
    theirs.grants.credentials = vec!["token".into()];
    theirs.secrets = Arc::new(|name| (name == "token").then(|| Secret::new("s3cret")));
    let lock = bench
        .engine
        .resolve(&bench.hostile, &theirs, None)
        .await
        .unwrap();
    assert_eq!(lock.scope, Scope::private("acme", "secret:token"));
    let stolen = lock.pins[0].digest;

    // Another tenant knows the digest and may reach the same host, but has no credential; and one that claims an address of its own.
    for place in [url.clone(), origin.put("/mine", b"mine")] {
        let config = json!({"resolve": "steal", "digest": stolen.to_string(), "urls": [place], "do": "fetch-pins"});
        let evil = granted(&bench, "evil", &[&origin.url], config);
        let lock = bench
            .engine
            .resolve(&bench.hostile, &evil, None)
            .await
            .unwrap();
        let error = bench
            .engine
            .generate(&bench.hostile, &evil, &lock, None)
            .await
            .unwrap_err();
        assert!(
            matches!(
                error,
                GeneratorError::Denied(_) | GeneratorError::Integrity { .. }
            ),
            "{error}"
        );
    }
    // Nor does the same tenant's step without the grant.
    let config = json!({"resolve": "fetch", "urls": [url], "digest": stolen.to_string()});
    let plain = granted(&bench, "acme", &[&origin.url], config);
    assert!(
        bench
            .engine
            .resolve(&bench.hostile, &plain, None)
            .await
            .is_err()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn credentials_go_to_their_origin_only() {
    let (bench, origin, other) = (bench().await, Origin::start().await, Origin::start().await);
    let there = other.put("/landing", b"x");
    let url = format!("{}/to/{}", origin.url, there);
    let mut job = granted(
        &bench,
        "acme",
        &[&origin.url, &other.url],
        json!({"resolve": "fetch", "urls": [url], "credential": "token"}),
    );
    job.secrets = Arc::new(|_| Some(Secret::new("s3cret")));
    let error = bench
        .engine
        .resolve(&bench.hostile, &job, None)
        .await
        .unwrap_err();
    assert!(
        matches!(&error, GeneratorError::Denied(why) if why.contains("not granted")),
        "{error}"
    );
    job.grants.credentials = vec!["token".into()];
    bench
        .engine
        .resolve(&bench.hostile, &job, None)
        .await
        .unwrap();
    assert_eq!(origin.asked.lock()[0].1.as_deref(), Some("Bearer s3cret"));
    assert_eq!(other.asked.lock()[0], ("/landing".into(), None));
}

#[tokio::test(flavor = "multi_thread")]
async fn every_hop_is_asked_for_anew() {
    let (bench, origin, other) = (bench().await, Origin::start().await, Origin::start().await);
    let there = other.put("/secret", b"internal");
    let resolve = async |url: String, prefixes: &[&str]| {
        let job = granted(
            &bench,
            "acme",
            prefixes,
            json!({"resolve": "fetch", "urls": [url]}),
        );
        bench
            .engine
            .resolve(&bench.hostile, &job, None)
            .await
            .map(drop)
    };
    let error = resolve(format!("{}/to/{there}", origin.url), &[&origin.url])
        .await
        .unwrap_err();
    assert!(matches!(error, GeneratorError::Denied(_)), "{error}");
    assert_eq!(other.asked("/secret"), 0);
    let error = resolve(format!("{}/round", origin.url), &[&origin.url])
        .await
        .unwrap_err();
    assert!(
        matches!(&error, GeneratorError::Upstream { message, .. } if message.contains("redirects")),
        "{error}"
    );
    let error = resolve(
        format!("{}/to/http://169.254.169.254/latest", origin.url),
        &[&origin.url, "http://169.254.169.254/"],
    )
    .await
    .unwrap_err();
    assert!(
        matches!(&error, GeneratorError::Denied(why) if why.contains("169.254.169.254")),
        "{error}"
    );
    let error = resolve(format!("{}/none", origin.url), &[&origin.url])
        .await
        .unwrap_err();
    assert!(matches!(error, GeneratorError::NotFound(_)), "{error}");
    let good = origin.put("/stumble", b"third time");
    resolve(good, &[&origin.url]).await.unwrap();
    assert_eq!(origin.asked("/stumble"), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_machines_own_network_is_out_of_reach_unless_allowed() {
    let (bench, origin) = (Bench::new().await, Origin::start().await);
    let port = origin.url.rsplit_once(':').unwrap().1;
    for host in ["127.0.0.1", "localhost", "[::ffff:127.0.0.1]"] {
        let url = format!("http://{host}:{port}/x");
        let job = granted(
            &bench,
            "acme",
            &[&url],
            json!({"resolve": "fetch", "urls": [url]}),
        );
        let error = bench
            .engine
            .resolve(&bench.hostile, &job, None)
            .await
            .unwrap_err();
        assert!(
            matches!(error, GeneratorError::Denied(_)),
            "{host}: {error}"
        );
    }
    assert!(origin.asked.lock().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn fetches_of_a_run_are_counted_and_their_bytes_limited() {
    let (bench, origin) = (bench().await, Origin::start().await);
    let url = origin.put("/big", &vec![7; 3 << 20]);
    let mut job = granted(
        &bench,
        "acme",
        &[&origin.url],
        json!({"resolve": "fetch", "urls": [url]}),
    );
    job.limits.fetch_bytes = 1 << 20;
    let error = bench
        .engine
        .resolve(&bench.hostile, &job, None)
        .await
        .unwrap_err();
    assert!(
        matches!(
            error,
            GeneratorError::Quota {
                quota: Quota::FetchBytes,
                ..
            }
        ),
        "{error}"
    );
    let job = granted(
        &bench,
        "acme",
        &[&origin.url],
        json!({"resolve": "fetch", "urls": [url], "max_size": 1000}),
    );
    let error = bench
        .engine
        .resolve(&bench.hostile, &job, None)
        .await
        .unwrap_err();
    assert!(
        matches!(
            error,
            GeneratorError::Quota {
                quota: Quota::FetchBytes,
                ..
            }
        ),
        "{error}"
    );
    let small = origin.put("/small", b"s");
    let mut job = granted(
        &bench,
        "acme",
        &[&origin.url],
        json!({"resolve": "many", "urls": [small], "max_age": 60}),
    );
    job.limits.fetches = 100;
    assert!(
        bench
            .engine
            .resolve(&bench.hostile, &job, None)
            .await
            .is_err()
    );
    assert!(
        origin.asked("/small") <= 1,
        "asked {} times",
        origin.asked("/small")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn jobs_that_want_the_same_bytes_fetch_them_once() {
    let (bench, origin) = (bench().await, Origin::start().await);
    let url = origin.put("/a", b"shared");
    let config =
        json!({"resolve": "fetch", "urls": [url], "digest": Digest::of(b"shared").to_string()});
    let jobs: Vec<_> = (0..8)
        .map(|_| granted(&bench, "acme", &[&origin.url], config.clone()))
        .collect();
    let runs = jobs
        .iter()
        .map(|job| bench.engine.resolve(&bench.hostile, job, None));
    for result in futures::future::join_all(runs).await {
        result.unwrap();
    }
    assert_eq!(origin.asked("/a"), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn files_and_buckets_are_reached_through_the_operators_names_only() {
    let files = tempfile::tempdir().unwrap();
    let root = files.path().canonicalize().unwrap();
    std::fs::create_dir(root.join("team")).unwrap();
    std::fs::write(root.join("team/x"), "from a file").unwrap();
    let memory = Arc::new(object_store::memory::InMemory::new());
    memory
        .put(&"ada/docs.tar".into(), "from a bucket".into())
        .await
        .unwrap();
    let bench = Bench::with(|config| {
        config.fetch.roots = vec![root.clone()];
        config.fetch.buckets = vec![Bucket {
            prefix: UrlPrefix::parse("s3://team").unwrap(),
            store: memory,
        }];
    })
    .await;
    let file = format!("file://{}/team/x", root.display());
    let config =
        json!({"resolve": "fetch", "urls": [file, "s3://team/ada/docs.tar"], "do": "fetch-pins"});
    let grants = [
        format!("file://{}/team", root.display()),
        "s3://team/ada/".to_owned(),
    ];
    let job = granted(&bench, "acme", &[&grants[0], &grants[1]], config);
    let step = bench.run_job(&job).await.unwrap();
    assert_eq!(content_of(&step, "/got/0"), b"from a file");
    assert_eq!(content_of(&step, "/got/1"), b"from a bucket");
    for (url, grant) in [
        ("file:///etc/passwd".to_owned(), "file:///".to_owned()),
        ("s3://team/bob/key".to_owned(), "s3://team/ada/".to_owned()),
        ("s3://other/x".to_owned(), "s3://other/".to_owned()),
        (file, "https://example.com/".to_owned()),
    ] {
        let job = granted(
            &bench,
            "acme",
            &[&grant],
            json!({"resolve": "fetch", "urls": [url]}),
        );
        let error = bench
            .engine
            .resolve(&bench.hostile, &job, None)
            .await
            .unwrap_err();
        assert!(matches!(error, GeneratorError::Denied(_)), "{url}: {error}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pause_that_the_server_asks_for_is_kept_and_a_long_one_is_a_failure() {
    let (bench, origin) = (bench().await, Origin::start().await);
    let fetch = |url: String| {
        let config = json!({"resolve": "fetch", "urls": [url]});
        granted(&bench, "acme", &[&origin.url], config)
    };
    origin.put("/wait/2", b"after a while");
    let begin = std::time::Instant::now();
    let job = fetch(format!("{}/wait/2", origin.url));
    bench
        .engine
        .resolve(&bench.hostile, &job, None)
        .await
        .unwrap();
    assert!(begin.elapsed() >= std::time::Duration::from_secs(2));
    assert_eq!(origin.asked("/wait/2"), 2);
    let job = fetch(format!("{}/wait/3000", origin.url));
    let error = bench
        .engine
        .resolve(&bench.hostile, &job, None)
        .await
        .unwrap_err();
    assert!(
        matches!(error, GeneratorError::Upstream { retry_after: Some(pause), .. } if pause.as_secs() == 3000),
        "{error}"
    );
    assert_eq!(origin.asked("/wait/3000"), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn one_origin_is_asked_for_few_things_at_a_time() {
    let bench = Bench::with(|config| {
        allow_loopback(config);
        config.fetch.per_origin = 2;
    })
    .await;
    let origin = Origin::start().await;
    let jobs: Vec<_> = (0..8)
        .map(|number| {
            let url = origin.put(&format!("/slow/{number}"), b"slow");
            granted(
                &bench,
                "acme",
                &[&origin.url],
                json!({"resolve": "fetch", "urls": [url]}),
            )
        })
        .collect();
    let runs = jobs
        .iter()
        .map(|job| bench.engine.resolve(&bench.hostile, job, None));
    for result in futures::future::join_all(runs).await {
        result.unwrap();
    }
    assert_eq!(origin.most.load(Ordering::SeqCst), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_proxy_carries_what_is_not_exempt_and_its_answers_are_the_tenants_own() {
    let (proxy, origin) = (Origin::start().await, Origin::start().await);
    proxy.put("/through", b"by the proxy");
    origin.put("/straight", b"directly");
    let address = proxy.url.clone();
    let bench = Bench::with(move |config| {
        allow_loopback(config);
        config.fetch.proxy = Some(bootsplice_engine::fetch::Proxy {
            url: address.parse().unwrap(),
            direct: vec!["127.0.0.1".into()],
        });
        // As behind a proxy: names of the outside are not known here, and one leads inside.
        config.fetch.lookup = Arc::new(|host| {
            Box::pin(async move {
                match host.as_str() {
                    "inside.example" => Ok(vec!["10.0.0.1".parse().unwrap()]),
                    _ => Err(std::io::Error::other("no such name")),
                }
            })
        });
    })
    .await;
    let get = |url: &str, prefix: &str| {
        let config = json!({"resolve": "fetch", "urls": [url]});
        granted(&bench, "acme", &[prefix], config)
    };
    let job = get("http://outside.example/through", "http://outside.example/");
    let locked = bench
        .engine
        .resolve(&bench.hostile, &job, None)
        .await
        .unwrap();
    assert_eq!(proxy.asked("/through"), 1);
    assert!(
        locked.pins.iter().all(|pin| pin.scope != Scope::Public),
        "{:?}",
        locked.pins
    );
    let job = get(&format!("{}/straight", origin.url), &origin.url);
    bench
        .engine
        .resolve(&bench.hostile, &job, None)
        .await
        .unwrap();
    assert_eq!(
        (proxy.asked("/straight"), origin.asked("/straight")),
        (0, 1)
    );
    let job = get("http://inside.example/through", "http://inside.example/");
    let error = bench
        .engine
        .resolve(&bench.hostile, &job, None)
        .await
        .unwrap_err();
    assert!(matches!(error, GeneratorError::Denied(_)), "{error}");
}
