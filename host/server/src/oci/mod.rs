//! The command line's side of an OCI registry: pushing components and signing them, at this host or at another registry.
//!
//! | room | what is in it |
//! |---|---|
//! | [`reference`] | `[HOST/]NAMESPACE/NAME:VERSION` |
//! | [`artifact`] | a component as a manifest, in the CNCF's Wasm layout |
//! | [`remote`] | one registry and how to talk to it |
//! | [`signatures`] | signatures beside a manifest, as cosign keeps them |

pub mod artifact;
pub mod reference;
pub mod remote;
pub mod signatures;
