//! Where profiles are kept: versions 1, 2, 3 … that never change, and a head that says which is the latest.
//!
//! `profile/<tenant>/<name>` is the head, `profile-version/<tenant>/<name>/<version>` each version. Deleting a profile deletes its head only: launches that
//! run still find their version, and a profile made anew under the name goes on counting.

use std::sync::Arc;

use bootsplice_store::{Document, Record, Store, StoreError, Transaction, Version};
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

use super::{Checked, ProfileRef, Saved, uses};
use crate::auth::Tenant;
use crate::clock::Clock;

/// All profiles of a host.
#[derive(Clone, Debug)]
pub struct Profiles {
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
}

/// What is known of a profile without reading a version.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Head {
    pub name: String,
    pub latest: u32,
    #[serde(with = "time::serde::rfc3339")]
    pub updated: OffsetDateTime,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub deleted: bool,
}

/// What a put did.
#[derive(Clone, Debug)]
pub enum Put {
    /// The name is new.
    Created(Saved),
    /// The name has a new version.
    Updated(Saved),
    /// The latest version is the same document with the same generators.
    Unchanged(Saved),
}

/// A put or delete did not happen.
#[derive(Debug, thiserror::Error)]
pub enum PutError {
    /// The profile is not in the version that the caller expects.
    #[error("the profile was changed meanwhile")]
    Precondition,
    #[error(transparent)]
    Store(#[from] StoreError),
}

// === impl Head ===

impl Document for Head {
    const KIND: &'static str = "profile head";
}

// === impl Put ===

impl Put {
    pub fn saved(&self) -> &Saved {
        match self {
            Self::Created(saved) | Self::Updated(saved) | Self::Unchanged(saved) => saved,
        }
    }
}

// === impl Profiles ===

impl Profiles {
    pub fn new(store: Arc<dyn Store>, clock: Arc<dyn Clock>) -> Self {
        Self { store, clock }
    }

    /// The profile that `reference` means; its latest version when it names none.
    pub async fn get(
        &self,
        tenant: &Tenant,
        reference: &ProfileRef,
    ) -> Result<Option<Saved>, StoreError> {
        let Some((_, head)) = self.read_head(tenant, &reference.name).await? else {
            return Ok(None);
        };
        if head.deleted {
            return Ok(None);
        }
        let version = reference.version.unwrap_or(head.latest);
        self.version(tenant, &reference.name, version).await
    }

    /// One version, also of a profile that was deleted since: for launches that run.
    pub async fn version(
        &self,
        tenant: &Tenant,
        name: &str,
        version: u32,
    ) -> Result<Option<Saved>, StoreError> {
        let record = self.store.get(&version_key(tenant, name, version)).await?;
        record.as_ref().map(saved).transpose()
    }

    /// Profiles of `tenant` by name, after `after`; true when more follow.
    pub async fn list(
        &self,
        tenant: &Tenant,
        after: Option<&str>,
        limit: usize,
    ) -> Result<(Vec<Head>, bool), StoreError> {
        let mut after = after.map(|name| head_key(tenant, name));
        let mut heads = Vec::new();
        loop {
            let prefix = head_key(tenant, "");
            let page = self.store.list(&prefix, after.as_deref(), limit).await?;
            for record in &page.records {
                let head = Head::decode(record)?;
                if head.deleted {
                    continue;
                }
                if heads.len() == limit {
                    return Ok((heads, true));
                }
                heads.push(head);
            }
            if !page.more {
                return Ok((heads, false));
            }
            after = page.records.last().map(|record| record.key.clone());
        }
    }

    /// Versions of one profile, oldest first, after `after`; true when more follow.
    pub async fn versions(
        &self,
        tenant: &Tenant,
        name: &str,
        after: Option<u32>,
        limit: usize,
    ) -> Result<(Vec<Saved>, bool), StoreError> {
        let prefix = format!("profile-version/{tenant}/{name}/");
        let after = after.map(|version| version_key(tenant, name, version));
        let page = self.store.list(&prefix, after.as_deref(), limit).await?;
        let versions: Result<_, _> = page.records.iter().map(saved).collect();
        Ok((versions?, page.more))
    }

    /// Saves `checked` as the next version, when `expected` fits what is there (none: no profile; some: its latest version's record).
    pub async fn put(
        &self,
        tenant: &Tenant,
        checked: &Checked,
        expected: impl Fn(Option<Version>) -> bool,
    ) -> Result<Put, PutError> {
        loop {
            let put = self.try_put(tenant, checked, &expected).await;
            // Without a precondition two puts at once are two versions, not an error.
            match put {
                Err(PutError::Store(StoreError::Conflict { .. })) => {}
                other => return other,
            }
        }
    }

    async fn try_put(
        &self,
        tenant: &Tenant,
        checked: &Checked,
        expected: impl Fn(Option<Version>) -> bool,
    ) -> Result<Put, PutError> {
        let name = &checked.profile.name;
        let key = head_key(tenant, name);
        let head = self.read_head(tenant, name).await?;
        let live = head.as_ref().filter(|(_, head)| !head.deleted);
        if !expected(live.map(|(record, _)| record.version)) {
            return Err(PutError::Precondition);
        }
        let plugins = checked.plugins();
        if let Some((_, head)) = live {
            let latest = self.version(tenant, name, head.latest).await?;
            if let Some(latest) = latest
                && latest.profile == checked.profile
                && latest.plugins == plugins
            {
                return Ok(Put::Unchanged(latest));
            }
        }
        let now = self.clock.now();
        let mut saved = Saved {
            profile: checked.profile.clone(),
            version: head.as_ref().map_or(0, |(_, head)| head.latest) + 1,
            created: now,
            plugins,
            record: Version(0),
        };
        let next = Head {
            name: name.clone(),
            latest: saved.version,
            updated: now,
            deleted: false,
        };
        let version = version_key(tenant, name, saved.version);
        let transaction = Transaction::new().absent(&version);
        let transaction = match &head {
            Some((record, _)) => transaction.unchanged(record),
            None => transaction.absent(&key),
        };
        let done = self
            .store
            .transact(uses::note(
                transaction
                    .put(version, saved.encode())
                    .put(key, next.encode()),
                tenant,
                &saved,
            ))
            .await?;
        saved.record = done.version;
        Ok(if live.is_some() {
            Put::Updated(saved)
        } else {
            Put::Created(saved)
        })
    }

    /// Deletes a profile, when `expected` fits its latest version's record. False when there is none.
    pub async fn delete(
        &self,
        tenant: &Tenant,
        name: &str,
        expected: impl Fn(Version) -> bool,
    ) -> Result<bool, PutError> {
        loop {
            let Some((record, mut head)) = self.read_head(tenant, name).await? else {
                return Ok(false);
            };
            if head.deleted {
                return Ok(false);
            }
            if !expected(record.version) {
                return Err(PutError::Precondition);
            }
            head.deleted = true;
            let gone = Transaction::new()
                .unchanged(&record)
                .put(record.key.clone(), head.encode());
            match self.store.transact(gone).await {
                Ok(_) => return Ok(true),
                Err(StoreError::Conflict { .. }) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// What is known of a profile, deleted or not.
    pub async fn head(&self, tenant: &Tenant, name: &str) -> Result<Option<Head>, StoreError> {
        Ok(self.read_head(tenant, name).await?.map(|(_, head)| head))
    }

    async fn read_head(
        &self,
        tenant: &Tenant,
        name: &str,
    ) -> Result<Option<(Record, Head)>, StoreError> {
        let record = self.store.get(&head_key(tenant, name)).await?;
        record
            .map(|record| Head::decode(&record).map(|head| (record, head)))
            .transpose()
    }
}

fn saved(record: &Record) -> Result<Saved, StoreError> {
    let mut saved = Saved::decode(record)?;
    saved.record = record.version;
    Ok(saved)
}

fn head_key(tenant: &Tenant, name: &str) -> String {
    format!("profile/{tenant}/{name}")
}

/// Ten digits, so that the order of keys is the order of versions.
fn version_key(tenant: &Tenant, name: &str, version: u32) -> String {
    format!("profile-version/{tenant}/{name}/{version:010}")
}
