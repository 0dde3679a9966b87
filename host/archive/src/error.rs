//! Why an archive cannot be made or trusted.

use std::io;

use bootsplice_content::Digest;

/// By what the caller does next.
#[derive(Debug, thiserror::Error)]
pub enum ArchiveError {
    /// The point holds nothing. It was never filled, or what filled it failed.
    #[error("the point is empty: no archive was spliced in")]
    Empty,
    /// The archive was applied and its header overwritten. Nothing is left to do, if this machine knows that launch.
    #[error("the archive of launch {launch} (sequence {sequence}) was applied before")]
    Spent { launch: String, sequence: u64 },
    /// Bytes are not what the format or a signature says. Refuse the archive; nothing but another one helps.
    #[error("the {what} is not valid: {reason}")]
    Corrupt { what: String, reason: String },
    /// A layer's bytes are not what the header promises.
    #[error("layer {layer} is damaged: expected {expected}, found {actual}")]
    Layer {
        layer: usize,
        expected: Digest,
        actual: Digest,
    },
    /// No signature is by a trusted key. Give the guest the key, or sign with one it trusts.
    #[error(
        "no trusted key signed the archive: it is signed by [{signed}], trusted are [{trusted}]"
    )]
    Untrusted { signed: String, trusted: String },
    /// The archive does not fit its point. Make the point larger or the profile smaller.
    #[error("the archive needs {needed} blocks of 512 KiB, point has room for {capacity}")]
    Capacity { needed: u64, capacity: u64 },
    /// A path, name or mode that no archive carries.
    #[error("`{path}` cannot be in an archive: {reason}")]
    Entry { path: String, reason: String },
    /// A key file is not one.
    #[error("not a usable key: {0}")]
    Key(String),
    #[error(transparent)]
    Io(#[from] io::Error),
}

// === impl ArchiveError ===

impl ArchiveError {
    pub(crate) fn corrupt(what: impl Into<String>, reason: impl ToString) -> Self {
        Self::Corrupt {
            what: what.into(),
            reason: reason.to_string(),
        }
    }

    pub(crate) fn entry(path: &str, reason: impl Into<String>) -> Self {
        Self::Entry {
            path: path.chars().take(200).collect(),
            reason: reason.into(),
        }
    }
}
