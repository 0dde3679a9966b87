//! The operator's configuration: one TOML file, every key optional, unknown keys refused. Flags of `bootsplice serve` win over it.
//!
//! ```toml
//! listen = "0.0.0.0:8443"
//! state = "/var/lib/bootsplice"
//! volumes = "s3://base-volumes/debian"
//! registry = "s3://plugins/boot"
//! public_url = "https://boot.example.org:8443"
//!
//! [tls]
//! certificate = "/etc/bootsplice/tls.crt"
//! key = "/etc/bootsplice/tls.key"
//!
//! [[sinks]]
//! name = "disks"
//! directory = "/srv/disks"
//!
//! [[grants]]
//! tenant = "web"
//! urls = ["https://deb.debian.org/", "file:///srv/team/"]
//!
//! [limits]
//! memory_cache = "512MiB"
//! ```

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use url::Url;

use crate::auth::{Namespace, Tenant};
use crate::size::ByteSize;

/// Everything an operator can decide.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Where the host listens.
    pub listen: SocketAddr,
    /// Where it keeps records, keys and caches.
    pub state: PathBuf,
    /// Allows plain HTTP on an address that is not loopback.
    pub insecure_http: bool,
    /// Object store of the base volumes: `file://`, `s3://`, `gs://` or `az://`.
    pub volumes: Option<Url>,
    /// Object store of what is pushed to the registry: `file://`, `s3://`, `gs://` or `az://`, for this host alone. None: the state directory.
    pub registry: Option<Url>,
    /// How guests reach this host, for reports. None: archives carry no report address.
    pub public_url: Option<Url>,
    /// Directory of generators to install at start (`*.wasm`). None: `plugins` beside the executable, or `../share/bootsplice/plugins`.
    pub plugins: Option<PathBuf>,
    /// The compiler child. None: `bootsplice-compile` beside the executable.
    pub compiler: Option<PathBuf>,
    pub tls: Option<Tls>,
    pub sinks: Vec<Sink>,
    pub grants: Vec<Grant>,
    /// Namespaces whose plugins must be signed before profiles may take them up.
    pub signatures: Vec<Signatures>,
    /// Private networks that generators may reach all the same, for mirrors of one's own: `10.1.0.0/16`.
    pub private_networks: Vec<String>,
    pub fetch: Fetch,
    pub limits: Limits,
}

/// PEM files of the certificate chain and its key.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tls {
    pub certificate: PathBuf,
    pub key: PathBuf,
}

/// A place that launches may write to, by name.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sink {
    pub name: String,
    #[serde(flatten)]
    pub place: Place,
    /// Who may use it; empty: every tenant.
    #[serde(default)]
    pub tenants: Vec<Tenant>,
}

/// What a sink is.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Place {
    /// Volumes become files in this directory.
    Directory(PathBuf),
    /// Volumes fill one of these block devices.
    Devices(Vec<PathBuf>),
}

/// What generators may fetch.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Grant {
    /// None: every tenant.
    #[serde(default)]
    pub tenant: Option<Tenant>,
    /// Prefixes of URLs: `https://deb.debian.org/`, `file:///srv/team/`, `s3://team/`.
    pub urls: Vec<Url>,
}

/// Who must have signed the plugins of a namespace.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Signatures {
    pub namespace: Namespace,
    /// PEM files of public keys, ECDSA P-256 or Ed25519. In messages a key has its file's name.
    pub keys: Vec<PathBuf>,
    /// How many of them must have signed. None: all.
    #[serde(default)]
    pub threshold: Option<usize>,
}

/// How generators' fetches reach the network.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Fetch {
    /// `http://proxy.example:3128`, with a name and password in it where it asks for them. Nothing is taken from the environment.
    pub proxy: Option<Url>,
    /// Hosts that are reached without the proxy; `.example.org` means all below it.
    pub direct: Vec<String>,
    /// PEM files of certificates to trust besides the system's.
    pub certificates: Vec<PathBuf>,
    /// Fetches from one origin at a time.
    pub per_origin: usize,
}

/// How much of everything.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    /// Verified blocks kept in memory.
    pub memory_cache: ByteSize,
    /// Verified blocks kept in the state directory.
    pub disk_cache: ByteSize,
    /// Launches running at once; more wait.
    pub launches: usize,
    /// Launches of one tenant that may be accepted and not final; more are refused with 429.
    pub launches_per_tenant: usize,
    /// Bytes that all repositories of one namespace may hold in the registry.
    pub namespace: ByteSize,
    /// Generator runs at once; more wait. Memory of the sandbox is set aside for so many.
    pub generators: usize,
    /// Seconds for which a reader may take nothing before its connection is closed.
    pub stalled_reader: u32,
    /// Largest body of a request.
    pub body: ByteSize,
    /// Seconds within which a launch must be committed, unless its request says less.
    pub launch_deadline: u64,
    /// Seconds after its end that the volume of a Committed launch can be read again. Its instance layer, the one with secrets, is made for nobody later.
    pub volume_retention: u64,
    /// Seconds after its end that a launch is kept, 48 hours at least: so long its idempotency key stands.
    pub launch_retention: u64,
    /// A profile that wants locks no older than so many seconds gets no less and no more than this.
    pub least_lock_age: u64,
    pub most_lock_age: u64,
    /// Seconds after their last use that layers and fetched artefacts are kept.
    pub cache_retention: u64,
}

/// The configuration cannot be used. Mend the named place.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    #[error("cannot read `{}`: {error}", path.display())]
    Read {
        path: PathBuf,
        error: std::io::Error,
    },
    #[error("`{}` is not a valid configuration: {error}", path.display())]
    Parse {
        path: PathBuf,
        error: Box<toml::de::Error>,
    },
    #[error("`{key}`: {why}")]
    Value { key: String, why: String },
}

// === impl Config ===

impl Default for Config {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 8080)),
            state: PathBuf::from("/var/lib/bootsplice"),
            insecure_http: false,
            volumes: None,
            registry: None,
            public_url: None,
            plugins: None,
            compiler: None,
            tls: None,
            sinks: Vec::new(),
            grants: Vec::new(),
            signatures: Vec::new(),
            private_networks: Vec::new(),
            fetch: Fetch::default(),
            limits: Limits::default(),
        }
    }
}

impl Config {
    pub fn read(path: &Path) -> Result<Self, ConfigError> {
        let text = std::fs::read_to_string(path).map_err(|error| ConfigError::Read {
            path: path.to_owned(),
            error,
        })?;
        toml::from_str(&text).map_err(|error| ConfigError::Parse {
            path: path.to_owned(),
            error: Box::new(error),
        })
    }

    /// Refuses what no host should start with.
    pub fn validate(&self) -> Result<(), ConfigError> {
        let wrong = |key: &str, why: String| {
            Err(ConfigError::Value {
                key: key.to_owned(),
                why,
            })
        };
        if self.tls.is_none() && !self.listen.ip().is_loopback() && !self.insecure_http {
            return wrong(
                "listen",
                format!(
                    "{} is not a loopback address, and without TLS tokens and secrets would cross the network in the clear: \
                     give `--tls-certificate` and `--tls-key`, or say `--insecure-http`",
                    self.listen
                ),
            );
        }
        let limits = &self.limits;
        if limits.least_lock_age > limits.most_lock_age {
            let why = format!(
                "{} is above `limits.most_lock_age`, {}",
                limits.least_lock_age, limits.most_lock_age
            );
            return wrong("limits.least_lock_age", why);
        }
        let mut names = std::collections::BTreeSet::new();
        for (index, sink) in self.sinks.iter().enumerate() {
            if !names.insert(&sink.name) {
                let why = format!("`{}` is defined twice", sink.name);
                return wrong(&format!("sinks[{index}].name"), why);
            }
            let good = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
            if sink.name.is_empty() || sink.name.len() > 40 || !sink.name.bytes().all(good) {
                let why = format!("`{}` is not 1 to 40 letters, digits and `-`", sink.name);
                return wrong(&format!("sinks[{index}].name"), why);
            }
            let paths = match &sink.place {
                Place::Directory(path) => std::slice::from_ref(path),
                Place::Devices(paths) => paths,
            };
            if let Some(path) = paths.iter().find(|path| !path.is_absolute()) {
                let why = format!("`{}` is not an absolute path", path.display());
                return wrong(&format!("sinks[{index}]"), why);
            }
        }
        for (index, grant) in self.grants.iter().enumerate() {
            for url in &grant.urls {
                if !matches!(url.scheme(), "https" | "http" | "file" | "s3" | "gs" | "az") {
                    let why = format!("`{url}`: expected https, http, file, s3, gs or az");
                    return wrong(&format!("grants[{index}].urls"), why);
                }
            }
        }
        if let Some(proxy) = &self.fetch.proxy
            && !matches!(proxy.scheme(), "http" | "https")
        {
            let why = format!("`{}`: expected http or https", proxy.scheme());
            return wrong("fetch.proxy", why);
        }
        if self.fetch.per_origin == 0 {
            return wrong("fetch.per_origin", "expected 1 or more".into());
        }
        Ok(())
    }
}

impl Default for Fetch {
    fn default() -> Self {
        Self {
            proxy: None,
            direct: Vec::new(),
            certificates: Vec::new(),
            per_origin: 8,
        }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            memory_cache: ByteSize(256 << 20),
            disk_cache: ByteSize(8 << 30),
            launches: 64,
            launches_per_tenant: 256,
            namespace: ByteSize(16 << 30),
            generators: 64,
            stalled_reader: 600,
            body: ByteSize(4 << 20),
            launch_deadline: 3600,
            volume_retention: 3600,
            launch_retention: 30 * 86_400,
            least_lock_age: 300,
            most_lock_age: 365 * 86_400,
            cache_retention: 30 * 86_400,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_are_loopback_and_var_lib() {
        let config = Config::default();
        assert_eq!(config.listen.to_string(), "127.0.0.1:8080");
        assert_eq!(config.state, Path::new("/var/lib/bootsplice"));
        config.validate().unwrap();
    }

    #[test]
    fn another_address_needs_tls_or_a_word() {
        let open = Config {
            listen: "0.0.0.0:8080".parse().unwrap(),
            ..Config::default()
        };
        let refused = open.validate().unwrap_err().to_string();
        assert!(refused.contains("--insecure-http"), "{refused}");
        let word = Config {
            insecure_http: true,
            ..open.clone()
        };
        word.validate().unwrap();
        let tls = Config {
            tls: Some(Tls {
                certificate: "/a".into(),
                key: "/b".into(),
            }),
            ..open
        };
        tls.validate().unwrap();
    }

    #[test]
    fn the_documented_example_is_read_and_unknown_keys_are_refused() {
        let source = include_str!("config.rs");
        let example: String = source
            .lines()
            .map_while(|line| line.strip_prefix("//!"))
            .skip_while(|line| line.trim() != "```toml")
            .skip(1)
            .take_while(|line| line.trim() != "```")
            .map(|line| format!("{}\n", line.trim()))
            .collect();
        let config: Config = toml::from_str(&example).unwrap();
        config.validate().unwrap();
        assert_eq!(config.sinks.len(), 1);
        assert_eq!(config.limits.memory_cache.0, 512 << 20);
        for wrong in ["lisen = 1", "[tls]\ncert = 'x'", "[limits]\nbodies = 1"] {
            let refused = toml::from_str::<Config>(wrong).unwrap_err().to_string();
            assert!(refused.contains("unknown field"), "{refused}");
        }
    }
}
