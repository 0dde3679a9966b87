//! A recording as one stream of bytes: a tar of its files, and nothing else in it.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use super::made::MADE;
use super::{BLOBS, EXCHANGES, FILE, Recording, RecordingError};

/// Most files of a recording.
const MAX_FILES: usize = 100_000;
/// Most bytes of a recording.
const MAX_BYTES: u64 = 64 << 30;

/// A recording where it lies, or unpacked for as long as this value lives.
#[derive(Debug)]
pub struct Opened {
    pub recording: Recording,
    _scratch: Option<TempDir>,
}

// === impl Opened ===

impl Opened {
    /// A recording's directory, or the tar of one.
    pub fn at(path: &Path) -> Result<Self, RecordingError> {
        if !path.is_file() {
            return Ok(Self {
                recording: Recording::open(path)?,
                _scratch: None,
            });
        }
        let io = |error| RecordingError::io(path)(error);
        let scratch = TempDir::new().map_err(io)?;
        let file = File::open(path).map_err(io)?;
        let recording = unpack(io::BufReader::new(file), &scratch.path().join("recording"));
        let recording = recording.map_err(|error| match error {
            RecordingError::Io { source, .. } if is_content(source.kind()) => {
                RecordingError::Damaged {
                    path: path.to_owned(),
                    why: source.to_string(),
                }
            }
            RecordingError::NotThere(_) => RecordingError::NotThere(path.to_owned()),
            other => other,
        })?;
        Ok(Self {
            recording,
            _scratch: Some(scratch),
        })
    }
}

/// Writes a recording's files as a tar, in order of their names.
pub fn pack(recording: &Recording, out: impl Write) -> io::Result<()> {
    let root = &recording.directory;
    let mut names = vec![FILE.to_owned(), EXCHANGES.to_owned()];
    if root.join(MADE).exists() {
        names.push(MADE.to_owned());
    }
    let mut blobs = Vec::new();
    for entry in fs::read_dir(root.join(BLOBS))? {
        let name = entry?.file_name().to_string_lossy().into_owned();
        blobs.push(format!("{BLOBS}/{name}"));
    }
    blobs.sort();
    names.extend(blobs);
    let mut tar = tar::Builder::new(out);
    for name in names {
        let mut file = File::open(root.join(&name))?;
        let mut header = tar::Header::new_ustar();
        header.set_size(file.metadata()?.len());
        header.set_mode(0o644);
        tar.append_data(&mut header, &name, &mut file)?;
    }
    tar.finish()
}

/// Reads what [`pack`] wrote into `directory`, which must not exist. Names that no recording has are refused; what is half there is removed.
pub fn unpack(packed: impl Read, directory: &Path) -> Result<Recording, RecordingError> {
    match fs::create_dir(directory) {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            return Err(RecordingError::Exists(directory.to_owned()));
        }
        Err(error) => return Err(RecordingError::io(directory)(error)),
    }
    let unpacked = files(packed, directory)
        .map_err(RecordingError::io(directory))
        .and_then(|()| Recording::open(directory));
    if unpacked.is_err() {
        // The failure tells more than a directory that cannot be removed either.
        let _ = fs::remove_dir_all(directory);
    }
    unpacked
}

/// Whether what was read is at fault, and not the disk.
fn is_content(kind: io::ErrorKind) -> bool {
    use io::ErrorKind::{InvalidData, InvalidInput, Other, UnexpectedEof};
    matches!(kind, InvalidData | InvalidInput | Other | UnexpectedEof)
}

fn files(packed: impl Read, directory: &Path) -> io::Result<()> {
    let refused = |why: String| io::Error::new(io::ErrorKind::InvalidData, why);
    fs::create_dir(directory.join(BLOBS))?;
    let mut left = MAX_BYTES;
    let mut archive = tar::Archive::new(packed);
    for (count, entry) in archive.entries()?.enumerate() {
        let mut entry = entry?;
        let path = entry.path()?.into_owned();
        let name = place(&path)
            .filter(|_| entry.header().entry_type().is_file())
            .ok_or_else(|| refused(format!("`{}` is no part of a recording", path.display())))?;
        left = left
            .checked_sub(entry.size())
            .filter(|_| count < MAX_FILES)
            .ok_or_else(|| refused("it is larger than any recording".into()))?;
        let mut file = File::create_new(directory.join(name))?;
        io::copy(&mut entry, &mut file)?;
    }
    Ok(())
}

/// Where a member belongs, if to a recording at all.
fn place(path: &Path) -> Option<PathBuf> {
    let text = path.to_str()?;
    let is_blob = text
        .strip_prefix(BLOBS)
        .and_then(|rest| rest.strip_prefix('/'))
        .is_some_and(|hex| {
            hex.len() == 64
                && hex
                    .bytes()
                    .all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
        });
    (is_blob || [FILE, EXCHANGES, MADE].contains(&text)).then(|| path.to_owned())
}

#[cfg(test)]
mod tests {
    use super::super::{Head, SCHEMA};
    use super::*;

    fn recording(root: &Path) -> Recording {
        let head = Head {
            schema: SCHEMA.to_owned(),
            version: "0".to_owned(),
            launch: None,
            instance: None,
            steps: Vec::new(),
        };
        fs::create_dir_all(root.join(BLOBS)).unwrap();
        fs::write(root.join(FILE), serde_json::to_vec(&head).unwrap()).unwrap();
        fs::write(root.join(EXCHANGES), "{}\n").unwrap();
        fs::write(root.join(BLOBS).join("ab".repeat(32)), "bytes").unwrap();
        Recording {
            directory: root.to_owned(),
            head,
        }
    }

    #[test]
    fn a_recording_survives_the_wire_and_nothing_is_written_over() {
        let scratch = tempfile::tempdir().unwrap();
        let one = recording(&scratch.path().join("one"));
        let mut packed = Vec::new();
        pack(&one, &mut packed).unwrap();
        let two = scratch.path().join("two");
        let read = unpack(&packed[..], &two).unwrap();
        assert_eq!(read.head, one.head);
        assert_eq!(
            fs::read(two.join(BLOBS).join("ab".repeat(32))).unwrap(),
            b"bytes"
        );
        assert!(matches!(
            unpack(&packed[..], &two),
            Err(RecordingError::Exists(_))
        ));
        // As a file it will do as well.
        let file = scratch.path().join("one.tar");
        fs::write(&file, &packed).unwrap();
        let opened = Opened::at(&file).unwrap();
        assert_eq!(opened.recording.head, one.head);
        fs::write(&file, "no tar at all").unwrap();
        let refused = Opened::at(&file).unwrap_err().to_string();
        assert!(refused.contains("one.tar"), "{refused}");
        // Cut short: what was written of it is gone.
        let three = scratch.path().join("three");
        assert!(unpack(&packed[..600], &three).is_err());
        assert!(!three.exists());
    }

    #[test]
    fn a_member_that_no_recording_has_is_refused() {
        for name in ["../x", "blobs/../../x", "blobs/xyz", "other.json", "/etc/x"] {
            assert_eq!(place(Path::new(name)), None, "{name}");
        }
        let scratch = tempfile::tempdir().unwrap();
        let mut tar = tar::Builder::new(Vec::new());
        let mut header = tar::Header::new_ustar();
        header.set_entry_type(tar::EntryType::Symlink);
        header.set_size(0);
        tar.append_link(&mut header, FILE, "/etc/passwd").unwrap();
        let packed = tar.into_inner().unwrap();
        let told = unpack(&packed[..], &scratch.path().join("x")).unwrap_err();
        assert!(
            told.to_string().contains("no part of a recording"),
            "{told}"
        );
    }
}
