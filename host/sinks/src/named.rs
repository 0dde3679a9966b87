//! Sinks that the operator defines and requests name (rule 2).
//!
//! A request says which named sink and a relative name within it. Names are resolved by the kernel with `openat2` and
//! `RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS`, so neither `..`, nor an absolute name, nor a link that appears between check and use leads outside.

use std::collections::BTreeSet;
use std::fs::File;
use std::os::fd::OwnedFd;
use std::path::PathBuf;

use rustix::fs::{CWD, FileType, Mode, OFlags, ResolveFlags, fstat, openat2};
use rustix::io::Errno;

use crate::device::DeviceTarget;
use crate::file::{FileTarget, PARTIAL};
use crate::{Result, SinkError};

/// One of the operator's sinks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NamedSink {
    /// Volumes as files anywhere below `root`, in directories that exist.
    Directory { root: PathBuf },
    /// The listed block devices and no others, by their names below `root`, which is `/dev` but in tests. Links such as those of `/dev/disk` are not
    /// followed: list the device itself.
    Devices {
        root: PathBuf,
        names: BTreeSet<String>,
    },
}

/// A target of a named sink, opened safely.
#[derive(Debug)]
pub enum Target {
    File(FileTarget),
    Device(DeviceTarget),
}

const BENEATH: ResolveFlags = ResolveFlags::BENEATH
    .union(ResolveFlags::NO_SYMLINKS)
    .union(ResolveFlags::NO_MAGICLINKS);

// === impl NamedSink ===

impl NamedSink {
    /// Judges a name without looking anything up, so that a request can be refused before anything is recorded.
    pub fn check_name(name: &str) -> Result<()> {
        check(name)
    }

    /// Opens what `name` means here. A device is opened exclusively: one that is mounted or open for another stream is [`SinkError::Busy`].
    /// The launch's durable lease is the server's; this is its second line.
    pub fn open(&self, name: &str) -> Result<Target> {
        check(name)?;
        match self {
            Self::Directory { root } => directory(root, name).map(Target::File),
            Self::Devices { root, names } => {
                if !names.contains(name) {
                    let listed = names
                        .iter()
                        .map(String::as_str)
                        .collect::<Vec<_>>()
                        .join(", ");
                    let expected = format!("one of the sink's devices: {listed}");
                    return Err(SinkError::refused(name, "not listed", expected));
                }
                device(root, name).map(Target::Device)
            }
        }
    }
}

fn directory(root: &PathBuf, name: &str) -> Result<FileTarget> {
    let root = root_of(root)?;
    let (parent, leaf) = name.rsplit_once('/').unwrap_or((".", name));
    let flags = OFlags::DIRECTORY | OFlags::RDONLY | OFlags::CLOEXEC;
    let directory = openat2(&root, parent, flags, Mode::empty(), BENEATH)
        .map_err(|error| resolve(name, "an existing directory of the sink", error))?;
    Ok(FileTarget {
        directory,
        name: leaf.to_owned(),
        label: name.to_owned(),
    })
}

fn device(root: &PathBuf, name: &str) -> Result<DeviceTarget> {
    let root = root_of(root)?;
    let flags = OFlags::RDWR | OFlags::EXCL | OFlags::CLOEXEC | OFlags::NONBLOCK | OFlags::NOCTTY;
    let device = openat2(&root, name, flags, Mode::empty(), BENEATH)
        .map_err(|error| resolve(name, "a block device", error))?;
    let stat = fstat(&device).map_err(|error| SinkError::io(name, "look at", error.into()))?;
    if FileType::from_raw_mode(stat.st_mode) != FileType::BlockDevice {
        return Err(SinkError::refused(
            name,
            "not a block device",
            "a block device",
        ));
    }
    Ok(DeviceTarget {
        file: File::from(device),
        label: name.to_owned(),
    })
}

/// The operator's own path: links are followed here.
fn root_of(root: &PathBuf) -> Result<OwnedFd> {
    let flags = OFlags::DIRECTORY | OFlags::PATH | OFlags::CLOEXEC;
    let opened = rustix::fs::openat(CWD, root, flags, Mode::empty());
    opened.map_err(|error| {
        SinkError::io(
            &root.display().to_string(),
            "open the sink's root",
            error.into(),
        )
    })
}

fn resolve(name: &str, expected: &str, error: Errno) -> SinkError {
    let found = match error {
        Errno::XDEV => "it leads outside the sink",
        Errno::LOOP => "it goes through a symbolic link",
        Errno::NOENT => "it does not exist",
        Errno::NOTDIR => "a part of it is not a directory",
        _ => return SinkError::io(name, "open", error.into()),
    };
    SinkError::refused(name, found, expected)
}

/// What the kernel would take but nobody can mean.
fn check(name: &str) -> Result<()> {
    let wrong = |found: &str| {
        let expected =
            "a relative path of plain names, each at most 240 bytes, such as `team/i-0042.raw`";
        Err(SinkError::refused(name, found, expected))
    };
    if name.len() > 1024 {
        return wrong("too long");
    }
    for part in name.split('/') {
        if part.is_empty() || part == "." || part == ".." {
            return wrong("an empty part, `.` or `..`");
        }
        if part.len() > 240 {
            return wrong("a part that is too long");
        }
        if part.starts_with('-') || part.chars().any(char::is_control) {
            return wrong("a part with a control character or a leading `-`");
        }
    }
    if name.ends_with(PARTIAL) {
        return wrong("the ending of unfinished files");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    fn refused(sink: &NamedSink, name: &str) -> String {
        match sink.open(name).unwrap_err() {
            error @ SinkError::Refused { .. } => error.to_string(),
            other => panic!("{name}: {other:?}"),
        }
    }

    #[test]
    fn a_name_cannot_leave_its_sink() {
        let outside = tempfile::tempdir().unwrap();
        let root = tempfile::tempdir().unwrap();
        std::fs::create_dir(root.path().join("team")).unwrap();
        symlink(outside.path(), root.path().join("link")).unwrap();
        let sink = NamedSink::Directory {
            root: root.path().into(),
        };
        assert!(matches!(sink.open("team/i-1.raw"), Ok(Target::File(_))));
        assert!(matches!(sink.open("i-1.raw"), Ok(Target::File(_))));
        assert!(refused(&sink, "link/i-1.raw").contains("symbolic link"));
        assert!(refused(&sink, "none/i-1.raw").contains("does not exist"));
        for name in [
            "",
            "/etc/passwd",
            "../x",
            "team/../../x",
            "a//b",
            "team/",
            "./x",
            "x.partial",
            "-x",
            "a\nb",
        ] {
            refused(&sink, name);
        }
        refused(&sink, &"x".repeat(300));
    }

    #[test]
    fn only_listed_devices_are_opened_and_only_devices() {
        let root = tempfile::tempdir().unwrap();
        std::fs::write(root.path().join("plain"), b"").unwrap();
        symlink("/dev/null", root.path().join("link")).unwrap();
        let names = ["plain", "link", "none"].map(str::to_owned).into();
        let sink = NamedSink::Devices {
            root: root.path().into(),
            names,
        };
        assert!(refused(&sink, "vdb").contains("not listed"));
        assert!(refused(&sink, "plain").contains("not a block device"));
        assert!(refused(&sink, "link").contains("symbolic link"));
        assert!(refused(&sink, "none").contains("does not exist"));
    }
}
