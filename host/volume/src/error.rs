//! Why a document or a layout is not one.

/// By what the caller does next.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum VolumeError {
    /// The bytes are not the document they should be: damaged, or of a newer release. Restore the object, or use that release.
    #[error("the {what} is not valid: {reason}")]
    Document { what: &'static str, reason: String },
    /// The disk image has no usable partition table. Convert the image to GPT.
    #[error("no usable GUID partition table: {0}")]
    NoTable(String),
    /// A size or a point does not fit. Ask for another.
    #[error("{what}: {found}; expected {expected}")]
    DoesNotFit {
        what: &'static str,
        found: String,
        expected: String,
    },
    /// A text is not the name of an insertion point. Correct it.
    #[error("`{0}` is not the name of an insertion point: expected 1 to 25 of a-z, 0-9 and `-`")]
    PointName(String),
}

// === impl VolumeError ===

impl VolumeError {
    pub(crate) fn document(what: &'static str, reason: impl ToString) -> Self {
        Self::Document {
            what,
            reason: reason.to_string(),
        }
    }
}
