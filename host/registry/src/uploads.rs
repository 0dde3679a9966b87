//! Uploads under way. Their bytes lie in unnamed files on the local disk and their state in memory: a host that stops forgets both, and clients start
//! again. Nothing of an upload is visible before its digest was checked.

use std::collections::HashMap;
use std::io::SeekFrom;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use axum::body::{Body, BodyDataStream};
use futures::StreamExt as _;
use parking_lot::Mutex;
use time::OffsetDateTime;
use tokio::fs::File;
use tokio::io::{AsyncReadExt as _, AsyncSeekExt as _, AsyncWriteExt as _};

use crate::digest::{Algorithm, ContentDigest, Hasher};
use crate::error::{RegistryError, Result};
use crate::limits::Limits;
use crate::name::Repository;

/// All uploads of a registry.
#[derive(Debug)]
pub(crate) struct Uploads {
    directory: PathBuf,
    limits: Limits,
    used: Arc<AtomicU64>,
    sessions: Mutex<HashMap<String, Arc<Session>>>,
}

/// One upload. Whoever works on it has it alone.
#[derive(Debug)]
pub(crate) struct Session {
    pub(crate) id: String,
    repository: Repository,
    tenant: String,
    touched: Mutex<OffsetDateTime>,
    pub(crate) spool: tokio::sync::Mutex<Spool>,
}

/// The bytes that have arrived.
pub(crate) struct Spool {
    file: File,
    hasher: Hasher,
    length: u64,
    limits: Limits,
    used: Arc<AtomicU64>,
}

/// Where a chunk says that it belongs: its first and last byte (`Content-Range: 0-9`, without the unit that HTTP would have).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Chunk {
    pub(crate) start: u64,
    pub(crate) end: u64,
}

// === impl Uploads ===

impl Uploads {
    pub(crate) fn new(directory: PathBuf, limits: Limits) -> Self {
        Self {
            directory,
            limits,
            used: Arc::default(),
            sessions: Mutex::default(),
        }
    }

    /// Begins an upload. The id must be unguessable.
    pub(crate) async fn begin(
        &self,
        id: String,
        repository: &Repository,
        tenant: &str,
        algorithm: Algorithm,
        now: OffsetDateTime,
    ) -> Result<Arc<Session>> {
        let directory = self.directory.clone();
        let file = tokio::task::spawn_blocking(move || tempfile::tempfile_in(directory));
        let file = file
            .await
            .map_err(|error| RegistryError::Unavailable(error.to_string()))??;
        let spool = Spool {
            file: File::from_std(file),
            hasher: Hasher::new(algorithm),
            length: 0,
            limits: self.limits.clone(),
            used: self.used.clone(),
        };
        let session = Arc::new(Session {
            id: id.clone(),
            repository: repository.clone(),
            tenant: tenant.to_owned(),
            touched: Mutex::new(now),
            spool: tokio::sync::Mutex::new(spool),
        });
        let mut sessions = self.sessions.lock();
        self.sweep(&mut sessions, now);
        let own = sessions
            .values()
            .filter(|session| session.tenant == tenant)
            .count();
        if own >= self.limits.sessions {
            return Err(RegistryError::TooMany(format!(
                "{own} uploads are under way, at most {} are allowed: finish or cancel one",
                self.limits.sessions
            )));
        }
        sessions.insert(id, session.clone());
        Ok(session)
    }

    /// The upload with this id, for its own tenant and repository only.
    pub(crate) fn find(
        &self,
        id: &str,
        repository: &Repository,
        tenant: &str,
        now: OffsetDateTime,
    ) -> Result<Arc<Session>> {
        let mut sessions = self.sessions.lock();
        self.sweep(&mut sessions, now);
        let found = sessions
            .get(id)
            .filter(|session| session.repository == *repository && session.tenant == tenant);
        let session = found.cloned().ok_or(RegistryError::UploadUnknown)?;
        *session.touched.lock() = now;
        Ok(session)
    }

    /// Ends an upload. Its bytes go when the last one lets go of it.
    pub(crate) fn end(&self, id: &str) {
        self.sessions.lock().remove(id);
    }

    /// Gives up what nobody touched for long; how many.
    pub(crate) fn expire(&self, now: OffsetDateTime) -> usize {
        let mut sessions = self.sessions.lock();
        self.sweep(&mut sessions, now)
    }

    fn sweep(&self, sessions: &mut HashMap<String, Arc<Session>>, now: OffsetDateTime) -> usize {
        let before = sessions.len();
        // One that is being written to is held by its writer too.
        sessions.retain(|_, session| {
            Arc::strong_count(session) > 1 || now - *session.touched.lock() < self.limits.session
        });
        before - sessions.len()
    }
}

// === impl Spool ===

impl Spool {
    pub(crate) fn length(&self) -> u64 {
        self.length
    }

    /// Takes a body as the next bytes. Of a body that breaks off, what had arrived stays; one that is not as its chunk says leaves nothing.
    pub(crate) async fn append(
        &mut self,
        body: Body,
        chunk: Option<Chunk>,
        announced: Option<u64>,
    ) -> Result<()> {
        let start = self.length;
        if let Some(chunk) = chunk {
            if chunk.start != start {
                return Err(RegistryError::OutOfOrder {
                    offset: start,
                    start: chunk.start,
                });
            }
            if announced.is_some_and(|length| length != chunk.length()) {
                return Err(chunk.other_length(announced.unwrap_or_default()));
            }
        }
        if start.saturating_add(announced.unwrap_or(0)) > self.limits.blob {
            return Err(self.too_large());
        }
        let before = self.hasher.clone();
        let most = chunk.map(Chunk::length);
        let outcome = match self.take(body.into_data_stream(), most).await {
            Err(RegistryError::Body(why)) => {
                self.file.flush().await?;
                return Err(RegistryError::Body(why));
            }
            Ok(taken) => match chunk {
                Some(chunk) if taken != chunk.length() => Err(chunk.other_length(taken)),
                _ => Ok(()),
            },
            Err(error) => Err(error),
        };
        if outcome.is_err() {
            self.truncate(start, before).await?;
        }
        outcome
    }

    async fn take(&mut self, mut body: BodyDataStream, most: Option<u64>) -> Result<u64> {
        let mut taken = 0;
        loop {
            let next = tokio::time::timeout(self.limits.silence, body.next());
            let piece = match next.await {
                Err(_) => {
                    let seconds = self.limits.silence.as_secs();
                    return Err(RegistryError::Body(format!("nothing came for {seconds} s")));
                }
                Ok(None) => break,
                Ok(Some(Err(error))) => return Err(RegistryError::Body(error.to_string())),
                Ok(Some(Ok(piece))) => piece,
            };
            let length = piece.len() as u64;
            taken += length;
            if most.is_some_and(|most| taken > most) {
                return Ok(taken);
            }
            if self.length + length > self.limits.blob {
                return Err(self.too_large());
            }
            if self.used.fetch_add(length, Ordering::Relaxed) + length > self.limits.spool {
                self.used.fetch_sub(length, Ordering::Relaxed);
                return Err(RegistryError::TooMany(
                    "other uploads fill the space for uploads: try again later".to_owned(),
                ));
            }
            self.length += length;
            self.hasher.update(&piece);
            self.file.write_all(&piece).await?;
        }
        self.file.flush().await?;
        Ok(taken)
    }

    async fn truncate(&mut self, length: u64, hasher: Hasher) -> Result<()> {
        self.file.flush().await?;
        self.file.set_len(length).await?;
        self.file.seek(SeekFrom::Start(length)).await?;
        self.used.fetch_sub(self.length - length, Ordering::Relaxed);
        self.length = length;
        self.hasher = hasher;
        Ok(())
    }

    /// Checks the bytes against a digest and gives them to read from the first.
    pub(crate) async fn verified(&mut self, claimed: &ContentDigest) -> Result<&mut File> {
        self.file.flush().await?;
        let actual = if self.hasher.algorithm() == claimed.algorithm() {
            self.hasher.clone().finish()
        } else {
            // The algorithm was not said when the upload began.
            self.digest(claimed.algorithm()).await?
        };
        if actual != *claimed {
            let claimed = claimed.clone();
            return Err(RegistryError::DigestMismatch { claimed, actual });
        }
        self.file.rewind().await?;
        Ok(&mut self.file)
    }

    async fn digest(&mut self, algorithm: Algorithm) -> Result<ContentDigest> {
        self.file.rewind().await?;
        let mut hasher = Hasher::new(algorithm);
        let mut piece = vec![0; 1 << 20];
        loop {
            let read = self.file.read(&mut piece).await?;
            if read == 0 {
                return Ok(hasher.finish());
            }
            hasher.update(&piece[..read]);
        }
    }

    fn too_large(&self) -> RegistryError {
        let limit = self.limits.blob;
        RegistryError::TooLarge {
            what: "a blob",
            limit,
        }
    }
}

impl Drop for Spool {
    fn drop(&mut self) {
        self.used.fetch_sub(self.length, Ordering::Relaxed);
    }
}

impl std::fmt::Debug for Spool {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Spool({} bytes)", self.length)
    }
}

// === impl Chunk ===

impl Chunk {
    /// `^[0-9]+-[0-9]+$`
    pub(crate) fn parse(text: &str) -> Result<Self> {
        let wrong = || {
            let text: String = text.chars().take(80).collect();
            RegistryError::UploadInvalid(format!(
                "the Content-Range is `{text}`: expected the first and the last byte of the chunk, `0-1023`"
            ))
        };
        let number = |text: &str| {
            let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
            digits
                .then(|| text.parse().ok())
                .flatten()
                .ok_or_else(wrong)
        };
        let (start, end) = text.split_once('-').ok_or_else(wrong)?;
        let (start, end) = (number(start)?, number(end)?);
        if end < start || end - start == u64::MAX {
            return Err(wrong());
        }
        Ok(Self { start, end })
    }

    fn length(self) -> u64 {
        self.end - self.start + 1
    }

    fn other_length(self, length: u64) -> RegistryError {
        RegistryError::SizeInvalid(format!(
            "the Content-Range speaks of {} bytes, and {length} came",
            self.length()
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chunk_is_two_numbers_in_order() {
        let chunk = Chunk::parse("5-9").unwrap();
        assert_eq!((chunk.start, chunk.length()), (5, 5));
        for bad in [
            "",
            "-",
            "5-",
            "-5",
            "9-5",
            "a-b",
            "+1-2",
            "bytes 0-5",
            "0-18446744073709551615",
            "0-99999999999999999999",
        ] {
            assert!(Chunk::parse(bad).is_err(), "{bad}");
        }
    }
}
