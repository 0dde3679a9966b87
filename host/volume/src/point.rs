//! Insertion points: named partitions that launches fill.

use std::fmt;
use std::str::FromStr;

use bootsplice_content::point_frame::{FRAME_BLOCKS, LEAST_POINT_BLOCKS};
use serde::{Deserialize, Serialize};

use crate::VolumeError;

/// Name of an insertion point: `[a-z0-9-]{1,25}`, so that `bootsplice:<name>` fits the 36 characters of a GPT name.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct PointName(String);

/// The earliest stage in which steps at a point run (RFC 0003).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Stage {
    /// Before users and most services exist.
    Files,
    Packages,
    /// Users exist, services may start.
    Late,
}

/// One insertion point of a volume.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Point {
    pub name: PointName,
    /// GPT partition GUID, RFC 4122 byte order.
    #[serde(with = "crate::manifest::guid")]
    pub partition: uuid::Uuid,
    /// First block of the partition.
    pub first: u64,
    /// Blocks of the partition, its constant frames included.
    pub blocks: u64,
    pub stage: Stage,
}

// === impl PointName ===

impl PointName {
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The label of the point's partition.
    pub fn label(&self) -> String {
        format!("{}{}", crate::gpt::LABEL_PREFIX, self.0)
    }
}

impl FromStr for PointName {
    type Err = VolumeError;

    fn from_str(text: &str) -> Result<Self, VolumeError> {
        let good = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        if (1..=25).contains(&text.len()) && text.bytes().all(good) {
            Ok(Self(text.to_owned()))
        } else {
            Err(VolumeError::PointName(text.chars().take(80).collect()))
        }
    }
}

impl TryFrom<String> for PointName {
    type Error = VolumeError;

    fn try_from(text: String) -> Result<Self, VolumeError> {
        text.parse()
    }
}

impl From<PointName> for String {
    fn from(name: PointName) -> Self {
        name.0
    }
}

impl fmt::Display for PointName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

// === impl Point ===

impl Point {
    /// The block after the last.
    pub fn end(&self) -> u64 {
        self.first.saturating_add(self.blocks)
    }

    /// Blocks between the constant frames: what an archive may fill.
    pub fn capacity_blocks(&self) -> u64 {
        self.blocks.saturating_sub(2 * FRAME_BLOCKS)
    }

    /// The fewest blocks a point may have.
    pub const LEAST: u64 = LEAST_POINT_BLOCKS;
}

impl Stage {
    /// The stage a point gets when the importer names none: `users` and `late` wait for users, all others are early.
    pub fn default_of(name: &PointName) -> Self {
        match name.as_str() {
            "users" | "late" => Self::Late,
            _ => Self::Files,
        }
    }
}

impl FromStr for Stage {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "files" => Ok(Self::Files),
            "packages" => Ok(Self::Packages),
            "late" => Ok(Self::Late),
            _ => Err(format!(
                "`{text}` is not a stage: expected files, packages or late"
            )),
        }
    }
}
