//! A host of one's own: `bootsplice serve` on a free port of the loopback interface, with a state directory.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::channel;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::places;

/// How long a host may take until it listens: its first start compiles the generators, perhaps on a busy machine.
const PATIENCE: Duration = Duration::from_secs(400);

/// A running host. It ends with this value.
#[derive(Debug)]
pub struct Host {
    binary: PathBuf,
    child: Child,
    address: SocketAddr,
    state: PathBuf,
    log: PathBuf,
}

/// A host's answer.
#[derive(Clone, Debug)]
pub struct Answer {
    pub status: u16,
    pub body: String,
}

// === impl Host ===

impl Host {
    /// Starts a host with this configuration (TOML) on `state`. The log is `STATE/../NAME.log` where NAME is the
    /// state directory's.
    pub fn start(state: &Path, config: &str) -> Result<Self> {
        Self::start_as(&places::binary("bootsplice"), state, config)
    }

    /// The same with another build of the `bootsplice` command.
    pub fn start_as(binary: &Path, state: &Path, config: &str) -> Result<Self> {
        std::fs::create_dir_all(state)?;
        let file = state.with_extension("toml");
        std::fs::write(&file, config)?;
        let log = state.with_extension("log");
        let mut kept = std::fs::File::create(&log)?;
        let mut child = Command::new(binary)
            .args([
                "serve",
                "--listen",
                "127.0.0.1:0",
                "--log",
                "json",
                "--state",
            ])
            .arg(state)
            .arg("--config")
            .arg(&file)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .context("bootsplice does not start: `cargo xtask build` builds it")?;
        let stderr = child
            .stderr
            .take()
            .context("the host has no standard error")?;
        let (send, addresses) = channel();
        std::thread::spawn(move || {
            for line in BufReader::new(stderr).lines().map_while(Result::ok) {
                let _ = writeln!(kept, "{line}");
                if let Some(address) = listening(&line) {
                    let _ = send.send(address);
                }
            }
        });
        match addresses.recv_timeout(PATIENCE) {
            Ok(address) => Ok(Host {
                binary: binary.to_owned(),
                child,
                address,
                state: state.to_owned(),
                log,
            }),
            Err(_) => {
                let _ = child.kill();
                let _ = child.wait();
                let said = std::fs::read_to_string(&log).unwrap_or_default();
                bail!("the host does not listen; its log says\n{said}")
            }
        }
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Where its log lines are kept.
    pub fn log(&self) -> &Path {
        &self.log
    }

    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// The administrator's token of the first start.
    pub fn token(&self) -> Result<String> {
        let path = self.state.join("admin.token");
        let text =
            std::fs::read_to_string(&path).with_context(|| format!("token {}", path.display()))?;
        Ok(text.trim().to_owned())
    }

    /// The `bootsplice` command, told where this host is and with the administrator's token.
    pub fn command(&self) -> Result<Command> {
        let mut command = Command::new(&self.binary);
        command
            .env("BOOTSPLICE_URL", self.url())
            .env("BOOTSPLICE_TOKEN", self.token()?);
        Ok(command)
    }

    /// One request with a JSON body, as a platform would send it.
    pub fn request(&self, method: &str, path: &str, body: &str) -> Result<Answer> {
        let mut stream = TcpStream::connect(self.address)?;
        stream.set_read_timeout(Some(Duration::from_secs(60)))?;
        let token = self.token()?;
        write!(
            stream,
            "{method} {path} HTTP/1.1\r\nHost: {}\r\nAuthorization: Bearer {token}\r\nContent-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
            self.address,
            body.len()
        )?;
        let mut reader = BufReader::new(stream);
        let mut line = String::new();
        reader.read_line(&mut line)?;
        let status = line.split(' ').nth(1).and_then(|code| code.parse().ok());
        let status = status.with_context(|| format!("{line:?} is no status line of HTTP/1.1"))?;
        let mut length = None;
        loop {
            line.clear();
            if reader.read_line(&mut line)? <= 2 {
                break;
            }
            let header = line.to_ascii_lowercase();
            if let Some(value) = header.strip_prefix("content-length:") {
                length = Some(value.trim().parse::<u64>().context("Content-Length")?);
            }
        }
        let mut body = String::new();
        match length {
            Some(length) => reader.take(length).read_to_string(&mut body)?,
            None => reader.read_to_string(&mut body)?,
        };
        Ok(Answer { status, body })
    }

    /// Waits until it has ended by itself or by a signal from elsewhere.
    pub fn wait(&mut self, limit: Duration) -> Result<std::process::ExitStatus> {
        let started = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait()? {
                return Ok(status);
            }
            if started.elapsed() > limit {
                bail!("the host still runs after {} s", limit.as_secs());
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Ends it at once, as a power cut would (SIGKILL).
    pub fn kill(mut self) {
        self.end();
    }

    fn end(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        self.end();
    }
}

/// The address in the log line that says the host listens.
fn listening(line: &str) -> Option<SocketAddr> {
    if !line.contains("\"message\":\"listening\"") {
        return None;
    }
    let (_, rest) = line.split_once("\"address\":\"")?;
    rest.split('"').next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_address_is_read_from_the_line_that_says_it_listens() {
        let line =
            r#"{"level":"INFO","message":"listening","address":"127.0.0.1:40123","scheme":"http"}"#;
        assert_eq!(listening(line).map(|address| address.port()), Some(40123));
        assert_eq!(
            listening(r#"{"message":"other","address":"127.0.0.1:1"}"#),
            None
        );
    }
}
