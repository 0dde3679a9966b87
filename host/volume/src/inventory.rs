//! The guest's inventory: what was read from the image's root filesystem at import.

use std::collections::{BTreeMap, BTreeSet};

use bootsplice_content::Digest;
use serde::{Deserialize, Serialize};

/// What package generators resolve against and what plans check owners and keys against. Stored as JSON under its digest.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Inventory {
    /// Schema version of this document: 1.
    pub v: u32,
    /// Keys and values of `/etc/os-release`, unquoted.
    pub os_release: BTreeMap<String, String>,
    /// Debian's name of the architecture, from the package database: "amd64".
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub architecture: Option<String>,
    /// Names in `/etc/passwd`.
    pub users: BTreeSet<String>,
    /// Names in `/etc/group`.
    pub groups: BTreeSet<String>,
    /// Version of the installed package `bootsplice-agent`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent: Option<AgentVersion>,
    /// Ids of the keys in `/etc/bootsplice/keys.d` (RFC 0006).
    pub trusted_keys: BTreeSet<String>,
    /// Whole files, by the contract's names: `os-release`, `dpkg-status`, `passwd`, `group`, `agent-version`; and by their paths what apt goes by:
    /// sources, preferences, configuration, keyrings, `extended_states`, foreign architectures.
    pub files: BTreeMap<String, InventoryFile>,
}

/// The version of a Debian package.
pub type AgentVersion = String;

/// A file kept beside the inventory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct InventoryFile {
    pub digest: Digest,
    pub size: u64,
}

// === impl Inventory ===

impl Inventory {
    /// Largest document that is read.
    pub const MAX_BYTES: usize = 4 << 20;

    /// `ID` of os-release, or empty.
    pub fn distro(&self) -> &str {
        self.os_release.get("ID").map_or("", String::as_str)
    }

    /// `VERSION_CODENAME`, or `VERSION_ID` where there is none.
    pub fn release(&self) -> &str {
        self.os_release
            .get("VERSION_CODENAME")
            .or_else(|| self.os_release.get("VERSION_ID"))
            .map_or("", String::as_str)
    }
}
