//! Preparing an index from the texts of `Packages` files.

use rustc_hash::FxHashMap;

use super::codec::{put_number, put_text};
use super::draft::{Draft, DraftProvider, DraftVersion};
use super::fields::{Fields, source_of};
use super::{List, Trailer, atom_code, hash};
use crate::control::{MOST_STANZA_BYTES, stanzas};
use crate::origin::Origin;
use crate::relation::{self, Atom, Qualifier};
use crate::{Error, Result};

/// At most so many names and packages: offsets within sections are 32 bits wide.
const MOST_NAMES: usize = 1 << 28;

/// How much is handed to the sink at once.
const PIECE: usize = 256 << 10;

/// Prepares an index: texts go in with [`Builder::begin`] and [`Builder::feed`], the bytes come out of the sink, front to back, the last of them
/// with [`Builder::finish`].
///
/// The sink's error is a text and ends the preparing as [`Error::Pages`]. Memory: about 400 bytes a package, whatever the texts' size.
pub struct Builder<W: FnMut(&[u8]) -> Result<(), String>> {
    sink: W,
    buffer: Vec<u8>,
    written: u64,
    names: Vec<Draft>,
    numbers: FxHashMap<Box<str>, u32>,
    origins: Vec<Origin>,
    architectures: Vec<String>,
    /// The begin of a stanza whose end is still to come.
    carry: Vec<u8>,
}

// === impl Builder ===

impl<W: FnMut(&[u8]) -> Result<(), String>> Builder<W> {
    /// Nothing yet; the bytes will go to `sink`.
    pub fn new(sink: W) -> Self {
        Self {
            sink,
            buffer: Vec::with_capacity(PIECE + 4096),
            written: 0,
            names: Vec::new(),
            numbers: FxHashMap::default(),
            origins: Vec::new(),
            architectures: Vec::new(),
            carry: Vec::new(),
        }
    }

    /// What is fed from now on comes from `origin`. The order of sources matters where two have the same version: the first one's file is
    /// fetched.
    pub fn begin(&mut self, origin: Origin) -> Result<()> {
        self.flush_carry()?;
        self.origins.push(origin);
        Ok(())
    }

    /// Takes the next piece of the text, cut anywhere.
    pub fn feed(&mut self, piece: &[u8]) -> Result<()> {
        if self.origins.is_empty() {
            return Err(Error::malformed("index", "", "preceded by an origin"));
        }
        // Only what ends with an empty line is whole; the line before may have come with the last piece.
        let seen = self.carry.len().saturating_sub(1);
        self.carry.extend_from_slice(piece);
        let found = self.carry[seen..]
            .windows(2)
            .rposition(|two| two == b"\n\n");
        if let Some(cut) = found {
            let rest = self.carry.split_off(seen + cut + 2);
            let whole = std::mem::replace(&mut self.carry, rest);
            self.take(&whole)?;
        }
        if self.carry.len() > MOST_STANZA_BYTES {
            return Err(Error::TooLarge {
                place: "a stanza of Packages".into(),
                limit: MOST_STANZA_BYTES as u64,
                unit: "bytes",
            });
        }
        Ok(())
    }

    /// Writes what is left. Answers how many bytes the index has.
    pub fn finish(mut self) -> Result<u64> {
        self.flush_carry()?;
        self.gather_sources()?;
        let names = self.at();
        let mut offsets = Vec::with_capacity((self.names.len() + 1) * 4);
        for draft in std::mem::take(&mut self.names) {
            offsets.extend_from_slice(&offset32(self.at() - names)?.to_le_bytes());
            draft.encode(&mut self.buffer);
            self.spill()?;
        }
        offsets.extend_from_slice(&offset32(self.at() - names)?.to_le_bytes());
        let count = offsets.len() as u64 / 4 - 1;

        let offsets_at = self.at();
        self.buffer.extend_from_slice(&offsets);
        let buckets = self.at();
        let table = self.table(count as usize);
        let slots = table.len() as u64;
        for slot in table {
            self.buffer.extend_from_slice(&slot.to_le_bytes());
            self.spill()?;
        }
        let origins = self.at();
        self.put_origins();
        let trailer = Trailer {
            names,
            offsets: offsets_at,
            buckets,
            origins,
            count,
            slots,
        };
        self.buffer.extend_from_slice(&trailer.encode());
        let size = self.at();
        self.flush()?;
        Ok(size)
    }

    /// Tells each source which packages are built from it. Sources that are no packages get their numbers last, so that the order of the others
    /// stays apt's.
    fn gather_sources(&mut self) -> Result<()> {
        for name in 0..self.names.len() as u32 {
            let versions = &self.names[name as usize].versions;
            let sources: Vec<Box<str>> = versions
                .iter()
                .filter(|version| !version.source.is_empty())
                .map(|version| version.source.clone())
                .collect();
            for source in sources {
                let source = self.number(&source)?;
                let built = &mut self.names[source as usize].built;
                if built.last() != Some(&name) {
                    built.push(name);
                }
            }
        }
        Ok(())
    }

    /// The hash table, filled in the order of the names' numbers.
    fn table(&self, count: usize) -> Vec<u32> {
        let slots = (count * 2 + 1).next_power_of_two();
        let mut by_number: Vec<(&str, u32)> = self
            .numbers
            .iter()
            .map(|(name, &number)| (&**name, number))
            .collect();
        by_number.sort_unstable_by_key(|&(_, number)| number);
        let mut table = vec![0u32; slots];
        for (name, number) in by_number {
            let mut slot = hash(name) as usize & (slots - 1);
            while table[slot] != 0 {
                slot = (slot + 1) & (slots - 1);
            }
            table[slot] = number + 1;
        }
        table
    }

    fn put_origins(&mut self) {
        let out = &mut self.buffer;
        put_number(out, self.origins.len() as u64);
        for origin in &self.origins {
            for text in [
                &origin.id,
                &origin.suite,
                &origin.codename,
                &origin.asked,
                &origin.version,
                &origin.origin,
                &origin.label,
                &origin.component,
                &origin.site,
            ] {
                put_text(out, text);
            }
            out.push(u8::from(origin.not_automatic) | u8::from(origin.but_automatic_upgrades) << 1);
        }
        put_number(out, self.architectures.len() as u64);
        for architecture in &self.architectures {
            put_text(out, architecture);
        }
    }

    fn flush_carry(&mut self) -> Result<()> {
        let text = std::mem::take(&mut self.carry);
        self.take(&text)
    }

    fn take(&mut self, text: &[u8]) -> Result<()> {
        for stanza in stanzas(text) {
            let stanza = stanza?;
            if stanza.fields().next().is_none() {
                continue;
            }
            let fields = Fields::read(&stanza)?;
            self.package(&fields)
                .map_err(|error| named(error, fields.package))?;
        }
        Ok(())
    }

    fn package(&mut self, fields: &Fields<'_>) -> Result<()> {
        let name = self.number(fields.package)?;
        let architecture = self.architecture(fields.architecture)?;
        let origin = self.origins.len() as u32 - 1;
        let known = self.names[name as usize]
            .versions
            .iter_mut()
            .find(|known| *known.version == *fields.version && known.architecture == architecture);
        if let Some(known) = known {
            if !known.origins.contains(&origin) {
                known.origins.push(origin);
            }
            return Ok(());
        }
        let start = offset32(self.at())?;
        let record = self.record(fields)?;
        let (source, source_version) = source_of(fields.source, fields.package, fields.version);
        self.names[name as usize].versions.push(DraftVersion {
            record: start,
            version: fields.version.into(),
            architecture,
            flags: fields.multi_arch as u8
                | u8::from(fields.essential) << 2
                | u8::from(fields.important) << 3
                | u8::from(fields.protected) << 4,
            priority: fields.priority,
            phased: fields.phased.unwrap_or(u8::MAX),
            source: source.into(),
            source_version: source_version.into(),
            origins: vec![origin],
            provides: Vec::new(),
        });
        // apt numbers names by field in this order, too: what is replaced or enhanced may be a package's first mention.
        for other in [fields.replaces, fields.enhances] {
            for atom in relation::parse(other)?.into_iter().flatten() {
                self.number(atom.name)?;
            }
        }
        for atom in relation::parse(fields.provides)?.into_iter().flatten() {
            let provided = self.number(atom.name)?;
            if let Some(version) = self.names[name as usize].versions.last_mut() {
                version.provides.push(provided);
            }
            self.names[provided as usize].providers.push(DraftProvider {
                name,
                record: start,
                version: atom.constraint.map(|(_, version)| version.into()),
            });
        }
        self.buffer
            .extend_from_slice(&(record.len() as u32).to_le_bytes());
        self.buffer.extend_from_slice(&record);
        self.spill()
    }

    fn record(&mut self, fields: &Fields<'_>) -> Result<Vec<u8>> {
        let mut out = Vec::with_capacity(512);
        put_text(&mut out, fields.filename);
        put_number(&mut out, fields.size);
        out.extend_from_slice(&fields.sha256.unwrap_or_default());
        put_number(&mut out, fields.installed_size);
        put_text(&mut out, fields.section);
        // apt numbers the names of negative relations before those of recommends.
        let mut parsed: [Vec<Vec<Atom<'_>>>; 6] = Default::default();
        for list in [
            List::PreDepends,
            List::Depends,
            List::Conflicts,
            List::Breaks,
            List::Recommends,
            List::Suggests,
        ] {
            parsed[list as usize] = relation::parse(fields.lists[list as usize])?;
            for atom in parsed[list as usize].iter().flatten() {
                self.number(atom.name)?;
            }
        }
        for groups in &parsed {
            put_number(&mut out, groups.len() as u64);
            for group in groups {
                put_number(&mut out, group.len() as u64);
                for atom in group {
                    put_number(&mut out, u64::from(self.number(atom.name)?));
                    out.push(atom_code(atom));
                    if let Qualifier::Architecture(architecture) = atom.qualifier {
                        put_text(&mut out, architecture);
                    }
                    if let Some((_, version)) = atom.constraint {
                        put_text(&mut out, version);
                    }
                }
            }
        }
        Ok(out)
    }

    fn number(&mut self, name: &str) -> Result<u32> {
        if let Some(&number) = self.numbers.get(name) {
            return Ok(number);
        }
        if self.names.len() >= MOST_NAMES {
            return Err(Error::TooLarge {
                place: "a package index".into(),
                limit: MOST_NAMES as u64,
                unit: "names",
            });
        }
        let number = self.names.len() as u32;
        self.names.push(Draft {
            text: name.into(),
            ..Draft::default()
        });
        self.numbers.insert(name.into(), number);
        Ok(number)
    }

    fn architecture(&mut self, name: &str) -> Result<u8> {
        if !relation::is_name(name) {
            return Err(Error::malformed(
                "Architecture",
                name,
                "an architecture's name",
            ));
        }
        let found = self.architectures.iter().position(|known| known == name);
        let number = found.unwrap_or_else(|| {
            self.architectures.push(name.to_owned());
            self.architectures.len() - 1
        });
        u8::try_from(number).map_err(|_| Error::TooLarge {
            place: "a package index".into(),
            limit: 256,
            unit: "architectures",
        })
    }

    fn at(&self) -> u64 {
        self.written + self.buffer.len() as u64
    }

    fn spill(&mut self) -> Result<()> {
        if self.buffer.len() >= PIECE {
            self.flush()
        } else {
            Ok(())
        }
    }

    fn flush(&mut self) -> Result<()> {
        (self.sink)(&self.buffer).map_err(Error::Pages)?;
        self.written += self.buffer.len() as u64;
        self.buffer.clear();
        Ok(())
    }
}

fn offset32(offset: u64) -> Result<u32> {
    u32::try_from(offset).map_err(|_| Error::TooLarge {
        place: "a package index".into(),
        limit: 4 << 30,
        unit: "bytes",
    })
}

/// An error with the package's name before its place.
fn named(error: Error, package: &str) -> Error {
    match error {
        Error::Malformed {
            place,
            value,
            expected,
        } => Error::Malformed {
            place: format!("package {package}: {place}"),
            value,
            expected,
        },
        other => other,
    }
}
