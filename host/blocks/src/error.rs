//! What can go wrong between an object store and a verified block, by what the caller does next.

use std::io;
use std::sync::Arc;

/// Why a block or document could not be had. Cheap to clone: readers that waited for one read share its failure.
#[derive(Clone, Debug, thiserror::Error)]
pub enum BlocksError {
    /// The origin is away, slow or overloaded. The same read may work later.
    #[error("`{object}` could not be read in {attempts} attempts: {reason}; try again later")]
    Retry {
        object: String,
        attempts: u32,
        reason: String,
    },
    /// The stored object is not what its name or placement says, also when read twice. Restore it from a copy; no retry helps.
    #[error(
        "`{object}` is damaged{}: {reason}; restore the object from a copy",
        at(block)
    )]
    Corrupt {
        object: String,
        /// The block of the volume whose bytes are wrong, where one is known.
        block: Option<u64>,
        reason: String,
    },
    /// The object was replaced after the placement was written. Open the volume again with its newest placement.
    #[error("`{object}` no longer has the ETag `{etag}` of its placement; open the volume again")]
    Changed { object: String, etag: String },
    /// The store has no such object. Correct the name, or restore the object.
    #[error("the store has no object `{object}`")]
    Missing { object: String },
    /// The store refused the credentials. Correct them.
    #[error("the store refused access to `{object}`: {reason}")]
    Denied { object: String, reason: String },
    /// An argument is wrong. Correct it.
    #[error("{what} `{found}` is not usable: expected {expected}")]
    Invalid {
        what: &'static str,
        found: String,
        expected: String,
    },
    /// This machine failed: the cache directory, a thread. See the cause.
    #[error("{what}: {source}")]
    Io {
        what: String,
        source: Arc<io::Error>,
    },
}

/// The result of everything here.
pub type Result<T, E = BlocksError> = std::result::Result<T, E>;

// === impl BlocksError ===

impl BlocksError {
    pub fn io(what: impl Into<String>, source: io::Error) -> Self {
        Self::Io {
            what: what.into(),
            source: Arc::new(source),
        }
    }

    pub(crate) fn corrupt(object: &str, block: Option<u64>, reason: impl Into<String>) -> Self {
        Self::Corrupt {
            object: object.to_owned(),
            block,
            reason: reason.into(),
        }
    }

    /// True when the same call may succeed later without anybody mending anything.
    pub fn is_retryable(&self) -> bool {
        matches!(self, Self::Retry { .. })
    }
}

fn at(block: &Option<u64>) -> String {
    block.map(|n| format!(" at block {n}")).unwrap_or_default()
}
