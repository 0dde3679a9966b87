//! Reading a prepared index: names by hash, packages by offset.

use std::fmt;

use super::codec::{Cursor, u32_at};
use super::pages::{Cached, Pages};
use super::{MultiArch, Priority, TRAILER, Trailer, hash};
use crate::origin::Origin;
use crate::{Error, Result};

/// A number of an origin within its index.
pub type OriginId = u32;

/// A prepared index. Everything is read when it is asked for; what was read is kept, up to 64 MiB.
pub struct Index<'a> {
    pub(super) bytes: Cached<'a>,
    pub(super) trailer: Trailer,
    origins: Vec<Origin>,
    architectures: Vec<String>,
}

/// One version of a name.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Entry {
    /// Where its record is, for [`Index::record`].
    pub record: u32,
    /// Its version.
    pub version: Box<str>,
    /// Its number among [`Index::architectures`].
    pub architecture: u8,
    /// Its `Multi-Arch`.
    pub multi_arch: MultiArch,
    /// `Essential: yes`.
    pub essential: bool,
    /// `Important: yes`.
    pub important: bool,
    /// `Protected: yes`.
    pub protected: bool,
    /// Its `Priority`.
    pub priority: Priority,
    /// `Phased-Update-Percentage`.
    pub phased: Option<u8>,
    /// Its source package; none: of the same name.
    pub source: Option<Box<str>>,
    /// Its source's version; none: the same.
    pub source_version: Option<Box<str>>,
    /// Where it comes from, the first one fetches.
    pub origins: Vec<OriginId>,
    /// The numbers of the names that it provides.
    pub provides: Vec<u32>,
}

/// Who provides a name.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Provider {
    /// The number of its name.
    pub name: u32,
    /// Which version of it, by its record.
    pub record: u32,
    /// In which version it provides.
    pub version: Option<Box<str>>,
}

// === impl Index ===

impl<'a> Index<'a> {
    /// Opens prepared bytes. Reads the trailer and the origins.
    pub fn open(pages: impl Pages + 'a) -> Result<Self> {
        let bytes = Cached::new(Box::new(pages));
        let size = bytes.size();
        if size < TRAILER {
            return Err(Error::Index("too short"));
        }
        let trailer = bytes.with(size - TRAILER, TRAILER, |bytes| {
            Trailer::decode(bytes, size)
        })?;
        let (origins, architectures) = bytes.with(
            trailer.origins,
            size - TRAILER - trailer.origins,
            decode_origins,
        )?;
        Ok(Self {
            bytes,
            trailer,
            origins,
            architectures,
        })
    }

    /// Where its packages come from.
    pub fn origins(&self) -> &[Origin] {
        &self.origins
    }

    /// The architectures of its packages, `all` among them.
    pub fn architectures(&self) -> &[String] {
        &self.architectures
    }

    /// How many names it has, real and virtual.
    pub fn names(&self) -> u32 {
        self.trailer.count as u32
    }

    /// How many of its bytes were read and are kept.
    pub fn kept(&self) -> u64 {
        self.bytes.kept()
    }

    /// The number of a name.
    pub fn find(&self, name: &str) -> Result<Option<u32>> {
        let mask = self.trailer.slots - 1;
        let mut slot = hash(name) & mask;
        // The table has more slots than names, but a hostile one may be full.
        for _ in 0..self.trailer.slots {
            let value = self
                .bytes
                .with(self.trailer.buckets + slot * 4, 4, |bytes| u32_at(bytes, 0))?;
            let Some(number) = value.checked_sub(1) else {
                return Ok(None);
            };
            if self.with_name(number, |cursor| Ok(cursor.text()? == name))? {
                return Ok(Some(number));
            }
            slot = (slot + 1) & mask;
        }
        Ok(None)
    }

    /// Reads ahead what [`Index::find`] and [`Index::entries`] of these names will ask for.
    pub fn prefetch<'n>(&self, names: impl Iterator<Item = &'n str> + Clone) -> Result<()> {
        let mask = self.trailer.slots - 1;
        self.bytes.prefetch(
            names
                .clone()
                .map(|name| (self.trailer.buckets + (hash(name) & mask) * 4, 4)),
        )?;
        let mut numbers = Vec::new();
        for name in names {
            let at = self.trailer.buckets + (hash(name) & mask) * 4;
            let value = self.bytes.with(at, 4, |bytes| u32_at(bytes, 0))?;
            numbers.extend(
                value
                    .checked_sub(1)
                    .filter(|number| u64::from(*number) < self.trailer.count),
            );
        }
        let offset = |number: &u32| self.trailer.offsets + u64::from(*number) * 4;
        self.bytes
            .prefetch(numbers.iter().map(|number| (offset(number), 8)))?;
        let mut spans = Vec::with_capacity(numbers.len());
        for number in numbers {
            spans.push(self.name_span(number)?);
        }
        self.bytes.prefetch(spans.into_iter())
    }

    /// The text of a name.
    pub fn name(&self, number: u32) -> Result<String> {
        self.with_text(number, str::to_owned)
    }

    /// Calls `f` with the text of a name.
    pub(crate) fn with_text<T>(&self, number: u32, f: impl FnOnce(&str) -> T) -> Result<T> {
        self.with_name(number, |cursor| Ok(f(cursor.text()?)))
    }

    /// The names, other than this one, that have versions built from the source of this name.
    pub fn built(&self, number: u32) -> Result<Vec<u32>> {
        self.with_name(number, |cursor| {
            cursor.text()?;
            numbers32(cursor)
        })
    }

    /// The versions and the providers of a name.
    pub fn entries(&self, number: u32) -> Result<(Vec<Entry>, Vec<Provider>)> {
        self.with_name(number, |cursor| {
            cursor.text()?;
            for _ in 0..cursor.count()? {
                cursor.number()?;
            }
            let entries = (0..cursor.count()?)
                .map(|_| self.entry(cursor))
                .collect::<Result<Vec<_>>>()?;
            let providers = (0..cursor.count()?)
                .map(|_| provider(cursor))
                .collect::<Result<Vec<_>>>()?;
            Ok((entries, providers))
        })
    }

    fn name_span(&self, number: u32) -> Result<(u64, u64)> {
        if u64::from(number) >= self.trailer.count {
            return Err(Error::Index("a name's number is too large"));
        }
        let at = self.trailer.offsets + u64::from(number) * 4;
        let (start, end) = self
            .bytes
            .with(at, 8, |bytes| Ok((u32_at(bytes, 0)?, u32_at(bytes, 4)?)))?;
        let start = self.trailer.names + u64::from(start);
        let end = self.trailer.names + u64::from(end);
        if start > end || end > self.trailer.offsets {
            return Err(Error::Index("a name lies outside its section"));
        }
        Ok((start, end - start))
    }

    fn with_name<T>(&self, number: u32, f: impl FnOnce(&mut Cursor<'_>) -> Result<T>) -> Result<T> {
        let (start, length) = self.name_span(number)?;
        self.bytes
            .with(start, length, |bytes| f(&mut Cursor::new(bytes)))
    }

    fn entry(&self, cursor: &mut Cursor<'_>) -> Result<Entry> {
        let record = number32(cursor)?;
        let version = cursor.text()?.into();
        let architecture = cursor.byte()?;
        if usize::from(architecture) >= self.architectures.len() {
            return Err(Error::Index("an architecture is not listed"));
        }
        let flags = cursor.byte()?;
        let priority = Priority::from_code(cursor.byte()?);
        let phased = Some(cursor.byte()?).filter(|phased| *phased <= 100);
        let mut optional = || -> Result<Option<Box<str>>> {
            Ok(Some(cursor.text()?)
                .filter(|text| !text.is_empty())
                .map(Box::from))
        };
        let source = optional()?;
        let source_version = optional()?;
        let origins = numbers32(cursor)?;
        if origins
            .iter()
            .any(|&origin| origin as usize >= self.origins.len())
            || origins.is_empty()
        {
            return Err(Error::Index("an origin is not listed"));
        }
        Ok(Entry {
            record,
            version,
            architecture,
            multi_arch: MultiArch::from_code(flags),
            essential: flags & 4 != 0,
            important: flags & 8 != 0,
            protected: flags & 16 != 0,
            priority,
            phased,
            source,
            source_version,
            origins,
            provides: numbers32(cursor)?,
        })
    }
}

impl fmt::Debug for Index<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Index")
            .field("names", &self.trailer.count)
            .field("origins", &self.origins)
            .finish_non_exhaustive()
    }
}

pub(super) fn number32(cursor: &mut Cursor<'_>) -> Result<u32> {
    u32::try_from(cursor.number()?).map_err(|_| Error::Index("a number is too large"))
}

fn numbers32(cursor: &mut Cursor<'_>) -> Result<Vec<u32>> {
    (0..cursor.count()?).map(|_| number32(cursor)).collect()
}

fn provider(cursor: &mut Cursor<'_>) -> Result<Provider> {
    let name = number32(cursor)?;
    let record = number32(cursor)?;
    let versioned = cursor.byte()? != 0;
    let version = cursor.text()?;
    Ok(Provider {
        name,
        record,
        version: versioned.then(|| version.into()),
    })
}

fn decode_origins(bytes: &[u8]) -> Result<(Vec<Origin>, Vec<String>)> {
    let mut cursor = Cursor::new(bytes);
    let mut origins = Vec::new();
    for _ in 0..cursor.count()? {
        let mut text = || Ok::<_, Error>(cursor.text()?.to_owned());
        let mut origin = Origin {
            id: text()?,
            suite: text()?,
            codename: text()?,
            asked: text()?,
            version: text()?,
            origin: text()?,
            label: text()?,
            component: text()?,
            site: text()?,
            ..Origin::default()
        };
        let flags = cursor.byte()?;
        origin.not_automatic = flags & 1 != 0;
        origin.but_automatic_upgrades = flags & 2 != 0;
        origins.push(origin);
    }
    let mut architectures = Vec::new();
    for _ in 0..cursor.count()? {
        architectures.push(cursor.text()?.to_owned());
    }
    Ok((origins, architectures))
}
