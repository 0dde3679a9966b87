//! What each step of a recording made, kept so that a replay can say which file differs, and in which line.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Write as _};
use std::path::Path;

use bootsplice_content::Digest;
use serde::{Deserialize, Serialize};
use tempfile::NamedTempFile;

use super::{BLOBS, RecordingError};
use crate::made::tree::Tree;

/// Its file in a recording. One without it says no more than whether the content is the same.
pub const MADE: &str = "made.json";
/// Largest one, in bytes.
const MOST: u64 = 64 << 20;

/// `made.json`: of each step, by its id, the files of its tree by the digests of their bytes, which lie in `blobs`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct MadeFiles(BTreeMap<String, BTreeMap<String, Digest>>);

// === impl MadeFiles ===

impl MadeFiles {
    pub fn read(directory: &Path) -> Result<Self, RecordingError> {
        let path = directory.join(MADE);
        let size = match fs::metadata(&path) {
            Ok(meta) => meta.len(),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Self::default()),
            Err(error) => return Err(RecordingError::io(&path)(error)),
        };
        if size > MOST {
            return Err(RecordingError::Damaged {
                path,
                why: format!("{size} bytes; at most {MOST} are read"),
            });
        }
        let text = fs::read(&path).map_err(RecordingError::io(&path))?;
        serde_json::from_slice(&text).map_err(|error| RecordingError::Damaged {
            path,
            why: error.to_string(),
        })
    }

    pub fn write(&self, directory: &Path) -> Result<(), RecordingError> {
        let path = directory.join(MADE);
        let text = serde_json::to_vec(self).map_err(io::Error::from);
        text.and_then(|text| fs::write(&path, text))
            .map_err(RecordingError::io(&path))
    }

    /// Keeps what a step made.
    pub fn put(&mut self, directory: &Path, step: &str, tree: &Tree) -> Result<(), RecordingError> {
        let blobs = directory.join(BLOBS);
        let mut files = BTreeMap::new();
        for (name, bytes) in tree {
            let digest = Digest::of(bytes);
            let path = blobs.join(digest.hex());
            let keep = || -> io::Result<()> {
                let mut aside = NamedTempFile::new_in(&blobs)?;
                aside.write_all(bytes)?;
                aside.persist(&path)?;
                Ok(())
            };
            if !path.exists() {
                keep().map_err(RecordingError::io(&path))?;
            }
            files.insert(name.clone(), digest);
        }
        self.0.insert(step.to_owned(), files);
        Ok(())
    }

    /// What a step made. None when that is not in the recording.
    pub fn tree(&self, directory: &Path, step: &str) -> Result<Option<Tree>, RecordingError> {
        let Some(files) = self.0.get(step) else {
            return Ok(None);
        };
        let mut tree = Tree::new();
        for (name, digest) in files {
            let path = directory.join(BLOBS).join(digest.hex());
            let bytes = fs::read(&path).map_err(RecordingError::io(&path))?;
            if Digest::of(&bytes) != *digest {
                let why = format!("the recorded bytes of `{name}` were changed");
                return Err(RecordingError::Damaged { path, why });
            }
            tree.insert(name.clone(), bytes.into());
        }
        Ok(Some(tree))
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    #[test]
    fn what_a_step_made_is_read_back_and_changed_bytes_are_noticed() {
        let scratch = tempfile::tempdir().unwrap();
        let root = scratch.path();
        fs::create_dir(root.join(BLOBS)).unwrap();
        assert_eq!(MadeFiles::read(root).unwrap(), MadeFiles::default());
        let tree = Tree::from([("root/etc/motd".to_owned(), Bytes::from_static(b"hello\n"))]);
        let mut made = MadeFiles::default();
        made.put(root, "greeting", &tree).unwrap();
        made.write(root).unwrap();
        let read = MadeFiles::read(root).unwrap();
        assert_eq!(read.tree(root, "greeting").unwrap(), Some(tree));
        assert_eq!(read.tree(root, "other").unwrap(), None);
        let blob = root.join(BLOBS).join(Digest::of(b"hello\n").hex());
        fs::write(blob, "hallo\n").unwrap();
        let refused = read.tree(root, "greeting").unwrap_err();
        assert!(
            matches!(&refused, RecordingError::Damaged { why, .. } if why.contains("root/etc/motd")),
            "{refused}"
        );
    }
}
