//! Whether a project's sources changed: by looking, which works on every file system.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

/// Between two looks.
const PAUSE: Duration = Duration::from_millis(300);
/// Most files that are looked at.
const MOST: usize = 20_000;
/// What tools make, not authors.
const MADE: [&str; 8] = [
    "build",
    "target",
    "node_modules",
    "__pycache__",
    ".git",
    ".venv",
    "expected",
    "zig-cache",
];

/// The sources as they were at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Look(BTreeMap<PathBuf, (u64, Option<SystemTime>)>);

// === impl Look ===

impl Look {
    pub fn at(directory: &Path) -> Self {
        let mut files = BTreeMap::new();
        let mut open = vec![directory.to_owned()];
        while let Some(next) = open.pop() {
            let entries = std::fs::read_dir(&next);
            for entry in entries.into_iter().flatten().flatten() {
                let name = entry.file_name();
                // A link is looked at as itself, so that no circle is followed.
                let Ok(meta) = entry.metadata() else { continue };
                if meta.is_dir() {
                    if !MADE.iter().any(|made| name == *made) {
                        open.push(entry.path());
                    }
                } else if files.len() < MOST {
                    files.insert(entry.path(), (meta.len(), meta.modified().ok()));
                }
            }
        }
        Self(files)
    }

    /// The first file that is not as it was.
    pub fn changed(&self, now: &Self) -> Option<PathBuf> {
        let gone = self.0.keys().find(|path| !now.0.contains_key(*path));
        let other = now
            .0
            .iter()
            .find(|(path, facts)| self.0.get(*path) != Some(facts));
        other.map(|(path, _)| path).or(gone).cloned()
    }
}

/// Waits until something is not as in `seen` any more, and then until nothing moves. Gives what is there then, and what changed first.
pub async fn changed(directory: &Path, seen: &Look) -> (Look, PathBuf) {
    loop {
        tokio::time::sleep(PAUSE).await;
        let mut now = Look::at(directory);
        let Some(path) = seen.changed(&now) else {
            continue;
        };
        loop {
            tokio::time::sleep(PAUSE).await;
            let then = Look::at(directory);
            if then == now {
                return (now, path);
            }
            now = then;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_source_that_changes_is_seen_and_what_tools_make_is_not() {
        let scratch = tempfile::tempdir().unwrap();
        let at = scratch.path();
        std::fs::create_dir_all(at.join("src")).unwrap();
        std::fs::create_dir_all(at.join("build")).unwrap();
        std::fs::write(at.join("src/a"), "1").unwrap();
        let first = Look::at(at);
        std::fs::write(at.join("build/x.wasm"), "1").unwrap();
        assert_eq!(Look::at(at), first);
        std::fs::write(at.join("src/a"), "22").unwrap();
        let (now, path) = changed(at, &first).await;
        assert_eq!(path, at.join("src/a"));
        assert_eq!(now, Look::at(at));
        std::fs::remove_file(at.join("src/a")).unwrap();
        assert_eq!(now.changed(&Look::at(at)), Some(at.join("src/a")));
    }
}
