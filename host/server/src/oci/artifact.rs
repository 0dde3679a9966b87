//! A component as a manifest: the CNCF's Wasm artifact layout, one layer and a small configuration, as `wkg oci push` writes it.

use std::collections::BTreeMap;

use bootsplice_content::Digest;
use bootsplice_engine::contract::Descriptor;
use bytes::Bytes;
use oci_client::manifest::{OciDescriptor, OciImageManifest};
use serde::Serialize;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// Media type of the configuration.
pub const CONFIG_TYPE: &str = "application/vnd.wasm.config.v0+json";
/// Media type of the one layer, the component.
pub const LAYER_TYPE: &str = "application/wasm";

/// What is pushed: two blobs and the manifest that names them.
pub struct Artifact {
    pub component: Bytes,
    pub config: Bytes,
    pub manifest: OciImageManifest,
}

/// What a component's binary says of itself.
#[derive(Clone, Debug)]
pub struct Interfaces {
    pub imports: Vec<String>,
    pub exports: Vec<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Config<'a> {
    created: String,
    architecture: &'static str,
    os: &'static str,
    layer_digests: [String; 1],
    component: Component<'a>,
}

#[derive(Serialize)]
struct Component<'a> {
    exports: &'a [String],
    imports: &'a [String],
    target: Option<&'a str>,
}

// === impl Artifact ===

impl Artifact {
    /// `created` is when the component was made, not when it is pushed, so that pushing it again gives the same manifest.
    pub fn new(
        component: Bytes,
        interfaces: &Interfaces,
        descriptor: &Descriptor,
        created: OffsetDateTime,
    ) -> anyhow::Result<Self> {
        let layer = Digest::of(&component);
        let config = Bytes::from(serde_json::to_vec(&Config {
            created: created.format(&Rfc3339)?,
            architecture: "wasm",
            os: "wasip2",
            layer_digests: [layer.to_string()],
            component: Component {
                exports: &interfaces.exports,
                imports: &interfaces.imports,
                target: None,
            },
        })?);
        let annotations = BTreeMap::from([
            (
                "org.opencontainers.image.title".to_owned(),
                descriptor.title.clone(),
            ),
            (
                "org.opencontainers.image.description".to_owned(),
                descriptor.summary.clone(),
            ),
            (
                "org.opencontainers.image.version".to_owned(),
                descriptor.version.clone(),
            ),
        ]);
        let file = BTreeMap::from([(
            "org.opencontainers.image.title".to_owned(),
            format!("{}.wasm", descriptor.id),
        )]);
        let manifest = OciImageManifest {
            config: named(CONFIG_TYPE, &config, None),
            layers: vec![named(LAYER_TYPE, &component, Some(file))],
            annotations: Some(annotations),
            ..OciImageManifest::default()
        };
        Ok(Self {
            component,
            config,
            manifest,
        })
    }
}

/// The descriptor of a blob.
pub fn named(
    media_type: &str,
    content: &[u8],
    annotations: Option<BTreeMap<String, String>>,
) -> OciDescriptor {
    OciDescriptor {
        media_type: media_type.to_owned(),
        digest: Digest::of(content).to_string(),
        size: i64::try_from(content.len()).unwrap_or(i64::MAX),
        annotations,
        ..OciDescriptor::default()
    }
}
