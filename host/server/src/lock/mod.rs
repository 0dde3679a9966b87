//! Lock files: what a profile needs on a base, written down for people, for version control and for programs, without a host.
//!
//! | room | what is in it |
//! |---|---|
//! | [`document`] | the lock file: read, checked, written |
//! | [`diff`] | what two lock files do not have in common |
//! | [`sbom`] | the same as SPDX 2.3 and CycloneDX 1.5 |
//! | [`feed`] | known vulnerabilities, offline |
//!
//! They are made by [`crate::local`], or by a host.

pub mod diff;
pub mod document;
pub mod feed;
pub mod sbom;

pub use diff::{Change, Diff};
pub use document::{Artefact, LockFile, LockFileError, Package, Step};
