//! Puts one entry of a step in its place. Applied twice, it changes nothing the second time; interrupted, the rest is done by the next run.

use std::io::{self, Read};

use bootsplice_archive::step::{Conflict, Entry, EntryKind};
use rustix::fs::{FileType, Stat};

use crate::accounts;
use crate::root::{Access, Place, Root};

/// What is at a path, as far as a conflict is concerned.
enum There {
    Nothing,
    /// Kind and content are as wanted; owner and mode may not be.
    Same(Stat),
    Other(Stat),
}

/// Puts `entry` in place; `content` is read for files. Gives the path inside the root, if something changed.
pub fn put(
    root: &Root,
    entry: &Entry,
    content: &mut dyn Read,
    launch: &str,
) -> io::Result<Option<String>> {
    let (path, home) = accounts::locate(root, &entry.path)?;
    let default = home.map_or_else(process_owner, |user| (user.uid, user.gid));
    let owner = match &entry.owner {
        Some(name) => {
            let user = accounts::user(root, name)?;
            (user.uid, user.gid)
        }
        None => default,
    };
    let gid = match &entry.group {
        Some(name) => accounts::group(root, name)?,
        None => owner.1,
    };
    let access = Access {
        mode: entry.mode,
        uid: owner.0,
        gid,
    };
    let place = root.place(&path, default)?;
    let changed = match there(&place, entry)? {
        There::Nothing => {
            write(&place, entry, content, access)?;
            true
        }
        There::Same(stat) => adjust(&place, entry, content, access, &stat)?,
        There::Other(stat) => match entry.on_conflict {
            Conflict::KeepExisting => false,
            Conflict::Fail => {
                return Err(io::Error::new(
                    io::ErrorKind::AlreadyExists,
                    format!(
                        "{path} exists with other content, and the policy is `fail`: choose `replace`, `backup` or `keep-existing`"
                    ),
                ));
            }
            Conflict::Replace => {
                make_room(&place, entry, &stat)?;
                write(&place, entry, content, access)?;
                true
            }
            Conflict::Backup => {
                place.back_up(&format!("bootsplice-{launch}"))?;
                write(&place, entry, content, access)?;
                true
            }
        },
    };
    Ok(changed.then_some(path))
}

/// Who owns what no document gives to anybody: root, in a guest.
pub fn process_owner() -> (u32, u32) {
    (
        rustix::process::geteuid().as_raw(),
        rustix::process::getegid().as_raw(),
    )
}

fn there(place: &Place, entry: &Entry) -> io::Result<There> {
    let Some(stat) = place.stat()? else {
        return Ok(There::Nothing);
    };
    let same = match (FileType::from_raw_mode(stat.st_mode), entry.kind) {
        (FileType::Directory, EntryKind::Dir) => true,
        (FileType::Symlink, EntryKind::Symlink) => {
            place.link_target()? == entry.to.as_deref().unwrap_or_default().as_bytes()
        }
        (FileType::RegularFile, EntryKind::File) => {
            u64::try_from(stat.st_size) == Ok(entry.size) && Some(place.digest()?) == entry.sha256
        }
        _ => false,
    };
    Ok(if same {
        There::Same(stat)
    } else {
        There::Other(stat)
    })
}

/// Brings owner and mode in line. A directory that was there before keeps its own, unless the policy is `replace`: `/etc` is not ours.
fn adjust(
    place: &Place,
    entry: &Entry,
    content: &mut dyn Read,
    access: Access,
    stat: &Stat,
) -> io::Result<bool> {
    let is = Access {
        mode: stat.st_mode & 0o7777,
        uid: stat.st_uid,
        gid: stat.st_gid,
    };
    if is == access
        || (entry.kind == EntryKind::Symlink && (is.uid, is.gid) == (access.uid, access.gid))
    {
        return Ok(false);
    }
    match (entry.kind, entry.on_conflict) {
        (_, Conflict::KeepExisting) => Ok(false),
        (EntryKind::Dir, Conflict::Replace) => place.set_dir_access(access).map(|()| true),
        (EntryKind::Dir, _) => Ok(false),
        _ => write(place, entry, content, access).map(|()| true),
    }
}

/// A rename replaces anything but a file by a directory, or the reverse.
fn make_room(place: &Place, entry: &Entry, stat: &Stat) -> io::Result<()> {
    let directory = FileType::from_raw_mode(stat.st_mode) == FileType::Directory;
    if directory == (entry.kind == EntryKind::Dir) {
        return Ok(());
    }
    place.remove().map_err(|error| {
        io::Error::new(
            error.kind(),
            format!(
                "{} is in the way and cannot be replaced: {error}",
                entry.path
            ),
        )
    })
}

fn write(place: &Place, entry: &Entry, content: &mut dyn Read, access: Access) -> io::Result<()> {
    match entry.kind {
        EntryKind::Dir => place.make_dir(access),
        EntryKind::Symlink => place.put_link(
            entry.to.as_deref().unwrap_or_default(),
            access.uid,
            access.gid,
        ),
        EntryKind::File => place.put_file(content, access, |digest, size| {
            if size == entry.size && Some(digest) == entry.sha256 {
                return Ok(());
            }
            Err(io::Error::new(
                io::ErrorKind::InvalidData,
                format!(
                    "the content of {} is not what its document promises",
                    entry.path
                ),
            ))
        }),
    }
}
