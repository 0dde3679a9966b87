//! Key signatures of pushed components, in the form that cosign reads and writes; judged offline, by keys alone.
//!
//! A signature covers a *payload*: a small JSON document ("simple signing") that names the digest of a manifest. In a registry it lies as a manifest
//! under the tag [`tag_of`] in the same repository, or as a referrer of the signed manifest; each layer of it is one payload, with the signature in an
//! annotation. Formats: cosign's `SIGNATURE_SPEC.md`, containers' `containers-signature(5)`.
//!
//! | room | what is in it |
//! |---|---|
//! | [`key`] | ECDSA P-256 and Ed25519 keys as PEM |
//! | [`payload`] | the document that is signed |
//! | [`requirement`] | which keys must have signed, and who is missing |
//!
//! Everything here is pure: no clock, no disk, no network.

#![forbid(unsafe_code)]

pub mod key;
pub mod payload;
pub mod requirement;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bootsplice_content::Digest;

pub use key::{PublicKey, SecretKey};
pub use payload::Payload;
pub use requirement::{Requirement, TrustedKey, Verdict};

/// Media type of a payload as a layer.
pub const PAYLOAD_TYPE: &str = "application/vnd.dev.cosign.simplesigning.v1+json";
/// Annotation of such a layer that carries the signature, in base64.
pub const ANNOTATION: &str = "dev.cosignproject.cosign/signature";
/// `artifactType` of a manifest of signatures that is found as a referrer.
pub const ARTIFACT_TYPE: &str = "application/vnd.dev.cosign.artifact.sig.v1+json";
/// Largest payload that is looked at, in bytes.
pub const MAX_PAYLOAD: usize = 64 << 10;
/// Signatures of one manifest that are looked at: more than a sheet of signatures is ever meant to hold, so that a crowd hides no good one.
pub const MAX_SIGNATURES: usize = 4096;

/// A payload and its signature, as they came from a registry. Nothing is known of them yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signed {
    pub payload: Vec<u8>,
    /// ASN.1 DER for P-256, 64 bytes for Ed25519.
    pub signature: Vec<u8>,
}

/// What is wrong with a key, a payload or a requirement. Mend the named thing.
#[derive(Debug, thiserror::Error)]
pub enum SignatureError {
    #[error("it is no usable key: {0}")]
    Key(String),
    #[error("it is no payload of a signature: {0}")]
    Payload(String),
    #[error("{0}")]
    Requirement(String),
}

/// The tag under which signatures of a manifest lie: `sha256-<hex>.sig`.
pub fn tag_of(manifest: &Digest) -> String {
    format!("sha256-{}.sig", manifest.hex())
}

// === impl Signed ===

impl Signed {
    /// Signs a payload.
    pub fn new(payload: &Payload, key: &SecretKey) -> Self {
        let payload = payload.to_bytes();
        let signature = key.sign(&payload);
        Self { payload, signature }
    }

    /// From a layer and its annotation. None when the annotation is no base64 or one of them is too large to be meant.
    pub fn from_layer(payload: Vec<u8>, annotation: &str) -> Option<Self> {
        if payload.len() > MAX_PAYLOAD || annotation.len() > 1024 {
            return None;
        }
        let signature = STANDARD.decode(annotation.trim()).ok()?;
        Some(Self { payload, signature })
    }

    /// The annotation's value.
    pub fn annotation(&self) -> String {
        STANDARD.encode(&self.signature)
    }
}
