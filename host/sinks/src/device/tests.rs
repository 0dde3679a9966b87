//! A device that was another tenant's: in memory with power cuts, as a file, and as a real block device where this process may make one.

use super::*;
use crate::conformance::{Bench, Cut, CutDisk, GEOMETRY, stale_disk, suite, volume};
use bootsplice_content::{BLOCK, is_zero};
use std::path::Path;
use std::process::Command;

#[derive(Default)]
struct Devices(Mutex<Option<Arc<CutDisk>>>);

#[async_trait]
impl Bench for Devices {
    async fn open(&self, geometry: Geometry, cut: Option<Cut>) -> Result<Box<dyn Sink>> {
        let disk = CutDisk::new(stale_disk(geometry.size), cut);
        *self.0.lock() = Some(disk.clone());
        let sink = DeviceSink::open_over(disk, "vdb".into(), geometry).await?;
        Ok(Box::new(sink))
    }

    fn found(&self) -> Option<Vec<u8>> {
        self.0.lock().as_ref().map(|disk| disk.content())
    }
}

#[tokio::test]
async fn a_device_keeps_the_contract() {
    suite(&Devices::default()).await;
}

async fn fill(sink: &DeviceSink) {
    let volume = volume();
    for (block, bytes) in (0..).zip(volume.chunks(BLOCK)) {
        let mut bytes = bytes.to_vec();
        bytes.resize(BLOCK, 0);
        if is_zero(&bytes) {
            sink.zero(block..block + 1).await.unwrap();
        } else {
            sink.put(block, Chunk::of(bytes.into())).await.unwrap();
        }
    }
}

#[tokio::test]
async fn a_file_as_device_is_overwritten_whole() {
    let root = tempfile::tempdir().unwrap();
    let path = root.path().join("vdb");
    std::fs::write(&path, stale_disk(GEOMETRY.size)).unwrap();
    let file = File::options().read(true).write(true).open(&path).unwrap();
    let sink = DeviceSink::open(DeviceTarget::new(file, "vdb"), GEOMETRY)
        .await
        .unwrap();
    let cleared = std::fs::read(&path).unwrap();
    let end = END as usize;
    assert!(is_zero(&cleared[..end]) && is_zero(&cleared[cleared.len() - end..]));
    fill(&sink).await;
    assert!(
        is_zero(&std::fs::read(&path).unwrap()[..BLOCK]),
        "block 0 waits for commit"
    );
    sink.commit().await.unwrap();
    assert!(std::fs::read(&path).unwrap() == volume());
}

#[tokio::test]
async fn a_device_of_another_size_is_refused_by_name_and_not_touched() {
    let root = tempfile::tempdir().unwrap();
    let path = root.path().join("vdb");
    let old = stale_disk(GEOMETRY.size + 512);
    std::fs::write(&path, &old).unwrap();
    let file = File::options().read(true).write(true).open(&path).unwrap();
    let refused = DeviceSink::open(DeviceTarget::new(file, "vdb"), GEOMETRY)
        .await
        .err()
        .unwrap()
        .to_string();
    assert!(
        refused.contains("vdb") && refused.contains(&GEOMETRY.size.to_string()),
        "{refused}"
    );
    assert!(std::fs::read(&path).unwrap() == old);
}

struct Loop(String);

impl Loop {
    /// A real block device over a file, where this process may make one.
    fn over(file: &Path, sector: u32) -> Option<Self> {
        let output = Command::new("losetup")
            .args(["--find", "--show", "--sector-size", &sector.to_string()])
            .arg(file)
            .output()
            .ok()?;
        let name = String::from_utf8(output.stdout).ok()?.trim().to_owned();
        (output.status.success() && !name.is_empty()).then_some(Self(name))
    }

    fn sink(&self) -> crate::NamedSink {
        let name = self.0.trim_start_matches("/dev/").to_owned();
        crate::NamedSink::Devices {
            root: "/dev".into(),
            names: [name].into(),
        }
    }

    fn open(&self) -> Result<DeviceTarget> {
        match self.sink().open(self.0.trim_start_matches("/dev/"))? {
            crate::Target::Device(device) => Ok(device),
            crate::Target::File(_) => panic!("a device"),
        }
    }
}

impl Drop for Loop {
    fn drop(&mut self) {
        let _ = Command::new("losetup").args(["--detach", &self.0]).status();
    }
}

#[tokio::test]
async fn a_real_block_device_is_overwritten_whole_and_held_exclusively() {
    let root = tempfile::tempdir().unwrap();
    let path = root.path().join("backing");
    std::fs::write(&path, stale_disk(GEOMETRY.size)).unwrap();
    let Some(device) = Loop::over(&path, 512) else {
        eprintln!("not shown: loop devices need root and /dev/loop-control");
        return;
    };
    let sink = DeviceSink::open(device.open().unwrap(), GEOMETRY)
        .await
        .unwrap();
    let second = device.open().unwrap_err();
    assert!(matches!(second, SinkError::Busy { .. }), "{second}");
    fill(&sink).await;
    sink.commit().await.unwrap();
    drop(sink);
    assert!(std::fs::read(&device.0).unwrap() == volume());
    let large = Geometry {
        sector: 4096,
        ..GEOMETRY
    };
    let refused = DeviceSink::open(device.open().unwrap(), large)
        .await
        .err()
        .unwrap();
    assert!(refused.to_string().contains("sectors"), "{refused}");
}
