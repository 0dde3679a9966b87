//! How a manifest comes in: read, held against what the repository has, inspected, stored, recorded. Until the record nobody sees any of it.

use std::sync::Arc;

use bootsplice_content::Digest;
use bootsplice_store::{Document as _, Record, StoreError, Transaction};
use bytes::Bytes;

use crate::digest::{Algorithm, ContentDigest};
use crate::error::{RegistryError, Result};
use crate::gate::Caller;
use crate::inspector::Upload;
use crate::manifest::Manifest;
use crate::name::{Reference, Repository, Tag};
use crate::records::{self, As, Kept, Link, Mark, Named, Referring};
use crate::registry::Inner;
use crate::wasm::Artifact;

/// How often a push that was overtaken looks again.
const ATTEMPTS: u32 = 8;

/// A manifest that someone pushes.
pub(crate) struct Push {
    pub(crate) caller: Arc<dyn Caller>,
    pub(crate) repository: Repository,
    pub(crate) reference: Reference,
    /// More tags, when it is pushed by digest.
    pub(crate) tags: Vec<Tag>,
    pub(crate) content_type: Option<String>,
    pub(crate) bytes: Bytes,
}

/// A manifest that is recorded.
#[derive(Debug)]
pub(crate) struct Pushed {
    pub(crate) digest: ContentDigest,
    pub(crate) subject: Option<ContentDigest>,
}

impl Inner {
    pub(crate) async fn push(&self, push: Push) -> Result<Pushed> {
        let digest = match &push.reference {
            Reference::Tag(_) => ContentDigest::of(Algorithm::Sha256, &push.bytes),
            Reference::Digest(claimed) => {
                let actual = ContentDigest::of(claimed.algorithm(), &push.bytes);
                if actual != *claimed {
                    let claimed = claimed.clone();
                    return Err(RegistryError::DigestMismatch { claimed, actual });
                }
                actual
            }
        };
        let tags = match &push.reference {
            Reference::Tag(tag) => vec![tag.clone()],
            Reference::Digest(_) => push.tags.clone(),
        };
        let manifest = Manifest::parse(&push.bytes, push.content_type.as_deref())?;
        let repository = &push.repository;
        self.complete(repository, &manifest).await?;
        // Said before anything is compiled.
        for tag in &tags {
            self.free(repository, tag, &digest).await?;
        }
        let size = push.bytes.len() as u64;
        self.room(repository, &digest, size).await?;
        let component = self.inspect(&push, &manifest, &digest, &tags).await?;
        let held = self.objects.hold(&digest).await;
        self.objects.put(&held, &digest, size, &*push.bytes).await?;
        let kept = Kept {
            media_type: manifest.media_type.to_owned(),
            size,
            at: self.surroundings.now(),
            tenant: push.caller.tenant().to_owned(),
            token: push.caller.token().to_owned(),
            references: manifest.references(),
            subject: manifest
                .subject
                .as_ref()
                .map(|subject| subject.digest.clone()),
            component,
        };
        let before = self
            .record(repository, &digest, &kept, &manifest, &tags)
            .await?;
        drop(held);
        if component.is_none() {
            for tag in before {
                self.inspector.untag(repository, &tag).await?;
            }
        }
        tracing::info!(%repository, %digest, tags = ?tags.iter().map(Tag::as_str).collect::<Vec<_>>(), tenant = kept.tenant, token = kept.token, "a manifest was pushed");
        let subject = kept.subject;
        Ok(Pushed { digest, subject })
    }

    /// Whether the repository holds all that the manifest refers to, in the size that it says.
    async fn complete(&self, repository: &Repository, manifest: &Manifest) -> Result<()> {
        let mut missing = Vec::new();
        let sized = |what: &ContentDigest, said: u64, has: u64| {
            if said == has {
                return Ok(());
            }
            Err(RegistryError::manifest(format!(
                "it says that {what} has {said} bytes, which has {has}"
            )))
        };
        for blob in manifest.blobs() {
            let key = records::blob_key(repository, &blob.digest);
            match self.records.get::<Link>(&key).await? {
                Some((link, _)) => sized(&blob.digest, blob.size, link.size)?,
                None => missing.push(blob.digest.clone()),
            }
        }
        for child in &manifest.manifests {
            let key = records::manifest_key(repository, &child.digest);
            match self.records.get::<Kept>(&key).await? {
                Some((kept, _)) => sized(&child.digest, child.size, kept.size)?,
                None => missing.push(child.digest.clone()),
            }
        }
        if missing.is_empty() {
            return Ok(());
        }
        missing.dedup();
        Err(RegistryError::ReferencesUnknown {
            repository: repository.clone(),
            digests: missing,
        })
    }

    /// Whether a tag may name this manifest, and the record of what it named first.
    async fn free(
        &self,
        repository: &Repository,
        tag: &Tag,
        digest: &ContentDigest,
    ) -> Result<Option<Record>> {
        if !tag.is_version() {
            return Ok(None);
        }
        let key = records::version_key(repository, tag);
        match self.records.get::<Named>(&key).await? {
            Some((first, record)) if first.digest == *digest => Ok(Some(record)),
            None => Ok(None),
            Some((first, _)) => Err(RegistryError::Denied(format!(
                "version {tag} of `{repository}` is {} and stays so, even when it was deleted; this is {digest}: push under another version",
                first.digest
            ))),
        }
    }

    /// Shows a component to the inspector. None: the manifest is of another layout.
    async fn inspect(
        &self,
        push: &Push,
        manifest: &Manifest,
        digest: &ContentDigest,
        tags: &[Tag],
    ) -> Result<Option<Digest>> {
        let Some(artifact) = Artifact::of(manifest, self.limits.component)? else {
            return Ok(None);
        };
        let _permit = self.inspections.acquire().await.map_err(closed)?;
        let (config, layer) = (artifact.config, artifact.component);
        let config = self.objects.whole(&config.digest, config.size).await?;
        let bytes = self.objects.whole(&layer.digest, layer.size).await?;
        artifact.check(&config, &bytes)?;
        let component = Digest::of(&bytes);
        if ContentDigest::from(component) != layer.digest {
            return Err(RegistryError::manifest(
                "a component is named by its SHA-256: push it under its sha256 digest",
            ));
        }
        let upload = Upload {
            caller: push.caller.clone(),
            repository: push.repository.clone(),
            tags: tags.to_vec(),
            manifest: digest.clone(),
            component,
            bytes,
        };
        self.inspector.inspect(upload).await?;
        Ok(Some(component))
    }

    /// Makes the manifest visible. Answers the tags that named a component until now.
    async fn record(
        &self,
        repository: &Repository,
        digest: &ContentDigest,
        kept: &Kept,
        manifest: &Manifest,
        tags: &[Tag],
    ) -> Result<Vec<Tag>> {
        for _ in 0..ATTEMPTS {
            let _references = self.references.read().await;
            self.complete(repository, manifest).await?;
            let named = Named {
                digest: digest.clone(),
                at: kept.at,
            };
            let mut transaction = Transaction::new()
                .put(records::repository_key(repository), Mark {}.encode())
                .put(records::manifest_key(repository, digest), kept.encode())
                .put(
                    records::holder_key(digest, repository, As::Manifest),
                    Mark {}.encode(),
                );
            for reference in &kept.references {
                let key = records::use_key(repository, reference, digest);
                transaction = transaction.put(key, Mark {}.encode());
            }
            if let Some(subject) = &kept.subject {
                let artifact_type = manifest.artifact_type.clone();
                let referring = Referring { artifact_type };
                let key = records::referrer_key(repository, subject, digest);
                transaction = transaction.put(key, referring.encode());
            }
            let mut before = Vec::new();
            for tag in tags {
                let key = records::tag_key(repository, tag.as_str());
                if let Some((old, _)) = self.records.get::<Named>(&key).await?
                    && old.digest != *digest
                {
                    let old = records::manifest_key(repository, &old.digest);
                    let old = self.records.get::<Kept>(&old).await?;
                    if old.is_some_and(|(old, _)| old.component.is_some()) {
                        before.push(tag.clone());
                    }
                }
                transaction = transaction.put(key, named.encode());
                if tag.is_version() {
                    let key = records::version_key(repository, tag);
                    transaction = match self.free(repository, tag, digest).await? {
                        Some(record) => transaction.unchanged(&record),
                        None => transaction.absent(&key).put(key, named.encode()),
                    };
                }
            }
            match self.records.transact(transaction).await {
                Ok(()) => return Ok(before),
                // Someone else pushed the same version at this moment: look at whose it is now.
                Err(RegistryError::Records(StoreError::Conflict { .. })) => {}
                Err(error) => return Err(error),
            }
        }
        Err(RegistryError::Unavailable(
            "others push the same at this moment: try again".to_owned(),
        ))
    }
}

pub(crate) fn closed(error: tokio::sync::AcquireError) -> RegistryError {
    RegistryError::Unavailable(error.to_string())
}
