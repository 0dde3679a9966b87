//! The registry inside the host: the OCI distribution specification (1.1) at `/v2/`, and the well-known document that `wkg` looks for.
//!
//! Blobs and manifests lie in an object store by digest, once each; what a repository holds are records in a [`Store`](bootsplice_store::Store). Who may
//! do what is asked of a [`Gate`], and a component is shown to an [`Inspector`] before its manifest is recorded. Why it is so: RFC 0009.

#![forbid(unsafe_code)]

pub mod digest;
pub mod gate;
pub mod inspector;
pub mod limits;
pub mod name;

pub use digest::{Algorithm, ContentDigest};
pub use gate::{Action, Caller, Decision, Gate, GateError};
pub use inspector::{Inspector, InspectorError, Upload};
pub use limits::Limits;
pub use name::{NameError, Reference, Repository, Tag};
