//! Which revisions of profiles pin a release of a generator: an index, written in one transaction with each revision.
//!
//! `plugin-use/<generator>/<digest>/<tenant>/<profile>/<version>`, without a value.

use std::collections::BTreeSet;

use bootsplice_content::Digest;
use bootsplice_store::{Store, StoreError, Transaction};

use super::{PluginName, Saved};
use crate::auth::Tenant;

/// One revision that pins a release.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Use {
    pub tenant: Tenant,
    pub profile: String,
    pub version: u32,
    /// Where a list goes on after it.
    pub cursor: String,
}

/// Adds what `saved` uses to the transaction that writes it.
pub fn note(mut transaction: Transaction, tenant: &Tenant, saved: &Saved) -> Transaction {
    let steps = &saved.profile.steps;
    let used: BTreeSet<_> = steps
        .iter()
        .filter_map(|step| Some((&step.uses.name, saved.plugins.get(&step.id)?)))
        .collect();
    for (plugin, digest) in used {
        let (name, version) = (&saved.profile.name, saved.version);
        let of = prefix(plugin, digest);
        transaction = transaction.put(format!("{of}{tenant}/{name}/{version:010}"), "");
    }
    transaction
}

/// Whether one revision pins a release.
pub async fn pins(
    store: &dyn Store,
    plugin: &PluginName,
    digest: &Digest,
    tenant: &str,
    profile: &str,
    version: u32,
) -> Result<bool, StoreError> {
    let of = prefix(plugin, digest);
    let found = store
        .get(&format!("{of}{tenant}/{profile}/{version:010}"))
        .await?;
    Ok(found.is_some())
}

/// Revisions that pin a release, of `tenant` or of all, after `after` (a [`Use::cursor`]); true when more follow.
pub async fn list(
    store: &dyn Store,
    plugin: &PluginName,
    digest: &Digest,
    tenant: Option<&Tenant>,
    after: Option<&str>,
    limit: usize,
) -> Result<(Vec<Use>, bool), StoreError> {
    let all = prefix(plugin, digest);
    let of = match tenant {
        Some(tenant) => format!("{all}{tenant}/"),
        None => all.clone(),
    };
    let after = after.map(|after| format!("{all}{after}"));
    let page = store.list(&of, after.as_deref(), limit).await?;
    let mut uses = Vec::with_capacity(page.records.len());
    for record in &page.records {
        let cursor = record.key[all.len()..].to_owned();
        let mut parts = cursor.split('/');
        let (Some(tenant), Some(profile), Some(version)) =
            (parts.next(), parts.next(), parts.next())
        else {
            continue;
        };
        let (Ok(tenant), Ok(version)) = (tenant.parse(), version.parse()) else {
            continue;
        };
        uses.push(Use {
            tenant,
            profile: profile.to_owned(),
            version,
            cursor: cursor.clone(),
        });
    }
    Ok((uses, page.more))
}

fn prefix(plugin: &PluginName, digest: &Digest) -> String {
    format!("plugin-use/{plugin}/{}/", digest.hex())
}
