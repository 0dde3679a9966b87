//! Which processor runs a guest: the real one by KVM, or QEMU's emulation (TCG).
//!
//! `/dev/kvm` may be there and still hang each guest (nested virtualisation that is half switched on), so its presence
//! says nothing. [`Accel::probe`] boots a disk of one sector that leaves through QEMU's debug exit.

use std::io::Write;
use std::process::{Command, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

/// How long the one-sector guest may take. A working KVM needs less than a second.
const PATIENCE: Duration = Duration::from_secs(5);

/// What the boot sector writes to the debug exit; QEMU then exits with `2 * value + 1`.
const FAREWELL: u8 = 0x10;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Accel {
    /// The host's own processor.
    Kvm,
    /// Emulation, one thread for each virtual processor.
    Tcg,
}

// === impl Accel ===

impl Accel {
    /// The fastest that works here. Asks once a process; `BOOTSPLICE_ACCEL=kvm|tcg` decides instead.
    pub fn probe() -> Accel {
        static ANSWER: OnceLock<Accel> = OnceLock::new();
        *ANSWER.get_or_init(|| match std::env::var("BOOTSPLICE_ACCEL").as_deref() {
            Ok("kvm") => Accel::Kvm,
            Ok("tcg") => Accel::Tcg,
            _ if kvm_runs_a_guest() => Accel::Kvm,
            _ => Accel::Tcg,
        })
    }

    /// QEMU's arguments.
    pub fn arguments(self) -> [&'static str; 4] {
        match self {
            Accel::Kvm => ["-accel", "kvm", "-cpu", "host"],
            Accel::Tcg => ["-accel", "tcg,thread=multi,tb-size=512", "-cpu", "max"],
        }
    }
}

/// 16-bit code: `mov dx, 0xf4; mov al, FAREWELL; out dx, al; hlt`, padded to a sector that firmware boots.
fn boot_sector() -> [u8; 512] {
    let mut sector = [0; 512];
    sector[..7].copy_from_slice(&[0xba, 0xf4, 0x00, 0xb0, FAREWELL, 0xee, 0xf4]);
    sector[510..].copy_from_slice(&[0x55, 0xaa]);
    sector
}

fn leaves_politely(accel: &[&str]) -> bool {
    let Ok(mut disk) = tempfile::NamedTempFile::new() else {
        return false;
    };
    if disk.write_all(&boot_sector()).is_err() {
        return false;
    }
    let child = Command::new("qemu-system-x86_64")
        .args(accel)
        .args([
            "-nodefaults",
            "-no-user-config",
            "-display",
            "none",
            "-m",
            "32",
        ])
        .args(["-device", "isa-debug-exit,iobase=0xf4,iosize=0x04"])
        .arg("-drive")
        .arg(format!("if=ide,format=raw,file={}", disk.path().display()))
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn();
    let Ok(mut child) = child else { return false };
    let started = Instant::now();
    loop {
        match child.try_wait() {
            Ok(Some(status)) => return status.code() == Some(2 * i32::from(FAREWELL) + 1),
            Ok(None) if started.elapsed() < PATIENCE => {
                std::thread::sleep(Duration::from_millis(20))
            }
            _ => {
                let _ = child.kill();
                let _ = child.wait();
                return false;
            }
        }
    }
}

fn kvm_runs_a_guest() -> bool {
    std::fs::OpenOptions::new()
        .read(true)
        .write(true)
        .open("/dev/kvm")
        .is_ok()
        && leaves_politely(&["-accel", "kvm", "-cpu", "host"])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_probe_s_guest_leaves_when_the_processor_works() {
        assert!(
            leaves_politely(&["-accel", "tcg"]),
            "is qemu-system-x86_64 installed?"
        );
    }

    #[test]
    fn an_accelerator_that_is_not_there_does_not_pass_the_probe() {
        assert!(!leaves_politely(&["-accel", "hvf"]));
    }
}
