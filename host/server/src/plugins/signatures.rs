//! Which keys must have signed a pushed plugin before a profile may take it up.
//!
//! An operator names keys for a namespace; a release of it holds when enough of them have signed a manifest of its component. Signatures lie in the
//! registry beside the manifest, as cosign keeps them (`sha256-<hex>.sig`) or as its referrers. They are judged when they are asked about, so one that is
//! pushed later counts from then on. What profiles are pinned to already runs on.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, OnceLock};

use anyhow::Context as _;
use bootsplice_content::Digest;
use bootsplice_registry::{ContentDigest, Reference, Registry, RegistryError, Repository};
use bootsplice_signature::{
    ANNOTATION, MAX_PAYLOAD, MAX_SIGNATURES, PAYLOAD_TYPE, PublicKey, Requirement, Signed,
    TrustedKey, Verdict, tag_of,
};
use bytes::Bytes;
use serde::Deserialize;

use super::release::Release;
use crate::auth::Namespace;
use crate::config;
use crate::profile::GeneratorsError;

/// What each namespace asks for. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Signatures(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    requirements: BTreeMap<Namespace, Requirement>,
    /// Opened after the generators, which judge what comes into it.
    registry: OnceLock<Registry>,
}

/// As much of a manifest as signatures need.
#[derive(Deserialize)]
struct Sheet {
    #[serde(default)]
    layers: Vec<Layer>,
}

#[derive(Deserialize)]
struct Layer {
    #[serde(rename = "mediaType")]
    media_type: String,
    digest: ContentDigest,
    #[serde(default)]
    annotations: BTreeMap<String, String>,
}

// === impl Signatures ===

impl Signatures {
    /// Reads the keys that the configuration names.
    pub fn open(policies: &[config::Signatures]) -> anyhow::Result<Self> {
        let mut requirements = BTreeMap::new();
        for policy in policies {
            let namespace = &policy.namespace;
            let of = || format!("`signatures` of the namespace `{namespace}`");
            let keys: Vec<_> = policy
                .keys
                .iter()
                .map(|path| key(path).with_context(of))
                .collect::<Result<_, _>>()?;
            let threshold = policy.threshold.unwrap_or(keys.len());
            let requirement = Requirement::new(keys, threshold).with_context(of)?;
            if requirements
                .insert(namespace.clone(), requirement)
                .is_some()
            {
                anyhow::bail!("`signatures`: the namespace `{namespace}` stands there twice");
            }
        }
        Ok(Self(Arc::new(Inner {
            requirements,
            registry: OnceLock::new(),
        })))
    }

    /// Where signatures lie, once.
    pub fn look_in(&self, registry: Registry) {
        let _ = self.0.registry.set(registry);
    }

    /// What is missing before a release may be used anew. None when its namespace asks for nothing, or has got it.
    pub async fn missing(&self, release: &Release) -> Result<Option<String>, GeneratorsError> {
        let requirement = release
            .namespace
            .as_ref()
            .and_then(|namespace| self.0.requirements.get(namespace));
        let Some(requirement) = requirement else {
            return Ok(None);
        };
        let verdict = self.verdict(requirement, release).await.map_err(|error| {
            GeneratorsError(format!("signatures of `{}`: {error}", release.reference()))
        })?;
        Ok((!verdict.holds()).then(|| {
            format!(
                "{} of {} keys must have signed it and {} did; there is no good signature of {}",
                verdict.threshold,
                requirement.keys().len(),
                verdict.signed.len(),
                verdict.missing.join(", ")
            )
        }))
    }

    /// The best that any manifest of the component can show.
    async fn verdict(
        &self,
        requirement: &Requirement,
        release: &Release,
    ) -> Result<Verdict, RegistryError> {
        let mut best = requirement.judge(&release.digest, &[]);
        let repository = release.plugin().to_string().parse::<Repository>();
        let (Some(registry), Ok(repository)) = (self.0.registry.get(), repository) else {
            return Ok(best);
        };
        for manifest in registry.manifests_of(&repository, &release.digest).await? {
            let Ok(digest) = manifest.to_string().parse::<Digest>() else {
                continue;
            };
            let found = signatures(requirement, registry, &repository, &manifest, &digest).await?;
            let verdict = requirement.judge(&digest, &found);
            if verdict.signed.len() > best.signed.len() {
                best = verdict;
            }
        }
        Ok(best)
    }
}

/// The good signatures of a manifest, as many as are needed.
///
/// Anyone who may push to the namespace can put others beside them. So the sheet under cosign's tag comes first,
/// and what no trusted key made is forgotten as it is read: others' signatures cost time, at most [`MAX_SIGNATURES`], and never hide a good one under the tag.
async fn signatures(
    requirement: &Requirement,
    registry: &Registry,
    repository: &Repository,
    manifest: &ContentDigest,
    digest: &Digest,
) -> Result<Vec<Signed>, RegistryError> {
    let mut sheets = Vec::new();
    if let Ok(tag) = tag_of(digest).parse() {
        sheets.push(Reference::Tag(tag));
    }
    let referrers = registry.referrers(repository, manifest).await?;
    sheets.extend(referrers.into_iter().map(Reference::Digest));
    let mut found: Vec<Signed> = Vec::new();
    let mut looks = 0;
    for reference in sheets {
        let sheet = match registry.manifest(repository, &reference).await {
            Ok(sheet) => sheet,
            Err(RegistryError::ManifestUnknown { .. }) => continue,
            Err(error) => return Err(error),
        };
        // Referrers can be anything; what is no sheet of signatures says nothing.
        let Ok(sheet) = serde_json::from_slice::<Sheet>(&sheet.bytes) else {
            continue;
        };
        let mut payloads: BTreeMap<ContentDigest, Option<Bytes>> = BTreeMap::new();
        for layer in sheet.layers {
            let annotation = layer.annotations.get(ANNOTATION);
            let Some(annotation) = annotation.filter(|_| layer.media_type == PAYLOAD_TYPE) else {
                continue;
            };
            looks += 1;
            if looks > MAX_SIGNATURES {
                return Ok(found);
            }
            // Signatures of one manifest mostly share their payload.
            let payload = match payloads.get(&layer.digest) {
                Some(known) => known.clone(),
                None => {
                    let read = registry.blob(repository, &layer.digest, MAX_PAYLOAD as u64);
                    let read = read.await.ok();
                    payloads.insert(layer.digest, read.clone());
                    read
                }
            };
            let signed =
                payload.and_then(|payload| Signed::from_layer(payload.to_vec(), annotation));
            let Some(signed) = signed.filter(|signed| requirement.counts(digest, signed)) else {
                continue;
            };
            if !found.contains(&signed) {
                found.push(signed);
            }
            if requirement.judge(digest, &found).holds() {
                return Ok(found);
            }
        }
    }
    Ok(found)
}

fn key(path: &Path) -> anyhow::Result<TrustedKey> {
    let of = || format!("the key `{}`", path.display());
    let pem = std::fs::read_to_string(path).with_context(of)?;
    let name = path.file_stem().unwrap_or(path.as_os_str());
    Ok(TrustedKey {
        name: name.to_string_lossy().into_owned(),
        key: PublicKey::from_pem(&pem).with_context(of)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_policy_that_cannot_hold_names_its_namespace_and_its_key() {
        let scratch = tempfile::tempdir().unwrap();
        let path = scratch.path().join("ada.pub");
        let policy = |threshold| config::Signatures {
            namespace: "acme".parse().unwrap(),
            keys: vec![path.clone()],
            threshold,
        };
        let told = |policies: &[config::Signatures]| {
            format!("{:#}", Signatures::open(policies).unwrap_err())
        };
        assert!(told(&[policy(None)]).contains("ada.pub"));
        let key = bootsplice_signature::SecretKey::from_random(&[7; 32]).unwrap();
        std::fs::write(&path, key.public().to_pem().unwrap()).unwrap();
        Signatures::open(&[policy(None)]).unwrap();
        let two = told(&[policy(Some(2))]);
        assert!(two.contains("acme") && two.contains("threshold"), "{two}");
        assert!(told(&[policy(None), policy(None)]).contains("twice"));
    }
}
