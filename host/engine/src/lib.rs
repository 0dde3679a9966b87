//! Runs generators: wasmtime, limits, and one module for each WIT interface.
//!
//! [`Engine::install`] compiles an uploaded component in a limited child and asks it to describe itself. [`Engine::resolve`] decides every
//! artefact of a step (the lock), [`Engine::generate`] makes its [`content`], and [`layer`] turns that into a layer and the part that is
//! filled per launch. Every call runs in a store of its own: memory, processor time, wall-clock time, handles, log, fetches and output are
//! limited, and however it ends, the engine and all other runs are untouched.

#![deny(unsafe_code)]

mod artefact;
pub mod blobs;
mod cache;
pub mod clock;
mod compiler;
mod config;
pub mod content;
pub mod contract;
mod counters;
mod engine;
mod error;
pub mod fetch;
pub mod grant;
mod inspection;
mod job;
pub mod key;
pub mod layer;
mod limits;
mod metering;
mod plugin;
mod pool;
mod run;
pub mod schema;
mod secret;
pub mod tape;
pub mod trust;
mod v0_1;

pub use counters::Counted;
pub use engine::{Engine, EngineConfig};
pub use error::{EngineError, GeneratorError};
pub use inspection::{Inspection, MAX_COMPONENT};
pub use job::{Job, Level, Observer, Traced};
pub use limits::Limits;
pub use metering::{Metering, Usage};
pub use plugin::Plugin;
pub use secret::{Secret, Secrets, no_secrets};
