//! Hostile servers: each attack ends by its name, within its time and its bytes.

#![allow(
    clippy::unwrap_used,
    reason = "helpers of tests fail by panicking, like tests"
)]

mod support;

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use bootsplice_engine::contract::Quota;
use bootsplice_engine::grant::{Grants, UrlPrefix};
use bootsplice_engine::{EngineConfig, GeneratorError, Job};
use serde_json::json;
use support::Bench;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// A server that does `misdeed` with each connection, once a request's header has come.
async fn server<F: Future<Output = ()> + Send + 'static>(
    misdeed: impl Fn(TcpStream, usize) -> F + Send + 'static,
) -> (SocketAddr, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let asked = Arc::new(AtomicUsize::new(0));
    let count = asked.clone();
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut header = [0; 4096];
            if stream.read(&mut header).await.unwrap_or(0) > 0 {
                tokio::spawn(misdeed(stream, count.fetch_add(1, Ordering::SeqCst)));
            }
        }
    });
    (address, asked)
}

fn impatient(config: &mut EngineConfig) {
    config.fetch.allow_networks = vec!["127.0.0.0/8".parse().unwrap()];
    config.fetch.read_timeout = Duration::from_millis(300);
    config.fetch.backoff = Duration::from_millis(10);
}

fn job(bench: &Bench, url: &str) -> Job {
    let mut job = bench.job(json!({"resolve": "fetch", "urls": [url], "max_size": 4 << 20}));
    job.grants = Grants {
        fetch: vec![UrlPrefix::parse(url).unwrap()],
        credentials: vec![],
    };
    job.limits.wall = Duration::from_secs(5);
    job
}

async fn refused(bench: &Bench, job: &Job) -> (GeneratorError, Duration) {
    let started = Instant::now();
    let error = bench
        .engine
        .resolve(&bench.hostile, job, None)
        .await
        .unwrap_err();
    (error, started.elapsed())
}

const HEAD: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\n\r\n";

#[tokio::test(flavor = "multi_thread")]
async fn a_silent_server_is_given_up_and_a_dripping_one_ends_with_the_run() {
    let bench = Bench::with(impatient).await;
    // Takes the request and says nothing more.
    let (address, asked) = server(|stream, _| async move {
        tokio::time::sleep(Duration::from_secs(60)).await;
        drop(stream);
    })
    .await;
    let (error, _) = refused(&bench, &job(&bench, &format!("http://{address}/x"))).await;
    assert!(matches!(error, GeneratorError::Upstream { .. }), "{error}");
    assert_eq!(asked.load(Ordering::SeqCst), 3, "three tries");
    // A byte at a time, never silent for long.
    let (address, _) = server(|mut stream, _| async move {
        let _ = stream.write_all(HEAD).await;
        while stream.write_all(b"x").await.is_ok() {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    })
    .await;
    let (error, took) = refused(&bench, &job(&bench, &format!("http://{address}/x"))).await;
    let wall = "wall-clock time";
    assert!(
        matches!(error, GeneratorError::Timeout { what, .. } if what == wall),
        "{error}"
    );
    assert!(took >= Duration::from_secs(5), "{took:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_endless_body_ends_at_its_size_and_a_packed_bomb_stays_packed() {
    let bench = Bench::with(impatient).await;
    let (address, _) = server(|mut stream, _| async move {
        let _ = stream.write_all(HEAD).await;
        while stream.write_all(&[b'x'; 65_536]).await.is_ok() {}
    })
    .await;
    let (error, _) = refused(&bench, &job(&bench, &format!("http://{address}/x"))).await;
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
    // 64 MiB of zeros in 64 KiB of gzip: the host takes the bytes as they come and unpacks nothing that it was not asked to.
    let mut packer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    std::io::Write::write_all(&mut packer, &vec![0; 64 << 20]).unwrap();
    let bomb = Arc::new(packer.finish().unwrap());
    let size = bomb.len() as u64;
    let (address, _) = server(move |mut stream, _| {
        let bomb = bomb.clone();
        async move {
            let head = format!(
                "HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: {}\r\n\r\n",
                bomb.len()
            );
            let _ = stream.write_all(head.as_bytes()).await;
            let _ = stream.write_all(&bomb).await;
        }
    })
    .await;
    let job = job(&bench, &format!("http://{address}/x"));
    match bench.engine.resolve(&bench.hostile, &job, None).await {
        Ok(lock) => assert_eq!(lock.pins[0].size, size),
        Err(error) => assert!(matches!(error, GeneratorError::Upstream { .. }), "{error}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn headers_without_end_and_answers_that_are_no_http_are_upstream_failures() {
    let bench = Bench::with(impatient).await;
    for misdeed in [
        &b"HTTP/1.1 200 OK\r\nx: "[..],
        b"\0\0\0\0not http",
        b"HTTP/1.1 302 Found\r\nlocation: http://[::1\r\n\r\n",
        b"HTTP/1.1 302 Found\r\nlocation: gopher://169.254.169.254/\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-length: 99999999999999999999999\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nshort",
    ] {
        let (address, _) = server(move |mut stream, _| async move {
            let _ = stream.write_all(misdeed).await;
            // Headers of any length that one cares to read.
            let endless = misdeed.ends_with(b"x: ");
            while endless && stream.write_all(&[b'y'; 65_536]).await.is_ok() {}
        })
        .await;
        let (error, _) = refused(&bench, &job(&bench, &format!("http://{address}/x"))).await;
        assert!(
            matches!(
                error,
                GeneratorError::Upstream { .. } | GeneratorError::Denied(_)
            ),
            "{}: {error}",
            String::from_utf8_lossy(misdeed)
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_that_moves_inside_between_two_lookups_is_never_reached() {
    let (address, asked) = server(|mut stream, _| async move {
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\n\r\ninside").await;
    })
    .await;
    // The first answer is a public address, every later one the machine itself; and the other way round.
    for first in [true, false] {
        let lookups = Arc::new(AtomicUsize::new(0));
        let counted = lookups.clone();
        let bench = Bench::with(move |config| {
            config.fetch.tries = 1;
            config.fetch.connect_timeout = Duration::from_millis(500);
            config.fetch.lookup = Arc::new(move |_| {
                let even = counted.fetch_add(1, Ordering::SeqCst).is_multiple_of(2);
                let inside = even != first;
                Box::pin(async move {
                    // 192.0.2.0/24 is for documentation: nobody answers there.
                    let address = if inside { "127.0.0.1" } else { "192.0.2.1" };
                    Ok(vec![address.parse::<IpAddr>().unwrap()])
                })
            });
        })
        .await;
        let url = format!("http://rebind.example:{}/x", address.port());
        let (error, _) = refused(&bench, &job(&bench, &url)).await;
        assert!(
            matches!(
                error,
                GeneratorError::Denied(_) | GeneratorError::Upstream { .. }
            ),
            "{error}"
        );
        assert!(lookups.load(Ordering::SeqCst) > 0);
    }
    assert_eq!(asked.load(Ordering::SeqCst), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_url_that_gives_other_bytes_each_time_cannot_change_what_was_pinned() {
    let bench = Bench::with(impatient).await;
    let (address, _) = server(|mut stream, count| async move {
        let body = format!("answer {count}");
        let head = format!(
            "HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        );
        let _ = stream.write_all(head.as_bytes()).await;
    })
    .await;
    let url = format!("http://{address}/x");
    let mut job = job(&bench, &url);
    job.config = Arc::new(json!({"resolve": "fetch", "urls": [url], "do": "fetch-pins"}));
    let lock = bench
        .engine
        .resolve(&bench.hostile, &job, None)
        .await
        .unwrap();
    // What the lock pins is here and is used, whatever the server says now.
    bench
        .engine
        .generate(&bench.hostile, &job, &lock, None)
        .await
        .unwrap();
    // Elsewhere it must be fetched again, and is refused.
    let other = Bench::with(impatient).await;
    let error = other
        .engine
        .generate(&other.hostile, &job, &lock, None)
        .await
        .unwrap_err();
    assert!(matches!(error, GeneratorError::Integrity { .. }), "{error}");
}
