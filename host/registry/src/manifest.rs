//! Manifests: what kind one is, and what it refers to (OCI image specification 1.1; Docker's schema 2).

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::digest::ContentDigest;
use crate::error::{RegistryError, Result};

pub(crate) const OCI_MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
pub(crate) const OCI_INDEX: &str = "application/vnd.oci.image.index.v1+json";
const DOCKER_MANIFEST: &str = "application/vnd.docker.distribution.manifest.v2+json";
const DOCKER_LIST: &str = "application/vnd.docker.distribution.manifest.list.v2+json";
/// Most descriptors in one manifest.
const MAX_DESCRIPTORS: usize = 4096;
/// Longest media type and artifact type (RFC 6838 allows 127 on each side of the slash).
const MAX_TYPE: usize = 255;

/// A manifest as it was pushed, read and found in order.
#[derive(Debug)]
pub(crate) struct Manifest {
    /// One of the four that are known.
    pub(crate) media_type: &'static str,
    pub(crate) config: Option<Descriptor>,
    pub(crate) layers: Vec<Descriptor>,
    pub(crate) manifests: Vec<Descriptor>,
    pub(crate) subject: Option<Descriptor>,
    /// Of referrers: its own, or the type of its configuration.
    pub(crate) artifact_type: Option<String>,
    pub(crate) annotations: BTreeMap<String, String>,
}

/// A reference to content.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Descriptor {
    pub(crate) media_type: String,
    pub(crate) digest: ContentDigest,
    pub(crate) size: u64,
}

/// A descriptor in a list of referrers.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Referrer {
    pub(crate) media_type: String,
    pub(crate) digest: ContentDigest,
    pub(crate) size: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) artifact_type: Option<String>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) annotations: BTreeMap<String, String>,
}

/// The document. Fields that are not here are the client's own.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Document<'a> {
    schema_version: u64,
    media_type: Option<String>,
    artifact_type: Option<String>,
    config: Option<Descriptor>,
    layers: Option<Vec<Descriptor>>,
    manifests: Option<Vec<Descriptor>>,
    #[serde(borrow)]
    fs_layers: Option<&'a RawValue>,
    subject: Option<Descriptor>,
    annotations: Option<BTreeMap<String, String>>,
}

// === impl Manifest ===

impl Manifest {
    /// Reads a manifest that was pushed with this `Content-Type`.
    pub(crate) fn parse(bytes: &[u8], content_type: Option<&str>) -> Result<Self> {
        let document: Document<'_> = serde_json::from_slice(bytes)
            .map_err(|error| RegistryError::manifest(format!("it is no manifest: {error}")))?;
        let wrong = |why: String| Err(RegistryError::manifest(why));
        let sent = content_type.map(|text| text.split(';').next().unwrap_or(text).trim());
        let sent = sent.filter(|text| !text.is_empty());
        let said = document.media_type.as_deref();
        let media_type = match (sent, said) {
            (Some(sent), Some(said)) if sent != said => {
                return wrong(format!(
                    "its `mediaType` is `{}` and its Content-Type `{}`",
                    short(said),
                    short(sent)
                ));
            }
            (Some(media_type), _) | (None, Some(media_type)) => media_type,
            (None, None) => {
                return wrong("neither Content-Type nor `mediaType` says what it is".to_owned());
            }
        };
        let known = [OCI_MANIFEST, OCI_INDEX, DOCKER_MANIFEST, DOCKER_LIST];
        let Some(media_type) = known.into_iter().find(|known| *known == media_type) else {
            return wrong(format!(
                "`{}` is no type of manifest that is kept here: expected one of {}",
                short(media_type),
                known.join(", ")
            ));
        };
        if document.schema_version != 2 {
            return wrong(format!(
                "its `schemaVersion` is {}, expected 2",
                document.schema_version
            ));
        }
        let index = matches!(media_type, OCI_INDEX | DOCKER_LIST);
        // A document that is both means one thing to one client and another to the next (GHSA-mc8v-mgrf-8f4m).
        let other = if index {
            document.config.is_some() || document.layers.is_some()
        } else {
            document.manifests.is_some()
        };
        if other || document.fs_layers.is_some() {
            return wrong("it is a manifest of two kinds at once".to_owned());
        }
        if !index && document.config.is_none() {
            return wrong("it has no `config`".to_owned());
        }
        if index && document.manifests.is_none() {
            return wrong("it has no `manifests`".to_owned());
        }
        let own = document.artifact_type.filter(|text| !text.is_empty());
        let of_config = document
            .config
            .as_ref()
            .map(|config| config.media_type.clone());
        let manifest = Self {
            media_type,
            artifact_type: own.or(of_config),
            config: document.config,
            layers: document.layers.unwrap_or_default(),
            manifests: document.manifests.unwrap_or_default(),
            subject: document.subject,
            annotations: document.annotations.unwrap_or_default(),
        };
        let descriptors = 1 + manifest.layers.len() + manifest.manifests.len();
        if descriptors > MAX_DESCRIPTORS {
            return wrong(format!(
                "it has {descriptors} descriptors, at most {MAX_DESCRIPTORS} are allowed"
            ));
        }
        let types = manifest.all().map(|descriptor| &descriptor.media_type);
        if let Some(long) = types
            .chain(&manifest.artifact_type)
            .find(|text| text.len() > MAX_TYPE)
        {
            return wrong(format!("`{}…` is no media type", short(long)));
        }
        Ok(manifest)
    }

    fn all(&self) -> impl Iterator<Item = &Descriptor> {
        self.config
            .iter()
            .chain(&self.layers)
            .chain(&self.manifests)
            .chain(&self.subject)
    }

    /// The blobs that must lie in the same repository. Layers that may not be distributed lie elsewhere.
    pub(crate) fn blobs(&self) -> impl Iterator<Item = &Descriptor> {
        let kept = self.layers.iter().filter(|layer| {
            !layer
                .media_type
                .starts_with("application/vnd.oci.image.layer.nondistributable.")
                && !layer
                    .media_type
                    .starts_with("application/vnd.docker.image.rootfs.foreign.")
        });
        self.config.iter().chain(kept)
    }

    /// Everything that is needed as long as this manifest is there.
    pub(crate) fn references(&self) -> BTreeSet<ContentDigest> {
        let all = self.blobs().chain(&self.manifests);
        all.map(|descriptor| descriptor.digest.clone()).collect()
    }
}

fn short(text: &str) -> String {
    text.chars().take(80).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn descriptor() -> Value {
        json!({"mediaType": "application/vnd.oci.empty.v1+json", "size": 2,
            "digest": "sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a", "data": "e30=", "own": [1]})
    }

    fn parse(document: &Value, content_type: Option<&str>) -> Result<Manifest, String> {
        Manifest::parse(document.to_string().as_bytes(), content_type)
            .map_err(|error| error.to_string())
    }

    #[test]
    fn the_four_kinds_are_read_and_their_own_fields_left_alone() {
        let image = json!({"schemaVersion": 2, "mediaType": OCI_MANIFEST, "config": descriptor(), "layers": [descriptor()], "x": {"y": 1}});
        let read = parse(&image, Some(&format!("{OCI_MANIFEST}; charset=utf-8"))).unwrap();
        assert_eq!(
            read.artifact_type.as_deref(),
            Some("application/vnd.oci.empty.v1+json")
        );
        assert_eq!(read.references().len(), 1);
        assert_eq!(parse(&image, None).unwrap().media_type, OCI_MANIFEST);
        for (kind, key) in [
            (DOCKER_MANIFEST, "layers"),
            (DOCKER_LIST, "manifests"),
            (OCI_INDEX, "manifests"),
        ] {
            let mut document = json!({"schemaVersion": 2, key: []});
            if key == "layers" {
                document["config"] = descriptor();
            }
            assert_eq!(parse(&document, Some(kind)).unwrap().media_type, kind);
        }
    }

    #[test]
    fn documents_that_mean_two_things_or_none_are_refused() {
        let image = json!({"schemaVersion": 2, "config": descriptor(), "layers": []});
        let with = |key: &str, value: Value| {
            let mut document = image.clone();
            document[key] = value;
            document
        };
        let cases = [
            (image.clone(), None, "says what it is"),
            (image.clone(), Some("text/plain"), "no type of manifest"),
            (
                with("mediaType", json!(OCI_INDEX)),
                Some(OCI_MANIFEST),
                "Content-Type",
            ),
            (
                with("manifests", json!([])),
                Some(OCI_MANIFEST),
                "two kinds",
            ),
            (with("fsLayers", json!([])), Some(OCI_MANIFEST), "two kinds"),
            (image.clone(), Some(OCI_INDEX), "two kinds"),
            (
                with("schemaVersion", json!(1)),
                Some(OCI_MANIFEST),
                "schemaVersion",
            ),
            (
                with("config", Value::Null),
                Some(OCI_MANIFEST),
                "no `config`",
            ),
            (
                with("annotations", json!({"a": 1})),
                Some(OCI_MANIFEST),
                "no manifest",
            ),
            (
                with("artifactType", json!("x".repeat(256))),
                Some(OCI_MANIFEST),
                "no media type",
            ),
            (
                with("layers", json!(vec![descriptor(); 4096])),
                Some(OCI_MANIFEST),
                "4097 descriptors",
            ),
            (json!([]), Some(OCI_MANIFEST), "no manifest"),
        ];
        for (document, content_type, expected) in cases {
            let error = parse(&document, content_type).unwrap_err();
            assert!(error.contains(expected), "{expected}: {error}");
        }
        let twice = br#"{"schemaVersion":2,"config":null,"manifests":[],"manifests":[]}"#;
        assert!(Manifest::parse(twice, Some(OCI_INDEX)).is_err());
        let deep = format!("{{\"schemaVersion\":2,\"x\":{}", "[".repeat(100_000));
        assert!(Manifest::parse(deep.as_bytes(), Some(OCI_INDEX)).is_err());
    }
}
