//! The archive of a point, which may still be in the making.

use std::sync::Arc;

use bootsplice_blocks::BlockSource;
use tokio::sync::watch;

use crate::{Result, SinkError};

/// What readers wait on. Clones share it: a volume over HTTP is read by many.
#[derive(Clone)]
pub struct ArchiveSlot {
    point: Arc<str>,
    state: watch::Receiver<State>,
}

/// The maker's end. Dropped without an answer, it tells all readers that there will be none.
pub struct ArchivePromise {
    state: watch::Sender<State>,
}

#[derive(Clone)]
enum State {
    Making,
    Ready(Arc<dyn BlockSource>),
    Failed(Arc<str>),
}

// === impl ArchiveSlot ===

impl ArchiveSlot {
    /// A slot for the archive of `point`, and the maker's end of it.
    pub fn new(point: &str) -> (ArchivePromise, Self) {
        let (sender, receiver) = watch::channel(State::Making);
        let slot = Self {
            point: point.into(),
            state: receiver,
        };
        (ArchivePromise { state: sender }, slot)
    }

    /// A slot whose archive is there already.
    pub fn filled(point: &str, archive: Arc<dyn BlockSource>) -> Self {
        let (promise, slot) = Self::new(point);
        promise.fulfil(archive);
        slot
    }

    pub fn point(&self) -> &str {
        &self.point
    }

    /// The archive when it is ready, without waiting.
    pub fn get(&self) -> Option<Arc<dyn BlockSource>> {
        match &*self.state.borrow() {
            State::Ready(archive) => Some(archive.clone()),
            State::Making | State::Failed(_) => None,
        }
    }

    /// Waits for the archive.
    pub async fn ready(&self) -> Result<Arc<dyn BlockSource>> {
        let mut state = self.state.clone();
        let failed = |reason: &str| SinkError::Archive {
            point: self.point.to_string(),
            reason: reason.to_owned(),
        };
        let settled = state
            .wait_for(|state| !matches!(state, State::Making))
            .await;
        match settled.as_deref() {
            Ok(State::Ready(archive)) => Ok(archive.clone()),
            Ok(State::Failed(reason)) => Err(failed(reason)),
            Ok(State::Making) | Err(_) => Err(failed("its maker stopped without saying why")),
        }
    }
}

// === impl ArchivePromise ===

impl ArchivePromise {
    pub fn fulfil(self, archive: Arc<dyn BlockSource>) {
        self.state.send_replace(State::Ready(archive));
    }

    pub fn fail(self, reason: &str) {
        self.state.send_replace(State::Failed(reason.into()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_maker_that_goes_away_is_a_failure_not_a_wait() {
        let (promise, slot) = ArchiveSlot::new("base");
        drop(promise);
        let error = slot.ready().await.err().unwrap();
        assert!(
            matches!(&error, SinkError::Archive { point, .. } if point == "base"),
            "{error}"
        );
        let (promise, slot) = ArchiveSlot::new("users");
        promise.fail("capacity");
        assert!(
            slot.ready()
                .await
                .err()
                .unwrap()
                .to_string()
                .contains("capacity")
        );
        assert!(slot.get().is_none());
    }
}
