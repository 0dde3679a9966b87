//! The registry's parts, and what its host may ask of it directly.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bootsplice_content::Digest;
use bootsplice_store::{Document as _, Store, Transaction};
use bytes::Bytes;
use object_store::ObjectStore;
use time::OffsetDateTime;
use tokio::sync::{RwLock, Semaphore};

use crate::digest::ContentDigest;
use crate::error::{RegistryError, Result};
use crate::gate::{Action, Caller, Decision, Gate};
use crate::inspector::Inspector;
use crate::limits::Limits;
use crate::manifest::Manifest;
use crate::name::{Reference, Repository};
use crate::objects::Objects;
use crate::records::{self, As, Kept, Link, Mark, Named, Records};
use crate::uploads::Uploads;

/// Components that are inspected at once; each is in memory meanwhile.
const INSPECTIONS: usize = 2;
/// Manifests that are received at once; each is in memory meanwhile.
const MANIFESTS: usize = 16;

/// One registry. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Registry(pub(crate) Arc<Inner>);

/// What a registry is made of.
#[derive(Debug)]
pub struct Parts {
    /// Keeps blobs and manifests. A local one should sync what it writes (`with_fsync`): a record that is durable must have its bytes.
    pub objects: Arc<dyn ObjectStore>,
    pub records: Arc<dyn Store>,
    /// A local directory for uploads under way. It is made when it is missing.
    pub spool: PathBuf,
    pub gate: Arc<dyn Gate>,
    pub inspector: Arc<dyn Inspector>,
    pub surroundings: Arc<dyn Surroundings>,
    pub limits: Limits,
}

/// Time and randomness.
pub trait Surroundings: Send + Sync + fmt::Debug {
    fn now(&self) -> OffsetDateTime;
    /// A new name that nobody can guess, of letters and digits.
    fn id(&self) -> String;
}

/// A manifest that was found, for the registry's host.
#[derive(Clone, Debug)]
pub struct Found {
    pub digest: ContentDigest,
    pub media_type: String,
    pub bytes: Bytes,
    /// SHA-256 of the component, when it is a Wasm artifact.
    pub component: Option<Digest>,
}

#[derive(Debug)]
pub(crate) struct Inner {
    pub(crate) objects: Objects,
    pub(crate) records: Records,
    pub(crate) uploads: Uploads,
    pub(crate) gate: Arc<dyn Gate>,
    pub(crate) inspector: Arc<dyn Inspector>,
    pub(crate) surroundings: Arc<dyn Surroundings>,
    pub(crate) limits: Limits,
    pub(crate) inspections: Semaphore,
    pub(crate) manifests: Semaphore,
    /// Read: a reference is recorded. Write: something that might be referred to goes.
    pub(crate) references: RwLock<()>,
}

// === impl Registry ===

impl Registry {
    pub fn open(parts: Parts) -> Result<Self> {
        std::fs::create_dir_all(&parts.spool)?;
        Ok(Self(Arc::new(Inner {
            objects: Objects::new(parts.objects),
            records: Records::new(parts.records),
            uploads: Uploads::new(parts.spool, parts.limits.clone()),
            gate: parts.gate,
            inspector: parts.inspector,
            surroundings: parts.surroundings,
            limits: parts.limits,
            inspections: Semaphore::new(INSPECTIONS),
            manifests: Semaphore::new(MANIFESTS),
            references: RwLock::new(()),
        })))
    }

    /// The manifest that a tag or digest names.
    pub async fn manifest(&self, repository: &Repository, reference: &Reference) -> Result<Found> {
        let (digest, kept) = self.0.kept(repository, reference).await?;
        let bytes = self.0.objects.whole(&digest, kept.size).await?;
        Ok(Found {
            digest,
            media_type: kept.media_type,
            bytes,
            component: kept.component,
        })
    }

    /// A blob of a repository, in memory, checked. Refused above `limit` bytes.
    pub async fn blob(
        &self,
        repository: &Repository,
        digest: &ContentDigest,
        limit: u64,
    ) -> Result<Bytes> {
        let link = self.0.link(repository, digest).await?;
        if link.size > limit {
            return Err(RegistryError::TooLarge {
                what: "this blob",
                limit,
            });
        }
        self.0.objects.whole(digest, link.size).await
    }

    /// The manifests of a repository that hold this component: what signatures of it sign.
    pub async fn manifests_of(
        &self,
        repository: &Repository,
        component: &Digest,
    ) -> Result<Vec<ContentDigest>> {
        let layer = ContentDigest::from(*component);
        let keys = self
            .0
            .records
            .keys(&records::uses_prefix(repository, &layer))
            .await?;
        keys.iter()
            .map(|key| Ok(records::tail(key).parse()?))
            .collect()
    }

    /// Manifests whose `subject` is this one, in the order of their digests, at most 1,000.
    pub async fn referrers(
        &self,
        repository: &Repository,
        subject: &ContentDigest,
    ) -> Result<Vec<ContentDigest>> {
        let prefix = records::referrers_prefix(repository, subject);
        let (found, _) = self
            .0
            .records
            .page(&prefix, None, bootsplice_store::MAX_PAGE)
            .await?;
        found
            .iter()
            .map(|record| Ok(records::tail(&record.key).parse()?))
            .collect()
    }
}

// === impl Inner ===

impl Inner {
    /// Lets the caller in or says why not.
    pub(crate) async fn admit(
        &self,
        caller: &dyn Caller,
        repository: &Repository,
        action: Action,
    ) -> Result<()> {
        match caller.allow(repository, action).await? {
            Decision::Allow => Ok(()),
            Decision::Deny(why) => Err(RegistryError::Denied(why)),
            Decision::Hide => Err(RegistryError::RepositoryUnknown(repository.clone())),
        }
    }

    pub(crate) async fn link(
        &self,
        repository: &Repository,
        digest: &ContentDigest,
    ) -> Result<Link> {
        let found = self
            .records
            .get(&records::blob_key(repository, digest))
            .await?;
        found
            .map(|(link, _)| link)
            .ok_or_else(|| RegistryError::BlobUnknown {
                repository: repository.clone(),
                digest: digest.clone(),
            })
    }

    pub(crate) async fn kept(
        &self,
        repository: &Repository,
        reference: &Reference,
    ) -> Result<(ContentDigest, Kept)> {
        let unknown = || RegistryError::ManifestUnknown {
            repository: repository.clone(),
            reference: reference.to_string(),
        };
        let digest = match reference {
            Reference::Digest(digest) => digest.clone(),
            Reference::Tag(tag) => {
                let key = records::tag_key(repository, tag.as_str());
                let found = self.records.get::<Named>(&key).await?;
                found.ok_or_else(unknown)?.0.digest
            }
        };
        let found = self
            .records
            .get(&records::manifest_key(repository, &digest))
            .await?;
        let (kept, _) = found.ok_or_else(unknown)?;
        Ok((digest, kept))
    }

    /// Records that a repository holds a blob, whose object is held meanwhile.
    pub(crate) async fn hold_blob(
        &self,
        repository: &Repository,
        digest: &ContentDigest,
        size: u64,
    ) -> Result<()> {
        let link = Link {
            size,
            at: self.surroundings.now(),
        };
        let transaction = Transaction::new()
            .put(records::repository_key(repository), Mark {}.encode())
            .put(records::blob_key(repository, digest), link.encode())
            .put(
                records::holder_key(digest, repository, As::Blob),
                Mark {}.encode(),
            );
        self.records.transact(transaction).await
    }

    pub(crate) async fn must_exist(&self, repository: &Repository) -> Result<()> {
        if self
            .records
            .exists(&records::repository_key(repository))
            .await?
        {
            Ok(())
        } else {
            Err(RegistryError::RepositoryUnknown(repository.clone()))
        }
    }

    /// Reads a recorded manifest again.
    pub(crate) async fn read(&self, digest: &ContentDigest, kept: &Kept) -> Result<Manifest> {
        let bytes = self.objects.whole(digest, kept.size).await?;
        Manifest::parse(&bytes, Some(&kept.media_type))
    }
}

/// Removes what a killed process left of half-written objects in a local object store. Call it before the store is used.
pub fn sweep_local(directory: &Path) -> std::io::Result<usize> {
    let mut swept = 0;
    let mut left = vec![directory.to_owned()];
    while let Some(directory) = left.pop() {
        for entry in std::fs::read_dir(directory)? {
            let entry = entry?;
            let kind = entry.file_type()?;
            let name = entry.file_name();
            // How `object_store` calls a file before it has its name: `NAME#1`.
            let staged = name
                .to_string_lossy()
                .rsplit_once('#')
                .is_some_and(|(_, number)| {
                    !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit())
                });
            if kind.is_dir() {
                left.push(entry.path());
            } else if kind.is_file() && staged {
                std::fs::remove_file(entry.path())?;
                swept += 1;
            }
        }
    }
    Ok(swept)
}
