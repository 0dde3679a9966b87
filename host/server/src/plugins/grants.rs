//! What pushed plugins may reach: an operator's word for each digest.
//!
//! A plugin that was pushed fetches nothing, has no secret and no more than the usual limits until an operator grants it more, and the grant holds for those
//! bytes alone: the next version starts with nothing. Built-in generators came with the host and have the tenant's grants of the configuration. Either way
//! a step gets no more than it wishes for: its generator's wishes, filled in from the profile.

use std::sync::Arc;

use bootsplice_content::Digest;
use bootsplice_engine::Limits;
use bootsplice_engine::grant::UrlPrefix;
use bootsplice_store::{Document, Store, StoreError, Transaction};
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use utoipa::ToSchema;

use super::release::Pusher;
use crate::clock::Clock;
use crate::config::Config;
use crate::problem::Fault;
use crate::profile::PluginName;
use crate::size::ByteSize;

const MOST: usize = 100;
/// What the sandbox's pool has room for.
const MOST_MEMORY: u64 = 1 << 30;
const LEAST_MEMORY: u64 = 1 << 20;
const LONGEST: u64 = 3_600;

/// What an operator grants one digest.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Grant {
    /// Prefixes of URLs: `https://mirror.example/debian/`. `file:` and buckets only below what the configuration grants.
    #[schema(example = json!(["https://mirror.example/"]))]
    pub fetch: Vec<String>,
    /// Names of secrets that its steps may use; `*` is any.
    pub secrets: Vec<String>,
    /// Bytes of memory for one call: 1 MiB to 1 GiB. The usual limit when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, example = "512MiB")]
    pub memory: Option<ByteSize>,
    /// Seconds of processor time for one call: 1 to 3,600. The usual limit when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub time: Option<u64>,
}

/// A grant, by whom and when.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct Granted {
    #[serde(flatten)]
    pub grant: Grant,
    #[serde(with = "time::serde::rfc3339")]
    #[schema(value_type = String, format = DateTime)]
    pub at: OffsetDateTime,
    pub by: Pusher,
}

/// All grants of a host.
#[derive(Clone, Debug)]
pub struct PluginGrants {
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
}

// === impl Grant ===

impl Grant {
    /// Every fault of a grant that an operator wrote.
    pub fn faults(&self, config: &Config) -> Vec<Fault> {
        let mut faults = Vec::new();
        for (key, count) in [("fetch", self.fetch.len()), ("secrets", self.secrets.len())] {
            if count > MOST {
                let detail = format!("{count} items; at most {MOST}");
                faults.push(Fault::new(format!("/{key}"), "too-many", detail));
            }
        }
        for (index, text) in self.fetch.iter().enumerate() {
            let pointer = format!("/fetch/{index}");
            match UrlPrefix::parse(text) {
                Err(error) => {
                    let fault = Fault::new(pointer, "invalid-url", error.to_string());
                    faults.push(fault.hint("expected a prefix, such as https://mirror.example/"));
                }
                // Roots and buckets are opened with the operator's own rights, when the host starts.
                Ok(prefix) if !matches!(prefix.url().scheme(), "https" | "http") => {
                    let mut urls = config.grants.iter().flat_map(|grant| &grant.urls);
                    let below = urls.any(|url| {
                        UrlPrefix::parse(url.as_str()).is_ok_and(|all| all.covers(prefix.url()))
                    });
                    if !below {
                        let detail = format!(
                            "`{prefix}` lies below no `[[grants]]` of the host's configuration"
                        );
                        let fault = Fault::new(pointer, "not-configured", detail);
                        faults.push(fault.hint("name it there first, and start the host anew"));
                    }
                }
                Ok(_) => {}
            }
        }
        for (index, name) in self.secrets.iter().enumerate() {
            if name.is_empty() || name.len() > 64 {
                let detail = "a secret's name has 1 to 64 bytes; `*` is any";
                faults.push(Fault::new(
                    format!("/secrets/{index}"),
                    "invalid-name",
                    detail,
                ));
            }
        }
        if let Some(memory) = self.memory
            && !(LEAST_MEMORY..=MOST_MEMORY).contains(&memory.0)
        {
            let detail = format!("{} bytes; expected 1MiB to 1GiB", memory.0);
            faults.push(Fault::new("/memory", "invalid-value", detail));
        }
        if let Some(time) = self.time
            && !(1..=LONGEST).contains(&time)
        {
            let detail = format!("{time} seconds; expected 1 to {LONGEST}");
            faults.push(Fault::new("/time", "invalid-value", detail));
        }
        faults
    }

    pub fn allows_secret(&self, name: &str) -> bool {
        self.secrets.iter().any(|one| one == name || one == "*")
    }

    /// The limits of one call.
    pub fn limits(&self) -> Limits {
        let mut limits = Limits::default();
        if let Some(memory) = self.memory {
            limits.memory = memory.0;
        }
        if let Some(seconds) = self.time {
            limits.cpu = std::time::Duration::from_secs(seconds);
            limits.wall = limits.wall.max(limits.cpu);
        }
        limits
    }

    /// The prefixes, those that read.
    pub fn prefixes(&self) -> Vec<UrlPrefix> {
        let prefixes = self.fetch.iter().map(|text| UrlPrefix::parse(text));
        prefixes.filter_map(Result::ok).collect()
    }
}

// === impl Granted ===

impl Document for Granted {
    const KIND: &'static str = "grant of a plugin";
}

// === impl PluginGrants ===

impl PluginGrants {
    pub fn new(store: Arc<dyn Store>, clock: Arc<dyn Clock>) -> Self {
        Self { store, clock }
    }

    /// What an operator granted these bytes under this name: the same bytes in another namespace have their own.
    pub async fn get(
        &self,
        plugin: &PluginName,
        digest: &Digest,
    ) -> Result<Option<Granted>, StoreError> {
        let record = self.store.get(&key(plugin, digest)).await?;
        record.as_ref().map(Granted::decode).transpose()
    }

    /// Puts a grant in the place of the one before.
    pub async fn put(
        &self,
        plugin: &PluginName,
        digest: &Digest,
        grant: Grant,
        by: Pusher,
    ) -> Result<Granted, StoreError> {
        let granted = Granted {
            grant,
            at: self.clock.now(),
            by,
        };
        let put = Transaction::new().put(key(plugin, digest), granted.encode());
        self.store.transact(put).await?;
        tracing::info!(%plugin, %digest, token = %granted.by.token, fetch = ?granted.grant.fetch, secrets = ?granted.grant.secrets, "an operator granted rights to a plugin");
        Ok(granted)
    }
}

pub fn key(plugin: &PluginName, digest: &Digest) -> String {
    format!("plugin-grant/{plugin}/{}", digest.hex())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn every_fault_of_a_grant_is_told_where_it_stands() {
        let grant: Grant = serde_json::from_value(json!({
            "fetch": ["https://a.example/", "ftp://a/", "file:///etc/", "file:///srv/team/x/"],
            "secrets": [""], "memory": "4GiB", "time": 0,
        }))
        .unwrap();
        let config: Config = toml::from_str("[[grants]]\nurls = [\"file:///srv/team/\"]").unwrap();
        let faults = grant.faults(&config);
        let told: Vec<_> = faults
            .iter()
            .map(|fault| (&*fault.pointer, &*fault.code))
            .collect();
        assert_eq!(
            told,
            [
                ("/fetch/1", "invalid-url"),
                ("/fetch/2", "not-configured"),
                ("/secrets/0", "invalid-name"),
                ("/memory", "invalid-value"),
                ("/time", "invalid-value"),
            ]
        );
    }
}
