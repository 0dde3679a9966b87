//! Listening, TLS, and the end.

use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, bail};
use axum::Router;
use axum_server::Handle;
use axum_server::tls_rustls::{RustlsAcceptor, RustlsConfig};
use hyper_util::rt::TokioTimer;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

use crate::app::AppState;
use crate::config::Tls;
use crate::http;
use crate::route::Route;

/// A client that has not sent its request's header by then is cut off.
const HEADER: Duration = Duration::from_secs(15);
/// What running requests get to finish after the host was asked to stop. Launches are durable and go on at the next start.
const GRACE: Duration = Duration::from_secs(10);
const MOST_STREAMS: u32 = 256;

/// A host that is bound and not yet answering.
pub struct Server {
    listener: TcpListener,
    address: SocketAddr,
    tls: Option<RustlsConfig>,
    app: AppState,
    service: Router,
}

// === impl Server ===

impl Server {
    /// Binds the configured address and reads the certificate, so that a host which cannot serve says so before it starts to work.
    pub fn bind(app: AppState, routes: Vec<Route>) -> anyhow::Result<Self> {
        let wanted = app.config.listen;
        let listener = TcpListener::bind(wanted).with_context(|| {
            format!("cannot listen on {wanted}; give another address with `--listen`")
        })?;
        // Connections have it from their listener: bytes that nobody takes, a closed window included, end one (tcp(7), TCP_USER_TIMEOUT).
        let stalled = app.config.limits.stalled_reader.saturating_mul(1000);
        rustix::net::sockopt::set_tcp_user_timeout(&listener, stalled)?;
        let address = listener.local_addr()?;
        let tls = app.config.tls.as_ref().map(tls).transpose()?;
        let service = http::service(app.clone(), routes);
        Ok(Self {
            listener,
            address,
            tls,
            app,
            service,
        })
    }

    /// Where it listens; the port is a real one even when 0 was asked for.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Answers until the app's shutdown is asked for, then lets running requests finish, at most [`GRACE`].
    pub async fn run(self) -> anyhow::Result<()> {
        let handle = Handle::new();
        let stopper = handle.clone();
        let shutdown = self.app.shutdown.clone();
        let stop = tokio::spawn(async move {
            shutdown.cancelled().await;
            // The server waits for a notice that is not kept: it must listen before it can hear.
            stopper.listening().await;
            loop {
                stopper.graceful_shutdown(Some(GRACE));
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        });
        let service = self.service.into_make_service();
        let result = match self.tls {
            None => {
                let mut server = axum_server::from_tcp(self.listener)?.handle(handle);
                limit(server.http_builder());
                server.serve(service).await
            }
            Some(config) => {
                let acceptor = RustlsAcceptor::new(config).handshake_timeout(HEADER);
                let server = axum_server::from_tcp(self.listener)?;
                let mut server = server.acceptor(acceptor).handle(handle);
                limit(server.http_builder());
                server.serve(service).await
            }
        };
        stop.abort();
        result.context("the listener failed")
    }
}

/// Timers for what a silent client holds, on both versions of the protocol.
fn limit(builder: &mut hyper_util::server::conn::auto::Builder<hyper_util::rt::TokioExecutor>) {
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(MOST_STREAMS)
        .keep_alive_interval(Some(Duration::from_secs(30)))
        .keep_alive_timeout(Duration::from_secs(20));
}

fn tls(files: &Tls) -> anyhow::Result<RustlsConfig> {
    let certificate = files.certificate.display();
    let chain: Vec<CertificateDer<'static>> = CertificateDer::pem_file_iter(&files.certificate)
        .and_then(|items| items.collect())
        .with_context(|| format!("cannot read the certificate `{certificate}`"))?;
    if chain.is_empty() {
        bail!("`{certificate}` holds no certificate: expected PEM");
    }
    let key = PrivateKeyDer::from_pem_file(&files.key)
        .with_context(|| format!("cannot read the key `{}`", files.key.display()))?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .with_context(|| format!("`{certificate}` and `{}` do not fit", files.key.display()))?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(RustlsConfig::from_config(Arc::new(config)))
}

/// Resolves when the process is asked to end (SIGTERM, SIGINT).
pub async fn asked_to_stop() -> anyhow::Result<()> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    Ok(())
}
