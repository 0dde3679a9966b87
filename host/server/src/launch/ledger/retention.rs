//! How long the records of final launches are kept.

use bootsplice_store::{Document as _, MAX_PAGE, Transaction};
use time::{Duration, OffsetDateTime};

use super::super::record::Launch;
use super::listing::profile_key;
use super::{Idempotency, KEPT, Ledger, LedgerError, idempotency_key};

// === impl Ledger ===

impl Ledger {
    /// Deletes the record of a final launch; its key is free again.
    pub async fn delete(&self, tenant: &str, id: &str) -> Result<(), LedgerError> {
        let (record, launch) = self.read(tenant, id).await?;
        if !launch.is_final() {
            return Err(LedgerError::NotFinal { id: id.to_owned() });
        }
        let mut transaction = Transaction::new()
            .unchanged(&record)
            .delete(&*record.key)
            .delete(profile_key(&launch));
        // A key that was given back may be another launch's by now.
        if let Some(key) = self
            .store
            .get(&idempotency_key(tenant, &launch.idempotency_key))
            .await?
            && Idempotency::decode(&key)?.launch == launch.id
        {
            transaction = transaction.unchanged(&key).delete(&*key.key);
        }
        self.store.transact(transaction).await?;
        Ok(())
    }

    /// Deletes every final launch that ended longer than `retention` ago, and no sooner than its idempotency key may go. Gives how many.
    pub async fn sweep(
        &self,
        retention: Duration,
        now: OffsetDateTime,
    ) -> Result<usize, LedgerError> {
        let retention = retention.max(KEPT);
        let mut swept = 0;
        let mut after: Option<String> = None;
        loop {
            let page = self
                .store
                .list("launches/", after.as_deref(), MAX_PAGE)
                .await?;
            for record in &page.records {
                let launch = Launch::decode(record)?;
                if launch.ended().is_none_or(|ended| ended + retention > now) {
                    continue;
                }
                match self.delete(&launch.tenant, &launch.id).await {
                    Ok(()) => swept += 1,
                    // Somebody else deleted it, or a late report came in between: the next sweep sees it.
                    Err(LedgerError::Missing { .. } | LedgerError::Store(_)) => {}
                    Err(error) => return Err(error),
                }
            }
            if !page.more {
                return Ok(swept);
            }
            after = page.records.last().map(|record| record.key.clone());
        }
    }
}
