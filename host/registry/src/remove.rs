//! How things go: tags, manifests and blobs that a client deletes, and what nothing refers to.

use bootsplice_store::{Document as _, Transaction};
use futures::TryStreamExt as _;
use time::OffsetDateTime;

use crate::digest::ContentDigest;
use crate::error::{RegistryError, Result};
use crate::name::{Reference, Repository, Tag};
use crate::records::{self, As, Kept, Link, Named};
use crate::registry::{Inner, Registry};

/// What a collection freed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Collected {
    /// Uploads that were given up.
    pub uploads: usize,
    /// Blobs of repositories that no manifest refers to.
    pub blobs: usize,
    /// Objects that no repository holds, and their bytes.
    pub objects: usize,
    pub bytes: u64,
}

impl Registry {
    /// Frees what nothing has referred to for the grace time. Call it now and then; it may run beside everything else.
    pub async fn collect(&self) -> Result<Collected> {
        let inner = &*self.0;
        let now = inner.surroundings.now();
        let mut collected = Collected {
            uploads: inner.uploads.expire(now),
            ..Collected::default()
        };
        let mut after: Option<String> = None;
        loop {
            let page = inner
                .records
                .page("registry/blob/", after.as_deref(), 500)
                .await?;
            let (found, more) = page;
            for record in &found {
                if inner.old(Link::decode(record)?.at, now) && inner.unlink(&record.key).await? {
                    collected.blobs += 1;
                }
            }
            after = found.into_iter().next_back().map(|record| record.key);
            if !more {
                break;
            }
        }
        let mut objects = inner.objects.list();
        while let Some(object) = objects.try_next().await? {
            if !inner.old(object.modified, now) {
                continue;
            }
            // Whoever is about to hold it waits for this, and then stores it anew.
            let held = inner.objects.hold(&object.digest).await;
            let holders = records::holders_prefix(&object.digest);
            if inner.records.any(&holders).await?.is_none() {
                inner.objects.delete(&held, &object.digest).await?;
                collected.objects += 1;
                collected.bytes += object.size;
            }
        }
        Ok(collected)
    }
}

impl Inner {
    fn old(&self, at: OffsetDateTime, now: OffsetDateTime) -> bool {
        now - at >= self.limits.grace
    }

    /// Takes a blob out of its repository unless a manifest refers to it.
    async fn unlink(&self, key: &str) -> Result<bool> {
        let Some((repository, digest)) = key
            .strip_prefix("registry/blob/")
            .and_then(|name| name.split_once('@'))
        else {
            return Ok(false);
        };
        let (repository, digest) = (repository.parse()?, digest.parse()?);
        let _references = self.references.write().await;
        // Pushed again meanwhile: it is young.
        let young = match self.records.get::<Link>(key).await? {
            Some((link, _)) => !self.old(link.at, self.surroundings.now()),
            None => true,
        };
        if young || self.user(&repository, &digest).await?.is_some() {
            return Ok(false);
        }
        self.let_go_of_blob(&repository, &digest).await?;
        Ok(true)
    }

    /// A manifest that refers to this blob or manifest.
    async fn user(
        &self,
        repository: &Repository,
        digest: &ContentDigest,
    ) -> Result<Option<String>> {
        let found = self
            .records
            .any(&records::uses_prefix(repository, digest))
            .await?;
        Ok(found.map(|key| records::tail(&key).to_owned()))
    }

    async fn let_go_of_blob(&self, repository: &Repository, digest: &ContentDigest) -> Result<()> {
        let transaction = Transaction::new()
            .delete(records::blob_key(repository, digest))
            .delete(records::holder_key(digest, repository, As::Blob));
        self.records.transact(transaction).await
    }

    pub(crate) async fn delete_blob(
        &self,
        repository: &Repository,
        digest: &ContentDigest,
    ) -> Result<()> {
        let _references = self.references.write().await;
        self.link(repository, digest).await?;
        self.unused(repository, digest).await?;
        self.let_go_of_blob(repository, digest).await
    }

    async fn unused(&self, repository: &Repository, digest: &ContentDigest) -> Result<()> {
        match self.user(repository, digest).await? {
            None => Ok(()),
            Some(manifest) => Err(RegistryError::InUse(format!(
                "the manifest {manifest} refers to {digest}: delete that first"
            ))),
        }
    }

    pub(crate) async fn delete_manifest(
        &self,
        repository: &Repository,
        reference: &Reference,
    ) -> Result<()> {
        match reference {
            Reference::Tag(tag) => self.delete_tag(repository, tag).await,
            Reference::Digest(digest) => self.delete_by_digest(repository, digest).await,
        }
    }

    async fn delete_tag(&self, repository: &Repository, tag: &Tag) -> Result<()> {
        let reference = Reference::Tag(tag.clone());
        let (_, kept) = self.kept(repository, &reference).await?;
        // Other tags move as it is, and nothing is pinned by them.
        if let Some(component) = &kept.component
            && tag.is_version()
            && let Some(why) = self.inspector.in_use(repository, component).await?
        {
            return Err(RegistryError::InUse(why));
        }
        let key = records::tag_key(repository, tag.as_str());
        self.records
            .transact(Transaction::new().delete(key))
            .await?;
        if kept.component.is_some() {
            self.inspector.untag(repository, tag).await?;
        }
        tracing::info!(%repository, %tag, "a tag was deleted");
        Ok(())
    }

    async fn delete_by_digest(
        &self,
        repository: &Repository,
        digest: &ContentDigest,
    ) -> Result<()> {
        let reference = Reference::Digest(digest.clone());
        let _references = self.references.write().await;
        let (_, kept) = self.kept(repository, &reference).await?;
        self.unused(repository, digest).await?;
        let last = self.is_last_of_component(repository, digest, &kept).await?;
        if let Some(component) = &last
            && let Some(why) = self.inspector.in_use(repository, component).await?
        {
            return Err(RegistryError::InUse(why));
        }
        let mut transaction = Transaction::new()
            .delete(records::manifest_key(repository, digest))
            .delete(records::holder_key(digest, repository, As::Manifest));
        for reference in &kept.references {
            transaction = transaction.delete(records::use_key(repository, reference, digest));
        }
        if let Some(subject) = &kept.subject {
            transaction = transaction.delete(records::referrer_key(repository, subject, digest));
        }
        let mut tags = Vec::new();
        for key in self.records.keys(&records::tags_prefix(repository)).await? {
            if let Some((named, record)) = self.records.get::<Named>(&key).await?
                && named.digest == *digest
            {
                transaction = transaction.unchanged(&record).delete(&key);
                tags.push(records::tail(&key).parse::<Tag>()?);
            }
        }
        // First: when the host stops in between, the client deletes again and finds the rest.
        if let Some(component) = &last {
            self.inspector.forget(repository, component).await?;
        }
        self.records.transact(transaction).await?;
        if kept.component.is_some() && last.is_none() {
            for tag in &tags {
                self.inspector.untag(repository, tag).await?;
            }
        }
        tracing::info!(%repository, %digest, "a manifest was deleted");
        Ok(())
    }

    /// The component, when no other manifest of the repository has it.
    async fn is_last_of_component(
        &self,
        repository: &Repository,
        digest: &ContentDigest,
        kept: &Kept,
    ) -> Result<Option<bootsplice_content::Digest>> {
        let Some(component) = kept.component else {
            return Ok(None);
        };
        let prefix = records::uses_prefix(repository, &component.into());
        for key in self.records.keys(&prefix).await? {
            let other: ContentDigest = records::tail(&key).parse()?;
            if other == *digest {
                continue;
            }
            let key = records::manifest_key(repository, &other);
            let other = self.records.get::<Kept>(&key).await?;
            if other.is_some_and(|(other, _)| other.component == Some(component)) {
                return Ok(None);
            }
        }
        Ok(Some(component))
    }
}
