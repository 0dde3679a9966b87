//! A file that fails, that is full, that exists; and the suite.

use super::*;
use crate::conformance::{Bench, Cut, GEOMETRY, suite, volume};
use bootsplice_content::{BLOCK, BLOCK_U64};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::atomic::AtomicUsize;

/// A file whose disk fails.
struct Failing {
    file: File,
    left: AtomicUsize,
    error: Errno,
}

impl Failing {
    fn step(&self) -> io::Result<()> {
        let step = self
            .left
            .fetch_update(SeqCst, SeqCst, |left| left.checked_sub(1));
        step.map(drop).map_err(|_| self.error.into())
    }
}

impl Disk for Failing {
    fn write_at(&self, bytes: &[u8], at: u64) -> io::Result<()> {
        self.step()?;
        Disk::write_at(&self.file, bytes, at)
    }
    fn zero(&self, range: Range<u64>) -> io::Result<()> {
        self.step()?;
        self.file.zero(range)
    }
    fn sync(&self) -> io::Result<()> {
        self.step()?;
        self.file.sync()
    }
}

struct Directory(tempfile::TempDir);

impl Directory {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn target(&self) -> FileTarget {
        let directory = File::open(self.0.path()).unwrap();
        FileTarget::new(directory.into(), "i-0042.raw")
    }

    fn path(&self) -> std::path::PathBuf {
        self.0.path().join("i-0042.raw")
    }

    fn is_empty(&self) -> bool {
        self.0.path().read_dir().unwrap().next().is_none()
    }

    fn open(&self, geometry: Geometry, left: usize, error: Errno) -> Result<FileSink> {
        FileSink::create_over(self.target(), geometry, Existing::Replace, |file| {
            Arc::new(Failing {
                file,
                left: left.into(),
                error,
            })
        })
    }
}

#[async_trait]
impl Bench for Directory {
    async fn open(&self, geometry: Geometry, cut: Option<Cut>) -> Result<Box<dyn Sink>> {
        let _ = std::fs::remove_file(self.path());
        let left = cut.map_or(usize::MAX, |cut| cut.after);
        Ok(Box::new(Directory::open(self, geometry, left, Errno::IO)?))
    }

    fn found(&self) -> Option<Vec<u8>> {
        std::fs::read(self.path()).ok()
    }
}

fn block(seed: u8) -> Chunk {
    Chunk::of(vec![seed; BLOCK].into())
}

fn two_blocks() -> Geometry {
    Geometry {
        size: 2 * BLOCK_U64,
        sector: 512,
    }
}

#[tokio::test]
async fn a_file_keeps_the_contract() {
    suite(&Directory::new()).await;
}

#[tokio::test]
async fn a_full_disk_is_named_and_leaves_nothing() {
    let place = Directory::new();
    let sink = place.open(two_blocks(), 1, Errno::NOSPC).unwrap();
    sink.put(0, block(1)).await.unwrap();
    let error = sink.put(1, block(2)).await.unwrap_err();
    assert!(
        matches!(&error, SinkError::NoSpace { target } if target == "i-0042.raw"),
        "{error}"
    );
    sink.abort().await;
    assert!(place.is_empty());
}

/// A file system of 1 MiB, full for real. Needs root, to mount it.
#[tokio::test]
async fn a_file_system_that_is_really_full_leaves_nothing() {
    let place = Directory::new();
    let mount = |arguments: &[&std::ffi::OsStr]| {
        std::process::Command::new(arguments[0])
            .args(&arguments[1..])
            .status()
    };
    let path: &Path = place.0.path();
    let mounted = mount(&[
        "mount".as_ref(),
        "-t".as_ref(),
        "tmpfs".as_ref(),
        "-o".as_ref(),
        "size=1m".as_ref(),
        "none".as_ref(),
        path.as_os_str(),
    ]);
    if !mounted.is_ok_and(|status| status.success()) {
        eprintln!("not shown: mounting a small file system needs root");
        return;
    }
    let geometry = Geometry {
        size: 4 * BLOCK_U64,
        sector: 512,
    };
    let sink = FileSink::create(place.target(), geometry, Existing::Refuse).unwrap();
    let mut outcome = Ok(());
    for number in 0..4 {
        outcome = sink.put(number, block(1)).await;
        if outcome.is_err() {
            break;
        }
    }
    sink.abort().await;
    drop(sink);
    let empty = place.is_empty();
    mount(&["umount".as_ref(), path.as_os_str()]).unwrap();
    assert!(
        matches!(outcome, Err(SinkError::NoSpace { .. })),
        "{outcome:?}"
    );
    assert!(empty);
}

#[tokio::test]
async fn zero_runs_take_no_space_and_a_stale_partial_is_replaced() {
    let place = Directory::new();
    std::fs::write(
        place.0.path().join("i-0042.raw.partial"),
        vec![0xFF; 3 * BLOCK],
    )
    .unwrap();
    let geometry = Geometry {
        size: 1 << 30,
        sector: 512,
    };
    let sink = FileSink::create(place.target(), geometry, Existing::Refuse).unwrap();
    sink.put(0, block(1)).await.unwrap();
    sink.zero(1..2048).await.unwrap();
    sink.commit().await.unwrap();
    let metadata = std::fs::metadata(place.path()).unwrap();
    assert_eq!(metadata.len(), 1 << 30);
    assert!(metadata.blocks() * 512 <= 2 * BLOCK_U64);
    assert_eq!(metadata.mode() & 0o777, 0o600);
}

#[tokio::test]
async fn a_volume_that_exists_is_not_replaced_by_accident() {
    let place = Directory::new();
    std::fs::write(place.path(), b"a guest runs on this").unwrap();
    let refused = FileSink::create(place.target(), GEOMETRY, Existing::Refuse)
        .err()
        .unwrap();
    assert!(refused.to_string().contains("exists"), "{refused}");
    std::fs::remove_file(place.path()).unwrap();
    let sink = FileSink::create(place.target(), two_blocks(), Existing::Refuse).unwrap();
    sink.zero(0..2).await.unwrap();
    std::fs::write(place.path(), b"came between").unwrap();
    let refused = sink.commit().await.unwrap_err();
    assert!(matches!(refused, SinkError::Refused { .. }), "{refused}");
    sink.abort().await;
    assert_eq!(std::fs::read(place.path()).unwrap(), b"came between");
    assert_eq!(place.0.path().read_dir().unwrap().count(), 1);
    assert_eq!(volume().len() as u64, GEOMETRY.size);
}
