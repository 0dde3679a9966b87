//! Following changes.

use tokio::sync::broadcast;

use crate::{Record, Version};

/// How many changes a slow follower may lag behind before it is told to list again.
pub(crate) const BACKLOG: usize = 4096;

/// One change of one record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    Put(Record),
    Deleted {
        key: String,
        version: Version,
    },
    /// The follower was too slow and missed changes: list again, then go on.
    Missed,
}

/// The changes under one prefix, in the order of their commits.
#[derive(Debug)]
pub struct Watch {
    prefix: String,
    changes: broadcast::Receiver<Change>,
}

// === impl Change ===

impl Change {
    fn concerns(&self, prefix: &str) -> bool {
        match self {
            Self::Put(record) => record.key.starts_with(prefix),
            Self::Deleted { key, .. } => key.starts_with(prefix),
            Self::Missed => true,
        }
    }
}

// === impl Watch ===

impl Watch {
    pub(crate) fn new(prefix: &str, changes: broadcast::Receiver<Change>) -> Self {
        Self {
            prefix: prefix.to_owned(),
            changes,
        }
    }

    /// The next change; none when the store was closed. Dropping the future loses nothing.
    pub async fn next(&mut self) -> Option<Change> {
        loop {
            match self.changes.recv().await {
                Ok(change) if change.concerns(&self.prefix) => return Some(change),
                Ok(_) => {}
                Err(broadcast::error::RecvError::Lagged(_)) => return Some(Change::Missed),
                Err(broadcast::error::RecvError::Closed) => return None,
            }
        }
    }
}
