//! What can go wrong, by what the caller does next.

use std::path::{Path, PathBuf};

use bootsplice_volume::VolumeError;

pub type Result<T, E = ImportError> = std::result::Result<T, E>;

/// Why an import, export or look at a volume failed.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// Something that was asked for is impossible. Ask for something else.
    #[error("{what} `{found}`: expected {expected}")]
    Invalid {
        what: &'static str,
        found: String,
        expected: String,
    },
    /// The image is hostile, damaged, or not what it was said to be. Mend or convert it.
    #[error("image {}: {reason}", path.display())]
    Image { path: PathBuf, reason: String },
    /// The image's partition table or the points do not work out. Mend the image or ask for other points.
    #[error(transparent)]
    Volume(#[from] VolumeError),
    /// A tool is not installed, or could not start. Install it.
    #[error("cannot run {tool}: {source}; install the package that has it")]
    Tool {
        tool: &'static str,
        source: std::io::Error,
    },
    /// The kernel gives `qemu-img` no network namespace of its own. Let it, convert the image to raw elsewhere, or accept it.
    #[error(
        "qemu-img cannot be cut off from the network ({0}); import as root or where user namespaces are allowed, give a raw image, or accept it with --allow-network"
    )]
    Isolation(String),
    /// A local file cannot be read or written. Mend its permissions, or make room.
    #[error("{}: {source}", path.display())]
    File {
        path: PathBuf,
        source: std::io::Error,
    },
    /// No volume has this name. `list` tells which there are.
    #[error("no volume is named `{0}`")]
    NoVolume(String),
    /// An object of the store is not what its name says. Restore it, or import the image again.
    #[error("object {object}: {reason}")]
    Damaged { object: String, reason: String },
    /// Somebody else gave the name another volume meanwhile. Import again.
    #[error("the name `{0}` was changed by another import meanwhile; import again")]
    Conflict(String),
    /// Somebody else is giving the name a volume, or died while doing so. Import again; when nobody is at work, remove the object.
    #[error(
        "the name `{name}` is being changed by another import; import again, and if none is running remove {object} from the store"
    )]
    Claimed { name: String, object: String },
    /// The object store did not answer well. Try again later, or mend the store's access.
    #[error("object store, {object}: {source}")]
    Store {
        object: String,
        source: object_store::Error,
    },
    /// The import was given up by its caller; no name was written.
    #[error("the import was cancelled")]
    Cancelled,
}

// === impl ImportError ===

impl ImportError {
    pub(crate) fn invalid(
        what: &'static str,
        found: impl ToString,
        expected: impl Into<String>,
    ) -> Self {
        Self::Invalid {
            what,
            found: found.to_string(),
            expected: expected.into(),
        }
    }

    pub(crate) fn image(path: &Path, reason: impl ToString) -> Self {
        Self::Image {
            path: path.to_owned(),
            reason: reason.to_string(),
        }
    }

    pub(crate) fn file(path: &Path) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::File { path, source }
    }

    pub(crate) fn store(object: &str) -> impl FnOnce(object_store::Error) -> Self {
        let object = object.to_owned();
        move |source| Self::Store { object, source }
    }

    pub(crate) fn damaged(object: &str, reason: impl ToString) -> Self {
        Self::Damaged {
            object: object.to_owned(),
            reason: reason.to_string(),
        }
    }
}
