//! The `apt` generator: Debian packages with everything they need that the image lacks, trusted, pinned, installed offline.

pub mod config;
pub mod content;
pub mod date;
pub mod release;
pub mod repository;
pub mod sources;
pub mod state;
