//! The base volume of a launch: found, laid out, looked into, trusted.

use std::collections::BTreeMap;
use std::sync::Arc;

use bootsplice_blocks::{BlockSource as _, BlocksError, Volume};
use bootsplice_engine::blobs::Blob;
use bootsplice_volume::{Inventory, Layout, paths};
use futures::future::join_all;

use super::{Wanted, one, source_problem};
use crate::launch::Launches;
use crate::problem::{Kind, Problem};

/// A file of the inventory larger than this is not handed to generators.
const MAX_INVENTORY_FILE: usize = 64 << 20;

// === impl Launches ===

impl Launches {
    pub(super) async fn volume(&self, wanted: &Wanted<'_>) -> Result<Arc<Volume>, Problem> {
        let name = &wanted.request.volume;
        let origin = self.origin.clone().ok_or_else(|| {
            Problem::new(
                Kind::Unavailable,
                "this host has no store of base volumes: start it with `--volumes URL`",
            )
        })?;
        let cache = self.cache.clone();
        let opened = match wanted.base {
            Some(base) => Volume::open_id(origin, cache, base.volume, base.placement).await,
            None => Volume::open(origin, cache, name).await,
        };
        match opened {
            Ok(volume) => Ok(self.shared_volume(volume)),
            Err(BlocksError::Missing { .. } | BlocksError::Invalid { .. }) => Err(one(
                "/volume",
                "unknown-volume",
                format!("there is no volume `{name}`"),
                "`bootsplice volume list --store URL` shows what there is",
            )),
            Err(error) => Err(source_problem(&error)),
        }
    }

    pub(super) async fn layout(
        &self,
        volume: &Volume,
        size: Option<u64>,
    ) -> Result<Layout, Problem> {
        let manifest = volume.manifest();
        let head = match size {
            Some(size) if size != manifest.size => volume
                .block(0)
                .await
                .map_err(|error| source_problem(&error))?,
            _ => None,
        };
        let head = head.as_ref().map(|chunk| &chunk.bytes()[..]);
        Layout::new(manifest, size, head)
            .map_err(|error| one("/size", "does-not-fit", error.to_string(), ""))
    }

    /// A plan is refused when the guest could not apply it (RFC 0006).
    pub(super) fn check_trust(&self, inventory: &Inventory, volume: &str) -> Result<(), Problem> {
        if !inventory.files.contains_key("dpkg-status") {
            let detail = format!(
                "volume `{volume}` has no /var/lib/dpkg/status: which packages it has, and whether bootsplice-agent is among them, cannot be told"
            );
            let hint = "use a Debian image, and import it again if its root could not be read";
            return Err(one("/volume", "no-package-database", detail, hint));
        }
        if inventory.agent.is_none() {
            let detail = format!(
                "volume `{volume}` has no bootsplice-agent: install its package in the image and import it again"
            );
            return Err(Problem::new(Kind::PlanRefused, detail));
        }
        let active = self
            .app
            .keys
            .active()
            .map_err(|error| Problem::new(Kind::Internal, error.to_string()))?;
        if active
            .iter()
            .any(|key| inventory.trusted_keys.contains(&key.id))
        {
            return Ok(());
        }
        let mine: Vec<_> = active.iter().map(|key| key.id.as_str()).collect();
        let theirs: Vec<_> = inventory.trusted_keys.iter().map(String::as_str).collect();
        let detail = format!(
            "volume `{volume}` trusts the keys [{}], and this host signs with [{}]: put `bootsplice key export` in the image's /etc/bootsplice/keys.d, \
             or make the key with `bootsplice key new` before",
            theirs.join(", "),
            mine.join(", ")
        );
        Err(Problem::new(Kind::UntrustedBase, detail))
    }
}

pub(super) async fn inventory(volume: &Volume) -> Result<Inventory, Problem> {
    let digest = volume.manifest().inventory;
    let path = paths::inventory(&digest);
    let chunk = volume
        .document(digest, path.clone(), Inventory::MAX_BYTES)
        .await
        .map_err(|error| source_problem(&error))?;
    serde_json::from_slice(chunk.bytes())
        .map_err(|error| Problem::new(Kind::Upstream, format!("`{path}` is damaged: {error}")))
}

pub(super) async fn inventory_files(
    volume: &Volume,
    inventory: &Inventory,
) -> Result<BTreeMap<String, Blob>, Problem> {
    let reads = inventory.files.iter().map(async |(name, file)| {
        let path = paths::inventory_file(&file.digest);
        let chunk = volume
            .document(file.digest, path, MAX_INVENTORY_FILE)
            .await?;
        Ok::<_, BlocksError>((name.clone(), Blob::from_bytes(chunk.into_bytes())))
    });
    let read: Result<Vec<_>, _> = join_all(reads).await.into_iter().collect();
    Ok(read
        .map_err(|error| source_problem(&error))?
        .into_iter()
        .collect())
}
