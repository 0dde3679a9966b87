//! Runs generators: wasmtime, limits, and one module for each WIT interface.

#![deny(unsafe_code)]

pub mod blobs;
pub mod content;
pub mod contract;
mod error;
pub mod grant;
pub mod key;
mod limits;
mod secret;

pub use error::{EngineError, GeneratorError};
pub use limits::Limits;
pub use secret::{Secret, Secrets, no_secrets};
