//! What happens to a release after it was pushed: it is yanked, taken back, deleted.

use bootsplice_content::Digest;
use bootsplice_store::{Document, StoreError, Transaction};

use super::Installed;
use super::release::{self, Pusher, Release, Yank};
use super::{grants, shelf};
use crate::profile::PluginName;

// === impl Installed ===

impl Installed {
    /// Stops new revisions of profiles from using a release, or allows them again. None when it is gone.
    pub async fn set_yank(
        &self,
        plugin: &PluginName,
        digest: &Digest,
        yank: Option<(String, Pusher)>,
    ) -> Result<Option<Release>, StoreError> {
        let yank = yank.map(|(reason, by)| Yank {
            at: self.clock.now(),
            by,
            reason,
        });
        self.change(plugin, digest, |release| release.yanked.clone_from(&yank))
            .await
    }

    async fn change(
        &self,
        plugin: &PluginName,
        digest: &Digest,
        change: impl Fn(&mut Release),
    ) -> Result<Option<Release>, StoreError> {
        loop {
            let key = release::key(plugin, digest);
            let Some(record) = self.store.get(&key).await? else {
                return Ok(None);
            };
            let mut release = Release::decode(&record)?;
            change(&mut release);
            let put = Transaction::new()
                .unchanged(&record)
                .put(key, release.encode());
            match self.store.transact(put).await {
                Ok(_) => {
                    self.shelf.write().put(release.clone());
                    return Ok(Some(release));
                }
                Err(StoreError::Conflict { .. }) => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// Takes a release away, with its tags and its grant. Its version stays these bytes' own. Ask [`Installed::uses`] first.
    pub async fn delete(&self, plugin: &PluginName, digest: &Digest) -> Result<(), StoreError> {
        let _alone = self.inspecting.lock().await;
        let mut gone = Transaction::new()
            .delete(release::key(plugin, digest))
            .delete(grants::key(plugin, digest));
        for tag in self.shelf.read().tags_of(plugin, digest) {
            gone = gone.delete(shelf::tag_key(plugin, tag));
        }
        self.store.transact(gone).await?;
        let last = {
            let mut shelf = self.shelf.write();
            shelf.remove(plugin, digest);
            !shelf.holds(digest)
        };
        if last && let Err(error) = self.engine.forget(digest) {
            tracing::warn!(%error, %digest, "a deleted plugin was left behind");
        }
        Ok(())
    }
}
