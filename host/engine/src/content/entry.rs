//! Entries and the whole content of a step.

use serde::{Deserialize, Serialize};

use super::{Action, Conflict, GuestPath, Text};
use crate::blobs::Blob;

/// Whom an entry belongs to, by name; resolved in the guest.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Owner {
    pub user: String,
    pub group: String,
}

/// What every entry but a link carries.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attributes {
    /// 0 to 0o777.
    pub mode: u32,
    /// None: root, or the user whose home the path is in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<Owner>,
    pub on_conflict: Conflict,
}

/// How values are escaped where they are filled in (RFC 0003).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TemplateFormat {
    Plain,
    Shell,
    Json,
    Yaml,
    Ini,
}

#[derive(Clone, Debug)]
pub enum EntryKind {
    File(Blob),
    /// Text with at least one placeholder. One without is a [`EntryKind::File`].
    Template(Text, TemplateFormat),
    Dir,
    /// A relative target.
    Symlink(String),
}

#[derive(Clone, Debug)]
pub struct Entry {
    pub path: GuestPath,
    pub attributes: Attributes,
    pub kind: EntryKind,
}

/// What one run of `generate` made. It exists only when the run succeeded.
#[derive(Clone, Debug)]
pub struct StepContent {
    /// Sorted by path.
    pub entries: Vec<Entry>,
    /// In the generator's order.
    pub actions: Vec<Action>,
    pub notes: Vec<String>,
    pub reboot_required: bool,
    /// Bytes that count against the output limit.
    pub bytes: u64,
}

// === impl Attributes ===

impl Attributes {
    /// What a link carries: links have no mode and no owner of their own here.
    pub fn link() -> Self {
        Self {
            mode: 0o777,
            owner: None,
            on_conflict: Conflict::Replace,
        }
    }
}
