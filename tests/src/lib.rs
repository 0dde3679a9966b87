//! What black-box tests, benches and the demo share: virtual machines that boot what bootsplice wrote.
//!
//! Nothing here knows the inside of bootsplice. It starts real programs, reads what they print and waits for what they
//! say, never for a length of time: emulation is slow and unevenly so.
#![forbid(unsafe_code)]

pub mod accel;
pub mod anonymous;
pub mod base;
pub mod console;
pub mod download;
pub mod host;
pub mod machine;
pub mod mirror;
pub mod places;
pub mod repository;
pub mod wide;

pub use accel::Accel;
pub use console::{Line, Transcript};
pub use host::Host;
pub use machine::{Machine, Network, Running};
