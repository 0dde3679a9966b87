//! What a step may reach: what its generator wishes for, what the operator grants, and what both allow.

use std::collections::BTreeSet;

use bootsplice_engine::grant::{Grants, UrlPrefix};
use bootsplice_engine::{Limits, Plugin};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use crate::auth::Tenant;
use crate::launch::Launches;
use crate::plugins::grants::Grant;
use crate::problem::{Fault, Problem};
use crate::profile::{Step, Versioned};

/// What one step may reach, as a plan tells it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct StepAccess {
    /// What the generator asks for, filled in from the profile.
    pub wanted: Reach,
    /// What the operator allows: by the configuration for a built-in generator, by digest for one that was pushed.
    pub granted: Reach,
    /// What the step gets: what both allow.
    pub effective: Reach,
    /// Bytes of memory for one call.
    pub memory: u64,
    /// Seconds of processor time for one call.
    pub time: u64,
}

/// URLs and secrets.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Reach {
    pub fetch: Vec<String>,
    /// Names; `*` is any.
    pub secrets: Vec<String>,
}

/// A step's rights, for its job.
pub struct Rights {
    pub access: StepAccess,
    pub grants: Grants,
    pub limits: Limits,
}

// === impl Launches ===

impl Launches {
    /// What `step` may reach: no more than its generator asks for, and no more than the operator grants.
    pub(super) async fn rights(
        &self,
        tenant: &Tenant,
        step: &Step,
        plugin: &Plugin,
        config: &Value,
    ) -> Result<Rights, Problem> {
        let name = &step.uses.name;
        let granted = match &name.namespace {
            // It came with the host: the configuration's grants of the tenant are its own.
            None => Grant {
                fetch: self.configured(tenant),
                secrets: vec!["*".to_owned()],
                ..Grant::default()
            },
            Some(_) => {
                let found = self.installed.grants().get(name, plugin.digest()).await?;
                found.map(|found| found.grant).unwrap_or_default()
            }
        };
        let (wishes, secrets) = (plugin.fetch_in(config), plugin.secrets_in(config));
        Ok(Rights::of(&granted, wishes, secrets))
    }

    fn configured(&self, tenant: &Tenant) -> Vec<String> {
        let grants = self.app.config.grants.iter();
        let mine = grants.filter(|grant| grant.tenant.as_ref().is_none_or(|one| one == tenant));
        mine.flat_map(|grant| &grant.urls)
            .map(ToString::to_string)
            .collect()
    }
}

// === impl Rights ===

impl Rights {
    fn of(granted: &Grant, wishes: BTreeSet<String>, secrets: BTreeSet<String>) -> Self {
        let mut fetch: Vec<UrlPrefix> = Vec::new();
        for prefix in granted.prefixes() {
            fetch.extend(wishes.iter().filter_map(|wish| prefix.meet(wish)));
        }
        fetch.sort_by(|a, b| a.url().as_str().cmp(b.url().as_str()));
        fetch.dedup_by(|a, b| a.url() == b.url());
        let credentials: Vec<String> = secrets
            .iter()
            .filter(|name| granted.allows_secret(name))
            .cloned()
            .collect();
        let limits = granted.limits();
        Self {
            access: StepAccess {
                wanted: Reach {
                    fetch: wishes.into_iter().collect(),
                    secrets: secrets.into_iter().collect(),
                },
                granted: Reach {
                    fetch: granted.fetch.clone(),
                    secrets: granted.secrets.clone(),
                },
                effective: Reach {
                    fetch: fetch.iter().map(ToString::to_string).collect(),
                    secrets: credentials.clone(),
                },
                memory: limits.memory,
                time: limits.cpu.as_secs(),
            },
            grants: Grants { fetch, credentials },
            limits,
        }
    }
}

/// Secrets that a pushed plugin's step names and the operator does not grant: they reach no guest and no URL.
pub fn ungranted(order: usize, step: &Step, plugin: &Plugin, access: &StepAccess) -> Vec<Fault> {
    let Reach { secrets, .. } = &access.wanted;
    let mut uses = step.uses.clone();
    uses.version = Versioned::Digest(*plugin.digest());
    secrets
        .iter()
        .filter(|name| !access.effective.secrets.contains(name))
        .map(|name| {
            let detail = format!(
                "step `{}` names the secret `{name}`, and `{}@{}` is not granted it",
                step.id,
                step.uses.name,
                plugin.descriptor().version
            );
            Fault::new(
                format!("/profile/steps/{order}/with"),
                "secret-not-granted",
                detail,
            )
            .hint(format!(
                "an operator grants it: bootsplice plugin grant {uses} --secret {name}"
            ))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_gets_what_is_wished_for_and_granted_and_nothing_else() {
        let grant = Grant {
            fetch: vec![
                "https://a.example/debian/".into(),
                "https://b.example/".into(),
            ],
            secrets: vec!["key".into(), "other".into()],
            memory: Some("512MiB".parse().unwrap()),
            time: Some(120),
        };
        let set = |items: &[&str]| items.iter().map(ToString::to_string).collect();
        let wishes: BTreeSet<String> = set(&["https://a.example/", "https://c.example/"]);
        let rights = Rights::of(&grant, wishes.clone(), set(&["key", "mine"]));
        assert_eq!(rights.access.effective.fetch, ["https://a.example/debian/"]);
        assert_eq!(rights.access.effective.secrets, ["key"]);
        assert_eq!((rights.access.memory, rights.access.time), (512 << 20, 120));
        assert_eq!(rights.grants.credentials, ["key"]);
        let none = Rights::of(&Grant::default(), wishes, set(&["key"]));
        assert_eq!(
            none.grants,
            Grants::default(),
            "nothing granted, nothing had"
        );
    }
}
