//! Plugins on their way into the engine, and back from an earlier start.

use std::path::{Path, PathBuf};

use bootsplice_content::Digest;
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use wasmtime::component::Component;

use super::Engine;
use crate::artefact::remove;
use crate::contract::Descriptor;
use crate::error::EngineError;
use crate::inspection::Inspection;
use crate::plugin::Plugin;
use crate::run::Run;
use crate::v0_1;

/// What is kept of an installed plugin beside its component and its artefact.
#[derive(Serialize, Deserialize)]
struct Installed {
    inspection: Inspection,
    descriptor: Descriptor,
}

// === impl Engine ===

impl Engine {
    /// Compiles a component in a limited child, asks it to describe itself, checks the answer, and keeps it all. Installing the same bytes
    /// again gives the same plugin.
    pub async fn install(&self, component: Bytes) -> Result<Plugin, EngineError> {
        let digest = Digest::of(&component);
        let inspection = self.compile(&digest, &component).await?;
        // What was compiled a moment ago and cannot be loaded is more than any run may have.
        let loaded = match self.0.artefacts.load(self.0.sandbox.engine(), &digest) {
            Err(EngineError::Artefact { reason, .. }) => {
                let why = format!("it does not fit the sandbox: {reason}");
                return Err(EngineError::Refused(why));
            }
            other => other?,
        };
        let ready = self.prepare(&loaded)?;
        let descriptor = self
            .ask(&digest, &ready)
            .await
            .map_err(|error| EngineError::Describe(Box::new(error)))?;
        let installed = Installed {
            inspection: inspection.clone(),
            descriptor: descriptor.clone(),
        };
        let plugin =
            Plugin::new(digest, inspection, descriptor, ready).map_err(EngineError::Refused)?;
        self.keep(&digest, "wasm", &component)?;
        let record = serde_json::to_vec_pretty(&installed)
            .map_err(|error| EngineError::Setup(error.to_string()))?;
        self.keep(&digest, "json", &record)?;
        Ok(plugin)
    }

    /// A plugin that was installed before, on this or an earlier start. An artefact of another release is compiled anew.
    pub async fn load(&self, digest: &Digest) -> Result<Plugin, EngineError> {
        let record = self.kept(digest, "json")?;
        let installed: Installed =
            serde_json::from_slice(&record).map_err(|error| EngineError::Artefact {
                plugin: *digest,
                reason: format!("its record is not readable: {error}"),
            })?;
        let component = match self.0.artefacts.load(self.0.sandbox.engine(), digest) {
            Ok(component) => component,
            Err(EngineError::Artefact { .. } | EngineError::NotInstalled(_)) => {
                let bytes = Bytes::from(self.kept(digest, "wasm")?);
                if Digest::of(&bytes) != *digest {
                    return Err(EngineError::Artefact {
                        plugin: *digest,
                        reason: "its component was changed".into(),
                    });
                }
                self.compile(digest, &bytes).await?;
                self.0.artefacts.load(self.0.sandbox.engine(), digest)?
            }
            Err(other) => return Err(other),
        };
        let ready = self.prepare(&component)?;
        Plugin::new(*digest, installed.inspection, installed.descriptor, ready)
            .map_err(EngineError::Refused)
    }

    async fn compile(&self, digest: &Digest, component: &Bytes) -> Result<Inspection, EngineError> {
        let (artefact, inspection) = self.0.compiler.compile(component).await?;
        self.0.artefacts.put(digest, &artefact)?;
        Ok(inspection)
    }

    /// Deletes everything that is kept of a plugin; what has it loaded goes on. One that is not there is no error.
    pub fn forget(&self, digest: &Digest) -> Result<(), EngineError> {
        for kind in ["json", "wasm"] {
            let path = self.path(digest, kind);
            remove(&path).map_err(EngineError::io(format!("deleting {}", path.display())))?;
        }
        self.0.artefacts.remove(digest)
    }

    fn prepare(&self, component: &Component) -> Result<v0_1::PluginPre<Run>, EngineError> {
        self.0
            .linker
            .instantiate_pre(component)
            .and_then(v0_1::prepare)
            .map_err(|error| {
                EngineError::Refused(format!("it does not fit the contract: {error:#}"))
            })
    }

    fn keep(&self, digest: &Digest, kind: &str, bytes: &[u8]) -> Result<(), EngineError> {
        let path = self.path(digest, kind);
        let write = || -> std::io::Result<()> {
            let mut aside = self.0.services.store.aside()?;
            std::io::Write::write_all(&mut aside, bytes)?;
            aside.as_file().sync_all()?;
            aside.persist(&path)?;
            std::fs::File::open(&self.0.plugins)?.sync_all()
        };
        write().map_err(EngineError::io(format!("writing {}", path.display())))
    }

    fn kept(&self, digest: &Digest, kind: &str) -> Result<Vec<u8>, EngineError> {
        let path = self.path(digest, kind);
        match std::fs::read(&path) {
            Ok(bytes) => Ok(bytes),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                Err(EngineError::NotInstalled(*digest))
            }
            Err(error) => Err(EngineError::io(format!("reading {}", path.display()))(
                error,
            )),
        }
    }

    fn path(&self, digest: &Digest, kind: &str) -> PathBuf {
        Path::new(&self.0.plugins).join(format!("{}.{kind}", digest.hex()))
    }
}
