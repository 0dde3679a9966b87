//! What a store promises, and the values that cross its border.

use std::fmt;
use std::ops::Bound;
use std::path::PathBuf;

use async_trait::async_trait;
use bytes::Bytes;

use crate::{MAX_KEY, MAX_VALUE, Watch};

/// Records under ordered keys, changed by compare-and-set transactions.
///
/// A transaction that was answered with [`Committed`] survives the process, and whoever lists or gets afterwards sees it whole. One that was not
/// answered happened wholly or not at all.
#[async_trait]
pub trait Store: Send + Sync + fmt::Debug {
    /// The record under `key`.
    async fn get(&self, key: &str) -> Result<Option<Record>, StoreError>;

    /// Records whose keys start with `prefix` and come after `after`, in bytewise key order, at most `limit` (and at most [`MAX_PAGE`](crate::MAX_PAGE)).
    async fn list(
        &self,
        prefix: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Page, StoreError>;

    /// Records whose keys start with `prefix` and come before `before`, last key first, at most `limit` (and at most [`MAX_PAGE`](crate::MAX_PAGE)).
    async fn list_back(
        &self,
        prefix: &str,
        before: Option<&str>,
        limit: usize,
    ) -> Result<Page, StoreError>;

    /// Every change under `prefix` that is committed from now on, in order. To follow a set of records, watch first and list then.
    fn watch(&self, prefix: &str) -> Watch;

    /// Makes all `writes` when all `checks` hold, else none.
    async fn transact(&self, transaction: Transaction) -> Result<Committed, StoreError>;
}

/// The version of a record: the number of the transaction that wrote it last. It rises over the whole store, so a record that was deleted and made again
/// never has an old version again. It serves as an ETag.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Version(pub u64);

/// One record as it was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    pub key: String,
    pub version: Version,
    pub value: Bytes,
}

/// A part of a list.
#[derive(Clone, Debug, Default)]
pub struct Page {
    pub records: Vec<Record>,
    /// Records follow: ask again with `after` = the last key.
    pub more: bool,
}

/// What must hold for a transaction to happen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Check {
    Absent(String),
    Present(String),
    Version(String, Version),
}

/// What a transaction changes. Deleting what is absent is fine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Write {
    Put(String, Bytes),
    Delete(String),
}

/// Checks and writes that happen together. Build it with the methods of the same names.
#[derive(Clone, Debug, Default)]
pub struct Transaction {
    pub checks: Vec<Check>,
    pub writes: Vec<Write>,
}

/// A transaction is durable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Committed {
    /// The version of every record that it put.
    pub version: Version,
}

/// Why a store did not answer, by what the caller does next.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// A check did not hold; nothing was written. Read the record again and decide anew.
    #[error("the record `{key}` is not as expected: {found}")]
    Conflict { key: String, found: &'static str },
    /// The caller's key or value is not storable. Mend the caller.
    #[error("not storable: {0}")]
    Invalid(String),
    /// Another process has the store open. Stop it, or use another directory.
    #[error("`{}` is in use by another bootsplice host: stop it, or give this one a `--state` directory of its own", path.display())]
    InUse { path: PathBuf },
    /// The store was written by a newer release. Run that release.
    #[error(
        "`{what}` has format {found}, and this release knows formats up to {known}: run the release that wrote it"
    )]
    Newer {
        what: String,
        found: u64,
        known: u64,
    },
    /// Bytes on disk are not what was written. Restore from a backup.
    #[error("`{what}` is damaged: {why}")]
    Damaged { what: String, why: String },
    /// The disk or the store behind failed. Trying again can help.
    #[error("the store failed: {0}")]
    Unavailable(String),
}

// === impl Version ===

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

// === impl Page ===

impl Page {
    /// Whether the record under `key` is next on this page. When not, the list ends here, and the page knows whether more follow.
    pub(crate) fn admits(&mut self, key: &str, prefix: &str, limit: usize) -> bool {
        let listed = key.starts_with(prefix);
        self.more = listed && self.records.len() == limit;
        listed && !self.more
    }
}

// === impl Transaction ===

impl Transaction {
    pub fn new() -> Self {
        Self::default()
    }

    /// Only when there is no such record.
    pub fn absent(mut self, key: impl Into<String>) -> Self {
        self.checks.push(Check::Absent(key.into()));
        self
    }

    /// Only when there is such a record, in whatever version.
    pub fn present(mut self, key: impl Into<String>) -> Self {
        self.checks.push(Check::Present(key.into()));
        self
    }

    /// Only when the record still has this version.
    pub fn unchanged(mut self, record: &Record) -> Self {
        self.checks
            .push(Check::Version(record.key.clone(), record.version));
        self
    }

    pub fn put(mut self, key: impl Into<String>, value: impl Into<Bytes>) -> Self {
        self.writes.push(Write::Put(key.into(), value.into()));
        self
    }

    pub fn delete(mut self, key: impl Into<String>) -> Self {
        self.writes.push(Write::Delete(key.into()));
        self
    }

    /// Refuses keys and values that no store takes.
    pub(crate) fn validate(&self) -> Result<(), StoreError> {
        for check in &self.checks {
            valid_key(check.key())?;
        }
        for write in &self.writes {
            valid_key(write.key())?;
            if let Write::Put(key, value) = write
                && value.len() > MAX_VALUE
            {
                return Err(StoreError::Invalid(format!(
                    "the value of `{key}` has {} bytes, at most {MAX_VALUE} are allowed",
                    value.len()
                )));
            }
        }
        Ok(())
    }
}

// === impl Check ===

impl Check {
    pub fn key(&self) -> &str {
        match self {
            Self::Absent(key) | Self::Present(key) | Self::Version(key, _) => key,
        }
    }

    /// Judges the check against the record's version as it stands.
    pub(crate) fn judge(&self, found: Option<Version>) -> Result<(), StoreError> {
        let found = match (self, found) {
            (Self::Absent(_), None) | (Self::Present(_), Some(_)) => return Ok(()),
            (Self::Version(_, wanted), Some(version)) if *wanted == version => return Ok(()),
            (Self::Absent(_), Some(_)) => "it exists already",
            (Self::Present(_), None) | (Self::Version(..), None) => "it does not exist",
            (Self::Version(..), Some(_)) => "it was changed meanwhile",
        };
        Err(StoreError::Conflict {
            key: self.key().to_owned(),
            found,
        })
    }
}

// === impl Write ===

impl Write {
    pub fn key(&self) -> &str {
        match self {
            Self::Put(key, _) | Self::Delete(key) => key,
        }
    }
}

/// Where a list that goes back begins: before `before`, and before the first key that is above all keys of `prefix`.
pub(crate) fn back_from(prefix: &str, before: Option<&str>) -> Bound<String> {
    // The successor of all keys with this prefix: its last character raised by one, where that can be.
    let mut above = prefix.to_owned();
    let end = loop {
        let Some(last) = above.pop() else {
            break Bound::Unbounded;
        };
        let raised = (u32::from(last) + 1..=u32::from(char::MAX)).find_map(char::from_u32);
        if let Some(raised) = raised {
            above.push(raised);
            break Bound::Excluded(above);
        }
    };
    match (before, end) {
        (Some(before), Bound::Excluded(end)) if before < end.as_str() => {
            Bound::Excluded(before.to_owned())
        }
        (Some(before), Bound::Unbounded) => Bound::Excluded(before.to_owned()),
        (_, end) => end,
    }
}

fn valid_key(key: &str) -> Result<(), StoreError> {
    if key.is_empty() || key.len() > MAX_KEY {
        return Err(StoreError::Invalid(format!(
            "a key has 1 to {MAX_KEY} bytes, this one has {}",
            key.len()
        )));
    }
    Ok(())
}
