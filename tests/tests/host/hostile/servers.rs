//! A web server with a misdeed below each path.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::thread;
use std::time::Duration;

use anyhow::Result;

/// Serves until the process ends: its threads wait for clients.
pub struct Hostile {
    address: SocketAddr,
}

// === impl Hostile ===

impl Hostile {
    pub fn start() -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let address = listener.local_addr()?;
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                // Whoever is cut off is meant to be.
                thread::spawn(move || misdeed(stream, address).ok());
            }
        });
        Ok(Self { address })
    }

    pub fn url(&self) -> String {
        format!("http://{}/", self.address)
    }
}

fn misdeed(mut stream: TcpStream, own: SocketAddr) -> Result<()> {
    stream.set_write_timeout(Some(Duration::from_secs(30)))?;
    let mut line = String::new();
    BufReader::new(stream.try_clone()?).read_line(&mut line)?;
    let redirect =
        |to: &str| format!("HTTP/1.1 302 Found\r\nlocation: {to}\r\ncontent-length: 0\r\n\r\n");
    match line.split(' ').nth(1).unwrap_or_default() {
        "/endless" => {
            stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n")?;
            loop {
                stream.write_all(&[b'x'; 65_536])?;
            }
        }
        "/headers" => {
            stream.write_all(b"HTTP/1.1 200 OK\r\n")?;
            loop {
                stream.write_all(b"x-more: and more of it\r\n")?;
            }
        }
        "/inside" => stream.write_all(redirect("http://169.254.169.254/latest/").as_bytes())?,
        "/circle" => stream.write_all(redirect(&format!("http://{own}/circle")).as_bytes())?,
        _ => stream.write_all(b"220 mail.example ESMTP\r\n")?,
    }
    Ok(())
}
