//! What `resolve` hands to `generate` beside the pins: the plan, as JSON in the lock file's state.

use bootsplice_sdk::blob::BlobWriter;
use bootsplice_sdk::blobs::Blob;
use bootsplice_sdk::prelude::*;
use serde::{Deserialize, Serialize};

/// Largest state that is read back, in bytes: some 10,000 packages.
const MAX_SIZE: usize = 64 << 20;

/// The plan of one step.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct State {
    /// Version of this document: 1.
    pub v: u32,
    /// Each, roughly, after what it needs.
    pub packages: Vec<Planned>,
    /// Names of packages of the image that go.
    pub remove: Vec<String>,
    /// What every repository said of itself, to notice when it changes.
    pub repositories: Vec<Repository>,
    /// For people.
    pub notes: Vec<String>,
}

/// One package to install.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Planned {
    pub name: String,
    pub version: String,
    pub architecture: String,
    /// Its name in the guest's pool; the name of its pin too.
    pub file: String,
    pub mark: Mark,
}

/// What apt shall remember of why a package is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Mark {
    /// Asked for.
    Manual,
    /// Needed by another.
    Auto,
    /// It is there already, in another version: as it was.
    Keep,
}

/// A suite as it was when the step was resolved.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Repository {
    pub uri: String,
    pub name: String,
    pub origin: String,
    pub label: String,
    pub suite: String,
    pub codename: String,
    /// Seconds since 1970.
    pub date: u64,
    /// Fingerprints of the keys that signed it.
    pub signed_by: Vec<String>,
}

// === impl State ===

impl State {
    pub fn to_blob(&self) -> Result<Blob, Error> {
        let text = serde_json::to_vec(self).map_err(|error| Error::Fault(error.to_string()))?;
        let mut writer = BlobWriter::new();
        std::io::Write::write_all(&mut writer, &text)
            .map_err(|error| Error::Fault(error.to_string()))?;
        writer.finish()
    }

    /// The state of a lock file.
    pub fn of(locked: &Locked) -> Result<Self, Error> {
        let blob = locked
            .state
            .as_ref()
            .ok_or_else(|| Error::NotFound("the lock file has no plan: resolve again".into()))?;
        let state: Self = serde_json::from_slice(&blob.bytes(MAX_SIZE)?)
            .map_err(|error| Error::Fault(format!("the plan in the lock file: {error}")))?;
        if state.v == 1 {
            Ok(state)
        } else {
            Err(Error::Unsupported(format!(
                "the plan in the lock file has version {}; this release knows 1: resolve again",
                state.v
            )))
        }
    }
}

// === impl Mark ===

impl Mark {
    /// Its word in the guest's plan.
    pub fn word(self) -> &'static str {
        match self {
            Self::Manual => "manual",
            Self::Auto => "auto",
            Self::Keep => "keep",
        }
    }
}
