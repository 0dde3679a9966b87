//! The way every edit takes, whatever the format.

use crate::{Change, EditError, Format, Outcome, Position};

pub(crate) fn apply(
    format: Format,
    original: Option<&[u8]>,
    create: bool,
    changes: &[Change],
) -> Result<Outcome, EditError> {
    if original.is_none() && !create {
        return Err(EditError::Missing);
    }
    match changes.first() {
        None => Ok(Outcome::Unchanged),
        Some(change) => Err(EditError::Unsupported {
            index: 0,
            pointer: change.path.clone(),
            at: Position { line: 1, column: 1 },
            problem: format!("{format} files are not edited by this version"),
        }),
    }
}
