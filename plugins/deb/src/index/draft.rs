//! Names while an index is prepared, and their bytes.

use super::Priority;
use super::codec::{put_number, put_text};

/// A name while it is gathered.
#[derive(Default)]
pub(super) struct Draft {
    pub text: Box<str>,
    pub versions: Vec<DraftVersion>,
    pub providers: Vec<DraftProvider>,
    /// Other names that have versions built from the source of this name.
    pub built: Vec<u32>,
}

pub(super) struct DraftVersion {
    pub record: u32,
    pub version: Box<str>,
    pub architecture: u8,
    pub flags: u8,
    pub priority: Priority,
    pub phased: u8,
    /// Empty: the name's own.
    pub source: Box<str>,
    /// Empty: the version itself.
    pub source_version: Box<str>,
    pub origins: Vec<u32>,
    /// The names that it provides.
    pub provides: Vec<u32>,
}

pub(super) struct DraftProvider {
    pub name: u32,
    pub record: u32,
    pub version: Option<Box<str>>,
}

// === impl Draft ===

impl Draft {
    pub fn encode(&self, out: &mut Vec<u8>) {
        put_text(out, &self.text);
        put_number(out, self.built.len() as u64);
        for &name in &self.built {
            put_number(out, u64::from(name));
        }
        put_number(out, self.versions.len() as u64);
        for version in &self.versions {
            put_number(out, u64::from(version.record));
            put_text(out, &version.version);
            out.push(version.architecture);
            out.push(version.flags);
            out.push(version.priority as u8);
            out.push(version.phased);
            put_text(out, &version.source);
            put_text(out, &version.source_version);
            put_number(out, version.origins.len() as u64);
            for &origin in &version.origins {
                put_number(out, u64::from(origin));
            }
            put_number(out, version.provides.len() as u64);
            for &name in &version.provides {
                put_number(out, u64::from(name));
            }
        }
        put_number(out, self.providers.len() as u64);
        for provider in &self.providers {
            put_number(out, u64::from(provider.name));
            put_number(out, u64::from(provider.record));
            out.push(u8::from(provider.version.is_some()));
            put_text(out, provider.version.as_deref().unwrap_or_default());
        }
    }
}
