//! The archive of a launch (RFC 0002), written by the host and read by the agent.
//!
//! [`layer`] makes and reads one step's output, [`header`] signs and opens what binds layers to a launch, [`assemble`] lays both out in a point, [`point`] checks a
//! point before anybody trusts it, [`step`] is what the documents inside say. Everything is pure or works on readers and writers that the caller brings.

#![forbid(unsafe_code)]

pub mod assemble;
mod error;
pub mod header;
pub mod keys;
pub mod layer;
pub mod point;
pub mod step;

pub use error::ArchiveError;

/// Version of everything here: layers, header, step documents.
pub const FORMAT: u32 = 1;

/// All entries of an archive lie under this directory.
pub const ROOT: &str = "bootsplice";

/// zstd level of layers. Part of a layer's key.
pub const LEVEL: i32 = 3;

/// Version of the zstd library in use (1.5.7 is 10507). Part of a layer's key.
pub fn zstd_version() -> u32 {
    zstd::zstd_safe::version_number()
}
