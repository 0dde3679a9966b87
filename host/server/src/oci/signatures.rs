//! Signatures beside a manifest, as cosign keeps them: a manifest under the tag `sha256-<hex>.sig`, one layer for each signature.

use std::collections::BTreeMap;

use bootsplice_content::Digest;
use bootsplice_signature::{
    ANNOTATION, MAX_PAYLOAD, MAX_SIGNATURES, PAYLOAD_TYPE, Payload, SecretKey, Signed, tag_of,
};
use bytes::Bytes;
use oci_client::manifest::OciImageManifest;
use serde_json::json;

use super::artifact::named;
use super::remote::{Remote, RemoteError};

/// Media type of the configuration that cosign gives its manifests.
const CONFIG_TYPE: &str = "application/vnd.oci.image.config.v1+json";

/// What signing did.
#[derive(Debug)]
pub struct Outcome {
    /// The manifest that is signed.
    pub manifest: Digest,
    /// False when this key's signature stood there already.
    pub added: bool,
    /// Signatures that stand there now.
    pub signatures: usize,
}

/// Signs the manifest of `remote` with `key` and adds the signature to those that are there.
pub async fn sign(remote: &Remote, key: &SecretKey) -> Result<Outcome, RemoteError> {
    let (_, manifest) = remote.manifest().await?;
    let payload = Payload {
        reference: remote.name(),
        manifest,
    };
    let signed = Signed::new(&payload, key);
    let tag = tag_of(&manifest);
    let mut sheet = remote.manifest_at(&tag).await?.unwrap_or_default();
    let annotation = signed.annotation();
    let standing = sheet.layers.iter().any(|layer| {
        layer
            .annotations
            .as_ref()
            .and_then(|annotations| annotations.get(ANNOTATION))
            == Some(&annotation)
    });
    if standing {
        return Ok(Outcome {
            manifest,
            added: false,
            signatures: sheet.layers.len(),
        });
    }
    if sheet.layers.len() >= MAX_SIGNATURES {
        return Err(RemoteError::Refused(format!(
            "{MAX_SIGNATURES} signatures stand there already, and no more are looked at"
        )));
    }
    let payload = Bytes::from(signed.payload);
    sheet.layers.push(named(
        PAYLOAD_TYPE,
        &payload,
        Some(BTreeMap::from([(ANNOTATION.to_owned(), annotation)])),
    ));
    let config = config_of(&sheet)?;
    sheet.config = named(CONFIG_TYPE, &config, None);
    remote.push_blob(&payload).await?;
    remote.push_blob(&config).await?;
    remote.push_manifest(Some(&tag), &sheet).await?;
    Ok(Outcome {
        manifest,
        added: true,
        signatures: sheet.layers.len(),
    })
}

/// The signatures that stand beside the manifest of `remote`. Nothing is known of them yet.
pub async fn found(remote: &Remote) -> Result<(Digest, Vec<Signed>), RemoteError> {
    let (_, manifest) = remote.manifest().await?;
    let Some(sheet) = remote.manifest_at(&tag_of(&manifest)).await? else {
        return Ok((manifest, Vec::new()));
    };
    let mut found = Vec::new();
    // Signatures of one manifest mostly share their payload.
    let mut payloads: BTreeMap<&str, Vec<u8>> = BTreeMap::new();
    for layer in sheet.layers.iter().take(MAX_SIGNATURES) {
        let annotation = layer
            .annotations
            .as_ref()
            .and_then(|annotations| annotations.get(ANNOTATION));
        let small = usize::try_from(layer.size).is_ok_and(|size| size <= MAX_PAYLOAD);
        if let Some(annotation) = annotation.filter(|_| small && layer.media_type == PAYLOAD_TYPE) {
            let payload = match payloads.get(&*layer.digest) {
                Some(known) => known.clone(),
                None => {
                    let read = remote.small_blob(&layer.digest, layer.size).await?;
                    payloads.insert(&layer.digest, read.clone());
                    read
                }
            };
            found.extend(Signed::from_layer(payload, annotation));
        }
    }
    Ok((manifest, found))
}

/// An image's configuration without an image in it: registries and cosign want one that fits the layers.
fn config_of(sheet: &OciImageManifest) -> Result<Bytes, RemoteError> {
    let layers: Vec<&str> = sheet.layers.iter().map(|layer| &*layer.digest).collect();
    let config = json!({
        "architecture": "",
        "created": "0001-01-01T00:00:00Z",
        "os": "",
        "rootfs": {"type": "layers", "diff_ids": layers},
        "config": {},
    });
    serde_json::to_vec(&config)
        .map(Bytes::from)
        .map_err(|error| RemoteError::Setup(error.to_string()))
}
