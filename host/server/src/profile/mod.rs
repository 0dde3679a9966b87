//! Profiles: ordered steps, each `use`s a generator `at` an insertion point `with` a configuration.
//!
//! [`Profile`] is the document, [`check`] finds every fault in one, [`Profiles`] keeps versions that never change, and [`Generators`] is where a `use:` is
//! looked up.

mod check;
mod document;
mod generators;
mod placeholder;
mod reference;
mod schema;
mod shelf;
pub mod uses;

pub use check::{Checked, check, check_with};
pub use document::{LockPolicy, OnFailure, Profile, ProfileRef, Saved, Stage, Step, valid_name};
pub use generators::{Generator, Generators, GeneratorsError};
pub use placeholder::{Placeholder, placeholders};
pub use reference::{PluginName, PluginRef, Versioned, is_tag};
pub use schema::faults_of;
pub use shelf::{Head, Profiles, Put, PutError};
