//! Which launches there are. What is not final has a mark of its own, so that nobody reads all records to find them.

use bootsplice_store::{Document as _, MAX_PAGE, Record};

use super::super::record::Launch;
use super::{Ledger, LedgerError, launch_key};

const OPEN: &str = "open-launches/";

/// Of a launch that is not final: written with its admission, deleted with its end.
pub fn open_key(tenant: &str, id: &str) -> String {
    format!("{OPEN}{tenant}/{id}")
}

/// Of a launch by the revision of its profile: written with its admission, deleted with its record.
pub fn profile_key(launch: &Launch) -> String {
    let revisions = revisions_key(&launch.tenant, &launch.request.profile);
    format!("{revisions}{:010}/{}", launch.profile_version, launch.id)
}

fn revisions_key(tenant: &str, profile: &str) -> String {
    format!("profile-launches/{tenant}/{profile}/")
}

// === impl Ledger ===

impl Ledger {
    /// Launches of `tenant`, newest first, below `before` (an id) when given, at most `limit`; true when more follow.
    pub async fn list(
        &self,
        tenant: &str,
        before: Option<&str>,
        limit: usize,
    ) -> Result<(Vec<Launch>, bool), LedgerError> {
        let before = before.map(|id| launch_key(tenant, id));
        let page = self
            .store
            .list_back(&launch_key(tenant, ""), before.as_deref(), limit)
            .await?;
        let found: Result<Vec<_>, _> = page.records.iter().map(Launch::decode).collect();
        Ok((found?, page.more))
    }

    /// Ids of the launches of one revision of a profile, newest first, at most `limit`; true when there are more.
    pub async fn of_revision(
        &self,
        tenant: &str,
        profile: &str,
        version: u32,
        limit: usize,
    ) -> Result<(Vec<String>, bool), LedgerError> {
        let prefix = format!("{}{version:010}/", revisions_key(tenant, profile));
        let page = self.store.list_back(&prefix, None, limit).await?;
        let ids = page
            .records
            .iter()
            .map(|record| record.key[prefix.len()..].to_owned());
        Ok((ids.collect(), page.more))
    }

    /// The last launch of the newest revision of a profile that was ever launched, while its record is kept.
    pub async fn last_of(
        &self,
        tenant: &str,
        profile: &str,
    ) -> Result<Option<Launch>, LedgerError> {
        let prefix = revisions_key(tenant, profile);
        let page = self.store.list_back(&prefix, None, 1).await?;
        let Some(id) = page
            .records
            .first()
            .and_then(|one| one.key.rsplit('/').next())
        else {
            return Ok(None);
        };
        match self.get(tenant, id).await {
            Ok(launch) => Ok(Some(launch)),
            Err(LedgerError::Missing { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// How many launches of `tenant` are not final.
    pub async fn unfinished_of(&self, tenant: &str) -> Result<usize, LedgerError> {
        Ok(self.every(&open_key(tenant, "")).await?.len())
    }

    /// Every launch of every tenant that is not final: what a starting host takes up.
    pub async fn unfinished(&self) -> Result<Vec<Launch>, LedgerError> {
        let mut found = Vec::new();
        for mark in self.every(OPEN).await? {
            let Some((tenant, id)) = mark.key[OPEN.len()..].split_once('/') else {
                continue;
            };
            found.push(self.get(tenant, id).await?);
        }
        Ok(found)
    }

    async fn every(&self, prefix: &str) -> Result<Vec<Record>, LedgerError> {
        let mut found: Vec<Record> = Vec::new();
        loop {
            let after = found.last().map(|record| record.key.clone());
            let page = self.store.list(prefix, after.as_deref(), MAX_PAGE).await?;
            found.extend(page.records);
            if !page.more {
                return Ok(found);
            }
        }
    }
}
