//! Reading a volume over HTTP/1.1 as fast as a client can: a socket, a buffer that is used again, nothing kept.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};

/// What one read takes at most.
pub const BUFFER: usize = 1 << 20;
const LONGEST_HEAD: usize = 16 << 10;
/// For how long a server may send nothing.
const PATIENCE: Duration = Duration::from_secs(60);

/// Where a volume can be read.
#[derive(Clone, Debug)]
pub struct Place {
    pub address: SocketAddr,
    pub path: String,
    pub token: Option<String>,
    /// Bytes of the volume.
    pub size: u64,
}

/// A body under way.
pub struct Download {
    stream: TcpStream,
    /// Bytes of the body that came with its head.
    first: Vec<u8>,
    left: u64,
}

// === impl Place ===

impl Place {
    /// Asks for the volume from byte `from` to its end. Fails unless exactly that is announced.
    pub fn open(&self, from: u64) -> Result<Download> {
        let mut stream = TcpStream::connect(self.address)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        let mut request = format!(
            "GET {} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n",
            self.path, self.address
        );
        if let Some(token) = &self.token {
            request.push_str(&format!("Authorization: Bearer {token}\r\n"));
        }
        if from > 0 {
            request.push_str(&format!("Range: bytes={from}-\r\n"));
        }
        request.push_str("\r\n");
        stream.write_all(request.as_bytes())?;

        let mut first = vec![0; LONGEST_HEAD];
        let mut filled = 0;
        let end = loop {
            let count = stream.read(&mut first[filled..])?;
            ensure!(count > 0, "the connection ended within the answer's head");
            filled += count;
            let found = first[..filled].windows(4).position(|at| at == b"\r\n\r\n");
            if let Some(at) = found {
                break at + 4;
            }
        };
        let head = String::from_utf8_lossy(&first[..end]).to_ascii_lowercase();
        let expected = if from > 0 { " 206 " } else { " 200 " };
        if !head.lines().next().unwrap_or_default().contains(expected) {
            bail!("expected{expected}and got {head}");
        }
        let length = head
            .lines()
            .find_map(|line| line.strip_prefix("content-length:"))
            .with_context(|| format!("no Content-Length in {head}"))?;
        let length: u64 = length.trim().parse()?;
        ensure!(
            length == self.size - from,
            "{length} bytes announced, expected {}",
            self.size - from
        );
        first.truncate(filled);
        first.drain(..end);
        Ok(Download {
            stream,
            first,
            left: length,
        })
    }
}

// === impl Download ===

impl Download {
    /// The next bytes, put into `buffer`; 0 at the end. A body that ends early is an error.
    pub fn next(&mut self, buffer: &mut [u8]) -> Result<usize> {
        if self.left == 0 {
            return Ok(0);
        }
        let count = if self.first.is_empty() {
            self.stream.read(buffer)?
        } else {
            let count = self.first.len().min(buffer.len());
            buffer[..count].copy_from_slice(&self.first[..count]);
            self.first.drain(..count);
            count
        };
        ensure!(count > 0, "the body ended {} bytes short", self.left);
        self.left = self
            .left
            .checked_sub(count as u64)
            .context("the body is longer than announced")?;
        Ok(count)
    }

    /// Reads on until `bytes` have come or the end.
    pub fn take(&mut self, mut bytes: u64, buffer: &mut [u8]) -> Result<()> {
        while bytes > 0 {
            let most = buffer.len().min(usize::try_from(bytes)?);
            match self.next(&mut buffer[..most])? {
                0 => return Ok(()),
                count => bytes -= count as u64,
            }
        }
        Ok(())
    }
}
