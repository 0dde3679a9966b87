//! Repository indexes: `Packages` files prepared once as bytes that are read lazily, so that a request touches only what it needs.
//!
//! [`Builder`] takes the texts in pieces of any size and writes the prepared bytes front to back; [`Index`] reads them through [`Pages`]. The bytes
//! hold no addresses, only offsets; the same texts in the same order give the same bytes. Any bytes at all give values or errors, never a panic.
//!
//! # Format, version 2 (little-endian; `n` is a LEB128 number, `s` an `n` and so many bytes of UTF-8)
//!
//! | section | content |
//! |---|---|
//! | records | for each package: length `u32`; file name `s`; size `n`; SHA-256, 32 bytes or zeros; installed size in KiB `n`; section `s`; six lists of relations |
//! | names | for each name, in the order of first mention, then sources that are no names: text `s`; names built from its source `n`, each; versions `n`, each; providers `n`, each |
//! | offsets | for each name and the end: where it begins in the names, `u32` |
//! | buckets | a hash table of names, open addressing: number + 1, `u32` |
//! | origins | `n`; each eight `s` and a byte of flags; the architectures `n`, each `s` |
//! | trailer | the sections' offsets, the counts, and the magic `bsdebix\x02`: [`TRAILER`] bytes |
//!
//! The order of first mention is that in which apt numbers packages; its last tie-break among providers goes by it.

mod build;
mod codec;
mod draft;
mod fields;
mod pages;
mod read;
mod record;

pub use build::Builder;
pub(crate) use fields::source_of;
pub use pages::{PAGE, Pages};
pub use read::{Entry, Index, OriginId, Provider};
pub use record::{AtomId, EachGroup, Record};

use crate::relation::Atom;
use crate::{Error, Result};
use codec::Cursor;

/// The magic, and the version of the format in its last byte.
const MAGIC: [u8; 8] = *b"bsdebix\x02";

/// Bytes of the trailer.
pub const TRAILER: u64 = 8 * 6 + 8;

/// A package's lists of relations, in the order in which they stand in a record.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[repr(u8)]
pub enum List {
    /// `Pre-Depends`
    PreDepends,
    /// `Depends`
    Depends,
    /// `Recommends`
    Recommends,
    /// `Suggests`
    Suggests,
    /// `Conflicts`
    Conflicts,
    /// `Breaks`
    Breaks,
}

/// How a package lives beside itself in other architectures (the field `Multi-Arch`).
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
#[repr(u8)]
pub enum MultiArch {
    /// It does not.
    #[default]
    No,
    /// Together, in equal versions.
    Same,
    /// It serves packages of any architecture.
    Foreign,
    /// It serves those that ask for `:any`.
    Allowed,
}

/// The `Priority` field, the most needed first.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
#[repr(u8)]
pub enum Priority {
    /// The system does not work without it.
    Required,
    /// Expected on any system.
    Important,
    /// A small character-mode system.
    Standard,
    /// All else.
    #[default]
    Optional,
    /// Obsolete: the same as optional, and ordered after it.
    Extra,
}

/// What the trailer says.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
struct Trailer {
    names: u64,
    offsets: u64,
    buckets: u64,
    origins: u64,
    /// How many names there are.
    count: u64,
    /// How many buckets: a power of two.
    slots: u64,
}

/// The hash of a name: FNV-1a.
fn hash(name: &str) -> u64 {
    name.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

// === impl List ===

impl List {
    /// All lists.
    pub const ALL: [Self; 6] = [
        Self::PreDepends,
        Self::Depends,
        Self::Recommends,
        Self::Suggests,
        Self::Conflicts,
        Self::Breaks,
    ];

    /// The field's name.
    pub fn field(self) -> &'static str {
        match self {
            Self::PreDepends => "Pre-Depends",
            Self::Depends => "Depends",
            Self::Recommends => "Recommends",
            Self::Suggests => "Suggests",
            Self::Conflicts => "Conflicts",
            Self::Breaks => "Breaks",
        }
    }
}

// === impl MultiArch ===

impl MultiArch {
    /// The value of the field; what is not known counts as `no`, as apt has it.
    pub fn parse(text: &str) -> Self {
        match text {
            "same" => Self::Same,
            "foreign" => Self::Foreign,
            "allowed" => Self::Allowed,
            _ => Self::No,
        }
    }

    fn from_code(code: u8) -> Self {
        match code & 3 {
            1 => Self::Same,
            2 => Self::Foreign,
            3 => Self::Allowed,
            _ => Self::No,
        }
    }
}

// === impl Priority ===

impl Priority {
    /// The value of the field; what is not known counts as `extra`, as apt has it.
    pub fn parse(text: &str) -> Self {
        match text {
            "required" => Self::Required,
            "important" => Self::Important,
            "standard" => Self::Standard,
            "optional" => Self::Optional,
            _ => Self::Extra,
        }
    }

    fn from_code(code: u8) -> Self {
        match code {
            0 => Self::Required,
            1 => Self::Important,
            2 => Self::Standard,
            3 => Self::Optional,
            _ => Self::Extra,
        }
    }
}

// === impl Trailer ===

impl Trailer {
    fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(TRAILER as usize);
        for number in [
            self.names,
            self.offsets,
            self.buckets,
            self.origins,
            self.count,
            self.slots,
        ] {
            out.extend_from_slice(&number.to_le_bytes());
        }
        out.extend_from_slice(&MAGIC);
        out
    }

    /// `size` is that of all the bytes.
    fn decode(bytes: &[u8], size: u64) -> Result<Self> {
        let mut cursor = Cursor::new(bytes);
        let trailer = Self {
            names: cursor.u64()?,
            offsets: cursor.u64()?,
            buckets: cursor.u64()?,
            origins: cursor.u64()?,
            count: cursor.u64()?,
            slots: cursor.u64()?,
        };
        if cursor.rest() != MAGIC {
            return Err(Error::Index("no magic of this version at the end"));
        }
        let end = size - TRAILER;
        let ordered = trailer.names <= trailer.offsets
            && trailer.offsets <= trailer.buckets
            && trailer.buckets <= trailer.origins
            && trailer.origins <= end;
        let whole = trailer.count < u64::from(u32::MAX)
            && trailer.slots.is_power_of_two()
            && trailer.slots <= 1 << 32
            && trailer.offsets + (trailer.count + 1) * 4 == trailer.buckets
            && trailer.buckets + trailer.slots * 4 == trailer.origins
            && trailer.slots > trailer.count;
        if !ordered || !whole {
            return Err(Error::Index("the sections do not fit together"));
        }
        Ok(trailer)
    }
}

/// The parts of an atom as bytes: operator and qualifier in one.
fn atom_code(atom: &Atom<'_>) -> u8 {
    use crate::relation::Qualifier;
    let operator = atom.constraint.map_or(0, |(operator, _)| operator as u8);
    let qualifier = match atom.qualifier {
        Qualifier::Implicit => 0,
        Qualifier::Any => 1,
        Qualifier::Native => 2,
        Qualifier::Architecture(_) => 3,
    };
    operator | qualifier << 3
}
