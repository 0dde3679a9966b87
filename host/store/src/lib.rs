//! Records behind one trait: profiles, launches, tokens, secrets.
//!
//! A [`Store`] maps keys (`profiles/acme/web/00000003`) to records with rising versions, and changes them in transactions that are compare-and-set and
//! durable before they are answered. [`RedbStore`] is the embedded one, [`MemoryStore`] lives for one test; [`conformance`] is what any store must pass.
//! [`Document`] gives a record's bytes a version, [`Seal`] hides a secret's.

#![forbid(unsafe_code)]

pub mod conformance;
mod document;
mod memory;
mod redb;
mod seal;
mod store;
mod watch;

pub use document::Document;
pub use memory::MemoryStore;
pub use redb::{FORMAT, RedbStore};
pub use seal::Seal;
pub use store::{Check, Committed, Page, Record, Store, StoreError, Transaction, Version, Write};
pub use watch::{Change, Watch};

/// Longest key, in bytes.
pub const MAX_KEY: usize = 1024;
/// Longest value, in bytes. Records are documents; big bytes belong to an object store.
pub const MAX_VALUE: usize = 4 << 20;
/// Most records in one page of a list.
pub const MAX_PAGE: usize = 1000;
