//! Kept blobs: one file a digest, and records of the scopes each was admitted to.
//!
//! Layout under the state directory: `blobs/<2 hex>/<62 hex>`, `admissions/<scope's digest>/<64 hex>` (empty files; a file's time is its
//! last use) and `spool/` for nameless files. A blob is written aside, synced and renamed, so a crash leaves a whole blob or none.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use bootsplice_content::{Digest, Hasher};
use rustix::fs::{Timespec, Timestamps, UTIME_NOW, futimens};

use super::{Blob, Scope, Spool};

/// Content-addressed files with admission by scope. Cheap to clone.
#[derive(Clone, Debug)]
pub struct BlobStore {
    root: Arc<Path>,
    spool: Arc<Path>,
}

// === impl BlobStore ===

impl BlobStore {
    /// Opens or makes the store under `root`. Directories are made for the owner alone (0700).
    pub fn open(root: &Path) -> io::Result<Self> {
        for name in ["blobs", "admissions", "spool"] {
            private_dir(&root.join(name))?;
        }
        Ok(Self {
            root: root.into(),
            spool: root.join("spool").into(),
        })
    }

    /// A new spool; its content is gone with its last handle unless it is kept.
    pub fn spool(&self) -> Spool {
        Spool::new(self.spool.clone())
    }

    /// A file beside the store, to be renamed into place.
    pub(crate) fn aside(&self) -> io::Result<tempfile::NamedTempFile> {
        tempfile::NamedTempFile::new_in(&self.spool)
    }

    /// Stores what a spool holds under its digest and admits it to `scope`.
    pub fn keep(&self, spool: Spool, scope: &Scope) -> io::Result<Blob> {
        let digest = spool.digest();
        let path = self.path(&digest);
        if !path.exists() {
            let parent = path.parent().expect("a blob's path has two segments");
            private_dir(parent)?;
            let mut aside = tempfile::NamedTempFile::new_in(&self.spool)?;
            spool.persist(aside.as_file_mut())?;
            aside.persist(&path)?;
            File::open(parent)?.sync_all()?;
        }
        self.admit(scope, &digest)?;
        self.open_kept(&digest)?
            .ok_or_else(|| io::Error::other(format!("{digest} vanished while it was kept")))
    }

    /// Stores a blob under its digest and admits it to `scope`.
    pub fn keep_blob(&self, blob: &Blob, scope: &Scope) -> io::Result<Digest> {
        let digest = blob.digest()?;
        if self.path(&digest).exists() {
            self.admit(scope, &digest)?;
            return Ok(digest);
        }
        let mut spool = self.spool();
        spool.append(blob)?;
        self.keep(spool, scope)?;
        Ok(digest)
    }

    /// The blob, when `digest` was admitted to one of `scopes` and its bytes are here. Knowing a digest alone gives nothing.
    pub fn admitted<'a>(
        &self,
        scopes: impl IntoIterator<Item = &'a Scope>,
        digest: &Digest,
    ) -> io::Result<Option<(Blob, Scope)>> {
        for scope in scopes {
            let record = self.admission(scope, digest);
            if !record.exists() {
                continue;
            }
            if let Some(blob) = self.open_kept(digest)? {
                // The record's time is its last use; failing to note that loses nothing but age.
                let _ = File::open(&record).and_then(|file| touch(&file));
                return Ok(Some((blob, scope.clone())));
            }
        }
        Ok(None)
    }

    /// Deletes admissions unused since `before`, and blobs that are admitted nowhere any more. Answers how many blobs and bytes went.
    pub fn sweep(&self, before: SystemTime) -> io::Result<(u64, u64)> {
        let mut live = std::collections::HashSet::new();
        for scope in fs::read_dir(self.root.join("admissions"))? {
            for record in fs::read_dir(scope?.path())? {
                let record = record?;
                if record.metadata()?.modified()? < before {
                    fs::remove_file(record.path())?;
                } else {
                    live.insert(record.file_name());
                }
            }
        }
        let (mut count, mut bytes) = (0, 0);
        for shard in fs::read_dir(self.root.join("blobs"))? {
            let shard = shard?;
            for blob in fs::read_dir(shard.path())? {
                let blob = blob?;
                let mut name = shard.file_name();
                name.push(blob.file_name());
                let meta = blob.metadata()?;
                if !live.contains(&name) && meta.modified()? < before {
                    fs::remove_file(blob.path())?;
                    count += 1;
                    bytes += meta.len();
                }
            }
        }
        Ok((count, bytes))
    }

    fn admit(&self, scope: &Scope, digest: &Digest) -> io::Result<()> {
        let record = self.admission(scope, digest);
        let parent = record.parent().expect("a record's path has two segments");
        private_dir(parent)?;
        let file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(&record)?;
        touch(&file)
    }

    fn open_kept(&self, digest: &Digest) -> io::Result<Option<Blob>> {
        match File::open(self.path(digest)) {
            Ok(file) => {
                let len = file.metadata()?.len();
                Ok(Some(Blob::from_file(Arc::new(file), len, *digest)))
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn path(&self, digest: &Digest) -> PathBuf {
        let hex = digest.hex();
        self.root.join("blobs").join(&hex[..2]).join(&hex[2..])
    }

    fn admission(&self, scope: &Scope, digest: &Digest) -> PathBuf {
        self.root
            .join("admissions")
            .join(scope_key(scope))
            .join(digest.hex())
    }
}

/// Sets a file's time to now, by the file system's own clock.
fn touch(file: &File) -> io::Result<()> {
    let now = Timespec {
        tv_sec: 0,
        tv_nsec: UTIME_NOW,
    };
    let times = Timestamps {
        last_access: now,
        last_modification: now,
    };
    Ok(futimens(file, &times)?)
}

/// A scope as a file name. Length-prefixed, so that no two scopes share one.
pub(crate) fn scope_key(scope: &Scope) -> String {
    let mut hasher = Hasher::new();
    match scope {
        Scope::Public => return "public".to_owned(),
        Scope::Private { tenant, credential } => {
            for part in [tenant, credential] {
                hasher.update(&(part.len() as u64).to_le_bytes());
                hasher.update(part.as_bytes());
            }
        }
    }
    hasher.finish().hex()
}

/// A directory that only its owner may enter.
pub(crate) fn private_dir(path: &Path) -> io::Result<()> {
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(path)
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::time::Duration;

    use super::*;

    fn keep(store: &BlobStore, bytes: &[u8], scope: &Scope) -> Digest {
        let mut spool = store.spool();
        spool.write_all(bytes).unwrap();
        store.keep(spool, scope).unwrap().digest().unwrap()
    }

    #[test]
    fn knowing_another_tenants_digest_gives_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let store = BlobStore::open(dir.path()).unwrap();
        let theirs = Scope::private("acme", "secret:token");
        let mine = Scope::private("evil", "secret:token");
        let digest = keep(&store, b"their private bytes", &theirs);
        assert!(
            store
                .admitted([&Scope::Public, &mine], &digest)
                .unwrap()
                .is_none()
        );
        assert!(store.admitted([&theirs], &digest).unwrap().is_some());
        // The same bytes fetched by the other tenant itself are stored once and served to both.
        assert_eq!(keep(&store, b"their private bytes", &mine), digest);
        assert!(store.admitted([&mine], &digest).unwrap().is_some());
    }

    #[test]
    fn scopes_with_shifted_borders_are_different() {
        assert_ne!(
            scope_key(&Scope::private("ab", "c")),
            scope_key(&Scope::private("a", "bc"))
        );
    }

    #[test]
    fn large_content_leaves_memory_and_comes_back_whole() {
        let dir = tempfile::tempdir().unwrap();
        let store = BlobStore::open(dir.path()).unwrap();
        let bytes: Vec<u8> = (0..300_000_u32).map(|n| (n % 251) as u8).collect();
        let mut spool = store.spool();
        for piece in bytes.chunks(7_001) {
            spool.write_all(piece).unwrap();
        }
        let blob = spool.finish().unwrap();
        assert_eq!(blob.digest().unwrap(), Digest::of(&bytes));
        assert_eq!(&blob.to_bytes().unwrap()[..], &bytes[..]);
        let digest = store.keep_blob(&blob, &Scope::Public).unwrap();
        let reopened = BlobStore::open(dir.path()).unwrap();
        let (kept, scope) = reopened
            .admitted([&Scope::Public], &digest)
            .unwrap()
            .unwrap();
        assert_eq!(scope, Scope::Public);
        assert_eq!(&kept.to_bytes().unwrap()[..], &bytes[..]);
    }

    #[test]
    fn a_sweep_keeps_what_was_used_since() {
        let dir = tempfile::tempdir().unwrap();
        let store = BlobStore::open(dir.path()).unwrap();
        let digest = keep(&store, b"x", &Scope::Public);
        let far_future = SystemTime::UNIX_EPOCH + Duration::from_secs(1 << 34);
        assert_eq!(store.sweep(SystemTime::UNIX_EPOCH).unwrap(), (0, 0));
        assert_eq!(store.sweep(far_future).unwrap(), (1, 1));
        assert!(store.admitted([&Scope::Public], &digest).unwrap().is_none());
    }
}
