//! Members of tar and zip archives as entries, each through the same checks as an entry that the generator writes (threats 10 to 15).

use std::io::{self, Read, Seek};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::{Attributes, Conflict, Owner, StepBuilder};
use crate::blobs::{Blob, BlobStore};
use crate::error::GeneratorError;

/// Longest name, link target or PAX record that is read.
const MAX_RECORD: u64 = 64 * 1024;
/// Bytes of a zip's directory that are read into memory.
const MAX_ZIP_DIRECTORY: u64 = 16 << 20;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UnpackFormat {
    Tar,
    Zip,
}

#[derive(Clone, Debug)]
pub struct UnpackOptions {
    pub format: UnpackFormat,
    /// Leading segments dropped from each member's name.
    pub strip_components: u32,
    /// None: from the members, masked with 0o777. Directories get the execute bit wherever they get the read bit.
    pub mode: Option<u32>,
    pub owner: Option<Owner>,
    pub on_conflict: Conflict,
}

struct Member<'a> {
    name: &'a str,
    mode: u32,
    kind: Kind<'a>,
}

enum Kind<'a> {
    File(&'a mut dyn Read, u64),
    Dir,
    Symlink(String),
}

struct Unpacker<'a> {
    step: &'a mut StepBuilder,
    store: &'a BlobStore,
    prefix: &'a str,
    options: &'a UnpackOptions,
    count: u32,
}

impl StepBuilder {
    /// Adds the members of `archive` below `prefix`. Answers how many. On an error some members may have been added: the run should end.
    pub fn unpack(
        &mut self,
        prefix: &str,
        archive: &Blob,
        options: &UnpackOptions,
        store: &BlobStore,
    ) -> Result<u32, GeneratorError> {
        let mut unpacker = Unpacker {
            step: self,
            store,
            prefix: prefix.trim_end_matches('/'),
            options,
            count: 0,
        };
        match options.format {
            UnpackFormat::Tar => unpacker.tar(archive)?,
            UnpackFormat::Zip => unpacker.zip(archive)?,
        }
        Ok(unpacker.count)
    }
}

// === impl Unpacker ===

impl Unpacker<'_> {
    fn tar(&mut self, archive: &Blob) -> Result<(), GeneratorError> {
        let damaged =
            |error: io::Error| GeneratorError::Unsupported(format!("not a readable tar: {error}"));
        let mut tar = tar::Archive::new(archive.reader());
        // Raw: long names come as members of their own, so that their length can be bounded before they are read.
        let members = tar.entries().map_err(damaged)?.raw(true);
        let mut long_name: Option<String> = None;
        let mut long_link: Option<String> = None;
        for member in members {
            let mut member = member.map_err(damaged)?;
            let size = member.size();
            match member.header().entry_type() {
                tar::EntryType::GNULongName => {
                    long_name = Some(text(&record(&mut member, size)?)?);
                    continue;
                }
                tar::EntryType::GNULongLink => {
                    long_link = Some(text(&record(&mut member, size)?)?);
                    continue;
                }
                tar::EntryType::XHeader => {
                    let bytes = record(&mut member, size)?;
                    for extension in tar::PaxExtensions::new(&bytes) {
                        let extension = extension.map_err(damaged)?;
                        match extension.key_bytes() {
                            b"path" => long_name = Some(text(extension.value_bytes())?),
                            b"linkpath" => long_link = Some(text(extension.value_bytes())?),
                            b"size" => {
                                return Err(GeneratorError::Unsupported(
                                    "a tar member whose size stands in a PAX record".into(),
                                ));
                            }
                            key if key.starts_with(b"GNU.sparse") => {
                                return Err(GeneratorError::Unsupported(
                                    "a sparse tar member".into(),
                                ));
                            }
                            // Times, names of owners, extended attributes: never written here.
                            _ => {}
                        }
                    }
                    continue;
                }
                tar::EntryType::XGlobalHeader => continue,
                _ => {}
            }
            let name = match long_name.take() {
                Some(name) => name,
                None => text(&member.header().path_bytes())?,
            };
            let link = match long_link.take() {
                Some(link) => Some(link),
                None => member
                    .header()
                    .link_name_bytes()
                    .map(|link| text(&link))
                    .transpose()?,
            };
            let mode = member.header().mode().map_err(damaged)?;
            let kind = match member.header().entry_type() {
                tar::EntryType::Regular | tar::EntryType::Continuous if name.ends_with('/') => {
                    Kind::Dir
                }
                tar::EntryType::Regular | tar::EntryType::Continuous => {
                    Kind::File(&mut member, size)
                }
                tar::EntryType::Directory => Kind::Dir,
                tar::EntryType::Symlink => Kind::Symlink(link.unwrap_or_default()),
                other => {
                    return Err(GeneratorError::Denied(format!(
                        "{name}: a member of type {:?} ({}); only files, directories and symbolic links are unpacked",
                        char::from(other.as_byte()),
                        if other == tar::EntryType::Link {
                            "hard link"
                        } else {
                            "device, FIFO or unknown"
                        },
                    )));
                }
            };
            self.add(Member {
                name: &name,
                mode,
                kind,
            })?;
        }
        Ok(())
    }

    fn zip(&mut self, archive: &Blob) -> Result<(), GeneratorError> {
        let damaged = |error: zip::result::ZipError| {
            GeneratorError::Unsupported(format!("not a readable zip: {error}"))
        };
        let budget = Arc::new(AtomicU64::new(MAX_ZIP_DIRECTORY));
        let reader = Budgeted {
            inner: archive.reader(),
            left: budget.clone(),
        };
        let mut zip = zip::ZipArchive::new(reader).map_err(damaged)?;
        // The directory is in memory; from here on each member's size is charged to the step.
        budget.store(u64::MAX, Ordering::Relaxed);
        for index in 0..zip.len() {
            let mut member = zip.by_index(index).map_err(damaged)?;
            let name = std::str::from_utf8(member.name_raw())
                .map_err(|_| GeneratorError::Denied("a zip member's name is not UTF-8".into()))?
                .to_owned();
            if name.contains('\\') {
                return Err(GeneratorError::Denied(format!(
                    "{name}: a backslash in a zip member's name"
                )));
            }
            let size = member.size();
            let mode = member.unix_mode();
            let kind = if member.is_dir() {
                Kind::Dir
            } else if member.is_symlink() {
                Kind::Symlink(text(&record(&mut member, size)?)?)
            } else {
                Kind::File(&mut member, size)
            };
            let default = if matches!(kind, Kind::Dir) {
                0o755
            } else {
                0o644
            };
            self.add(Member {
                name: &name,
                mode: mode.unwrap_or(default),
                kind,
            })?;
        }
        Ok(())
    }

    fn add(&mut self, member: Member<'_>) -> Result<(), GeneratorError> {
        if member.name.starts_with('/') {
            return Err(GeneratorError::Denied(format!(
                "{}: an absolute name",
                member.name
            )));
        }
        let mut segments = member
            .name
            .split('/')
            .filter(|segment| !matches!(*segment, "" | "."));
        for _ in 0..self.options.strip_components {
            if segments.next() == Some("..") {
                return Err(GeneratorError::Denied(format!(
                    "{}: a `..` segment",
                    member.name
                )));
            }
        }
        let below: Vec<&str> = segments.collect();
        if below.is_empty() {
            // The archive's own root, or a parent that was stripped.
            return Ok(());
        }
        let path = format!("{}/{}", self.prefix, below.join("/"));
        let is_dir = matches!(member.kind, Kind::Dir);
        let mode = match self.options.mode {
            Some(mode) if is_dir => mode | ((mode & 0o444) >> 2),
            Some(mode) => mode,
            None => member.mode & 0o777,
        };
        let attributes = Attributes {
            mode,
            owner: self.options.owner.clone(),
            on_conflict: self.options.on_conflict,
        };
        match member.kind {
            Kind::Dir => self.step.dir(&path, attributes)?,
            Kind::Symlink(to) => self.step.symlink(&path, &to)?,
            Kind::File(from, size) => {
                self.step.charge(size)?;
                let reservation = self.step.reserve(&path, attributes)?;
                let mut spool = self.store.spool();
                // One byte more than was charged shows a member that lies about its size.
                let copied = io::copy(&mut from.take(size + 1), &mut spool)
                    .map_err(|error| GeneratorError::Unsupported(format!("{path}: {error}")))?;
                if copied != size {
                    return Err(GeneratorError::Unsupported(format!(
                        "{path}: the archive says {size} bytes, but its content is of another length"
                    )));
                }
                let blob = spool
                    .finish()
                    .map_err(GeneratorError::host("spooling a member"))?;
                self.step.fulfil(reservation, blob);
            }
        }
        self.count = self.count.saturating_add(1);
        Ok(())
    }
}

/// A reader that fails once it has given so many bytes.
struct Budgeted<R> {
    inner: R,
    left: Arc<AtomicU64>,
}

// === impl Budgeted ===

impl<R: Read> Read for Budgeted<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        let left = self.left.load(Ordering::Relaxed);
        let left = left.checked_sub(count as u64).ok_or_else(|| {
            io::Error::other(format!(
                "its directory is larger than {MAX_ZIP_DIRECTORY} bytes"
            ))
        })?;
        self.left.store(left, Ordering::Relaxed);
        Ok(count)
    }
}

impl<R: Seek> Seek for Budgeted<R> {
    fn seek(&mut self, to: io::SeekFrom) -> io::Result<u64> {
        self.inner.seek(to)
    }
}

/// A small piece of metadata, its length bounded.
fn record(from: &mut dyn Read, size: u64) -> Result<Vec<u8>, GeneratorError> {
    if size > MAX_RECORD {
        return Err(GeneratorError::Unsupported(format!(
            "a record of {size} bytes; {MAX_RECORD} are allowed"
        )));
    }
    let mut bytes = Vec::new();
    from.take(MAX_RECORD)
        .read_to_end(&mut bytes)
        .map_err(|error| GeneratorError::Unsupported(format!("a damaged record: {error}")))?;
    Ok(bytes)
}

fn text(bytes: &[u8]) -> Result<String, GeneratorError> {
    let bytes = bytes.strip_suffix(b"\0").unwrap_or(bytes);
    String::from_utf8(bytes.to_vec())
        .map_err(|_| GeneratorError::Denied("a member's name is not UTF-8".into()))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::io::Write;

    use super::*;
    use crate::content::{EntryKind, StepContent, StepLimits};
    use crate::contract::{OsFamily, Summary};

    fn options(format: UnpackFormat) -> UnpackOptions {
        UnpackOptions {
            format,
            strip_components: 0,
            mode: None,
            owner: None,
            on_conflict: Conflict::Fail,
        }
    }

    fn unpack(archive: Vec<u8>, options: &UnpackOptions) -> Result<StepContent, GeneratorError> {
        let dir = tempfile::tempdir().unwrap();
        let store = BlobStore::open(dir.path()).unwrap();
        let limits = StepLimits {
            bytes: 1 << 20,
            entries: 100,
            secrets: BTreeSet::new(),
        };
        let mut step = StepBuilder::new(OsFamily::Linux, limits);
        step.unpack(
            "~ada/Documents",
            &Blob::from_bytes(archive),
            options,
            &store,
        )?;
        step.finish(Summary::default())
    }

    /// A tar with members as they are given: name, type, mode, link target, content. Names are written raw, so that bad ones can be.
    fn tar(members: &[(&str, tar::EntryType, u32, &str, &[u8])]) -> Vec<u8> {
        let mut builder = tar::Builder::new(Vec::new());
        for (name, kind, mode, link, content) in members {
            let mut header = tar::Header::new_gnu();
            let raw = header.as_old_mut();
            raw.name[..name.len()].copy_from_slice(name.as_bytes());
            raw.linkname[..link.len()].copy_from_slice(link.as_bytes());
            header.set_entry_type(*kind);
            header.set_mode(*mode);
            header.set_size(content.len() as u64);
            header.set_cksum();
            builder.append(&header, *content).unwrap();
        }
        builder.into_inner().unwrap()
    }

    use tar::EntryType as T;

    #[test]
    fn a_tree_keeps_names_modes_and_links() {
        let archive = tar(&[
            ("./", T::Directory, 0o755, "", b""),
            ("docs/", T::Directory, 0o750, "", b""),
            ("docs/plan.txt", T::Regular, 0o4640, "", b"plan"),
            ("docs/latest", T::Symlink, 0o777, "plan.txt", b""),
        ]);
        let step = unpack(archive, &options(UnpackFormat::Tar)).unwrap();
        let shown: Vec<_> = step
            .entries
            .iter()
            .map(|entry| (entry.path.as_str(), entry.attributes.mode))
            .collect();
        assert_eq!(
            shown,
            [
                ("~ada/Documents/docs", 0o750),
                ("~ada/Documents/docs/latest", 0o777),
                ("~ada/Documents/docs/plan.txt", 0o640)
            ]
        );
        assert!(matches!(&step.entries[1].kind, EntryKind::Symlink(to) if to == "plan.txt"));
        assert!(
            matches!(&step.entries[2].kind, EntryKind::File(blob) if &blob.to_bytes().unwrap()[..] == b"plan")
        );
    }

    #[test]
    fn long_names_are_read_and_leading_segments_stripped() {
        let name = format!("top/{}/x", "d".repeat(150));
        let mut builder = tar::Builder::new(Vec::new());
        let mut header = tar::Header::new_gnu();
        header.set_size(1);
        header.set_mode(0o600);
        builder.append_data(&mut header, &name, &b"y"[..]).unwrap();
        let stripped = UnpackOptions {
            strip_components: 1,
            mode: Some(0o640),
            ..options(UnpackFormat::Tar)
        };
        let step = unpack(builder.into_inner().unwrap(), &stripped).unwrap();
        assert_eq!(
            step.entries[0].path.as_str(),
            format!("~ada/Documents/{}/x", "d".repeat(150))
        );
        assert_eq!(step.entries[0].attributes.mode, 0o640);
    }

    #[test]
    fn hostile_members_are_refused() {
        let cases: Vec<(&str, Vec<u8>)> = vec![
            ("climbs", tar(&[("../x", T::Regular, 0o644, "", b"x")])),
            (
                "climbs inside",
                tar(&[("a/../../x", T::Regular, 0o644, "", b"x")]),
            ),
            (
                "absolute",
                tar(&[("/etc/passwd", T::Regular, 0o644, "", b"x")]),
            ),
            (
                "hard link",
                tar(&[("x", T::Link, 0o644, "/etc/shadow", b"")]),
            ),
            ("device", tar(&[("x", T::Block, 0o644, "", b"")])),
            ("fifo", tar(&[("x", T::Fifo, 0o644, "", b"")])),
            (
                "link to root",
                tar(&[("x", T::Symlink, 0o777, "/etc/shadow", b"")]),
            ),
            (
                "link out of the home",
                tar(&[("x", T::Symlink, 0o777, "../../bob/x", b"")]),
            ),
            (
                "through a link",
                tar(&[
                    ("x", T::Symlink, 0o777, "y", b""),
                    ("x/z", T::Regular, 0o644, "", b"z"),
                ]),
            ),
            (
                "twice",
                tar(&[
                    ("x", T::Regular, 0o644, "", b"1"),
                    ("x", T::Regular, 0o644, "", b"2"),
                ]),
            ),
            ("sparse", tar(&[("x", T::GNUSparse, 0o644, "", b"")])),
        ];
        for (name, archive) in cases {
            assert!(
                unpack(archive, &options(UnpackFormat::Tar)).is_err(),
                "{name}"
            );
        }
        let too_much = tar(&[("x", T::Regular, 0o644, "", &vec![0; 2 << 20])]);
        assert!(matches!(
            unpack(too_much, &options(UnpackFormat::Tar)),
            Err(GeneratorError::Quota { .. })
        ));
        // A long name of 1 GiB is refused by its header, before it is read.
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(T::GNULongName);
        header.set_size(1 << 30);
        header.set_cksum();
        let mut archive = header.as_bytes().to_vec();
        archive.resize(4096, b'x');
        assert!(matches!(
            unpack(archive, &options(UnpackFormat::Tar)),
            Err(GeneratorError::Unsupported(_))
        ));
    }

    fn zip(members: &[(&str, &[u8])]) -> Vec<u8> {
        let mut writer = zip::ZipWriter::new(io::Cursor::new(Vec::new()));
        for (name, content) in members {
            writer
                .start_file(
                    *name,
                    zip::write::SimpleFileOptions::default().unix_permissions(0o640),
                )
                .unwrap();
            writer.write_all(content).unwrap();
        }
        writer.finish().unwrap().into_inner()
    }

    #[test]
    fn a_zip_is_unpacked_under_the_same_checks() {
        let step = unpack(zip(&[("a/b.txt", b"hello")]), &options(UnpackFormat::Zip)).unwrap();
        assert_eq!(step.entries[0].path.as_str(), "~ada/Documents/a/b.txt");
        assert_eq!(step.entries[0].attributes.mode, 0o640);
        for name in ["../x", "a/../../x", "/x", r"a\b"] {
            assert!(
                unpack(zip(&[(name, b"x")]), &options(UnpackFormat::Zip)).is_err(),
                "{name}"
            );
        }
        let bomb = zip(&[("bomb", &vec![0; 4 << 20])]);
        assert!(bomb.len() < 1 << 16);
        assert!(matches!(
            unpack(bomb, &options(UnpackFormat::Zip)),
            Err(GeneratorError::Quota { .. })
        ));
        let mut cut = zip(&[("x", b"hello")]);
        cut.truncate(cut.len() / 2);
        assert!(unpack(cut, &options(UnpackFormat::Zip)).is_err());
    }
}
