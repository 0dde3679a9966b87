//! What can go wrong, by what the client does next. How each looks on the wire is [`http::answer`](crate::http).

use std::io;

use bootsplice_store::StoreError;
use serde_json::Value;

use crate::digest::ContentDigest;
use crate::gate::GateError;
use crate::inspector::InspectorError;
use crate::name::{NameError, Repository};

pub type Result<T, E = RegistryError> = std::result::Result<T, E>;

/// Why a request was not done. Nothing of it remains, unless the variant says otherwise.
#[derive(Debug, thiserror::Error)]
pub enum RegistryError {
    /// Send credentials.
    #[error("{0}")]
    Unauthenticated(String),
    /// Ask whoever grants rights, or push under another name.
    #[error("{0}")]
    Denied(String),
    /// Something needs what was to be deleted.
    #[error("{0}")]
    InUse(String),
    #[error(transparent)]
    Name(#[from] NameError),
    /// Push to it first.
    #[error("there is no repository `{0}`")]
    RepositoryUnknown(Repository),
    #[error("there is no blob {digest} in `{repository}`")]
    BlobUnknown {
        repository: Repository,
        digest: ContentDigest,
    },
    #[error("there is no manifest `{reference}` in `{repository}`")]
    ManifestUnknown {
        repository: Repository,
        reference: String,
    },
    /// Push what is missing, then the manifest again.
    #[error("the manifest refers to what `{repository}` does not hold")]
    ReferencesUnknown {
        repository: Repository,
        digests: Vec<ContentDigest>,
    },
    /// Mend the manifest or what it refers to.
    #[error("{why}")]
    ManifestInvalid { why: String, detail: Value },
    /// Send the bytes that the digest is of.
    #[error("the digest is {actual}, and {claimed} was claimed")]
    DigestMismatch {
        claimed: ContentDigest,
        actual: ContentDigest,
    },
    /// Start the upload again.
    #[error("there is no such upload: it ended, was given up, or belongs to another")]
    UploadUnknown,
    /// Go on at the offset, which the answer says. The upload stays.
    #[error("the upload goes on at byte {offset}, and this chunk begins at {start}")]
    OutOfOrder { offset: u64, start: u64 },
    #[error("{0}")]
    UploadInvalid(String),
    #[error("{0}")]
    SizeInvalid(String),
    #[error("{what} may have {limit} bytes at most")]
    TooLarge { what: &'static str, limit: u64 },
    /// Try again later, or finish other uploads first.
    #[error("{0}")]
    TooMany(String),
    /// No byte of the range exists.
    #[error("the blob has {size} bytes, and the range has none of them")]
    Range { size: u64 },
    #[error("{0}")]
    Unsupported(String),
    /// Use one of these methods.
    #[error("this path takes {allow}")]
    Method { allow: &'static str },
    /// The client went away or fell silent inside a body. Of a chunk, what had arrived stays.
    #[error("the body ended early: {0}")]
    Body(String),
    /// Bytes at rest are not what was stored. Restore from a backup.
    #[error("{0} is damaged in the object store")]
    Damaged(ContentDigest),
    /// The host cannot do it now. Try again.
    #[error("{0}")]
    Unavailable(String),
    #[error(transparent)]
    Records(#[from] StoreError),
    #[error("the object store failed: {0}")]
    Objects(#[from] object_store::Error),
    #[error("the local disk failed: {0}")]
    Disk(#[from] io::Error),
}

impl RegistryError {
    pub(crate) fn manifest(why: impl Into<String>) -> Self {
        Self::ManifestInvalid {
            why: why.into(),
            detail: Value::Null,
        }
    }
}

impl From<GateError> for RegistryError {
    fn from(error: GateError) -> Self {
        match error {
            GateError::Unauthenticated(why) => Self::Unauthenticated(why),
            GateError::Unavailable(why) => Self::Unavailable(why),
        }
    }
}

impl From<InspectorError> for RegistryError {
    fn from(error: InspectorError) -> Self {
        match error {
            InspectorError::Refused { reason, detail } => Self::ManifestInvalid {
                why: reason,
                detail,
            },
            InspectorError::Denied(why) => Self::Denied(why),
            InspectorError::Unavailable(why) => Self::Unavailable(why),
        }
    }
}
