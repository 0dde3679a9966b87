//! `bootsplice serve`.

use std::io::IsTerminal as _;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::Context as _;
use clap::Args;
use url::Url;

use super::Failure;
use super::exit::Code;
use crate::app::{AppState, Parts};
use crate::auth::{NewToken, Tenant, Verb};
use crate::config::{Config, Tls};
use crate::launch::Launches;
use crate::log::{LogFormat, start};
use crate::plugins::Installed;
use crate::registry;
use crate::serve::{Server, asked_to_stop};
use crate::state::write_private;

/// Run a host.
///
/// The first start writes an administrator's token to `STATE/admin.token`, which only its owner can read, and prints it when a person is looking.
#[derive(Args)]
#[command(after_help = "Examples:
  bootsplice serve --state ./state --volumes file:///srv/volumes
  bootsplice serve --config /etc/bootsplice/host.toml
  bootsplice serve --listen 0.0.0.0:8443 --tls-certificate host.crt --tls-key host.key")]
pub struct Serve {
    /// TOML file; flags win over it.
    #[arg(long, env = "BOOTSPLICE_CONFIG")]
    config: Option<PathBuf>,
    /// Address and port to listen on. [default: 127.0.0.1:8080]
    #[arg(long)]
    listen: Option<SocketAddr>,
    /// Directory of records, keys and caches. [default: /var/lib/bootsplice]
    #[arg(long, env = "BOOTSPLICE_STATE")]
    state: Option<PathBuf>,
    /// Object store of the base volumes.
    #[arg(long)]
    volumes: Option<Url>,
    /// How guests reach this host, for reports.
    #[arg(long)]
    public_url: Option<Url>,
    /// Directory of generators to install. [default: `plugins` beside the executable]
    #[arg(long)]
    plugins: Option<PathBuf>,
    /// PEM file of the certificate chain.
    #[arg(long, requires = "tls_key")]
    tls_certificate: Option<PathBuf>,
    /// PEM file of the certificate's key.
    #[arg(long, requires = "tls_certificate")]
    tls_key: Option<PathBuf>,
    /// Allow plain HTTP on an address that is not loopback.
    #[arg(long)]
    insecure_http: bool,
    /// How log lines look.
    #[arg(long, value_enum, default_value_t = LogFormat::Json)]
    log: LogFormat,
}

// === impl Serve ===

impl Serve {
    pub async fn run(self) -> Result<(), Failure> {
        start(self.log);
        let config = self
            .config()
            .map_err(|error| Failure::new(Code::Usage, error.to_string()))?;
        Ok(host(config).await?)
    }

    fn config(self) -> Result<Config, crate::config::ConfigError> {
        let mut config = match &self.config {
            Some(path) => Config::read(path)?,
            None => Config::default(),
        };
        if let Some(listen) = self.listen {
            config.listen = listen;
        }
        if let Some(state) = self.state {
            config.state = state;
        }
        if let (Some(certificate), Some(key)) = (self.tls_certificate, self.tls_key) {
            config.tls = Some(Tls { certificate, key });
        }
        config.volumes = self.volumes.or(config.volumes);
        config.public_url = self.public_url.or(config.public_url);
        config.plugins = self.plugins.or(config.plugins);
        config.insecure_http |= self.insecure_http;
        config.validate()?;
        Ok(config)
    }
}

/// Runs until SIGTERM or SIGINT.
async fn host(config: Config) -> anyhow::Result<()> {
    // The store is opened first: a second host on the directory must not touch what lies in it.
    let parts = Parts::real(config)?;
    let installed = Installed::open(&parts).await?;
    let app = AppState::new(parts, Arc::new(installed.clone()))?;
    first_token(&app).await?;
    let registry = registry::open(&app, &installed).await?;
    app.set_registry(registry.clone());
    installed.signatures().look_in(registry.clone());
    // Bound before the long work, so that a taken port is said at once.
    let server = Server::bind(app.clone(), crate::api::table())?;
    installed.install_directory(&app.config).await?;
    let opening = (app.clone(), installed.clone());
    let launches =
        tokio::task::spawn_blocking(move || Launches::open(&opening.0, opening.1)).await??;
    app.set_launches(launches.clone());
    let resumed = launches.resume().await?;
    if resumed > 0 {
        tracing::info!(launches = resumed, "interrupted launches are taken up");
    }
    tokio::spawn(launches.keep_up());
    tokio::spawn(registry::keep_up(app.clone(), registry));
    let scheme = if app.config.tls.is_some() {
        "https"
    } else {
        "http"
    };
    let address = server.address();
    tracing::info!(%address, scheme, state = %app.state.root().display(), "listening");
    if std::io::stderr().is_terminal() {
        eprintln!("bootsplice listens on {scheme}://{address}");
    }
    let shutdown = app.shutdown.clone();
    let asked = tokio::spawn(async move {
        let heard = asked_to_stop().await;
        tracing::info!("asked to stop");
        shutdown.cancel();
        heard
    });
    let served = server.run().await;
    app.shutdown.cancel();
    asked.abort();
    tracing::info!("stopped");
    served
}

/// On the first start makes the token that makes all others.
async fn first_token(app: &AppState) -> anyhow::Result<()> {
    let (tokens, _) = app.tokens.list(None, 1).await?;
    if !tokens.is_empty() {
        return Ok(());
    }
    let tenant: Tenant = Tenant::DEFAULT.parse()?;
    let (token, secret) = app
        .tokens
        .create(NewToken {
            tenant,
            label: "first".to_owned(),
            verbs: vec![Verb::Admin],
            namespaces: Vec::new(),
            expires: None,
        })
        .await?;
    let path = app.state.admin_token();
    let text = format!("{}\n", secret.reveal());
    if let Err(error) = write_private(&path, text.as_bytes()) {
        // A token that nobody was told would lock everybody out at the next start.
        app.tokens.revoke(&token.id).await?;
        return Err(error).with_context(|| format!("cannot write `{}`", path.display()));
    }
    tracing::info!(path = %path.display(), token = %token.id, "wrote the administrator's token");
    if std::io::stderr().is_terminal() {
        eprintln!(
            "The administrator's token, shown this once and kept in {}:\n\n    {}\n",
            path.display(),
            secret.reveal()
        );
    }
    Ok(())
}
