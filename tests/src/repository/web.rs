//! A web server on the loopback interface that serves a directory, and answers wrongly where a test wants it.

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::Result;

/// What is said instead of the file.
#[derive(Clone, Debug)]
pub enum Trick {
    /// This status and nothing else.
    Status(u16),
    /// 429 with a short Retry-After to the first request, the file to all others.
    BusyOnce,
    /// Half of the file, and then the connection ends.
    Cut,
    /// Half of the file, as if that were all.
    Half,
    /// The file with one bit of the byte in its middle flipped.
    Flip,
    /// Another address.
    Redirect(String),
}

/// The server. It ends with this value.
pub struct Web {
    address: SocketAddr,
    shared: Arc<Shared>,
}

struct Shared {
    root: PathBuf,
    tricks: Mutex<BTreeMap<String, Trick>>,
    asked: Mutex<Vec<String>>,
    over: AtomicBool,
}

// === impl Web ===

impl Web {
    /// Serves `root` until this value is dropped.
    pub fn serve(root: PathBuf) -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let address = listener.local_addr()?;
        let shared = Arc::new(Shared {
            root,
            tricks: Mutex::default(),
            asked: Mutex::default(),
            over: AtomicBool::new(false),
        });
        let worker = shared.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                if worker.over.load(Ordering::Relaxed) {
                    return;
                }
                let worker = worker.clone();
                if let Ok(stream) = stream {
                    // A client that goes away is its own affair.
                    std::thread::spawn(move || worker.answer(stream).ok());
                }
            }
        });
        Ok(Self { address, shared })
    }

    /// `http://127.0.0.1:PORT/`
    pub fn url(&self) -> String {
        format!("http://{}/", self.address)
    }

    /// Answers requests for `path`, which begins with `/`, like this from now on.
    pub fn play(&self, path: &str, trick: Trick) {
        lock(&self.shared.tricks).insert(path.to_owned(), trick);
    }

    /// The paths below `start` that were asked for, in order.
    pub fn asked(&self, start: &str) -> Vec<String> {
        let asked = lock(&self.shared.asked);
        let below = asked.iter().filter(|path| path.starts_with(start));
        below.cloned().collect()
    }
}

impl Drop for Web {
    fn drop(&mut self) {
        self.shared.over.store(true, Ordering::Relaxed);
        // The loop looks up only when somebody comes.
        let _ = TcpStream::connect(self.address);
    }
}

// === impl Shared ===

impl Shared {
    fn answer(&self, mut stream: TcpStream) -> Result<()> {
        stream.set_read_timeout(Some(Duration::from_secs(30)))?;
        let mut reader = BufReader::new(stream.try_clone()?);
        let mut line = String::new();
        reader.read_line(&mut line)?;
        let path = line.split(' ').nth(1).unwrap_or_default().to_owned();
        while reader.read_line(&mut line)? > 2 {
            line.clear();
        }
        lock(&self.asked).push(path.clone());
        let trick = {
            let mut tricks = lock(&self.tricks);
            match tricks.get(&path) {
                Some(Trick::BusyOnce) => tricks.remove(&path),
                other => other.cloned(),
            }
        };
        // The only escape that these tests need.
        let file = self
            .root
            .join(path.trim_start_matches('/').replace("%25", "%"));
        let (status, mut body) = match fs::read(file) {
            Ok(body) => (200, body),
            Err(_) => (404, Vec::new()),
        };
        let mut length = body.len();
        let middle = length / 2;
        let (status, more) = match &trick {
            None => (status, String::new()),
            Some(Trick::Status(status)) => {
                length = 0;
                (*status, String::new())
            }
            Some(Trick::BusyOnce) => {
                length = 0;
                (429, "Retry-After: 1\r\n".to_owned())
            }
            Some(Trick::Redirect(to)) => {
                length = 0;
                (302, format!("Location: {to}\r\n"))
            }
            Some(Trick::Cut) => {
                body.truncate(middle);
                (status, String::new())
            }
            Some(Trick::Half) => {
                body.truncate(middle);
                length = middle;
                (status, String::new())
            }
            Some(Trick::Flip) => {
                if let Some(byte) = body.get_mut(middle) {
                    *byte ^= 1;
                }
                (status, String::new())
            }
        };
        body.truncate(length);
        write!(
            stream,
            "HTTP/1.1 {status} Some\r\n{more}Content-Length: {length}\r\nConnection: close\r\n\r\n"
        )?;
        stream.write_all(&body)?;
        Ok(())
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
