//! The CNCF Wasm artifact layout: one component as the one layer, and a configuration that says what it imports and exports.
//!
//! Source: "Wasm OCI Artifact layout", tag-runtime.cncf.io. Readers of the configuration choose by it without reading the component, so it must not lie.

use std::collections::BTreeSet;

use bootsplice_content::Digest;
use serde::Deserialize;
use wasmparser::{Encoding, Parser, Payload};

use crate::digest::ContentDigest;
use crate::error::{RegistryError, Result};
use crate::manifest::{Descriptor, Manifest};

const CONFIG: &str = "application/vnd.wasm.config.v0+json";
const LAYER: &str = "application/wasm";
/// Largest configuration that is read, in bytes.
pub(crate) const MAX_CONFIG: u64 = 1 << 20;

/// The two blobs of a Wasm artifact.
#[derive(Debug)]
pub(crate) struct Artifact<'a> {
    pub(crate) config: &'a Descriptor,
    pub(crate) component: &'a Descriptor,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Config {
    architecture: String,
    layer_digests: Option<Vec<ContentDigest>>,
    component: Option<Claims>,
}

/// What the configuration says of the component.
#[derive(Deserialize)]
struct Claims {
    exports: BTreeSet<String>,
    imports: BTreeSet<String>,
}

/// What the component says itself.
#[derive(Debug, Default, PartialEq, Eq)]
struct Surface {
    exports: BTreeSet<String>,
    imports: BTreeSet<String>,
}

// === impl Artifact ===

impl<'a> Artifact<'a> {
    /// None: the manifest is of another layout.
    pub(crate) fn of(manifest: &'a Manifest, limit: u64) -> Result<Option<Self>> {
        let Some(config) = manifest
            .config
            .as_ref()
            .filter(|config| config.media_type == CONFIG)
        else {
            return Ok(None);
        };
        let [component] = &*manifest.layers else {
            return Err(RegistryError::manifest(format!(
                "a Wasm artifact has exactly one layer, this one has {}",
                manifest.layers.len()
            )));
        };
        if component.media_type != LAYER {
            return Err(RegistryError::manifest(format!(
                "the layer of a Wasm artifact has the type `{LAYER}`, this one `{}`",
                component.media_type
            )));
        }
        for (what, descriptor, limit) in [
            ("a component", component, limit),
            ("the configuration of a Wasm artifact", config, MAX_CONFIG),
        ] {
            if descriptor.size > limit {
                return Err(RegistryError::TooLarge { what, limit });
            }
        }
        Ok(Some(Self { config, component }))
    }

    /// Holds the configuration's bytes against the component's.
    pub(crate) fn check(&self, config: &[u8], component: &[u8]) -> Result<()> {
        let wrong = |why: String| Err(RegistryError::manifest(why));
        let config: Config = match serde_json::from_slice(config) {
            Ok(config) => config,
            Err(error) => return wrong(format!("the configuration cannot be read: {error}")),
        };
        if config.architecture != "wasm" {
            return wrong("the configuration's `architecture` must be `wasm`".to_owned());
        }
        let digest = &self.component.digest;
        if let Some(layers) = &config.layer_digests
            && layers
                .iter()
                .ne([&ContentDigest::from(Digest::of(component))])
            && layers.iter().ne([digest])
        {
            return wrong(format!(
                "the configuration's `layerDigests` must be [\"{digest}\"]"
            ));
        }
        let Some(claims) = config.component else {
            return Ok(());
        };
        let surface = Surface::of(component)?;
        for (what, claimed, actual) in [
            ("imports", &claims.imports, &surface.imports),
            ("exports", &claims.exports, &surface.exports),
        ] {
            if let Some(missing) = actual.difference(claimed).next() {
                return wrong(format!(
                    "the component {what} `{missing}`, and its configuration does not say so"
                ));
            }
            if let Some(lie) = claimed.difference(actual).next() {
                let lie: String = lie.chars().take(80).collect();
                return wrong(format!(
                    "the configuration says that the component {what} `{lie}`, which it does not"
                ));
            }
        }
        Ok(())
    }
}

// === impl Surface ===

impl Surface {
    /// Reads the outermost imports and exports. Whether the rest is in order is the inspector's to judge.
    fn of(bytes: &[u8]) -> Result<Self> {
        let wrong = |error: &dyn std::fmt::Display| {
            RegistryError::manifest(format!("the layer is no component: {error}"))
        };
        let mut surface = Self::default();
        let mut depth = 0_usize;
        for payload in Parser::new(0).parse_all(bytes) {
            match payload.map_err(|error| wrong(&error))? {
                Payload::Version {
                    encoding: Encoding::Module,
                    ..
                } if depth == 0 => {
                    return Err(wrong(&"it is a core module"));
                }
                Payload::ModuleSection { .. } | Payload::ComponentSection { .. } => depth += 1,
                Payload::End(_) => depth = depth.saturating_sub(1),
                Payload::ComponentImportSection(section) if depth == 0 => {
                    for import in section {
                        let import = import.map_err(|error| wrong(&error))?;
                        surface.imports.insert(import.name.name.to_owned());
                    }
                }
                Payload::ComponentExportSection(section) if depth == 0 => {
                    for export in section {
                        let export = export.map_err(|error| wrong(&error))?;
                        surface.exports.insert(export.name.name.to_owned());
                    }
                }
                _ => {}
            }
        }
        Ok(surface)
    }
}
