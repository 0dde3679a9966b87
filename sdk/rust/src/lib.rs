//! Write a bootsplice generator in Rust: a type with four functions becomes a WebAssembly component.
//!
//! ```no_run
//! use bootsplice_sdk::prelude::*;
//!
//! #[derive(serde::Deserialize)]
//! #[serde(deny_unknown_fields)]
//! struct Config {
//!     greeting: String,
//! }
//!
//! struct Motd;
//!
//! impl Generator for Motd {
//!     type Config = Config;
//!
//!     fn describe() -> Descriptor {
//!         Descriptor {
//!             id: "motd".into(),
//!             version: "1.0.0".into(),
//!             title: "Message of the day".into(),
//!             summary: "Greets whoever logs in.".into(),
//!             os_families: vec![OsFamily::Linux],
//!             stage: StepStage::Files,
//!             capabilities: CapabilityRequest { fetch: vec![], secrets: vec![] },
//!             config_schema: r#"{
//!                 "$schema": "https://json-schema.org/draft/2020-12/schema",
//!                 "type": "object", "additionalProperties": false, "required": ["greeting"],
//!                 "properties": {"greeting": {"type": "string", "maxLength": 1000}}
//!             }"#.into(),
//!             examples: vec![Example { title: "A greeting".into(), config: r#"{"greeting": "Hello"}"#.into() }],
//!             joins_steps: false,
//!         }
//!     }
//!
//!     fn validate(_target: Option<&Target>, config: &Config) -> Vec<Diagnostic> {
//!         let mut found = Vec::new();
//!         check_text(&Pointer::root().key("greeting"), &config.greeting, &mut found);
//!         found
//!     }
//!
//!     fn resolve(_target: &Target, config: &Config, _previous: Option<Locked>) -> Result<LockFile, Error> {
//!         Ok(LockFile::without_pins(content(config).max_output()))
//!     }
//!
//!     fn generate(_: &Target, config: &Config, locked: &Locked, _: Option<&Instance>, sink: &Sink) -> Result<Summary, Error> {
//!         content(config).write(locked, sink)
//!     }
//! }
//!
//! /// Plain data: tested with `cargo test`, without a host.
//! fn content(config: &Config) -> StepContent {
//!     let attrs = entry_attrs(None, 0o644, None, None, OnConflict::Replace);
//!     let kind = if has_placeholders(&config.greeting) {
//!         Kind::Template(attrs, config.greeting.clone(), TemplateFormat::Plain)
//!     } else {
//!         Kind::Bytes(attrs, config.greeting.clone().into_bytes())
//!     };
//!     StepContent { entries: vec![Entry { path: "/etc/motd".into(), kind }], ..StepContent::default() }
//! }
//!
//! bootsplice_sdk::export!(Motd);
//! ```
//!
//! In `Cargo.toml`: `crate-type = ["cdylib", "rlib"]`; then `cargo build --release --target wasm32-wasip2` gives the component, and
//! `cargo test` runs what only thinks. Calls of the host panic outside WebAssembly.
//!
//! The contract itself, with its limits, is `wit/since-v0.1.0/generator.wit`; its plain types are re-exported here under their own names.

#![deny(unsafe_code)]

#[allow(unsafe_code, clippy::all, clippy::unwrap_used, unused_qualifications)]
pub mod bindings;
pub mod blob;
pub mod config;
mod diagnostic;
pub mod file;
mod generator;
pub mod path;
pub mod placeholder;
pub mod pointer;
pub mod source;
pub mod step;
pub mod trust;

pub use bindings::bootsplice::generator::{archive, blobs, cache, fetch, inventory, job, types};
pub use bindings::exports::bootsplice::generator::generator::{LockFile, Locked, Pin, Summary};
pub use bindings::exports::bootsplice::generator::plugin_info::{
    CapabilityRequest, Descriptor, Example, StepStage,
};
pub use diagnostic::refuse;
pub use generator::{Exported, Generator};
pub use pointer::Pointer;
pub use types::{Diagnostic, Error};

/// What most generators use.
pub mod prelude {
    pub use crate::archive::{
        Action, Change, ChangeVerb, Command, EditFormat, FileEdit, Service, Sink, TemplateFormat,
    };
    pub use crate::config::{Mode, OnConflict, check_owner, entry_attrs};
    pub use crate::placeholder::{check_text, has_placeholders};
    pub use crate::step::{Entry, Kind, StepContent};
    pub use crate::types::{Diagnostic, Error, Instance, OsFamily, Target};
    pub use crate::{
        CapabilityRequest, Descriptor, Example, Generator, LockFile, Locked, Pin, Pointer,
        StepStage, Summary,
    };
}

// === impl LockFile ===

impl LockFile {
    /// For a generator that fetches nothing and writes at most `max_output` bytes.
    pub fn without_pins(max_output: u64) -> Self {
        Self {
            pins: Vec::new(),
            state: None,
            fresh_for_s: None,
            needs_instance: false,
            max_output,
        }
    }
}
