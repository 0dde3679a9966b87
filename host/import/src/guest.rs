//! The guest's inventory, read from the image's ext4 root without mounting it.
//!
//! The filesystem is hostile: sizes, counts and the sum of all reads are bounded, and a panic in the reader ends the reading, not the import.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::panic::AssertUnwindSafe;

use base64::Engine;
use bootsplice_content::Digest;
use bootsplice_volume::gpt::Partition;
use bootsplice_volume::{Inventory, InventoryFile};
use ext4_view::{Ext4, Ext4Read, FileType};
use uuid::Uuid;

/// The inventory and the files that belong to it.
#[derive(Default)]
pub(crate) struct Guest {
    pub(crate) inventory: Inventory,
    pub(crate) files: BTreeMap<Digest, Vec<u8>>,
    pub(crate) warnings: Vec<String>,
}

/// Partition types a root may have: Linux data, and the roots of the Discoverable Partitions Specification, these first.
const ROOTS: [Uuid; 5] = [
    uuid::uuid!("4F68BCE3-E8CD-4DB1-96E7-FBCAF984B709"), // x86-64
    uuid::uuid!("B921B045-1DF0-41C3-AF44-4C6F280D3FAE"), // arm64
    uuid::uuid!("72EC70A6-CF74-40E6-BD49-4BDA08E8F224"), // riscv64
    uuid::uuid!("44479540-F297-41B2-9AF7-D131D5F0458A"), // x86
    uuid::uuid!("0FC63DAF-8483-4772-8E79-3D69D8477DE4"), // Linux filesystem data
];

/// Bytes that may be read of one filesystem.
const BUDGET: u64 = 512 << 20;
/// Bytes of the largest file that is kept.
const MOST_FILE: u64 = 64 << 20;
const MOST_KEY: u64 = 16 << 10;
/// Bytes of one file of apt's, and of all of them.
const MOST_APT_FILE: u64 = 4 << 20;
const MOST_APT: u64 = 32 << 20;
const MOST_ENTRIES: usize = 256;
const KEYS: &str = "/etc/bootsplice/keys.d";
const AGENT: &str = "bootsplice-agent";

/// What stands before the 32 bytes of a key in its SubjectPublicKeyInfo (RFC 8410 section 4).
const ED25519: [u8; 12] = [
    0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00,
];

/// A partition as ext4-view reads it.
struct Window {
    file: File,
    offset: u64,
    length: u64,
    budget: u64,
}

// === impl Guest ===

impl Guest {
    /// Reads the first root that has an os-release; without one the inventory is empty and a warning says so.
    pub(crate) fn read(file: &File, partitions: &[Partition]) -> Self {
        let mut guest = Self::default();
        for kind in ROOTS {
            for partition in partitions.iter().filter(|partition| partition.kind == kind) {
                let attempt =
                    std::panic::catch_unwind(AssertUnwindSafe(|| Self::read_root(file, partition)));
                let reason = match attempt {
                    Ok(Ok(found)) => return found,
                    Ok(Err(reason)) => reason,
                    Err(_) => "its filesystem is damaged".into(),
                };
                guest
                    .warnings
                    .push(format!("partition {}: {reason}", partition.number));
            }
        }
        guest.inventory.v = 1;
        guest
            .warnings
            .push("no ext4 root with an os-release was found: the inventory is empty".into());
        guest.warn();
        guest
    }

    fn read_root(file: &File, partition: &Partition) -> Result<Self, String> {
        let file = file.try_clone().map_err(|error| error.to_string())?;
        let mut window = Window {
            file,
            offset: partition.offset,
            length: partition.length,
            budget: BUDGET,
        };
        window.check()?;
        let root = Ext4::load(Box::new(window))
            .map_err(|error| format!("not a readable ext4: {error}"))?;
        let mut guest = Self::default();
        guest.inventory.v = 1;
        let release = read_file(&root, "/etc/os-release", MOST_KEY)
            .or_else(|| read_file(&root, "/usr/lib/os-release", MOST_KEY))
            .ok_or("no os-release")?;
        guest.inventory.os_release = os_release(&String::from_utf8_lossy(&release));
        guest.keep("os-release", release);
        if let Some(status) = read_file(&root, "/var/lib/dpkg/status", MOST_FILE) {
            let text = String::from_utf8_lossy(&status);
            guest.inventory.architecture =
                package(&text, "dpkg").map(|(_, architecture)| architecture);
            guest.inventory.agent = package(&text, AGENT).map(|(version, _)| version);
            drop(text);
            guest.keep("dpkg-status", status);
        }
        if let Some(version) = guest.inventory.agent.clone() {
            guest.keep("agent-version", version.into_bytes());
        }
        for (name, path) in [("passwd", "/etc/passwd"), ("group", "/etc/group")] {
            let Some(bytes) = read_file(&root, path, MOST_FILE) else {
                continue;
            };
            let text = String::from_utf8_lossy(&bytes);
            let names: BTreeSet<String> = text
                .lines()
                .filter_map(|line| line.split_once(':'))
                .map(|(name, _)| name.to_owned())
                .filter(|name| !name.is_empty())
                .collect();
            if name == "passwd" {
                guest.inventory.users = names;
            } else {
                guest.inventory.groups = names;
            }
            guest.keep(name, bytes);
        }
        let mut left = MOST_APT;
        for path in crate::apt::paths(&root) {
            match read_file(&root, &path, MOST_APT_FILE.min(left)) {
                Some(bytes) => {
                    left -= bytes.len() as u64;
                    guest.keep(&path, bytes);
                }
                None => guest.warnings.push(format!(
                    "{path} is too large to be kept: apt steps do not see it"
                )),
            }
        }
        guest.read_keys(&root);
        guest.warn();
        Ok(guest)
    }

    fn read_keys(&mut self, root: &Ext4) {
        let Ok(entries) = root.read_dir(KEYS) else {
            return;
        };
        for entry in entries.take(MOST_ENTRIES).flatten() {
            let name = entry.file_name();
            let Some(name) = name.as_str().ok().filter(|name| name.ends_with(".pem")) else {
                continue;
            };
            let path = format!("{KEYS}/{name}");
            let by_root = root
                .metadata(path.as_str())
                .is_ok_and(|meta| meta.uid() == 0);
            let key = read_file(root, &path, MOST_KEY).and_then(|bytes| key_id(&bytes));
            match key {
                Some(id) if by_root => {
                    self.inventory.trusted_keys.insert(id);
                }
                Some(_) => self.warnings.push(format!(
                    "{path} is not owned by root: the agent will not trust it"
                )),
                None => self
                    .warnings
                    .push(format!("{path} is not an Ed25519 public key in PEM")),
            }
        }
    }

    fn keep(&mut self, name: &str, bytes: Vec<u8>) {
        let digest = Digest::of(&bytes);
        let record = InventoryFile {
            digest,
            size: bytes.len() as u64,
        };
        self.inventory.files.insert(name.to_owned(), record);
        self.files.insert(digest, bytes);
    }

    fn warn(&mut self) {
        if self.inventory.agent.is_none() {
            self.warnings.push(format!(
                "the package {AGENT} is not installed: no launch of this volume can be applied"
            ));
        }
        if self.inventory.trusted_keys.is_empty() {
            self.warnings.push(format!(
                "no trusted key in {KEYS}: plans for this volume are refused"
            ));
        }
    }
}

// === impl Window ===

impl Window {
    /// Refuses a superblock whose counts would cost memory before anything is read.
    fn check(&mut self) -> Result<(), String> {
        let mut block = [0; 1024];
        self.read(1024, &mut block)
            .map_err(|error| error.to_string())?;
        let u32_at = |at: usize| {
            u32::from_le_bytes([block[at], block[at + 1], block[at + 2], block[at + 3]])
        };
        if block[56..58] != [0x53, 0xEF] {
            return Err("no ext4".into());
        }
        let (log, per_group) = (u32_at(24), u32_at(32));
        let blocks = u64::from(u32_at(4)) | u64::from(u32_at(0x150)) << 32;
        let bytes = (log <= 6)
            .then(|| blocks.checked_mul(1024 << log))
            .flatten();
        let fits = bytes.is_some_and(|bytes| bytes <= self.length) && per_group >= 256;
        if !fits {
            return Err(format!(
                "its ext4 claims {blocks} blocks in groups of {per_group}, more than the partition has"
            ));
        }
        Ok(())
    }
}

impl Ext4Read for Window {
    fn read(
        &mut self,
        start: u64,
        into: &mut [u8],
    ) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
        let length = into.len() as u64;
        if start
            .checked_add(length)
            .is_none_or(|end| end > self.length)
        {
            return Err("a read outside the partition".into());
        }
        self.budget = self
            .budget
            .checked_sub(length)
            .ok_or("the filesystem asks for too many reads")?;
        Ok(self.file.read_exact_at(into, self.offset + start)?)
    }
}

/// A regular file of at most `limit` bytes.
fn read_file(root: &Ext4, path: &str, limit: u64) -> Option<Vec<u8>> {
    let meta = root.metadata(path).ok()?;
    if meta.file_type() != FileType::Regular || meta.len() > limit {
        return None;
    }
    root.read(path).ok()
}

/// os-release(5): assignments, perhaps quoted.
pub fn os_release(text: &str) -> BTreeMap<String, String> {
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    let pairs = lines.filter_map(|line| line.trim().split_once('='));
    pairs
        .map(|(key, value)| {
            let quoted = ['"', '\'']
                .into_iter()
                .find_map(|quote| value.strip_prefix(quote)?.strip_suffix(quote));
            (key.to_owned(), quoted.unwrap_or(value).replace('\\', ""))
        })
        .collect()
}

/// Version and architecture of an installed package, from dpkg's status file (deb-control(5) paragraphs).
pub fn package(status: &str, name: &str) -> Option<(String, String)> {
    let paragraph = status.split("\n\n").find(|paragraph| {
        paragraph.lines().any(|line| {
            line.strip_prefix("Package:")
                .is_some_and(|found| found.trim() == name)
        })
    })?;
    let field = |key: &str| {
        let mut lines = paragraph.lines();
        lines
            .find_map(|line| line.strip_prefix(key)?.strip_prefix(':'))
            .map(|value| value.trim().to_owned())
    };
    let installed = field("Status")?.split_whitespace().last() == Some("installed");
    installed
        .then(|| Some((field("Version")?, field("Architecture")?)))
        .flatten()
}

/// The id of an Ed25519 key in SPKI PEM: the first 16 hex digits of SHA-256 of its 32 bytes (RFC 0006).
pub(crate) fn key_id(pem: &[u8]) -> Option<String> {
    let text = std::str::from_utf8(pem).ok()?;
    let (_, rest) = text.split_once("-----BEGIN PUBLIC KEY-----")?;
    let (body, _) = rest.split_once("-----END PUBLIC KEY-----")?;
    let body: String = body.split_whitespace().collect();
    let der = base64::engine::general_purpose::STANDARD
        .decode(body)
        .ok()?;
    let key = der.strip_prefix(&ED25519)?;
    (key.len() == 32).then(|| Digest::of(key).hex()[..16].to_owned())
}
