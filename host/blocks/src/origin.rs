//! Reads from an object store, each checked for length.
//!
//! Only whole small documents and ranges of packs are read, never streams of unknown length: a file that shrinks while it is streamed yields
//! empty pieces for ever, and a range past the end succeeds with fewer bytes (both seen with object_store 0.14). Here an answer has the
//! length that was asked for, from an object of the size and ETag that were expected, or it is an error.

use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use bytes::Bytes;
use futures::StreamExt;
use object_store::path::Path;
use object_store::{GetOptions, GetRange, GetResultPayload, ObjectStore, ObjectStoreExt};
use tokio::time::{Instant, sleep, timeout};

use crate::counters::add;
use crate::patience::Budget;
use crate::pool::{Buffer, Pool};
use crate::{BlocksError, Counters, Patience, Result};

/// An object store and the patience that all its readers share.
#[derive(Debug)]
pub struct Origin {
    store: Arc<dyn ObjectStore>,
    patience: Patience,
    budget: Budget,
}

/// One object as its placement describes it.
#[derive(Clone, Debug)]
pub(crate) struct Object {
    pub(crate) path: String,
    /// Bytes, where known.
    pub(crate) size: Option<u64>,
    pub(crate) etag: Option<String>,
}

/// Why one attempt failed, by what the loop does next.
enum Failure {
    Final(BlocksError),
    /// Fewer or more bytes than the object has by its description: read once more, then it is damaged.
    Length(String),
    Transient(String),
}

/// Pieces without a byte in a row, after which an answer counts as broken.
const MOST_EMPTY_PIECES: u32 = 64;

// === impl Origin ===

impl Origin {
    pub fn new(store: Arc<dyn ObjectStore>, patience: Patience) -> Self {
        Self {
            store,
            patience,
            budget: Budget::new(),
        }
    }

    /// The store itself, for writers and listings.
    pub fn store(&self) -> &Arc<dyn ObjectStore> {
        &self.store
    }

    /// A whole document of at most `limit` bytes. Its content is not verified.
    pub async fn document(&self, path: &str, limit: usize, counters: &Counters) -> Result<Bytes> {
        let object = Object {
            path: path.to_owned(),
            size: None,
            etag: None,
        };
        let pool = Pool::new(limit + 1, 0);
        let (buffer, length) = self
            .read(&object, 0..limit as u64 + 1, &pool, counters)
            .await?;
        if length > limit {
            let reason = format!("longer than the {limit} bytes that such a document may have");
            return Err(BlocksError::corrupt(path, None, reason));
        }
        Ok(Bytes::copy_from_slice(&buffer.bytes()[..length]))
    }

    /// Exactly `range` of a pack, at the front of a buffer of `pool`.
    pub(crate) async fn range(
        &self,
        object: &Object,
        range: Range<u64>,
        pool: &Pool,
        counters: &Counters,
    ) -> Result<Buffer> {
        Ok(self.read(object, range, pool, counters).await?.0)
    }

    async fn read(
        &self,
        object: &Object,
        range: Range<u64>,
        pool: &Pool,
        counters: &Counters,
    ) -> Result<(Buffer, usize)> {
        let end = Instant::now() + self.patience.total;
        let mut wrong_length = false;
        let mut attempts = 0;
        loop {
            attempts += 1;
            add(&counters.origin_requests, 1);
            let left = end.saturating_duration_since(Instant::now());
            let attempt = self.attempt(object, range.clone(), pool, counters);
            let reason = match timeout(self.patience.request.min(left), attempt).await {
                Ok(Ok(read)) => {
                    self.budget.succeeded();
                    return Ok(read);
                }
                Ok(Err(Failure::Final(error))) => return Err(error),
                Ok(Err(Failure::Length(reason))) if wrong_length => {
                    return Err(BlocksError::corrupt(&object.path, None, reason));
                }
                Ok(Err(Failure::Length(reason))) => {
                    wrong_length = true;
                    reason
                }
                Ok(Err(Failure::Transient(reason))) => reason,
                Err(_) => format!("no answer in {:?}", self.patience.request.min(left)),
            };
            let retry = |reason| BlocksError::Retry {
                object: object.path.clone(),
                attempts,
                reason,
            };
            let pause = self.patience.pause(attempts, range.start);
            if attempts >= self.patience.attempts || Instant::now() + pause >= end {
                return Err(retry(reason));
            }
            if !self.budget.take() {
                return Err(retry(format!(
                    "{reason}; the origin's retry budget is spent"
                )));
            }
            tracing::debug!(object = object.path, attempts, reason, "reading again");
            add(&counters.retries, 1);
            sleep(pause).await;
        }
    }

    async fn attempt(
        &self,
        object: &Object,
        range: Range<u64>,
        pool: &Pool,
        counters: &Counters,
    ) -> Result<(Buffer, usize), Failure> {
        let path = Path::parse(&object.path).map_err(|error| {
            Failure::Final(BlocksError::Invalid {
                what: "object path",
                found: object.path.clone(),
                expected: error.to_string(),
            })
        })?;
        let options = GetOptions {
            range: Some(GetRange::Bounded(range.clone())),
            if_match: object.etag.clone(),
            ..GetOptions::default()
        };
        let answer = match self.store.get_opts(&path, options).await {
            Ok(answer) => answer,
            Err(error) => return Err(self.failure(object, &path, error).await),
        };
        if let Some(size) = object.size
            && answer.meta.size != size
        {
            return Err(Failure::Length(wrong_size(answer.meta.size, size)));
        }
        // Documents are read by a generous range; a pack's range must be answered in full.
        let expected = range.start..range.end.min(answer.meta.size);
        if answer.range != expected || (object.size.is_some() && expected != range) {
            return Err(Failure::Length(format!(
                "asked for bytes {range:?}, got {:?}",
                answer.range
            )));
        }
        let length = (expected.end - expected.start) as usize;
        let mut buffer = pool.take();
        match answer.payload {
            GetResultPayload::File(file, _) => {
                let read = tokio::task::spawn_blocking(move || {
                    file.read_exact_at(&mut buffer.bytes_mut()[..length], expected.start)
                        .map(|()| buffer)
                });
                buffer = match read.await {
                    Ok(Ok(buffer)) => buffer,
                    Ok(Err(error)) if error.kind() == std::io::ErrorKind::UnexpectedEof => {
                        return Err(Failure::Length("the file ends early".into()));
                    }
                    Ok(Err(error)) => return Err(Failure::Transient(error.to_string())),
                    Err(error) => return Err(Failure::Transient(error.to_string())),
                };
            }
            GetResultPayload::Stream(mut pieces) => {
                let (mut filled, mut empty) = (0, 0);
                while let Some(piece) = pieces.next().await {
                    let piece = piece.map_err(|error| Failure::Transient(error.to_string()))?;
                    let Some(space) =
                        buffer.bytes_mut()[..length].get_mut(filled..filled + piece.len())
                    else {
                        return Err(Failure::Length(format!("more than {length} bytes came")));
                    };
                    space.copy_from_slice(&piece);
                    filled += piece.len();
                    empty = if piece.is_empty() { empty + 1 } else { 0 };
                    if empty > MOST_EMPTY_PIECES {
                        return Err(Failure::Length(format!(
                            "{filled} of {length} bytes came, then empty pieces without end"
                        )));
                    }
                }
                if filled < length {
                    return Err(Failure::Length(format!("{filled} of {length} bytes came")));
                }
            }
        }
        add(&counters.origin_bytes, length as u64);
        Ok((buffer, length))
    }

    /// Sorts a store's error. A range past the end of a truncated object is a nondescript error in most stores, so the size is asked for.
    async fn failure(&self, object: &Object, path: &Path, error: object_store::Error) -> Failure {
        use object_store::Error;
        let name = object.path.clone();
        let reason = error.to_string();
        match error {
            Error::NotFound { .. } => Failure::Final(BlocksError::Missing { object: name }),
            Error::Precondition { .. } | Error::NotModified { .. } => {
                Failure::Final(BlocksError::Changed {
                    object: name,
                    etag: object.etag.clone().unwrap_or_default(),
                })
            }
            Error::PermissionDenied { .. } | Error::Unauthenticated { .. } => {
                Failure::Final(BlocksError::Denied {
                    object: name,
                    reason,
                })
            }
            Error::InvalidPath { .. }
            | Error::NotSupported { .. }
            | Error::NotImplemented { .. }
            | Error::UnknownConfigurationKey { .. } => Failure::Final(BlocksError::Invalid {
                what: "object",
                found: name,
                expected: format!("one that the store can read by ranges ({reason})"),
            }),
            _ => match (object.size, self.store.head(path).await) {
                (Some(size), Ok(meta)) if meta.size != size => {
                    Failure::Length(wrong_size(meta.size, size))
                }
                (None, Ok(meta)) if meta.size == 0 => Failure::Length("the object is empty".into()),
                _ => Failure::Transient(reason),
            },
        }
    }
}

fn wrong_size(found: u64, expected: u64) -> String {
    format!("the object has {found} bytes, its placement says {expected}")
}
