//! The record that gives a volume its name.

use bootsplice_content::Digest;
use serde::{Deserialize, Serialize};

pub const NAME_SCHEMA: &str = "bootsplice/name/v1";

/// What `names/<name>` holds, as JSON: written last, so that a name never leads to half a volume.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NameRecord {
    pub schema: String,
    pub volume: Digest,
    pub placement: u32,
}

// === impl NameRecord ===

impl NameRecord {
    pub fn new(volume: Digest, placement: u32) -> Self {
        Self {
            schema: NAME_SCHEMA.to_owned(),
            volume,
            placement,
        }
    }
}

/// True for `[A-Za-z0-9][A-Za-z0-9._-]{0,127}`: what a volume may be called.
pub fn is_volume_name(text: &str) -> bool {
    let good = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    (1..=128).contains(&text.len())
        && text.bytes().all(good)
        && text.as_bytes()[0].is_ascii_alphanumeric()
}
