//! Debian's package semantics, as a library of the apt generator: which packages a request adds to an image, exactly as apt would.
//!
//! * [`version`], [`control`], [`relation`]: the formats of Debian Policy chapters 5 and 7.
//! * [`index`]: repository indexes, prepared once as bytes that are read lazily.
//! * [`status`]: what an image has installed. [`pins`]: which version of a package is wanted.
//! * [`request`], [`policy`]: what is asked for, and under which rules.
//! * [`closure`]: all of it together: the packages that a request adds, each with its reason.
//!
//! No input or output, no clock, no threads: bytes come in, values go out; the same inputs give the same answer on every machine.
#![forbid(unsafe_code)]

pub mod closure;
pub mod control;
mod error;
pub mod index;
pub mod origin;
pub mod pins;
pub mod policy;
pub mod relation;
pub mod request;
pub mod status;
pub mod version;

pub use error::{Error, Result};
