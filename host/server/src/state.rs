//! The state directory: what lies where, with which mode.
//!
//! | path | what |
//! |---|---|
//! | `records.redb` | the record store |
//! | `secrets.key` | seals secrets; 0600; back it up apart from the records |
//! | `admin.token` | the first token; 0600; delete it once it is kept elsewhere |
//! | `keys/` | signing keys (RFC 0006) |
//! | `plugins/` | compiled generators |
//! | `blobs/` | artefacts and layers, by digest |
//! | `registry/` | what was pushed to the registry, by digest |
//! | `uploads/` | what is being pushed; empty while the host is down |
//! | `cache/` | verified blocks; may be deleted at any time while the host is down |

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

/// One host's directory. Holding it does not mean that no other process has it open: the record store sees to that.
#[derive(Clone, Debug)]
pub struct StateDirectory {
    root: PathBuf,
}

/// The directory cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("the state directory `{}` cannot be used: {error}; give another with `--state DIR`", path.display())]
pub struct StateError {
    pub path: PathBuf,
    pub error: io::Error,
}

// === impl StateDirectory ===

impl StateDirectory {
    /// Makes what is missing, for the owner alone.
    pub fn open(root: &Path) -> Result<Self, StateError> {
        let refused = |path: &Path| {
            let path = path.to_owned();
            move |error| StateError { path, error }
        };
        let mut builder = DirBuilder::new();
        builder.recursive(true).mode(0o700);
        builder.create(root).map_err(refused(root))?;
        let root = root.canonicalize().map_err(refused(root))?;
        let state = Self { root };
        for directory in [
            state.keys(),
            state.plugins(),
            state.blobs(),
            state.registry(),
            state.uploads(),
            state.cache(),
        ] {
            builder.create(&directory).map_err(refused(&directory))?;
        }
        Ok(state)
    }

    pub fn root(&self) -> &Path {
        &self.root
    }

    pub fn records(&self) -> PathBuf {
        self.root.join("records.redb")
    }

    pub fn secrets_key(&self) -> PathBuf {
        self.root.join("secrets.key")
    }

    pub fn admin_token(&self) -> PathBuf {
        self.root.join("admin.token")
    }

    pub fn keys(&self) -> PathBuf {
        self.root.join("keys")
    }

    pub fn plugins(&self) -> PathBuf {
        self.root.join("plugins")
    }

    pub fn blobs(&self) -> PathBuf {
        self.root.join("blobs")
    }

    pub fn registry(&self) -> PathBuf {
        self.root.join("registry")
    }

    pub fn uploads(&self) -> PathBuf {
        self.root.join("uploads")
    }

    pub fn cache(&self) -> PathBuf {
        self.root.join("cache")
    }
}

/// Writes a file that only its owner may read, whole and durable or not at all.
pub fn write_private(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let partial = path.with_extension("partial");
    match fs::remove_file(&partial) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&partial)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(&partial, path)?;
    match path.parent() {
        // A bare name's parent is the empty path.
        Some(directory) if directory.as_os_str().is_empty() => File::open(".")?.sync_all(),
        Some(directory) => File::open(directory)?.sync_all(),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn only_the_owner_may_look_into_the_state_directory() {
        let scratch = tempfile::tempdir().unwrap();
        let state = StateDirectory::open(&scratch.path().join("a/b")).unwrap();
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(state.root()), 0o700);
        assert_eq!(mode(&state.keys()), 0o700);
        write_private(&state.admin_token(), b"bst_").unwrap();
        write_private(&state.admin_token(), b"bst_again").unwrap();
        assert_eq!(mode(&state.admin_token()), 0o600);
        assert_eq!(fs::read(state.admin_token()).unwrap(), b"bst_again");
        let refused = StateDirectory::open(&state.admin_token()).unwrap_err();
        assert!(refused.to_string().contains("--state"), "{refused}");
    }
}
