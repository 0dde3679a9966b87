//! What an upload must show before it can be used.
//!
//! In this order, so that the cheap tests come first: size, kind and world in the compiler's child under its limits; `describe` in the sandbox; id and
//! version against the place it was pushed to; the schema and every example, first by the schema, then by the plugin's own `validate`. What is refused
//! leaves nothing behind. A version is what it was when it was first pushed, for ever: also when it was deleted in between.

use bootsplice_content::Digest;
use bootsplice_engine::{EngineError, Plugin};
use bootsplice_store::{Document, StoreError, Transaction};
use bytes::Bytes;
use semver::Version;
use serde::{Deserialize, Serialize};

use super::release::{Pusher, Release};
use super::shelf::{Tag, tag_key};
use super::{Installed, judge};
use crate::auth::Namespace;
use crate::problem::Fault;
use crate::profile::{PluginName, is_tag};

/// An upload and where it was pushed to.
pub struct Upload<'a> {
    pub namespace: &'a Namespace,
    pub name: &'a str,
    /// Versions, and tags that may move: all are taken, or none. None at all: pushed by digest.
    pub tags: Vec<&'a str>,
    pub component: Bytes,
    pub by: Pusher,
}

/// An upload was not taken.
#[derive(Debug, thiserror::Error)]
pub enum InspectError {
    /// It cannot be used. Tell whoever pushed it; pointers lead into its descriptor.
    #[error("the plugin was refused: {}", summary(.0))]
    Refused(Vec<Fault>),
    /// The version is another component's. Push under another version.
    #[error("version {version} of `{plugin}` is {digest} and stays so: push under another version")]
    Taken {
        plugin: PluginName,
        version: String,
        digest: Digest,
    },
    /// The host could not look. Trying again can help.
    #[error("the plugin could not be inspected: {0}")]
    Host(String),
}

/// Which bytes a version is, also after they were deleted.
#[derive(Serialize, Deserialize)]
struct Fixed {
    digest: Digest,
}

impl Document for Fixed {
    const KIND: &'static str = "version of a plugin";
}

// === impl InspectError ===

impl From<StoreError> for InspectError {
    fn from(error: StoreError) -> Self {
        Self::Host(error.to_string())
    }
}

impl From<EngineError> for InspectError {
    fn from(error: EngineError) -> Self {
        match judge::refusal(error) {
            Ok(fault) => Self::Refused(vec![fault]),
            Err(error) => Self::Host(error.to_string()),
        }
    }
}

// === impl Installed ===

impl Installed {
    /// Inspects an upload and, when nothing is wrong with it, makes it a release that profiles may use. The same upload again changes nothing.
    pub async fn inspect(&self, upload: Upload<'_>) -> Result<Release, InspectError> {
        // One at a time: a refused upload is swept away, and must not take another's bytes along.
        let _alone = self.inspecting.lock().await;
        let plugin = PluginName {
            namespace: Some(upload.namespace.clone()),
            id: upload.name.to_owned(),
        };
        let digest = Digest::of(&upload.component);
        // Said before anything is compiled.
        for tag in &upload.tags {
            if Version::parse(tag).is_ok() {
                self.is_free(&plugin, tag, digest).await?;
            } else if !is_tag(tag) {
                let why = format!(
                    "`{tag}` is neither a version, such as 1.2.0, nor a tag that begins with a letter"
                );
                return Err(refused("/version", "invalid-tag", why));
            }
        }
        let before = self.shelf.read().holds(&digest);
        let release = match self.judge(&plugin, &upload, digest).await {
            Ok(judged) => self.record(&plugin, &upload, &judged).await,
            Err(error) => Err(error),
        };
        if release.is_err() && !before {
            // What nobody can use is nobody's to keep.
            if let Err(error) = self.engine.forget(&digest) {
                tracing::warn!(%error, %digest, "a refused plugin was left behind");
            }
        }
        release
    }

    async fn judge(
        &self,
        name: &PluginName,
        upload: &Upload<'_>,
        digest: Digest,
    ) -> Result<Plugin, InspectError> {
        let plugin = match self.plugin(&digest).await {
            Ok(plugin) => plugin,
            Err(_) => self.engine.install(upload.component.clone()).await?,
        };
        let descriptor = plugin.descriptor();
        let mut faults = Vec::new();
        if descriptor.id != name.id {
            let detail = format!(
                "the plugin says that it is `{}`, and was pushed to `{name}`",
                descriptor.id
            );
            let fault = Fault::new("/id", "other-id", detail);
            let right = upload.namespace;
            faults.push(fault.hint(format!("push it to `{right}/{}`", descriptor.id)));
        }
        let versions = upload.tags.iter().filter(|tag| Version::parse(tag).is_ok());
        for version in versions.filter(|version| **version != descriptor.version) {
            let detail = format!(
                "the plugin says that it is version {}, and was pushed as {version}",
                descriptor.version
            );
            let fault = Fault::new("/version", "other-version", detail);
            faults.push(fault.hint(format!("push it as {}", descriptor.version)));
        }
        faults.extend(judge::faults(&self.engine, &plugin).await);
        if faults.is_empty() {
            Ok(plugin)
        } else {
            Err(InspectError::Refused(faults))
        }
    }

    async fn record(
        &self,
        name: &PluginName,
        upload: &Upload<'_>,
        plugin: &Plugin,
    ) -> Result<Release, InspectError> {
        let (descriptor, digest) = (plugin.descriptor(), *plugin.digest());
        let moving = upload.tags.iter().filter(|tag| is_tag(tag));
        let tags: Vec<_> = moving
            .map(|tag| Tag {
                plugin: name.clone(),
                tag: (*tag).to_owned(),
                digest,
            })
            .collect();
        self.is_free(name, &descriptor.version, digest).await?;
        // An administrator may push where nobody was before: it is the administrator's tenant's from now on.
        if self.namespaces.get(upload.namespace).await?.is_none() {
            let claimed = self.namespaces.claim(upload.namespace, &upload.by.tenant);
            if let Err(error) = claimed.await {
                return Err(InspectError::Host(error.to_string()));
            }
        }
        let known = self.shelf.read().get(name, &digest).cloned();
        let namespace = Some(upload.namespace.clone());
        let release = known.unwrap_or_else(|| {
            let (now, by) = (self.clock.now(), Some(upload.by.clone()));
            Release::new(namespace, descriptor, digest, now, by)
        });
        let version = version_key(name, &descriptor.version);
        let mut put = Transaction::new()
            .put(version, Fixed { digest }.encode())
            .put(release.key(), release.encode());
        for tag in &tags {
            put = put.put(tag.key(), tag.encode());
        }
        self.store.transact(put).await?;
        tracing::info!(plugin = %release.reference(), %digest, tenant = %upload.by.tenant, token = %upload.by.token, "a plugin was pushed");
        let mut shelf = self.shelf.write();
        shelf.put(release.clone());
        shelf.keep(plugin.clone());
        for tag in tags {
            shelf.tag(tag);
        }
        Ok(release)
    }

    /// Whether `version` may be these bytes.
    async fn is_free(
        &self,
        plugin: &PluginName,
        version: &str,
        digest: Digest,
    ) -> Result<(), InspectError> {
        let Some(record) = self.store.get(&version_key(plugin, version)).await? else {
            return Ok(());
        };
        let fixed = Fixed::decode(&record)?.digest;
        if fixed == digest {
            return Ok(());
        }
        Err(InspectError::Taken {
            plugin: plugin.clone(),
            version: version.to_owned(),
            digest: fixed,
        })
    }

    /// A tag that moves was deleted.
    pub async fn untag(&self, plugin: &PluginName, tag: &str) -> Result<(), StoreError> {
        let gone = Transaction::new().delete(tag_key(plugin, tag));
        self.store.transact(gone).await?;
        self.shelf.write().untag(plugin, tag);
        Ok(())
    }
}

fn refused(pointer: &str, code: &str, why: impl Into<String>) -> InspectError {
    InspectError::Refused(vec![Fault::new(pointer, code, why)])
}

fn summary(faults: &[Fault]) -> String {
    let lines: Vec<_> = faults
        .iter()
        .map(|fault| format!("{} [{}]", fault.detail, fault.code))
        .collect();
    lines.join("; ")
}

fn version_key(plugin: &PluginName, version: &str) -> String {
    format!("plugin-version/{plugin}/{version}")
}
