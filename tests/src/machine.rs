//! A virtual machine that boots a raw disk image by its own boot loader under QEMU's firmware.
//!
//! The serial console goes to a file and, line by line, to whoever waits for a marker. QEMU is ended by its own process
//! id when the [`Running`] value goes away.

use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::accel::Accel;
use crate::console::{Line, Transcript, plain};

/// The address under which a guest with [`Network::Host`] reaches the loopback interface of its host.
pub const HOST_SEEN_BY_GUEST: &str = "10.0.2.2";

/// Whether the guest has a network card.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Network {
    /// No card at all.
    None,
    /// One card; the host's loopback interface answers at [`HOST_SEEN_BY_GUEST`].
    Host,
}

/// A machine that is switched off.
#[derive(Clone, Debug)]
pub struct Machine {
    disks: Vec<PathBuf>,
    keep_writes: bool,
    network: Network,
    uuid: Option<String>,
    memory_mib: u32,
    console: Option<PathBuf>,
}

/// A machine that is switched on.
#[derive(Debug)]
pub struct Running {
    child: Child,
    lines: Receiver<Line>,
    transcript: Transcript,
    started: Instant,
    // Holds the monitor's socket.
    scratch: tempfile::TempDir,
}

// === impl Machine ===

impl Machine {
    /// Boots from `image`. What the guest writes is thrown away unless [`Machine::keep_writes`] is asked for.
    pub fn new(image: impl Into<PathBuf>) -> Self {
        Machine {
            disks: vec![image.into()],
            keep_writes: false,
            network: Network::None,
            uuid: None,
            memory_mib: 1024,
            console: None,
        }
    }

    /// One more raw disk.
    pub fn disk(mut self, image: impl Into<PathBuf>) -> Self {
        self.disks.push(image.into());
        self
    }

    /// What the guest writes stays in the image, so that it can be booted again.
    pub fn keep_writes(mut self) -> Self {
        self.keep_writes = true;
        self
    }

    pub fn network(mut self, network: Network) -> Self {
        self.network = network;
        self
    }

    /// The machine's identity in its firmware (SMBIOS type 1, `/sys/class/dmi/id/product_uuid`).
    pub fn uuid(mut self, uuid: impl Into<String>) -> Self {
        self.uuid = Some(uuid.into());
        self
    }

    pub fn memory_mib(mut self, memory: u32) -> Self {
        self.memory_mib = memory;
        self
    }

    /// Writes the console to this file too.
    pub fn console(mut self, path: impl Into<PathBuf>) -> Self {
        self.console = Some(path.into());
        self
    }

    fn command(&self, monitor: &Path) -> Command {
        let mut qemu = Command::new("qemu-system-x86_64");
        qemu.args(Accel::probe().arguments())
            .args([
                "-nodefaults",
                "-no-user-config",
                "-display",
                "none",
                "-no-reboot",
            ])
            .args(["-smp", "2", "-m", &self.memory_mib.to_string()])
            .args(["-serial", "stdio", "-device", "virtio-rng-pci"])
            .arg("-qmp")
            .arg(format!("unix:{},server=on,wait=off", monitor.display()));
        for (index, disk) in self.disks.iter().enumerate() {
            let snapshot = if self.keep_writes { "off" } else { "on" };
            // A comma in a QEMU option is written twice.
            let path = disk.display().to_string().replace(',', ",,");
            qemu.arg("-drive")
                .arg(format!(
                    "if=none,id=disk{index},format=raw,cache=unsafe,snapshot={snapshot},file={path}"
                ))
                .arg("-device")
                .arg(format!(
                    "virtio-blk-pci,drive=disk{index},bootindex={index}"
                ));
        }
        match self.network {
            Network::None => qemu.args(["-nic", "none"]),
            Network::Host => qemu.args(["-nic", "user,model=virtio-net-pci"]),
        };
        if let Some(uuid) = &self.uuid {
            qemu.args(["-uuid", uuid]);
        }
        qemu
    }

    /// Switches the machine on.
    pub fn start(self) -> Result<Running> {
        for disk in &self.disks {
            if !disk.is_file() {
                bail!(
                    "no disk image at {}: `cargo xtask image` makes one",
                    disk.display()
                );
            }
        }
        let scratch = tempfile::tempdir().context("a directory for the machine's monitor")?;
        let mut log = match &self.console {
            Some(path) => Some(
                File::create(path).with_context(|| format!("console file {}", path.display()))?,
            ),
            None => None,
        };
        let mut command = self.command(&scratch.path().join("monitor"));
        let started = Instant::now();
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .context("qemu-system-x86_64 does not start: `cargo xtask setup` installs it")?;
        let (send, lines) = channel();
        let stdout = child.stdout.take().context("QEMU has no standard output")?;
        let stderr = child.stderr.take().context("QEMU has no standard error")?;
        let complain = send.clone();
        std::thread::spawn(move || {
            for text in BufReader::new(stderr).lines().map_while(Result::ok) {
                let _ = complain.send(Line {
                    at: started.elapsed(),
                    text: format!("qemu: {text}"),
                });
            }
        });
        std::thread::spawn(move || {
            let mut reader = BufReader::new(stdout);
            let mut bytes = Vec::new();
            while reader.read_until(b'\n', &mut bytes).is_ok_and(|n| n > 0) {
                let line = Line {
                    at: started.elapsed(),
                    text: plain(&bytes),
                };
                bytes.clear();
                if let Some(log) = &mut log {
                    let _ = writeln!(log, "{line}");
                }
                let _ = send.send(line);
            }
        });
        Ok(Running {
            child,
            lines,
            transcript: Transcript::default(),
            started,
            scratch,
        })
    }
}

// === impl Running ===

impl Running {
    /// Waits for a line that contains `marker`, at most until `limit` after switching on.
    pub fn wait_for(&mut self, marker: &str, limit: Duration) -> Result<Line> {
        self.watch(limit, |line| {
            line.text.contains(marker).then(|| line.clone())
        })
        .with_context(|| format!("waiting for {marker:?} on the console"))
    }

    /// Gives each new line to `look` until it answers, at most until `limit` after switching on.
    pub fn watch<T>(
        &mut self,
        limit: Duration,
        mut look: impl FnMut(&Line) -> Option<T>,
    ) -> Result<T> {
        loop {
            let left = limit.saturating_sub(self.started.elapsed());
            match self.lines.recv_timeout(left) {
                Ok(line) => {
                    let answer = look(&line);
                    self.transcript.lines.push(line);
                    if let Some(answer) = answer {
                        return Ok(answer);
                    }
                }
                Err(RecvTimeoutError::Timeout) => {
                    bail!(
                        "{} s have passed; the console ends with\n{}",
                        limit.as_secs(),
                        self.transcript.tail(30)
                    )
                }
                Err(RecvTimeoutError::Disconnected) => {
                    bail!(
                        "the machine is off; its console ended with\n{}",
                        self.transcript.tail(30)
                    )
                }
            }
        }
    }

    /// What came so far, as far as somebody waited for it.
    pub fn transcript(&self) -> &Transcript {
        &self.transcript
    }

    /// Presses the power button: the guest's own service manager shuts it down.
    pub fn press_power(&self) -> Result<()> {
        let path = self.scratch.path().join("monitor");
        let mut monitor = UnixStream::connect(path).context("QEMU's monitor")?;
        monitor.set_read_timeout(Some(Duration::from_secs(10)))?;
        let mut answers = BufReader::new(monitor.try_clone()?);
        let mut answer = String::new();
        answers.read_line(&mut answer)?;
        for command in ["qmp_capabilities", "system_powerdown"] {
            writeln!(monitor, "{{\"execute\": \"{command}\"}}")?;
            // Events may come before the answer.
            loop {
                answer.clear();
                if answers.read_line(&mut answer)? == 0 || !answer.contains("\"event\"") {
                    break;
                }
            }
            if !answer.contains("\"return\"") {
                bail!("QEMU's monitor answered {command} with {answer}");
            }
        }
        Ok(())
    }

    /// Waits until the guest has switched itself off, at most until `limit` after switching on, and gives the whole
    /// console. An end of QEMU with an error is an error here.
    pub fn wait_for_power_off(mut self, limit: Duration) -> Result<(Transcript, Duration)> {
        loop {
            let left = limit.saturating_sub(self.started.elapsed());
            match self.lines.recv_timeout(left) {
                Ok(line) => self.transcript.lines.push(line),
                Err(RecvTimeoutError::Disconnected) => break,
                Err(RecvTimeoutError::Timeout) => {
                    bail!(
                        "still on after {} s; its console ends with\n{}",
                        limit.as_secs(),
                        self.transcript.tail(30)
                    )
                }
            }
        }
        let status: ExitStatus = self.child.wait().context("QEMU's end")?;
        if !status.success() {
            bail!(
                "QEMU ended with {status}; the console ended with\n{}",
                self.transcript.tail(30)
            );
        }
        Ok((std::mem::take(&mut self.transcript), self.started.elapsed()))
    }

    /// Pulls the plug.
    pub fn kill(mut self) -> Transcript {
        self.end();
        while let Ok(line) = self.lines.recv_timeout(Duration::from_secs(1)) {
            self.transcript.lines.push(line);
        }
        std::mem::take(&mut self.transcript)
    }

    fn end(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.end();
    }
}
