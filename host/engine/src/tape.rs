//! Recordings: everything that came into a run from outside, in order, so that the run can be repeated without a network, elsewhere, and for ever.
//!
//! A call of a generator sees its arguments and what its imports answer; all else of its world (clock, randomness) follows from those. So a
//! recording is a list of exchanges, [`Asked`] and answer, the first of each call being its arguments. Imports that only take (`job.log`,
//! `archive`) or compute (`blobs`) are not in it, and `job.is-cancelled` answers no when it is replayed.
//!
//! On disk: `exchanges.jsonl`, one exchange a line, and `blobs/<hex>` for bytes. A replay that asks anything else than what was asked then ends
//! with [`GeneratorError::Replay`], which names the exchange. A recording holds what the run fetched, private bytes and URLs included; of secrets,
//! names alone.

use std::fs::{self, File, OpenOptions};
use std::future::Future;
use std::io::{self, BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bootsplice_content::Digest;
use parking_lot::Mutex;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::blobs::{Blob, BlobStore, private_dir};
use crate::contract::{Instance, StepLock, Target};
use crate::error::GeneratorError;
use crate::grant::Grants;

/// Bytes of a recording's exchanges, blobs aside.
const MAX_EXCHANGES: u64 = 256 << 20;
const EXCHANGES: &str = "exchanges.jsonl";
const BLOBS: &str = "blobs";

/// What a run asked of the world outside its sandbox.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "call", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Asked {
    /// `resolve` begins: its answer is [`Begun`].
    Resolve {
        config: Value,
        target: Target,
    },
    /// `generate` begins: its answer is the lock.
    Generate {
        config: Value,
        target: Target,
        instance: Option<Instance>,
    },
    Fetch {
        urls: Vec<String>,
        digest: Option<String>,
        size: Option<u64>,
        max_size: u64,
        credential: Option<String>,
        max_age: Option<u32>,
    },
    ReadFile {
        name: String,
    },
    ListFiles,
    CacheGet {
        key: String,
    },
    CachePut {
        key: String,
    },
    Verify {
        content: Digest,
        detached: Option<Digest>,
        /// Of their canonical JSON.
        keyrings: Digest,
    },
    Seen {
        key: String,
        value: u64,
    },
    /// In which scope a pin's URL lies: asked by the host, of the network.
    Scope {
        url: String,
    },
    /// The call has ended.
    End,
}

/// What a `resolve` began with, besides its configuration and target.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Begun {
    /// The host's time then: the guest's clock.
    pub epoch: u64,
    pub previous: Option<StepLock>,
    /// What it might reach: for whoever replays it, who grants the same.
    pub grants: Grants,
}

/// One question and its answer. Numbered from 1.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Exchange {
    pub number: u64,
    pub asked: Asked,
    pub answer: Answer,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Answer {
    Given {
        /// Bytes that came, by their digest.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        blob: Option<Digest>,
        value: Value,
    },
    Refused(GeneratorError),
}

/// Why a recording cannot be made or read.
#[derive(Debug, thiserror::Error)]
pub enum TapeError {
    /// The disk failed, or a recording is there already.
    #[error("{path}: {source}", path = .path.display())]
    Io {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    /// It was changed, cut short, or is none. Record anew.
    #[error("{path}, line {line}: {reason}", path = .path.display())]
    Damaged {
        path: PathBuf,
        line: u64,
        reason: String,
    },
}

/// Records one job after another, or replays them in the same order.
pub struct Tape {
    directory: PathBuf,
    mode: Mutex<Mode>,
}

enum Mode {
    Record {
        out: File,
        number: u64,
    },
    Replay {
        exchanges: Vec<Exchange>,
        next: usize,
    },
}

/// The seam between a run and everything outside it: a tape, or none.
#[derive(Clone, Default)]
pub(crate) struct Outside(Option<Arc<Tape>>);

// === impl Tape ===

impl Tape {
    /// A new recording in `directory`, which may be there but holds none yet.
    pub fn record(directory: impl Into<PathBuf>) -> Result<Self, TapeError> {
        let directory = directory.into();
        let path = directory.join(EXCHANGES);
        let out = private_dir(&directory.join(BLOBS))
            .and_then(|()| OpenOptions::new().write(true).create_new(true).open(&path));
        let out = out.map_err(|source| TapeError::Io { path, source })?;
        Ok(Self {
            directory,
            mode: Mutex::new(Mode::Record { out, number: 0 }),
        })
    }

    /// Replays what [`Tape::record`] wrote.
    pub fn replay(directory: impl Into<PathBuf>) -> Result<Self, TapeError> {
        let directory = directory.into();
        let exchanges = read(&directory.join(EXCHANGES))?;
        Ok(Self {
            directory,
            mode: Mutex::new(Mode::Replay { exchanges, next: 0 }),
        })
    }

    /// The exchanges of a recording that is being replayed: which calls it holds, and with what. Empty while one is made.
    pub fn exchanges(&self) -> Vec<Exchange> {
        match &*self.mode.lock() {
            Mode::Record { .. } => Vec::new(),
            Mode::Replay { exchanges, .. } => exchanges.clone(),
        }
    }

    /// What the `resolve` at this place among a recording's began with. None while one is made, and where there is no such call.
    pub fn begun(&self, resolve: usize) -> Option<Begun> {
        let Mode::Replay { exchanges, .. } = &*self.mode.lock() else {
            return None;
        };
        let mut resolves = exchanges
            .iter()
            .filter(|one| matches!(one.asked, Asked::Resolve { .. }));
        match &resolves.nth(resolve)?.answer {
            Answer::Given { value, .. } => serde_json::from_value(value.clone()).ok(),
            Answer::Refused(_) => None,
        }
    }

    fn replays(&self) -> bool {
        matches!(&*self.mode.lock(), Mode::Replay { .. })
    }

    /// The recorded answer to the next question, which must be `asked`.
    fn next(&self, asked: &Asked) -> Result<Answer, GeneratorError> {
        let mut mode = self.mode.lock();
        let Mode::Replay { exchanges, next } = &mut *mode else {
            return Err(GeneratorError::Host("this tape records".into()));
        };
        let number = *next as u64 + 1;
        let Some(exchange) = exchanges.get(*next).filter(|one| one.asked == *asked) else {
            return Err(GeneratorError::Replay {
                number,
                expected: exchanges.get(*next).map(|one| words(&one.asked)),
                got: words(asked),
            });
        };
        *next += 1;
        Ok(exchange.answer.clone())
    }

    fn write(&self, asked: Asked, answer: Answer) -> io::Result<()> {
        let mut mode = self.mode.lock();
        let Mode::Record { out, number } = &mut *mode else {
            return Err(io::Error::other("this tape replays"));
        };
        *number += 1;
        let mut line = serde_json::to_vec(&Exchange {
            number: *number,
            asked,
            answer,
        })?;
        line.push(b'\n');
        out.write_all(&line)
    }

    fn keep(&self, blob: &Blob) -> io::Result<Digest> {
        let digest = blob.digest()?;
        let path = self.blob_path(&digest);
        if !path.exists() {
            let mut aside = tempfile::NamedTempFile::new_in(self.directory.join(BLOBS))?;
            io::copy(&mut blob.reader(), &mut aside)?;
            aside.persist(&path)?;
        }
        Ok(digest)
    }

    /// A recorded blob: a copy of its own, so that nobody changes it under a run.
    fn kept(&self, digest: &Digest, store: &BlobStore) -> io::Result<Blob> {
        let mut spool = store.spool();
        io::copy(&mut File::open(self.blob_path(digest))?, &mut spool)?;
        if spool.digest() != *digest {
            return Err(io::Error::other(format!(
                "the recorded bytes of {digest} were changed"
            )));
        }
        spool.finish()
    }

    fn blob_path(&self, digest: &Digest) -> PathBuf {
        self.directory.join(BLOBS).join(digest.hex())
    }
}

// === impl Outside ===

impl Outside {
    /// True when nothing real is asked.
    pub fn replays(&self) -> bool {
        self.0.as_ref().is_some_and(|tape| tape.replays())
    }

    /// Answers from the recording, or asks `real` and records what it says. Of the answer, the blob is kept as bytes, the rest as JSON.
    pub async fn exchange<T: Serialize + DeserializeOwned>(
        &self,
        store: &BlobStore,
        asked: impl FnOnce() -> Result<Asked, GeneratorError>,
        real: impl Future<Output = Result<(Option<Blob>, T), GeneratorError>>,
    ) -> Result<(Option<Blob>, T), GeneratorError> {
        let Some(tape) = &self.0 else {
            return real.await;
        };
        let asked = asked()?;
        if tape.replays() {
            return match tape.next(&asked)? {
                Answer::Refused(error) => Err(error),
                Answer::Given { blob, value } => {
                    let blob = blob.map(|digest| tape.kept(&digest, store)).transpose();
                    let blob = blob.map_err(GeneratorError::host("reading a recording"))?;
                    let value = serde_json::from_value(value)
                        .map_err(|error| GeneratorError::Host(format!("a recording: {error}")))?;
                    Ok((blob, value))
                }
            };
        }
        let result = real.await;
        let failed = GeneratorError::host("recording");
        let answer = match &result {
            Ok((blob, value)) => serde_json::to_value(value)
                .map_err(io::Error::from)
                .and_then(|value| {
                    let blob = blob.as_ref().map(|blob| tape.keep(blob)).transpose()?;
                    Ok(Answer::Given { blob, value })
                }),
            // It ends the run, so it is no answer.
            Err(error) if error.ends_run() => return result,
            Err(error) => Ok(Answer::Refused(error.clone())),
        };
        answer
            .and_then(|answer| tape.write(asked, answer))
            .map_err(failed)?;
        result
    }

    /// A call ended with `result`; a replay must have come to the same place.
    pub async fn end<T>(
        &self,
        store: &BlobStore,
        result: Result<T, GeneratorError>,
    ) -> Result<T, GeneratorError> {
        if let Err(GeneratorError::Replay { .. }) = result {
            return result;
        }
        self.exchange(store, || Ok(Asked::End), async { Ok((None, ())) })
            .await?;
        result
    }
}

impl From<Option<Arc<Tape>>> for Outside {
    fn from(tape: Option<Arc<Tape>>) -> Self {
        Self(tape)
    }
}

fn words(asked: &Asked) -> String {
    serde_json::to_string(asked).unwrap_or_else(|error| error.to_string())
}

fn read(path: &Path) -> Result<Vec<Exchange>, TapeError> {
    let failed = |source| TapeError::Io {
        path: path.to_owned(),
        source,
    };
    let file = File::open(path).map_err(failed)?;
    let size = fs::metadata(path).map_err(failed)?.len();
    if size > MAX_EXCHANGES {
        return Err(failed(io::ErrorKind::FileTooLarge.into()));
    }
    let mut exchanges = Vec::new();
    for (line, number) in BufReader::new(file).lines().zip(1..) {
        let damaged = |reason: String| TapeError::Damaged {
            path: path.to_owned(),
            line: number,
            reason,
        };
        let exchange: Exchange = serde_json::from_str(&line.map_err(failed)?)
            .map_err(|error| damaged(error.to_string()))?;
        if exchange.number != number {
            return Err(damaged(format!("it is exchange {}", exchange.number)));
        }
        exchanges.push(exchange);
    }
    Ok(exchanges)
}
