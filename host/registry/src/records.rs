//! What a repository holds, as records. `@` is in no name, so a prefix that ends with it is one repository's.
//!
//! | key | what |
//! |---|---|
//! | `registry/repository/R` | the repository exists |
//! | `registry/blob/R@D` | it holds blob `D` ([`Link`]) |
//! | `registry/manifest/R@D` | it holds manifest `D` ([`Kept`]) |
//! | `registry/tag/R@T` | tag `T` names a manifest ([`Named`]) |
//! | `registry/version/R@T` | version `T` named this manifest first, and no other ever ([`Named`]) |
//! | `registry/use/R@D@M` | manifest `M` needs blob or manifest `D` |
//! | `registry/referrer/R@S@M` | manifest `M` has the subject `S` ([`Referring`]) |
//! | `registry/holder/D@R@…` | repository `R` holds the object of `D` |

use std::collections::BTreeSet;
use std::sync::Arc;

use bootsplice_content::Digest;
use bootsplice_store::{Document, Record, Store, Transaction};
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

use crate::digest::ContentDigest;
use crate::error::Result;
use crate::name::{Repository, Tag};

/// A blob in a repository.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Link {
    pub(crate) size: u64,
    #[serde(with = "time::serde::rfc3339")]
    pub(crate) at: OffsetDateTime,
}

/// A manifest in a repository.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Kept {
    pub(crate) media_type: String,
    pub(crate) size: u64,
    #[serde(with = "time::serde::rfc3339")]
    pub(crate) at: OffsetDateTime,
    pub(crate) tenant: String,
    pub(crate) token: String,
    pub(crate) references: BTreeSet<ContentDigest>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) subject: Option<ContentDigest>,
    /// The component of a Wasm artifact.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) component: Option<Digest>,
}

/// What a tag names.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Named {
    pub(crate) digest: ContentDigest,
    #[serde(with = "time::serde::rfc3339")]
    pub(crate) at: OffsetDateTime,
}

/// A manifest with a subject.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Referring {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) artifact_type: Option<String>,
}

/// That something is so.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Mark {}

/// How a repository holds an object.
#[derive(Clone, Copy, Debug)]
pub(crate) enum As {
    Blob,
    Manifest,
}

/// The records of all repositories.
#[derive(Clone, Debug)]
pub(crate) struct Records(Arc<dyn Store>);

impl Document for Link {
    const KIND: &'static str = "blob";
}

impl Document for Kept {
    const KIND: &'static str = "manifest";
}

impl Document for Named {
    const KIND: &'static str = "tag";
}

impl Document for Referring {
    const KIND: &'static str = "referrer";
}

impl Document for Mark {
    const KIND: &'static str = "mark";
}

// === keys ===

pub(crate) fn repository_key(repository: &Repository) -> String {
    format!("registry/repository/{repository}")
}

pub(crate) fn blob_key(repository: &Repository, digest: &ContentDigest) -> String {
    format!("registry/blob/{repository}@{digest}")
}

pub(crate) fn manifest_key(repository: &Repository, digest: &ContentDigest) -> String {
    format!("registry/manifest/{repository}@{digest}")
}

pub(crate) fn tags_prefix(repository: &Repository) -> String {
    format!("registry/tag/{repository}@")
}

pub(crate) fn tag_key(repository: &Repository, tag: &str) -> String {
    format!("{}{tag}", tags_prefix(repository))
}

pub(crate) fn version_key(repository: &Repository, tag: &Tag) -> String {
    format!("registry/version/{repository}@{tag}")
}

pub(crate) fn uses_prefix(repository: &Repository, digest: &ContentDigest) -> String {
    format!("registry/use/{repository}@{digest}@")
}

pub(crate) fn use_key(
    repository: &Repository,
    digest: &ContentDigest,
    by: &ContentDigest,
) -> String {
    format!("{}{by}", uses_prefix(repository, digest))
}

pub(crate) fn referrers_prefix(repository: &Repository, subject: &ContentDigest) -> String {
    format!("registry/referrer/{repository}@{subject}@")
}

pub(crate) fn referrer_key(
    repository: &Repository,
    subject: &ContentDigest,
    by: &ContentDigest,
) -> String {
    format!("{}{by}", referrers_prefix(repository, subject))
}

pub(crate) fn holders_prefix(digest: &ContentDigest) -> String {
    format!("registry/holder/{digest}@")
}

pub(crate) fn holder_key(digest: &ContentDigest, repository: &Repository, how: As) -> String {
    let how = match how {
        As::Blob => "blob",
        As::Manifest => "manifest",
    };
    format!("{}{repository}@{how}", holders_prefix(digest))
}

/// What follows the last `@` of a key.
pub(crate) fn tail(key: &str) -> &str {
    key.rsplit('@').next().unwrap_or_default()
}

// === impl Records ===

impl Records {
    pub(crate) fn new(store: Arc<dyn Store>) -> Self {
        Self(store)
    }

    /// The document under a key, with its record for a check.
    pub(crate) async fn get<D: Document>(&self, key: &str) -> Result<Option<(D, Record)>> {
        let Some(record) = self.0.get(key).await? else {
            return Ok(None);
        };
        Ok(Some((D::decode(&record)?, record)))
    }

    pub(crate) async fn exists(&self, key: &str) -> Result<bool> {
        Ok(self.0.get(key).await?.is_some())
    }

    /// One page of records under a prefix, and whether more follow.
    pub(crate) async fn page(
        &self,
        prefix: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<(Vec<Record>, bool)> {
        let page = self.0.list(prefix, after, limit).await?;
        Ok((page.records, page.more))
    }

    /// All keys under a prefix.
    pub(crate) async fn keys(&self, prefix: &str) -> Result<Vec<String>> {
        let mut keys: Vec<String> = Vec::new();
        loop {
            let after = keys.last().map(String::as_str);
            let page = self
                .0
                .list(prefix, after, bootsplice_store::MAX_PAGE)
                .await?;
            keys.extend(page.records.into_iter().map(|record| record.key));
            if !page.more {
                return Ok(keys);
            }
        }
    }

    pub(crate) async fn any(&self, prefix: &str) -> Result<Option<String>> {
        let page = self.0.list(prefix, None, 1).await?;
        Ok(page.records.into_iter().next().map(|record| record.key))
    }

    pub(crate) async fn transact(&self, transaction: Transaction) -> Result<()> {
        self.0.transact(transaction).await?;
        Ok(())
    }
}
