//! What a case is expected to make: a [`Tree`] in `expected/`.

use std::path::Path;

use super::AuthorError;
use crate::made::tree::Tree;

/// Most files that are read.
const MOST: usize = 200_000;

/// What `expected/` holds. None when it is not there.
pub fn read(directory: &Path) -> Result<Option<Tree>, AuthorError> {
    if !directory.is_dir() {
        return Ok(None);
    }
    let mut tree = Tree::new();
    let mut open = vec![directory.to_owned()];
    while let Some(next) = open.pop() {
        let entries = std::fs::read_dir(&next).map_err(AuthorError::io("read", &next))?;
        for entry in entries {
            let path = entry.map_err(AuthorError::io("read", &next))?.path();
            if path.is_dir() {
                open.push(path);
                continue;
            }
            let bytes = std::fs::read(&path).map_err(AuthorError::io("read", &path))?;
            let name = path.strip_prefix(directory).unwrap_or(&path);
            tree.insert(name.to_string_lossy().into_owned(), bytes.into());
            if tree.len() > MOST {
                let shown = directory.display();
                let message = format!("`{shown}` has more than {MOST} files");
                return Err(AuthorError::Invalid(message));
            }
        }
    }
    Ok(Some(tree))
}

/// Puts `tree` in the place of what is there.
pub fn write(directory: &Path, tree: &Tree) -> Result<(), AuthorError> {
    match std::fs::remove_dir_all(directory) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            return Err(AuthorError::io("remove", directory)(error));
        }
        _ => {}
    }
    for (name, bytes) in tree {
        let path = directory.join(name);
        if let Some(parent) = path.parent() {
            std::fs::create_dir_all(parent).map_err(AuthorError::io("make", parent))?;
        }
        std::fs::write(&path, bytes).map_err(AuthorError::io("write", &path))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    #[test]
    fn what_is_written_is_read_back_and_nothing_older_is_left() {
        let scratch = tempfile::tempdir().unwrap();
        let directory = scratch.path().join("expected");
        assert!(read(&directory).unwrap().is_none());
        let older = Tree::from([("root/etc/old".to_owned(), Bytes::from_static(b"o"))]);
        write(&directory, &older).unwrap();
        let newer = Tree::from([("root/etc/motd".to_owned(), Bytes::from_static(b"m"))]);
        write(&directory, &newer).unwrap();
        assert_eq!(read(&directory).unwrap(), Some(newer));
    }
}
