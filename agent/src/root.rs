//! The guest's root directory. Every path of an archive is resolved inside it by the kernel (`openat2`, RESOLVE_IN_ROOT), absolute links included; every change of a file is one rename.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};

use bootsplice_content::{Digest, Hasher};
use rustix::fs::{AtFlags, FileType, Gid, Mode, OFlags, ResolveFlags, Stat, Uid};
use rustix::io::Errno;

/// The root that paths are resolved in: `/`, or a directory in tests and rescue.
#[derive(Debug)]
pub struct Root {
    path: PathBuf,
    dir: OwnedFd,
}

/// An open directory and a name in it.
#[derive(Debug)]
pub struct Place {
    dir: OwnedFd,
    name: String,
}

/// Who owns a file, and how it may be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Access {
    pub mode: u32,
    pub uid: u32,
    pub gid: u32,
}

const DIRECTORY: OFlags = OFlags::DIRECTORY
    .union(OFlags::CLOEXEC)
    .union(OFlags::RDONLY);

// === impl Root ===

impl Root {
    pub fn open(path: &Path) -> io::Result<Self> {
        let dir = rustix::fs::open(path, DIRECTORY, Mode::empty())?;
        Ok(Self {
            path: path.to_owned(),
            dir,
        })
    }

    /// True for the running system, false for a directory.
    pub fn is_system(&self) -> bool {
        self.path == Path::new("/")
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// `path` seen from outside, for programs that are told where the root is.
    pub fn outside(&self, path: &str) -> PathBuf {
        self.path.join(path.trim_start_matches('/'))
    }

    /// Where `path` is, its missing parents made (mode 0755) and owned by `owner`.
    pub fn place(&self, path: &str, owner: (u32, u32)) -> io::Result<Place> {
        let invalid = || {
            io::Error::new(
                io::ErrorKind::InvalidInput,
                format!("`{path}` is not an absolute plain path"),
            )
        };
        let inner = path.strip_prefix('/').ok_or_else(invalid)?;
        if inner
            .split('/')
            .any(|part| part.is_empty() || part == "." || part == "..")
            || inner.contains('\0')
        {
            return Err(invalid());
        }
        let (parent, name) = inner.rsplit_once('/').unwrap_or(("", inner));
        let mut dir = self.directory("")?;
        let mut walked = String::new();
        for part in parent.split('/').filter(|part| !part.is_empty()) {
            let next = format!("{walked}/{part}");
            dir = match self.directory(&next) {
                Err(Errno::NOENT) => {
                    let place = Place {
                        dir,
                        name: part.to_owned(),
                    };
                    place.make_dir(Access {
                        mode: 0o755,
                        uid: owner.0,
                        gid: owner.1,
                    })?;
                    self.directory(&next)?
                }
                other => other?,
            };
            walked = next;
        }
        Ok(Place {
            dir,
            name: name.to_owned(),
        })
    }

    /// The file that `path` leads to, links followed inside the root; none when there is none.
    pub fn open_file(&self, path: &str) -> io::Result<Option<File>> {
        let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK;
        match rustix::fs::openat2(&self.dir, path, flags, Mode::empty(), ResolveFlags::IN_ROOT) {
            Ok(fd) => Ok(Some(File::from(fd))),
            Err(Errno::NOENT | Errno::NOTDIR) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// At most `limit` bytes of a file.
    pub fn read(&self, path: &str, limit: u64) -> io::Result<Option<Vec<u8>>> {
        let Some(file) = self.open_file(path)? else {
            return Ok(None);
        };
        if !file.metadata()?.is_file() {
            return Err(io::Error::other(format!("{path} is not a regular file")));
        }
        let mut bytes = Vec::new();
        file.take(limit + 1).read_to_end(&mut bytes)?;
        Ok(Some(bytes))
    }

    /// The path, inside the root, that `path` leads to when it is a link: what an edit must replace.
    pub fn resolve(&self, path: &str) -> io::Result<String> {
        use std::os::fd::AsRawFd as _;
        let Some(file) = self.open_file(path)? else {
            return Ok(path.to_owned());
        };
        let outside = std::fs::read_link(format!("/proc/self/fd/{}", file.as_raw_fd()))?;
        let root = std::fs::canonicalize(&self.path)?;
        let inside = outside
            .strip_prefix(&root)
            .map_err(|_| io::Error::other(format!("{path} leads outside the root")))?;
        Ok(format!("/{}", inside.display()))
    }

    /// Everything written so far is on the disk.
    pub fn sync(&self) -> io::Result<()> {
        Ok(rustix::fs::syncfs(&self.dir)?)
    }

    fn directory(&self, path: &str) -> rustix::io::Result<OwnedFd> {
        let path = if path.is_empty() { "." } else { path };
        rustix::fs::openat2(
            &self.dir,
            path,
            DIRECTORY,
            Mode::empty(),
            ResolveFlags::IN_ROOT,
        )
    }
}

// === impl Place ===

impl Place {
    /// What is there; a link is not followed.
    pub fn stat(&self) -> io::Result<Option<Stat>> {
        match rustix::fs::statat(&self.dir, &self.name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) => Ok(Some(stat)),
            Err(Errno::NOENT) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    pub fn digest(&self) -> io::Result<Digest> {
        let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NOFOLLOW | OFlags::NONBLOCK;
        let fd = rustix::fs::openat(&self.dir, &self.name, flags, Mode::empty())?;
        let mut hasher = Hasher::new();
        io::copy(&mut File::from(fd), &mut hasher)?;
        Ok(hasher.finish())
    }

    pub fn link_target(&self) -> io::Result<Vec<u8>> {
        Ok(rustix::fs::readlinkat(&self.dir, &self.name, Vec::new())?.into_bytes())
    }

    /// Puts a file here, whole or not at all. `check` judges the digest and size of what was written before it counts.
    pub fn put_file(
        &self,
        content: &mut dyn Read,
        access: Access,
        check: impl FnOnce(Digest, u64) -> io::Result<()>,
    ) -> io::Result<()> {
        let beside = self.beside()?;
        let flags =
            OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC | OFlags::NOFOLLOW;
        let mut file = File::from(rustix::fs::openat(
            &self.dir,
            &beside,
            flags,
            Mode::from_raw_mode(0o600),
        )?);
        let mut hasher = Hasher::new();
        let mut size = 0;
        let mut buffer = vec![0; 64 * 1024];
        loop {
            let count = content.read(&mut buffer)?;
            if count == 0 {
                break;
            }
            hasher.update(&buffer[..count]);
            file.write_all(&buffer[..count])?;
            size += count as u64;
        }
        if let Err(error) = check(hasher.finish(), size) {
            rustix::fs::unlinkat(&self.dir, &beside, AtFlags::empty())?;
            return Err(error);
        }
        set_access(&file, access)?;
        file.sync_all()?;
        self.take(&beside)
    }

    pub fn put_link(&self, to: &str, uid: u32, gid: u32) -> io::Result<()> {
        let beside = self.beside()?;
        rustix::fs::symlinkat(to, &self.dir, &beside)?;
        let stat = rustix::fs::statat(&self.dir, &beside, AtFlags::SYMLINK_NOFOLLOW)?;
        if (stat.st_uid, stat.st_gid) != (uid, gid) {
            let (owner, group) = (Uid::from_raw(uid), Gid::from_raw(gid));
            rustix::fs::chownat(
                &self.dir,
                &beside,
                Some(owner),
                Some(group),
                AtFlags::SYMLINK_NOFOLLOW,
            )?;
        }
        self.take(&beside)
    }

    /// Makes a directory that is there with the right owner and mode, or not at all. One that is there is left alone.
    pub fn make_dir(&self, access: Access) -> io::Result<()> {
        if self.stat()?.is_some() {
            return Ok(());
        }
        let beside = self.beside()?;
        rustix::fs::mkdirat(&self.dir, &beside, Mode::from_raw_mode(0o700))?;
        let fd = rustix::fs::openat(
            &self.dir,
            &beside,
            DIRECTORY | OFlags::NOFOLLOW,
            Mode::empty(),
        )?;
        set_access(&fd, access)?;
        self.take(&beside)
    }

    /// Gives the directory here the wanted owner and mode.
    pub fn set_dir_access(&self, access: Access) -> io::Result<()> {
        let fd = rustix::fs::openat(
            &self.dir,
            &self.name,
            DIRECTORY | OFlags::NOFOLLOW,
            Mode::empty(),
        )?;
        set_access(&fd, access)
    }

    /// Removes what is here, unless it is a directory with something in it.
    pub fn remove(&self) -> io::Result<()> {
        let flags = match self.stat()? {
            None => return Ok(()),
            Some(stat) if FileType::from_raw_mode(stat.st_mode) == FileType::Directory => {
                AtFlags::REMOVEDIR
            }
            Some(_) => AtFlags::empty(),
        };
        Ok(rustix::fs::unlinkat(&self.dir, &self.name, flags)?)
    }

    /// Moves what is here to `name.suffix` beside it. One that is there from an interrupted run is the original, and stays.
    pub fn back_up(&self, suffix: &str) -> io::Result<()> {
        let to = format!("{}.{suffix}", self.name);
        match rustix::fs::renameat_with(
            &self.dir,
            &self.name,
            &self.dir,
            &to,
            rustix::fs::RenameFlags::NOREPLACE,
        ) {
            Ok(()) | Err(Errno::EXIST) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// A name beside this one that nothing stands at: the same in every run, so that a run takes up what an interrupted one left.
    fn beside(&self) -> io::Result<String> {
        let name = format!(
            ".bootsplice-{}",
            &Digest::of(self.name.as_bytes()).hex()[..16]
        );
        let old = Self {
            dir: self.dir.as_fd().try_clone_to_owned()?,
            name: name.clone(),
        };
        old.remove()?;
        Ok(name)
    }

    fn take(&self, beside: &str) -> io::Result<()> {
        Ok(rustix::fs::renameat(
            &self.dir, beside, &self.dir, &self.name,
        )?)
    }
}

fn set_access(fd: impl AsFd, access: Access) -> io::Result<()> {
    let stat = rustix::fs::fstat(&fd)?;
    if (stat.st_uid, stat.st_gid) != (access.uid, access.gid) {
        rustix::fs::fchown(
            &fd,
            Some(Uid::from_raw(access.uid)),
            Some(Gid::from_raw(access.gid)),
        )?;
    }
    Ok(rustix::fs::fchmod(&fd, Mode::from_raw_mode(access.mode))?)
}
