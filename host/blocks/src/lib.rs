//! Verified blocks from object stores.
//!
//! [`open_store`] opens any object store by URL; an [`Origin`] reads from it with a bounded [`Patience`]; a [`Cache`] keeps what was verified and
//! shares it; anything blocks are read from is a [`BlockSource`]. Bytes become a chunk only by their digest matching, so what is corrupt, swapped, cut short
//! or replaced is an error, never content.
//!
//! One ranged read brings a run of adjacent blocks, in a task of its own: readers only wait for it, so one that stalls or goes away holds up nobody.

#![forbid(unsafe_code)]

mod cache;
mod counters;
mod disk;
mod documents;
mod error;
mod fetch;
mod fifo;
mod flight;
mod index;
mod origin;
mod patience;
mod pool;
mod source;
mod store;
#[cfg(test)]
mod testing;
mod volume;

pub use cache::{Cache, CacheConfig};
pub use counters::{CounterSnapshot, Counters};
pub use disk::DiskConfig;
pub use error::{BlocksError, Result};
pub use origin::Origin;
pub use patience::Patience;
pub use source::BlockSource;
pub use store::{SCHEMES, open_store};
pub use volume::Volume;
