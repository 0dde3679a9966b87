//! What a core module is, by its sections.

use std::collections::BTreeSet;

use wasmparser::{Encoding, Parser, Payload};

use crate::{Error, MAX_MODULE};

/// Names of what a module needs and gives.
pub(crate) struct Module {
    /// Modules that it imports from.
    pub imports: BTreeSet<String>,
    pub exports: BTreeSet<String>,
    /// Whether it says itself which world it lives in.
    pub brings_world: bool,
}

// === impl Module ===

impl Module {
    pub fn read(bytes: &[u8]) -> Result<Self, Error> {
        if bytes.len() > MAX_MODULE {
            return Err(Error::NotAModule(format!(
                "it has {} bytes; a module has at most {MAX_MODULE}",
                bytes.len()
            )));
        }
        if !bytes.starts_with(b"\0asm") {
            return Err(Error::NotAModule("it is no WebAssembly".to_owned()));
        }
        if Parser::is_component(bytes) {
            return Err(Error::NotAModule("it is a component already".to_owned()));
        }
        Self::of_sections(bytes)
            .map_err(|error| Error::NotAModule(format!("it is damaged: {error}")))
    }

    fn of_sections(bytes: &[u8]) -> wasmparser::Result<Self> {
        let mut module = Self {
            imports: BTreeSet::new(),
            exports: BTreeSet::new(),
            brings_world: false,
        };
        for payload in Parser::new(0).parse_all(bytes) {
            match payload? {
                Payload::Version {
                    encoding: Encoding::Component,
                    ..
                } => break,
                Payload::ImportSection(section) => {
                    for import in section.into_imports() {
                        module.imports.insert(import?.module.to_owned());
                    }
                }
                Payload::ExportSection(section) => {
                    for export in section {
                        module.exports.insert(export?.name.to_owned());
                    }
                }
                Payload::CustomSection(section) => {
                    module.brings_world |= section.name().starts_with("component-type");
                }
                _ => {}
            }
        }
        Ok(module)
    }
}
