//! The values that placeholders stand for.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use bootsplice_engine::{Secret, Secrets};

use super::plugin_gone;
use crate::auth::Tenant;
use crate::launch::Launches;
use crate::problem::{Fault, Kind, Problem};
use crate::profile::{Placeholder, Saved, placeholders};

// === impl Launches ===

impl Launches {
    /// The values of all secrets that the profile names, and the check that every placeholder has a value.
    pub(super) async fn secret_values(
        &self,
        tenant: &Tenant,
        profile: &Saved,
        // None: nobody's, for a lock.
        attributes: Option<&BTreeMap<String, String>>,
    ) -> Result<Secrets, Problem> {
        let mut values = HashMap::new();
        let mut faults = Vec::new();
        for (index, step) in profile.profile.steps.iter().enumerate() {
            let with = format!("/profile/steps/{index}/with");
            let (found, _) = placeholders(&step.with);
            let mut wanted = Vec::new();
            for (pointer, placeholder) in found {
                match placeholder {
                    Placeholder::Attribute(name)
                        if attributes.is_some_and(|known| !known.contains_key(&name)) =>
                    {
                        let detail = format!(
                            "`{with}{pointer}` of the profile needs the attribute `{name}`"
                        );
                        faults.push(Fault::new(
                            format!("/instance/attributes/{name}"),
                            "missing-attribute",
                            detail,
                        ));
                    }
                    Placeholder::Secret(name) => wanted.push((pointer, name)),
                    _ => {}
                }
            }
            if let Some(digest) = profile.plugins.get(&step.id) {
                let plugin = self.installed.plugin(digest).await;
                let plugin = plugin.map_err(|error| plugin_gone(&step.uses, error))?;
                let config = serde_json::Value::Object(step.with.clone());
                wanted.extend(
                    plugin
                        .secrets_in(&config)
                        .into_iter()
                        .map(|name| (String::new(), name)),
                );
            }
            for (pointer, name) in wanted {
                if values.contains_key(&name) {
                    continue;
                }
                match self.app.secrets.open(tenant, &name).await? {
                    Some(value) => match std::str::from_utf8(value.reveal()) {
                        Ok(text) => drop(values.insert(name, Secret::new(text))),
                        Err(_) => faults.push(Fault::new(
                            format!("{with}{pointer}"),
                            "not-text",
                            format!("secret `{name}` is not UTF-8 text"),
                        )),
                    },
                    None => {
                        let fault = Fault::new(
                            format!("{with}{pointer}"),
                            "unknown-secret",
                            format!("there is no secret `{name}`"),
                        );
                        faults
                            .push(fault.hint(format!("`bootsplice secret put {name}` writes it")));
                    }
                }
            }
        }
        faults.dedup();
        if faults.is_empty() {
            Ok(Arc::new(move |name: &str| values.get(name).cloned()))
        } else {
            Err(Problem::new(Kind::PlanRefused, "").with_faults(faults))
        }
    }
}
