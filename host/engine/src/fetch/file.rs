//! `file:` URLs: below a grant, below one of the operator's roots, and never out of either by a link.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, Mode, OFlags, ResolveFlags, openat, openat2};
use url::Url;

use crate::error::GeneratorError;
use crate::grant::Grants;

/// Opens the regular file that `url` names.
pub fn open(url: &Url, grants: &Grants, roots: &[PathBuf]) -> Result<File, GeneratorError> {
    let denied = |reason: &str| GeneratorError::Denied(format!("{url}: {reason}"));
    let path = path_of(url).ok_or_else(|| denied("not a local path"))?;
    // The deepest grant is the cage: a link that someone puts below it cannot lead to another tenant's directory.
    let grant = grants
        .fetch
        .iter()
        .filter(|prefix| prefix.covers(url))
        .filter_map(|prefix| path_of(prefix.url()))
        .max_by_key(|prefix| prefix.as_os_str().len())
        .ok_or_else(|| denied("no grant covers it"))?;
    let root = roots
        .iter()
        .filter(|root| path.starts_with(root))
        .max_by_key(|root| root.as_os_str().len())
        .ok_or_else(|| {
            denied("it lies in none of the directories that the operator named for file: URLs")
        })?;
    let failed = |error: rustix::io::Errno| match error {
        rustix::io::Errno::NOENT | rustix::io::Errno::NOTDIR => {
            GeneratorError::NotFound(url.to_string())
        }
        rustix::io::Errno::XDEV | rustix::io::Errno::LOOP | rustix::io::Errno::ACCESS => {
            denied("a link leads out of what was granted, or it may not be read")
        }
        other => GeneratorError::upstream(format!("{url}: {}", io::Error::from(other))),
    };
    let directory = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let root_fd = openat(CWD, root, directory, Mode::empty()).map_err(failed)?;
    // A grant may be wider than the root; one that names the very file is held in its directory and follows no link.
    let (cage, links) = if grant == path {
        (path.parent().unwrap_or(root), ResolveFlags::NO_SYMLINKS)
    } else if grant.starts_with(root) {
        (grant.as_path(), ResolveFlags::empty())
    } else {
        (root.as_path(), ResolveFlags::empty())
    };
    let outside = |_| denied("it lies outside its grant");
    let below_root = cage.strip_prefix(root).map_err(outside)?;
    let below_cage = path.strip_prefix(cage).map_err(outside)?;
    let cage_fd = if below_root.as_os_str().is_empty() {
        root_fd
    } else {
        beneath(&root_fd, below_root, directory, ResolveFlags::NO_SYMLINKS).map_err(failed)?
    };
    let reading = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK | OFlags::NOCTTY;
    let file = beneath(&cage_fd, below_cage, reading, links).map_err(failed)?;
    let file = File::from(file);
    let meta = file
        .metadata()
        .map_err(|error| GeneratorError::upstream(format!("{url}: {error}")))?;
    if !meta.is_file() {
        return Err(GeneratorError::Unsupported(format!(
            "{url} is no regular file"
        )));
    }
    Ok(file)
}

fn beneath(
    at: impl AsFd,
    path: &Path,
    flags: OFlags,
    more: ResolveFlags,
) -> rustix::io::Result<OwnedFd> {
    openat2(
        at,
        path,
        flags,
        Mode::empty(),
        ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS | more,
    )
}

fn path_of(url: &Url) -> Option<PathBuf> {
    let path = url.to_file_path().ok()?;
    // A trailing slash is kept by `Url`; as a path it means the same.
    Some(path.components().collect())
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;
    use crate::grant::UrlPrefix;

    fn grants(prefix: &Path) -> Grants {
        Grants {
            fetch: vec![UrlPrefix::parse(&format!("file://{}", prefix.display())).unwrap()],
            credentials: vec![],
        }
    }

    fn read(path: &Path, grant: &Path, root: &Path) -> Result<String, GeneratorError> {
        let url = Url::from_file_path(path).unwrap();
        let mut text = String::new();
        open(&url, &grants(grant), &[root.to_owned()])?
            .read_to_string(&mut text)
            .unwrap();
        Ok(text)
    }

    #[test]
    fn a_file_is_read_below_its_grant_and_root_only() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().canonicalize().unwrap();
        std::fs::create_dir_all(root.join("a/deep")).unwrap();
        std::fs::create_dir_all(root.join("b")).unwrap();
        std::fs::write(root.join("a/deep/x"), "mine").unwrap();
        std::fs::write(root.join("b/secret"), "theirs").unwrap();
        std::os::unix::fs::symlink("../../b/secret", root.join("a/deep/link")).unwrap();
        std::os::unix::fs::symlink("x", root.join("a/deep/inside")).unwrap();
        std::os::unix::fs::symlink("/etc/passwd", root.join("a/abs")).unwrap();

        assert_eq!(
            read(&root.join("a/deep/x"), &root.join("a"), &root).unwrap(),
            "mine"
        );
        assert_eq!(
            read(&root.join("a/deep/inside"), &root.join("a"), &root).unwrap(),
            "mine"
        );
        assert_eq!(
            read(&root.join("a/deep/x"), &root.join("a/deep/x"), &root).unwrap(),
            "mine"
        );
        for (path, grant) in [("b/secret", "a"), ("a/deep/link", "a"), ("a/abs", "a")] {
            assert!(
                matches!(
                    read(&root.join(path), &root.join(grant), &root),
                    Err(GeneratorError::Denied(_))
                ),
                "{path}"
            );
        }
        assert!(matches!(
            read(&root.join("a/none"), &root.join("a"), &root),
            Err(GeneratorError::NotFound(_))
        ));
        assert!(matches!(
            read(&root.join("a/deep"), &root.join("a"), &root),
            Err(GeneratorError::Unsupported(_))
        ));
        assert!(matches!(
            read(Path::new("/etc/passwd"), Path::new("/"), &root),
            Err(GeneratorError::Denied(_))
        ));
    }
}
