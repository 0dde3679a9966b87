//! Why signed bytes are not trusted.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The kinds of distrust. From the least to the most telling: where several signatures fail, the greatest of their reasons is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Distrust {
    /// Nothing is signed.
    Missing,
    /// None of the allowed keys signed it.
    UnknownKey,
    /// An allowed key's signature does not fit the bytes.
    Bad,
    /// A broken digest, or a key that is too short.
    Weak,
    /// The key had run out.
    ExpiredKey,
    /// The key, or the subkey that signed, was revoked.
    RevokedKey,
    /// The signature itself had run out.
    Expired,
    /// Made after the host's present time.
    FromTheFuture,
    /// Bytes that no signature covers.
    UnsignedBytes,
    /// Not OpenPGP, or damaged, or past a limit.
    Malformed,
}

/// A refusal: why, and for people which keys signed and which were allowed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
#[error("{message}")]
pub struct Rejection {
    pub reason: Distrust,
    pub message: String,
}

// === impl Distrust ===

impl Distrust {
    /// Stable, kebab-case: what records, metrics and problem documents carry.
    pub fn code(self) -> &'static str {
        match self {
            Self::Missing => "signature-missing",
            Self::UnknownKey => "signature-unknown-key",
            Self::Bad => "signature-bad",
            Self::Weak => "signature-weak",
            Self::ExpiredKey => "signature-expired-key",
            Self::RevokedKey => "signature-revoked-key",
            Self::Expired => "signature-expired",
            Self::FromTheFuture => "signature-from-the-future",
            Self::UnsignedBytes => "signature-unsigned-bytes",
            Self::Malformed => "signature-malformed",
        }
    }

    /// A refusal for this reason.
    pub fn because(self, message: impl Into<String>) -> Rejection {
        Rejection {
            reason: self,
            message: message.into(),
        }
    }
}

impl fmt::Display for Distrust {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}
