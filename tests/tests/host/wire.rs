//! HTTP/1.1 by hand: a client that sees a body cut short, and may go away in the middle of one.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use anyhow::{Context, Result};
use bootsplice_tests::Host;

/// An answer as far as it came.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    /// Names in small letters.
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

/// A body that nobody has read yet.
pub struct Opened {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub reader: BufReader<TcpStream>,
}

pub fn open(
    host: &Host,
    token: &str,
    head: &str,
    headers: &[(&str, &str)],
    body: &str,
) -> Result<Opened> {
    let mut stream = TcpStream::connect(host.address())?;
    stream.set_read_timeout(Some(Duration::from_secs(60)))?;
    let mut request = format!(
        "{head} HTTP/1.1\r\nHost: {}\r\nAuthorization: Bearer {token}\r\nContent-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n",
        host.address(),
        body.len()
    );
    for (name, value) in headers {
        request.push_str(&format!("{name}: {value}\r\n"));
    }
    write!(stream, "{request}\r\n{body}")?;
    let mut reader = BufReader::new(stream);
    let mut line = String::new();
    reader.read_line(&mut line)?;
    let status = line.split(' ').nth(1).and_then(|code| code.parse().ok());
    let status = status.with_context(|| format!("{line:?} is no status line"))?;
    let mut headers = Vec::new();
    loop {
        line.clear();
        if reader.read_line(&mut line)? <= 2 {
            break;
        }
        if let Some((name, value)) = line.split_once(':') {
            headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
        }
    }
    Ok(Opened {
        status,
        headers,
        reader,
    })
}

/// The whole answer; a body that ends early is an answer too.
pub fn ask(host: &Host, head: &str, headers: &[(&str, &str)], body: &str) -> Result<Answer> {
    let mut opened = open(host, &host.token()?, head, headers, body)?;
    let mut bytes = Vec::new();
    // A reset in the middle is how HTTP/1.1 says that a body is not whole.
    let _ = opened.reader.read_to_end(&mut bytes);
    Ok(Answer {
        status: opened.status,
        headers: opened.headers,
        body: bytes,
    })
}

// === impl Answer ===

impl Answer {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(known, _)| known == name)
            .map(|(_, value)| value.as_str())
    }
}
