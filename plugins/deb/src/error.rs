//! What can go wrong, by what the caller can do about it.

use bootsplice_resolver::Refusal;

/// The crate's results.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What went wrong.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Text that came from elsewhere breaks its format: have it mended where it was made.
    #[error("{place}: {value:?} is not {expected}")]
    Malformed {
        /// Which text, and where in it.
        place: String,
        /// The offending piece, shortened.
        value: String,
        /// What should stand there.
        expected: &'static str,
    },
    /// Text is larger than what is read: not meant for this reader.
    #[error("{place}: more than {limit} {unit}")]
    TooLarge {
        /// Which text.
        place: String,
        /// The most that is read.
        limit: u64,
        /// Of what.
        unit: &'static str,
    },
    /// An index is damaged or of another version of the format: prepare it again.
    #[error("the package index is damaged or of another version: {0}")]
    Index(&'static str),
    /// An index could not be read just now; the reader's words.
    #[error("the package index cannot be read: {0}")]
    Pages(String),
    /// No source has a package of that name: correct the name or add a source.
    #[error("{}", unknown(name, near))]
    UnknownPackage {
        /// As it was asked for.
        name: String,
        /// Names that are close to it.
        near: Vec<String>,
    },
    /// The package is there, but not as it was asked for: correct the version, suite or architecture.
    #[error("{request}: {problem}")]
    NoSuchVersion {
        /// As it was asked for.
        request: String,
        /// What is missing and what there is instead.
        problem: String,
    },
    /// The request contradicts itself, the image or the sources: change what the suggestions name.
    #[error("no set of packages meets the request: {story}{}", hints(suggestions))]
    Unsatisfiable {
        /// The conflict, one sentence a piece.
        story: Refusal,
        /// What would make it possible.
        suggestions: Vec<String>,
    },
    /// The deadline passed: ask again with more time.
    #[error("resolving was stopped at its deadline")]
    Stopped,
}

fn unknown(name: &str, near: &[String]) -> String {
    if near.is_empty() {
        format!("no source has a package named {name:?}")
    } else {
        format!(
            "no source has a package named {name:?}; there is {}",
            near.join(", ")
        )
    }
}

fn hints(suggestions: &[String]) -> String {
    suggestions.iter().map(|hint| format!("; {hint}")).collect()
}

// === impl Error ===

impl Error {
    pub(crate) fn malformed(place: impl Into<String>, value: &str, expected: &'static str) -> Self {
        Self::Malformed {
            place: place.into(),
            value: value.chars().take(80).collect(),
            expected,
        }
    }
}
