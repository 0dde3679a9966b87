//! What the registry asks of a component's host: whether it may be used, and whether something uses it.

use std::fmt;

use async_trait::async_trait;
use bootsplice_content::Digest;
use bootsplice_registry::{Inspector, InspectorError, Repository, Tag, Upload};
use bootsplice_store::StoreError;
use serde_json::{Value, json};

use crate::app::AppState;
use crate::auth::{Namespace, Tenant};
use crate::plugins::Installed;
use crate::plugins::inspect::{self, InspectError};
use crate::plugins::release::Pusher;
use crate::profile::PluginName;
use crate::usage;

/// Makes releases of what is pushed.
pub(super) struct Shelf {
    app: AppState,
    installed: Installed,
}

// === impl Shelf ===

impl Shelf {
    pub(super) fn new(app: AppState, installed: Installed) -> Self {
        Self { app, installed }
    }
}

#[async_trait]
impl Inspector for Shelf {
    async fn inspect(&self, upload: Upload) -> Result<(), InspectorError> {
        let Some(plugin) = plugin(&upload.repository) else {
            return Err(refused(format!(
                "a plugin is pushed to NAMESPACE/NAME, and `{}` is no such repository",
                upload.repository
            )));
        };
        let (Some(namespace), name) = (&plugin.namespace, &*plugin.id) else {
            return Err(refused("a plugin needs a namespace".to_owned()));
        };
        let tenant: Tenant = upload.caller.tenant().parse().map_err(unavailable)?;
        let by = Pusher {
            tenant,
            token: upload.caller.token().to_owned(),
        };
        let upload = inspect::Upload {
            namespace,
            name,
            tags: upload.tags.iter().map(Tag::as_str).collect(),
            component: upload.bytes,
            by,
        };
        self.installed.inspect(upload).await?;
        Ok(())
    }

    async fn in_use(
        &self,
        repository: &Repository,
        component: &Digest,
    ) -> Result<Option<String>, InspectorError> {
        let release = plugin(repository).and_then(|name| self.installed.release(&name, component));
        let Some(release) = release else {
            return Ok(None);
        };
        let holders = usage::holders(&self.app, &release).await;
        let holders = holders.map_err(|problem| {
            tracing::warn!(?problem, "nobody can say what uses a release");
            unavailable("the host cannot say now what uses it")
        })?;
        Ok((!holders.is_empty()).then(|| {
            let holders = holders.join(", ");
            format!("{} is used by {holders}", release.reference())
        }))
    }

    async fn forget(
        &self,
        repository: &Repository,
        component: &Digest,
    ) -> Result<(), InspectorError> {
        match plugin(repository) {
            Some(name) => self
                .installed
                .delete(&name, component)
                .await
                .map_err(stored),
            None => Ok(()),
        }
    }

    async fn untag(&self, repository: &Repository, tag: &Tag) -> Result<(), InspectorError> {
        match plugin(repository) {
            Some(name) => {
                let gone = self.installed.untag(&name, tag.as_str()).await;
                gone.map_err(stored)
            }
            None => Ok(()),
        }
    }
}

impl fmt::Debug for Shelf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Shelf")
    }
}

/// The plugin whose repository this is. None: no plugin can have it.
fn plugin(repository: &Repository) -> Option<PluginName> {
    let namespace: Namespace = repository.namespace().parse().ok()?;
    Some(PluginName {
        namespace: Some(namespace),
        id: repository.name()?.to_owned(),
    })
}

impl From<InspectError> for InspectorError {
    fn from(error: InspectError) -> Self {
        let reason = error.to_string();
        match error {
            InspectError::Refused(faults) => Self::Refused {
                reason,
                detail: json!({"errors": faults}),
            },
            InspectError::Taken { .. } => Self::Denied(reason),
            InspectError::Host(_) => Self::Unavailable(reason),
        }
    }
}

fn refused(reason: String) -> InspectorError {
    InspectorError::Refused {
        reason,
        detail: Value::Null,
    }
}

fn unavailable(why: impl fmt::Display) -> InspectorError {
    InspectorError::Unavailable(why.to_string())
}

fn stored(error: StoreError) -> InspectorError {
    unavailable(error)
}
