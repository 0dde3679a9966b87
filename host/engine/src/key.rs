//! Names of cached work: canonical JSON (RFC 8785) and the layer key (RFC 0004, rule 18).

use bootsplice_content::{Digest, cbor};
use serde::Serialize;

use crate::blobs::Scope;
use crate::contract::{StepLock, Target};
use crate::grant::Grants;

/// Format of layers and step documents (RFC 0002).
pub const ARCHIVE_FORMAT: u32 = 1;

/// Everything that may influence a layer. What is not here must not.
#[derive(Clone, Copy, Debug)]
pub struct LayerInputs<'a> {
    pub plugin: Digest,
    /// The WIT version that the plugin speaks: `0.1.0`.
    pub wit: &'a str,
    /// The step's id: it stands in the paths of the layer's entries.
    pub step: &'a str,
    pub config: &'a serde_json::Value,
    pub target: &'a Target,
    pub lock: &'a StepLock,
    pub scope: &'a Scope,
    pub grants: &'a Grants,
    /// Version of the zstd library, as a number (1.5.7 is 10507).
    pub zstd: u32,
    pub level: i32,
}

/// The canonical form of a JSON value (RFC 8785): sorted keys, one spelling of each number and string.
pub fn canonical(value: &serde_json::Value) -> String {
    serde_json_canonicalizer::to_string(value)
        .expect("a serde_json::Value has string keys and finite numbers")
}

/// The digest of a document's canonical JSON.
///
/// # Panics
/// When `value` cannot be JSON, which no document of ours can.
pub fn canonical_digest<T: Serialize>(value: &T) -> Digest {
    let bytes = serde_json_canonicalizer::to_vec(value).expect("our documents are JSON");
    Digest::of(&bytes)
}

/// The key that a layer is cached by.
pub fn layer_key(inputs: &LayerInputs<'_>) -> Digest {
    let document = (
        "bootsplice/layer/v1",
        inputs.plugin,
        inputs.wit,
        inputs.step,
        canonical(inputs.config),
        canonical_digest(inputs.target),
        inputs.lock.digest(),
        inputs.scope.to_string(),
        canonical_digest(inputs.grants),
        ARCHIVE_FORMAT,
        inputs.zstd,
        inputs.level,
    );
    Digest::of(&cbor::encode(&document))
}
