//! What one run looks up in the replay guard, and what it raises there when it ends well.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::SystemTime;

use super::moment::Moment;
use super::{Distrust, LastSeen, LastSeenError, SeenKey};
use crate::error::GeneratorError;

const MAX_KEY: usize = 256;
/// Keys of one run.
const MAX_KEYS: usize = 1024;

/// One run's view of the replay guard.
pub struct Seen {
    last_seen: Arc<dyn LastSeen>,
    tenant: String,
    generator: String,
    /// What is raised when the run ends well.
    raised: BTreeMap<String, u64>,
}

// === impl Seen ===

impl Seen {
    pub fn new(last_seen: Arc<dyn LastSeen>, tenant: &str, generator: &str) -> Self {
        Self {
            last_seen,
            tenant: tenant.to_owned(),
            generator: generator.to_owned(),
            raised: BTreeMap::new(),
        }
    }

    /// The highest value known for `key`, of earlier runs and of this one; `value` is noted.
    pub async fn note(
        &mut self,
        key: String,
        value: u64,
        now: SystemTime,
    ) -> Result<Option<u64>, GeneratorError> {
        if key.is_empty() || key.len() > MAX_KEY {
            return Err(GeneratorError::Unsupported(format!(
                "a key of `seen` has 1 to {MAX_KEY} bytes"
            )));
        }
        if !self.raised.contains_key(&key) && self.raised.len() >= MAX_KEYS {
            return Err(GeneratorError::Unsupported(format!(
                "`seen` takes at most {MAX_KEYS} keys in a run"
            )));
        }
        // A date far ahead would shut the repository out until that time.
        let now = Moment::from(now);
        if now.precedes(value) {
            return Err(Distrust::FromTheFuture
                .because(format!(
                    "`{key}` is dated {}, and the host's clock stands at {now}: one of the two clocks is wrong",
                    Moment(value)
                ))
                .into());
        }
        let recorded = self
            .last_seen
            .highest(&self.place(&key))
            .await
            .map_err(failed)?;
        let known = recorded.max(self.raised.get(&key).copied());
        let raised = self.raised.entry(key).or_insert(value);
        *raised = (*raised).max(value);
        Ok(known)
    }

    /// The run has answered a lock: what it saw is remembered.
    pub async fn keep(&self) -> Result<(), GeneratorError> {
        if self.raised.is_empty() {
            return Ok(());
        }
        let values: Vec<(SeenKey, u64)> = self
            .raised
            .iter()
            .map(|(key, value)| (self.place(key), *value))
            .collect();
        self.last_seen.raise(&values).await.map_err(failed)
    }

    fn place(&self, key: &str) -> SeenKey {
        SeenKey {
            tenant: self.tenant.clone(),
            generator: self.generator.clone(),
            key: key.to_owned(),
        }
    }
}

fn failed(error: LastSeenError) -> GeneratorError {
    GeneratorError::Host(error.to_string())
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use super::*;
    use crate::trust::MemoryLastSeen;

    fn at(seconds: u64) -> SystemTime {
        UNIX_EPOCH + Duration::from_secs(seconds)
    }

    #[tokio::test]
    async fn a_value_is_remembered_only_when_the_run_ends_well_and_never_falls() {
        let memory: Arc<dyn LastSeen> = Arc::new(MemoryLastSeen::default());
        let run = || Seen::new(memory.clone(), "acme", "apt");
        let mut failed = run();
        assert_eq!(failed.note("s".into(), 90, at(100)).await.unwrap(), None);
        drop(failed);
        let mut first = run();
        assert_eq!(first.note("s".into(), 50, at(100)).await.unwrap(), None);
        assert_eq!(first.note("s".into(), 40, at(100)).await.unwrap(), Some(50));
        first.keep().await.unwrap();
        let mut second = run();
        assert_eq!(
            second.note("s".into(), 40, at(100)).await.unwrap(),
            Some(50)
        );
        second.keep().await.unwrap();
        assert_eq!(run().note("s".into(), 1, at(100)).await.unwrap(), Some(50));
    }

    #[tokio::test]
    async fn tenants_and_generators_do_not_see_each_others_values() {
        let memory: Arc<dyn LastSeen> = Arc::new(MemoryLastSeen::default());
        let mut mine = Seen::new(memory.clone(), "acme", "apt");
        mine.note("s".into(), 50, at(100)).await.unwrap();
        mine.keep().await.unwrap();
        for (tenant, generator) in [("evil", "apt"), ("acme", "yum")] {
            let mut other = Seen::new(memory.clone(), tenant, generator);
            assert_eq!(other.note("s".into(), 1, at(100)).await.unwrap(), None);
        }
    }

    #[tokio::test]
    async fn a_value_from_the_future_does_not_shut_a_repository_out() {
        let memory: Arc<dyn LastSeen> = Arc::new(MemoryLastSeen::default());
        let mut run = Seen::new(memory.clone(), "acme", "apt");
        let refused = run.note("s".into(), 401, at(100)).await.unwrap_err();
        assert_eq!(refused.code(), "signature-from-the-future");
        assert!(run.note("s".into(), u64::MAX, at(100)).await.is_err());
        run.note("t".into(), 400, at(100)).await.unwrap();
        run.keep().await.unwrap();
        let mut later = Seen::new(memory, "acme", "apt");
        assert_eq!(later.note("s".into(), 90, at(100)).await.unwrap(), None);
    }

    #[tokio::test]
    async fn keys_are_bounded_in_length_and_number() {
        let mut run = Seen::new(Arc::new(MemoryLastSeen::default()), "acme", "apt");
        assert!(run.note(String::new(), 1, at(1)).await.is_err());
        assert!(run.note("k".repeat(257), 1, at(1)).await.is_err());
        for index in 0..MAX_KEYS {
            run.note(index.to_string(), 1, at(1)).await.unwrap();
        }
        assert!(run.note("one more".into(), 1, at(1)).await.is_err());
        assert!(run.note("0".into(), 1, at(1)).await.is_ok());
    }
}
