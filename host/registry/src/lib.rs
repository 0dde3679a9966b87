//! The registry inside the host: the OCI distribution specification (1.1) at `/v2/`, and the well-known document that `wkg` looks for.
//!
//! Blobs and manifests lie in an object store by digest, once each; what a repository holds are records in a [`Store`](bootsplice_store::Store). Who may
//! do what is asked of a [`Gate`], and a component is shown to an [`Inspector`] before its manifest is recorded. Why it is so: RFC 0009.
//!
//! | room | what is in it |
//! |---|---|
//! | [`name`], [`digest`] | what things are called |
//! | [`gate`], [`inspector`], [`limits`] | what the host decides |
//! | `path`, `http` | the protocol |
//! | `manifest`, `wasm` | documents that are pushed |
//! | `uploads`, `objects`, `records` | bytes under way, bytes at rest, who holds them |
//! | `push`, `remove` | how manifests come in, and how things go |

#![forbid(unsafe_code)]

pub mod digest;
pub mod error;
pub mod gate;
mod http;
pub mod inspector;
pub mod limits;
mod manifest;
pub mod name;
mod objects;
mod path;
mod push;
mod records;
mod registry;
mod remove;
mod room;
mod uploads;
mod wasm;

pub use digest::{Algorithm, ContentDigest};
pub use error::RegistryError;
pub use gate::{Action, Caller, Decision, Gate, GateError};
pub use http::VERSION;
pub use inspector::{Inspector, InspectorError, Upload};
pub use limits::Limits;
pub use name::{NameError, Reference, Repository, Tag};
pub use registry::{Found, Parts, Registry, Surroundings, sweep_local};
pub use remove::Collected;
