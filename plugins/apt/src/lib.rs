//! The `apt` generator: Debian packages with everything they need that the image lacks, trusted, pinned, installed offline.

pub mod config;
pub mod date;
pub mod release;
pub mod sources;
