//! How much one namespace may hold: the bytes of all its repositories' blobs and manifests.
//!
//! A blob that several repositories hold counts in each, as if it were alone. Uploads that end at one moment may together pass the limit, by no more than
//! what uploads may hold on the local disk.

use bootsplice_store::{Document as _, MAX_PAGE};

use crate::digest::ContentDigest;
use crate::error::{RegistryError, Result};
use crate::name::Repository;
use crate::records::{self, Kept, Link};
use crate::registry::Inner;

impl Inner {
    /// Whether the repository's namespace has room for so many bytes more. What the repository holds already needs none.
    pub(crate) async fn room(
        &self,
        repository: &Repository,
        digest: &ContentDigest,
        size: u64,
    ) -> Result<()> {
        for key in [
            records::blob_key(repository, digest),
            records::manifest_key(repository, digest),
        ] {
            if self.records.exists(&key).await? {
                return Ok(());
            }
        }
        let (namespace, limit) = (repository.namespace(), self.limits.namespace);
        let mut held = 0_u64;
        for kind in ["blob", "manifest"] {
            for end in ["/", "@"] {
                held += self
                    .held(kind, &format!("registry/{kind}/{namespace}{end}"))
                    .await?;
            }
        }
        if held.saturating_add(size) <= limit {
            return Ok(());
        }
        Err(RegistryError::Denied(format!(
            "`{namespace}` holds {held} bytes, {size} more are wanted, and {limit} are allowed: delete manifests that nobody needs, wait until what they \
             referred to is freed, or have the operator raise `limits.namespace`"
        )))
    }

    async fn held(&self, kind: &str, prefix: &str) -> Result<u64> {
        let mut held = 0_u64;
        let mut after: Option<String> = None;
        loop {
            let (page, more) = self
                .records
                .page(prefix, after.as_deref(), MAX_PAGE)
                .await?;
            for record in &page {
                let size = match kind {
                    "blob" => Link::decode(record)?.size,
                    _ => Kept::decode(record)?.size,
                };
                held = held.saturating_add(size);
            }
            after = page.into_iter().next_back().map(|record| record.key);
            if !more {
                return Ok(held);
            }
        }
    }
}
