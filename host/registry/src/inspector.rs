//! What happens to a component between its upload and its use: the registry asks, its host looks.
//!
//! A manifest of the CNCF Wasm artifact layout is handed to the [`Inspector`] before it is recorded. Whoever can pull it can use it.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use bootsplice_content::Digest;
use bytes::Bytes;

use crate::digest::ContentDigest;
use crate::gate::Caller;
use crate::name::{Repository, Tag};

/// Judges components, and knows which of them something depends on.
#[async_trait]
pub trait Inspector: Send + Sync + fmt::Debug {
    /// Judges a component whose manifest is about to be recorded under the given tags. `Ok` means that it can be used from now on; the same upload
    /// again must change nothing, for the registry may stop between this and its record, and the client pushes again.
    async fn inspect(&self, upload: Upload) -> Result<(), InspectorError>;

    /// Why a component must not be deleted from a repository: what runs or pins it. None: nothing needs it.
    async fn in_use(
        &self,
        repository: &Repository,
        component: &Digest,
    ) -> Result<Option<String>, InspectorError>;

    /// The last manifest with this component was deleted from the repository.
    async fn forget(
        &self,
        repository: &Repository,
        component: &Digest,
    ) -> Result<(), InspectorError>;

    /// A tag that named a component was deleted, or names something else now that is no component.
    async fn untag(&self, repository: &Repository, tag: &Tag) -> Result<(), InspectorError>;
}

/// A component and where it is pushed to.
#[derive(Clone, Debug)]
pub struct Upload {
    pub caller: Arc<dyn Caller>,
    pub repository: Repository,
    /// Tags of this push. None: it is pushed by digest.
    pub tags: Vec<Tag>,
    /// What tags name and signatures sign.
    pub manifest: ContentDigest,
    /// SHA-256 of the bytes, verified.
    pub component: Digest,
    pub bytes: Bytes,
}

/// Why a component was not taken.
#[derive(Clone, Debug, thiserror::Error)]
pub enum InspectorError {
    /// The component or its place is at fault: 400 MANIFEST_INVALID. The text is for whoever pushed it, `detail` for their tools.
    #[error("{reason}")]
    Refused {
        reason: String,
        detail: serde_json::Value,
    },
    /// It must not be done: 403 DENIED.
    #[error("{0}")]
    Denied(String),
    /// The host cannot look now: 503.
    #[error("{0}")]
    Unavailable(String),
}
