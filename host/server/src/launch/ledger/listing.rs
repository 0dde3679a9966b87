//! Which launches there are. What is not final has a mark of its own, so that nobody reads all records to find them.

use bootsplice_store::{Document as _, MAX_PAGE, Record};

use super::super::record::Launch;
use super::{Ledger, LedgerError, launch_key};

const OPEN: &str = "open-launches/";

/// Of a launch that is not final: written with its admission, deleted with its end.
pub fn open_key(tenant: &str, id: &str) -> String {
    format!("{OPEN}{tenant}/{id}")
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
