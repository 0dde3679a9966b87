//! What a package's record says beyond its entry: its file, and its relations, which are read in place.

use super::List;
use super::codec::{Cursor, u32_at};
use super::read::{Index, number32};
use crate::relation::{Atom, Operator, Qualifier};
use crate::{Error, Result};

/// The file that a record speaks of.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Record {
    /// Path below the archive's root.
    pub filename: String,
    /// Bytes of the `.deb`.
    pub size: u64,
    /// None: the archive does not say.
    pub sha256: Option<[u8; 32]>,
    /// KiB once installed.
    pub installed_size: u64,
    /// Its section.
    pub section: String,
}

/// A relation's alternative, its name by number.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct AtomId<'a> {
    /// The number of the name.
    pub name: u32,
    /// The rest.
    pub qualifier: Qualifier<'a>,
    /// Its version.
    pub constraint: Option<(Operator, &'a str)>,
}

/// What is called with each group of relations: its list, its number within all lists, its alternatives.
pub type EachGroup<'f> = dyn FnMut(List, u32, &[AtomId<'_>]) -> Result<()> + 'f;

// === impl Index ===

impl Index<'_> {
    /// The record at an offset that an entry named.
    pub fn record(&self, offset: u32) -> Result<Record> {
        self.with_record(offset, |record, _| {
            Ok(Record {
                filename: record.filename.to_owned(),
                size: record.size,
                sha256: Some(record.sha256).filter(|digest| *digest != [0; 32]),
                installed_size: record.installed_size,
                section: record.section.to_owned(),
            })
        })
    }

    /// Calls `f` with each group of relations of the record at an offset.
    pub fn relations(&self, offset: u32, f: &mut EachGroup<'_>) -> Result<()> {
        self.with_record(offset, |_, cursor| {
            let mut number = 0;
            let mut atoms = Vec::new();
            for list in List::ALL {
                for _ in 0..cursor.count()? {
                    atoms.clear();
                    for _ in 0..cursor.count()? {
                        atoms.push(atom(cursor)?);
                    }
                    f(list, number, &atoms)?;
                    number += 1;
                }
            }
            Ok(())
        })
    }

    fn with_record<T>(
        &self,
        offset: u32,
        f: impl FnOnce(Raw<'_>, &mut Cursor<'_>) -> Result<T>,
    ) -> Result<T> {
        let length = self
            .bytes
            .with(offset.into(), 4, |bytes| u32_at(bytes, 0))?;
        let start = u64::from(offset) + 4;
        if start + u64::from(length) > self.trailer.names {
            return Err(Error::Index("a record ends outside its section"));
        }
        self.bytes.with(start, length.into(), |bytes| {
            let mut cursor = Cursor::new(bytes);
            let filename = cursor.text()?;
            let size = cursor.number()?;
            let mut sha256 = [0; 32];
            sha256.copy_from_slice(cursor.take(32)?);
            let raw = Raw {
                filename,
                size,
                sha256,
                installed_size: cursor.number()?,
                section: cursor.text()?,
            };
            f(raw, &mut cursor)
        })
    }
}

/// A record in its bytes.
struct Raw<'r> {
    filename: &'r str,
    size: u64,
    sha256: [u8; 32],
    installed_size: u64,
    section: &'r str,
}

fn atom<'r>(cursor: &mut Cursor<'r>) -> Result<AtomId<'r>> {
    let name = number32(cursor)?;
    let code = cursor.byte()?;
    let qualifier = match code >> 3 {
        0 => Qualifier::Implicit,
        1 => Qualifier::Any,
        2 => Qualifier::Native,
        3 => Qualifier::Architecture(cursor.text()?),
        _ => return Err(Error::Index("a relation's code is not known")),
    };
    let constraint = match code & 7 {
        0 => None,
        code => {
            let operator =
                Operator::from_code(code).ok_or(Error::Index("a relation's code is not known"))?;
            Some((operator, cursor.text()?))
        }
    };
    Ok(AtomId {
        name,
        qualifier,
        constraint,
    })
}

// === impl AtomId ===

impl<'a> AtomId<'a> {
    /// The alternative with its name's text.
    pub fn named(&self, name: &'a str) -> Atom<'a> {
        Atom {
            name,
            qualifier: self.qualifier,
            constraint: self.constraint,
        }
    }
}
