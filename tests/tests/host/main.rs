//! The host as its users meet it: real processes, a real store, real files, no virtual machine.
//!
//! Needs what `cargo xtask build` builds, and sgdisk, mkfs.ext4, e2fsck, zstd and tar.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod apt;
mod author;
mod crash;
mod disk;
mod hostile;
mod http;
mod languages;
mod lock_files;
mod locks;
mod memory;
mod overlap;
mod place;
mod plugins;
mod recordings;
mod refusals;
mod registry;
mod registry_twin;
mod secrets;
mod sharing;
mod signatures;
mod splice;
mod stall;
mod wire;
