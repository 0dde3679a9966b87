//! One run of a generator, as its caller describes it.

use std::fmt;
use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use crate::contract::{Inventory, Target};
use crate::grant::Grants;
use crate::limits::Limits;
use crate::secret::{Secrets, no_secrets};
use crate::tape::Tape;

/// What `resolve` and `generate` are run with.
#[derive(Clone)]
pub struct Job {
    /// For logs: which launch and step.
    pub name: String,
    pub tenant: String,
    pub config: Arc<serde_json::Value>,
    pub target: Target,
    pub grants: Grants,
    /// Values for `credential`. Never seen by the guest.
    pub secrets: Secrets,
    pub inventory: Arc<Inventory>,
    pub limits: Limits,
    pub cancel: CancellationToken,
    pub observer: Arc<dyn Observer>,
    /// Records what comes into the run, or replays it. One job at a time.
    pub tape: Option<Arc<Tape>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    Trace,
    Debug,
    Info,
    Warn,
    Error,
}

/// Sees what a generator says while it works. Called from the run; must not block.
pub trait Observer: Send + Sync {
    fn log(&self, _level: Level, _message: &str, _fields: &[(String, String)]) {}
    /// `done` of `total` units of `stage`.
    fn progress(&self, _stage: &str, _done: u64, _total: Option<u64>) {}
    /// Every URL that a run reaches for, before it does: the audit log. Queries may be private; show them to operators only.
    fn fetching(&self, _url: &str) {}
}

/// Sends everything to `tracing`, under the job's name.
#[derive(Clone, Debug)]
pub struct Traced(pub String);

// === impl Job ===

impl Job {
    /// A job with default limits, nothing granted, no secrets, an empty inventory.
    pub fn new(
        name: impl Into<String>,
        tenant: impl Into<String>,
        target: Target,
        config: serde_json::Value,
    ) -> Self {
        let name = name.into();
        Self {
            observer: Arc::new(Traced(name.clone())),
            name,
            tenant: tenant.into(),
            config: Arc::new(config),
            target,
            grants: Grants::default(),
            secrets: no_secrets(),
            inventory: Arc::default(),
            limits: Limits::default(),
            cancel: CancellationToken::new(),
            tape: None,
        }
    }
}

impl fmt::Debug for Job {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Job")
            .field("name", &self.name)
            .field("tenant", &self.tenant)
            .finish_non_exhaustive()
    }
}

// === impl Traced ===

impl Observer for Traced {
    fn log(&self, level: Level, message: &str, fields: &[(String, String)]) {
        let job = self.0.as_str();
        match level {
            Level::Trace => tracing::trace!(job, ?fields, "{message}"),
            Level::Debug => tracing::debug!(job, ?fields, "{message}"),
            Level::Info => tracing::info!(job, ?fields, "{message}"),
            Level::Warn => tracing::warn!(job, ?fields, "{message}"),
            Level::Error => tracing::error!(job, ?fields, "{message}"),
        }
    }

    fn fetching(&self, url: &str) {
        tracing::info!(job = self.0, url, "fetching");
    }
}
