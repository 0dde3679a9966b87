//! The fields of a stanza of `Packages` that an index keeps.

use super::{List, MultiArch, Priority};
use crate::control::{Stanza, text};
use crate::relation;
use crate::{Error, Result};

/// The fields of one stanza that are kept.
#[derive(Default)]
pub(super) struct Fields<'a> {
    pub package: &'a str,
    pub version: &'a str,
    pub architecture: &'a str,
    pub source: &'a str,
    pub section: &'a str,
    pub filename: &'a str,
    pub size: u64,
    pub sha256: Option<[u8; 32]>,
    pub installed_size: u64,
    pub multi_arch: MultiArch,
    pub priority: Priority,
    pub essential: bool,
    pub important: bool,
    pub protected: bool,
    pub phased: Option<u8>,
    pub lists: [&'a str; 6],
    pub replaces: &'a str,
    pub enhances: &'a str,
    pub provides: &'a str,
}

/// Source package and its version out of the field `Source: name (version)`, each empty where it is the package's own.
pub(crate) fn source_of<'a>(field: &'a str, package: &str, version: &str) -> (&'a str, &'a str) {
    let (source, rest) = field.split_once(' ').unwrap_or((field, ""));
    let source_version = rest.trim().trim_start_matches('(').trim_end_matches(')');
    (
        if source == package { "" } else { source },
        if source_version == version {
            ""
        } else {
            source_version
        },
    )
}

// === impl Fields ===

impl<'a> Fields<'a> {
    pub fn read(stanza: &Stanza<'a>) -> Result<Self> {
        let mut fields = Self::default();
        for field in stanza.fields() {
            let (name, value) = field?;
            fields.set(name, value)?;
        }
        if !relation::is_name(fields.package)
            || fields.version.is_empty()
            || fields.architecture.is_empty()
        {
            let place = format!(
                "the stanza of {:?} at byte {}",
                fields.package, stanza.offset
            );
            return Err(Error::malformed(
                place,
                fields.version,
                "a package with Package, Version and Architecture",
            ));
        }
        Ok(fields)
    }

    fn set(&mut self, name: &str, value: &'a [u8]) -> Result<()> {
        let slot = match name {
            "Package" => &mut self.package,
            "Version" => &mut self.version,
            "Architecture" => &mut self.architecture,
            "Source" => &mut self.source,
            "Section" => &mut self.section,
            "Filename" => &mut self.filename,
            "Pre-Depends" => &mut self.lists[List::PreDepends as usize],
            "Depends" => &mut self.lists[List::Depends as usize],
            "Recommends" => &mut self.lists[List::Recommends as usize],
            "Suggests" => &mut self.lists[List::Suggests as usize],
            "Conflicts" => &mut self.lists[List::Conflicts as usize],
            "Breaks" => &mut self.lists[List::Breaks as usize],
            "Replaces" => &mut self.replaces,
            "Enhances" => &mut self.enhances,
            "Provides" => &mut self.provides,
            _ => return self.set_other(name, value),
        };
        *slot = text(name, value)?;
        Ok(())
    }

    fn set_other(&mut self, name: &str, value: &'a [u8]) -> Result<()> {
        let number = |value: &str| {
            value
                .parse::<u64>()
                .map_err(|_| Error::malformed(name.to_owned(), value, "a number"))
        };
        match name {
            "Size" => self.size = number(text(name, value)?)?,
            "Installed-Size" => self.installed_size = number(text(name, value)?)?,
            "SHA256" => self.sha256 = Some(digest(text(name, value)?)?),
            "Multi-Arch" => self.multi_arch = MultiArch::parse(text(name, value)?),
            "Priority" => self.priority = Priority::parse(text(name, value)?),
            "Essential" => self.essential = text(name, value)? == "yes",
            "Important" => self.important = text(name, value)? == "yes",
            "Protected" => self.protected = text(name, value)? == "yes",
            "Phased-Update-Percentage" => {
                self.phased = Some(number(text(name, value)?)?.min(100) as u8);
            }
            _ => {}
        }
        Ok(())
    }
}

/// 64 hexadecimal digits.
fn digest(text: &str) -> Result<[u8; 32]> {
    let fail = || Error::malformed("SHA256", text, "64 hexadecimal digits");
    let digits = text.as_bytes();
    if digits.len() != 64 {
        return Err(fail());
    }
    let mut digest = [0; 32];
    for (byte, pair) in digest.iter_mut().zip(digits.chunks(2)) {
        let value = |c: u8| (c as char).to_digit(16).ok_or_else(fail);
        *byte = (value(pair[0])? << 4 | value(pair[1])?) as u8;
    }
    Ok(digest)
}
