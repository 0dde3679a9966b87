//! Structured edits of configuration files that keep comments, order and line endings.
//!
//! [`apply`] takes the bytes of a file and a list of [`Change`]s and answers the new bytes. Everything outside the edited values (comments,
//! order of keys, blank lines, indentation, quoting, byte order mark, line endings) comes back byte for byte, or the edit is refused with
//! an [`EditError`] that says where and what to do. It is pure: files are read and written by the caller.

#![forbid(unsafe_code)]

mod bracket;
mod change;
mod engine;
mod error;
mod ini;
mod json;
mod key_value;
mod pointer;
mod sections;
mod systemd;
mod text;
mod toml;
mod tree;
mod yaml;

pub use change::{Change, Format, Verb};
pub use error::{EditError, Position};

/// Largest file that is edited, in bytes (4 MiB).
pub const MAX_FILE: usize = 4 << 20;

/// What [`apply`] found out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Every change is in effect already: leave the file alone.
    Unchanged,
    /// The bytes the file should have.
    Changed(Vec<u8>),
}

/// Makes `changes`, in order, to a file written in `format`.
///
/// `original` is the file's content, or `None` when there is no file; then `create` decides between an empty start and
/// [`EditError::Missing`]. Either all changes are made or none. Applying the same changes to the result answers [`Outcome::Unchanged`].
pub fn apply(
    format: Format,
    original: Option<&[u8]>,
    create: bool,
    changes: &[Change],
) -> Result<Outcome, EditError> {
    engine::apply(format, original, create, changes)
}
