//! The contract's plain data as the host sees it: one set of types, whatever WIT version a plugin speaks.
//!
//! Host modules such as `v0_1` translate between these and the types that `bindgen!` makes of their WIT directory.

use std::collections::BTreeMap;
use std::fmt;

use bootsplice_content::Digest;
use serde::{Deserialize, Serialize};

use crate::blobs::{Blob, Scope};

/// The kind of operating system in a volume.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OsFamily {
    Linux,
    Windows,
    Bsd,
    Other,
}

/// Whom content is for, as far as that may be shared between launches. Part of a layer's key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Target {
    pub os: OsFamily,
    /// `ID` of os-release: "debian".
    pub distro: String,
    /// `VERSION_CODENAME`, or `VERSION_ID` where there is none.
    pub release: String,
    /// Debian's name of the architecture: "amd64".
    pub arch: String,
    pub insertion_point: String,
    /// What the guest's agent can do: "edit-v1".
    pub features: Vec<String>,
}

/// One launch's own half: what fills placeholders, and what a per-instance step is given.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Instance {
    pub id: String,
    pub profile: String,
    pub attributes: BTreeMap<String, String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Severity {
    Hint,
    Warning,
    Error,
}

/// One finding about a configuration.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Diagnostic {
    pub severity: Severity,
    /// JSON Pointer (RFC 6901) into the configuration; "" is the whole document.
    pub pointer: String,
    /// Stable, kebab-case.
    pub code: String,
    pub message: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
}

/// What a run may use up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Quota {
    Memory,
    Time,
    FetchCount,
    FetchBytes,
    OutputBytes,
    OutputEntries,
    LogBytes,
    CacheBytes,
    Handles,
}

/// When the agent runs a step unless the profile says otherwise. In order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Stage {
    Files,
    Packages,
    Late,
}

/// What a plugin says about itself (`describe`), checked.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Descriptor {
    /// `[a-z0-9-]{1,40}`; what `use:` names.
    pub id: String,
    /// Semantic version.
    pub version: String,
    pub title: String,
    pub summary: String,
    pub os_families: Vec<OsFamily>,
    pub stage: Stage,
    pub capabilities: Capabilities,
    /// JSON Schema 2020-12.
    pub config_schema: serde_json::Value,
    pub examples: Vec<Example>,
    /// All steps of a profile with this generator are one.
    #[serde(default)]
    pub joins_steps: bool,
}

/// What a plugin asks for. A wish, never a grant.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Capabilities {
    /// Origins and prefixes: `https://deb.debian.org/`, `${config:/sources/*/url}`.
    pub fetch: Vec<String>,
    /// JSON pointers in the configuration where names of secrets stand; `*` is any key or index.
    pub secrets: Vec<String>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Example {
    pub title: String,
    pub config: serde_json::Value,
}

/// One artefact that a lock fixes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pin {
    pub name: String,
    pub version: String,
    pub urls: Vec<String>,
    pub digest: Digest,
    pub size: u64,
    /// In which scope the bytes were admitted when the lock was made.
    pub scope: Scope,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub attributes: Vec<(String, String)>,
}

/// What `resolve` decided for one step (RFC 0004). Its canonical JSON is what the lock document holds and what the layer key covers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StepLock {
    pub plugin: Digest,
    /// `generate`'s clock: seconds since 1970 when `resolve` ran.
    pub epoch: u64,
    pub pins: Vec<Pin>,
    /// The generator's own state, by digest, kept in the blob store.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state: Option<Digest>,
    pub needs_instance: bool,
    /// Seconds for which the same answer may be used again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fresh_for: Option<u32>,
    /// Upper bound of the bytes that `generate` writes besides the pins.
    pub max_output: u64,
    /// The widest scope that everything in this lock may be shared in.
    pub scope: Scope,
}

/// What the generator says about its own work.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Summary {
    pub notes: Vec<String>,
    pub reboot_required: bool,
}

/// The volume's inventory: files read from the image at import, by the contract's names.
pub type Inventory = BTreeMap<String, Blob>;

// === impl Quota ===

impl fmt::Display for Quota {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Memory => "memory",
            Self::Time => "time",
            Self::FetchCount => "fetches",
            Self::FetchBytes => "fetched bytes",
            Self::OutputBytes => "output bytes",
            Self::OutputEntries => "output entries",
            Self::LogBytes => "log bytes",
            Self::CacheBytes => "cache bytes",
            Self::Handles => "handles",
        })
    }
}

// === impl StepLock ===

impl StepLock {
    /// The name of this lock: the digest of its canonical JSON.
    pub fn digest(&self) -> Digest {
        crate::key::canonical_digest(self)
    }

    /// Bytes of all pins together.
    pub fn pinned_bytes(&self) -> u64 {
        self.pins
            .iter()
            .fold(0, |sum: u64, pin| sum.saturating_add(pin.size))
    }
}
