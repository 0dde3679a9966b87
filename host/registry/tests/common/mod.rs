//! A registry over memory, whose host a test plays: who may do what, what is refused, what time it is.

#![allow(dead_code, reason = "each test binary uses its own part")]

pub mod call;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use async_trait::async_trait;
use bootsplice_content::Digest;
use bootsplice_registry::{
    Action, Caller, Decision, Gate, GateError, Inspector, InspectorError, Limits, Parts, Registry,
    Repository, Surroundings, Tag, Upload,
};
use bootsplice_store::MemoryStore;
use object_store::ObjectStore;
use object_store::memory::InMemory;
use parking_lot::Mutex;
use time::OffsetDateTime;

/// The `Authorization` of the tenant `acme`.
pub const ACME: &str = "Bearer acme";
/// The same of `other`, who may pull and push elsewhere.
pub const OTHER: &str = "Bearer other";

/// A registry and what its test holds of it.
pub struct Host {
    pub registry: Registry,
    pub objects: Arc<dyn ObjectStore>,
    pub inspector: Arc<Judge>,
    pub time: Arc<Clockwork>,
    pub spool: tempfile::TempDir,
}

/// Time that a test moves, and names that count.
#[derive(Debug)]
pub struct Clockwork {
    now: Mutex<OffsetDateTime>,
    next: AtomicU64,
}

/// `Bearer NAME` is the tenant `NAME`. Nobody may push to `locked/…`, and `private/…` is there for `acme` alone.
#[derive(Debug)]
struct Door;

#[derive(Debug)]
struct Visitor(String);

/// Takes every component, but for the texts that a test forbids.
#[derive(Debug, Default)]
pub struct Judge {
    pub seen: Mutex<Vec<(String, Vec<String>, Digest)>>,
    pub refuse: Mutex<Option<InspectorError>>,
    pub used: Mutex<Option<String>>,
    pub forgotten: Mutex<BTreeSet<String>>,
}

// === impl Host ===

impl Host {
    pub fn new() -> Self {
        Self::with(Limits::default())
    }

    pub fn with(limits: Limits) -> Self {
        let objects: Arc<dyn ObjectStore> = Arc::new(InMemory::new());
        Self::over(objects, limits)
    }

    pub fn over(objects: Arc<dyn ObjectStore>, limits: Limits) -> Self {
        let spool = tempfile::tempdir().unwrap();
        let inspector = Arc::new(Judge::default());
        // Later than what a store in memory says of its objects, so that they are old when a test says so.
        let time = Arc::new(Clockwork {
            now: Mutex::new(OffsetDateTime::from_unix_timestamp(4_000_000_000).unwrap()),
            next: AtomicU64::new(1),
        });
        let registry = Registry::open(Parts {
            objects: objects.clone(),
            records: Arc::new(MemoryStore::default()),
            spool: spool.path().to_owned(),
            gate: Arc::new(Door),
            inspector: inspector.clone(),
            surroundings: time.clone(),
            limits,
        })
        .unwrap();
        Self {
            registry,
            objects,
            inspector,
            time,
            spool,
        }
    }
}

// === impl Clockwork ===

impl Clockwork {
    pub fn advance(&self, by: std::time::Duration) {
        *self.now.lock() += by;
    }
}

impl Surroundings for Clockwork {
    fn now(&self) -> OffsetDateTime {
        *self.now.lock()
    }

    fn id(&self) -> String {
        format!("id{:024}", self.next.fetch_add(1, Ordering::Relaxed))
    }
}

// === impl Door ===

#[async_trait]
impl Gate for Door {
    async fn authenticate(
        &self,
        authorization: Option<&str>,
    ) -> Result<Arc<dyn Caller>, GateError> {
        let text = authorization.unwrap_or_default();
        let name = match text.strip_prefix("Bearer ") {
            Some(name) if !name.is_empty() => name,
            _ => return Err(GateError::Unauthenticated("send a token".into())),
        };
        Ok(Arc::new(Visitor(name.to_owned())))
    }
}

#[async_trait]
impl Caller for Visitor {
    fn tenant(&self) -> &str {
        &self.0
    }

    fn token(&self) -> &str {
        "token"
    }

    async fn allow(&self, repository: &Repository, action: Action) -> Result<Decision, GateError> {
        Ok(match (repository.namespace(), action) {
            ("private", _) if self.0 != "acme" => Decision::Hide,
            ("locked", Action::Push | Action::Delete) => Decision::Deny("it is locked".into()),
            _ => Decision::Allow,
        })
    }
}

// === impl Judge ===

#[async_trait]
impl Inspector for Judge {
    async fn inspect(&self, upload: Upload) -> Result<(), InspectorError> {
        if let Some(refusal) = &*self.refuse.lock() {
            return Err(refusal.clone());
        }
        let tags = upload.tags.iter().map(Tag::to_string).collect();
        let seen = (upload.repository.to_string(), tags, upload.component);
        self.seen.lock().push(seen);
        Ok(())
    }

    async fn in_use(&self, _: &Repository, _: &Digest) -> Result<Option<String>, InspectorError> {
        Ok(self.used.lock().clone())
    }

    async fn forget(
        &self,
        repository: &Repository,
        component: &Digest,
    ) -> Result<(), InspectorError> {
        let text = format!("{repository}@{component}");
        self.forgotten.lock().insert(text);
        Ok(())
    }

    async fn untag(&self, repository: &Repository, tag: &Tag) -> Result<(), InspectorError> {
        let text = format!("{repository}:{tag}");
        self.forgotten.lock().insert(text);
        Ok(())
    }
}
