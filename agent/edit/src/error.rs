//! Why an edit was refused, by what the reader should do next. A refused edit has changed nothing.

use crate::Format;

/// A place in the file, counted from 1, as editors do. Columns count characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Position {
    /// Line, from 1.
    pub line: usize,
    /// Character in the line, from 1.
    pub column: usize,
}

impl std::fmt::Display for Position {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "line {}, column {}", self.line, self.column)
    }
}

/// Why an edit was refused.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EditError {
    /// There is no file. Set `create`, or put the file there in an earlier step.
    #[error(
        "the file does not exist and the edit does not say `create`: set `create`, or provide the file in an earlier step"
    )]
    Missing,

    /// The file is not what its format says. Repair the file, or name its real format.
    #[error("not valid {format} at {at}: {problem}; repair the file or name its real format")]
    Malformed {
        /// The format that was asked for.
        format: Format,
        /// Where reading stopped.
        at: Position,
        /// What was found.
        problem: String,
    },

    /// The file is larger than [`crate::MAX_FILE`]. Edit it with a script.
    #[error("the file has {size} bytes, an edit takes at most {limit}: change it with a script")]
    TooLarge {
        /// Bytes in the file.
        size: usize,
        /// Bytes allowed.
        limit: usize,
    },

    /// The change itself makes no sense for this format. Correct the profile.
    #[error("change {index} (`{pointer}`): {problem}")]
    InvalidChange {
        /// Which change, from 0.
        index: usize,
        /// Its path, as given.
        pointer: String,
        /// What is wrong, what was expected, and what to do.
        problem: String,
    },

    /// Another value stands there than the change expects. Look at the file, then correct the profile or the image.
    #[error(
        "change {index} (`{pointer}`) expects {expected} but the file has {found}: look at the file, then correct `expected` or the file"
    )]
    Mismatch {
        /// Which change, from 0.
        index: usize,
        /// Its path, as given.
        pointer: String,
        /// JSON text of what was expected (`null`: nothing).
        expected: String,
        /// JSON text of what is there, or `nothing`.
        found: String,
    },

    /// The place is written in a way that cannot be edited without touching more than asked. Write it plainly, or use a script.
    #[error("change {index} (`{pointer}`) cannot be made at {at}: {problem}")]
    Unsupported {
        /// Which change, from 0.
        index: usize,
        /// Its path, as given.
        pointer: String,
        /// Where in the file.
        at: Position,
        /// What stands there, and what to do.
        problem: String,
    },

    /// The edited text did not read back as exactly the old content plus the change, so it was thrown away. A fault of this library:
    /// report it with the file, and use a script meanwhile.
    #[error(
        "change {index} (`{pointer}`) would have changed more than asked ({problem}), so the file was left alone: report this with the file; use a script meanwhile"
    )]
    Unfaithful {
        /// Which change, from 0.
        index: usize,
        /// Its path, as given.
        pointer: String,
        /// What differed.
        problem: String,
    },
}
