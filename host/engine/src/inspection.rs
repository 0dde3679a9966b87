//! What the compiler found in a component. Shared by file with `bootsplice-compile`.

use serde::{Deserialize, Serialize};

/// Largest component that is compiled, in bytes.
pub const MAX_COMPONENT: u64 = 64 << 20;

/// The answer of the compiler, as JSON.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Inspection {
    /// `sha256:…` of the component.
    pub digest: String,
    pub size: u64,
    /// The WIT version that it speaks: `0.1.0`.
    pub wit: String,
    /// Interfaces with versions, sorted.
    pub imports: Vec<String>,
    pub exports: Vec<String>,
    /// `sha256:…` of the compiled form.
    pub artefact: String,
    /// Of the settings that it was compiled with.
    pub fingerprint: String,
}

/// How the compiler ends. Its last words, on standard error, say why.
pub mod exit {
    /// The upload is no plugin.
    pub const REFUSED: i32 = 65;
}
