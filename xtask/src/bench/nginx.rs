//! nginx with a configuration of its own: one file, one port of the loopback interface, sendfile on or off.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

const PATIENCE: Duration = Duration::from_secs(20);

/// A running nginx. It ends with this value.
pub struct Nginx {
    master: Child,
    pub address: SocketAddr,
}

// === impl Nginx ===

impl Nginx {
    /// Serves the files of `root` with as many workers as there are processors; what it writes goes to `place`, which is made.
    pub fn start(place: &Path, root: &Path, sendfile: bool) -> Result<Self> {
        fs::create_dir_all(place)?;
        // Free now; whoever takes it in between makes nginx fail, which is told.
        let address = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?;
        let configuration = configuration(place, root, address, sendfile);
        let file = place.join("nginx.conf");
        fs::write(&file, configuration)?;
        let log = fs::File::create(place.join("stderr.log"))?;
        let master = Command::new("/usr/sbin/nginx")
            .arg("-p")
            .arg(place)
            .arg("-e")
            .arg(place.join("error.log"))
            .arg("-c")
            .arg(&file)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .context("nginx does not start: `cargo xtask setup` installs it")?;
        let mut nginx = Nginx { master, address };
        let started = Instant::now();
        while TcpStream::connect(address).is_err() {
            let ended = nginx.master.try_wait()?;
            if ended.is_some() || started.elapsed() > PATIENCE {
                let said = fs::read_to_string(place.join("error.log")).unwrap_or_default();
                bail!("nginx does not listen on {address}\n{said}");
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(nginx)
    }

    /// The master's process; the workers are its children.
    pub fn id(&self) -> u32 {
        self.master.id()
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        // By SIGTERM, for a master that is killed leaves its workers behind.
        if let Ok(id) = i32::try_from(self.master.id())
            && let Some(id) = rustix::process::Pid::from_raw(id)
        {
            let _ = rustix::process::kill_process(id, rustix::process::Signal::TERM);
        }
        let _ = self.master.wait();
    }
}

/// What the manual advises for large files: `sendfile_max_chunk` as it comes (2 MiB), `tcp_nopush` with sendfile, and
/// without it buffers larger than the 32 KiB that nginx has by itself.
fn configuration(place: &Path, root: &Path, address: SocketAddr, sendfile: bool) -> String {
    let (place, root) = (place.display(), root.display());
    let way = if sendfile {
        "sendfile on; tcp_nopush on;"
    } else {
        "sendfile off; output_buffers 2 512k;"
    };
    // The worker's user counts only when nginx runs as root: a name that can read the file.
    let user = if rustix::process::geteuid().is_root() {
        "user root;"
    } else {
        ""
    };
    format!(
        "{user} daemon off; worker_processes auto; pid {place}/nginx.pid;
events {{ worker_connections 1024; }}
http {{
    access_log off; {way} open_file_cache max=8;
    client_body_temp_path {place}/body; proxy_temp_path {place}/proxy; fastcgi_temp_path {place}/fastcgi;
    uwsgi_temp_path {place}/uwsgi; scgi_temp_path {place}/scgi;
    server {{ listen {address}; root {root}; }}
}}
"
    )
}
