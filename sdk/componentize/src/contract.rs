//! The world that a generator lives in, as this crate has it.

use std::collections::BTreeSet;

use wit_parser::{LiftLowerAbi, ManglingAndAbi, Resolve, WasmExport, WorldId, WorldItem, WorldKey};

use crate::Error;

/// The contract's package and version.
pub const CONTRACT: &str = "bootsplice:generator@0.1.0";
pub(crate) const TEXT: &str = include_str!("../wit/generator.wit");

const ABI: ManglingAndAbi = ManglingAndAbi::Legacy(LiftLowerAbi::Sync);

/// The contract, read.
pub(crate) struct Contract {
    pub resolve: Resolve,
    pub world: WorldId,
    imports: BTreeSet<String>,
}

// === impl Contract ===

impl Contract {
    pub fn read() -> Result<Self, Error> {
        let fault = |error: &dyn std::fmt::Display| Error::Fault(format!("{error:#}"));
        let mut resolve = Resolve::default();
        let package = resolve
            .push_str("generator.wit", TEXT)
            .map_err(|error| fault(&error))?;
        let world = resolve
            .select_world(&[package], Some("plugin"))
            .map_err(|error| fault(&error))?;
        let imports = resolve.worlds[world]
            .imports
            .keys()
            .map(|key| resolve.name_world_key(key))
            .collect();
        Ok(Self {
            resolve,
            world,
            imports,
        })
    }

    /// Whether modules may import from a module of this name. Resources of exported interfaces would bring `[export]…`; this world has none.
    pub fn has_import(&self, module: &str) -> bool {
        self.imports.contains(module)
    }

    /// What the canonical ABI calls the functions that the world exports.
    pub fn exports(&self) -> impl Iterator<Item = String> + '_ {
        let world = &self.resolve.worlds[self.world];
        world.exports.iter().flat_map(|(key, item)| {
            let functions: Vec<String> = match item {
                WorldItem::Interface { id, .. } => self.resolve.interfaces[*id]
                    .functions
                    .values()
                    .map(|function| self.name(Some(key), function))
                    .collect(),
                WorldItem::Function(function) => vec![self.name(None, function)],
                WorldItem::Type { .. } => Vec::new(),
            };
            functions
        })
    }

    fn name(&self, interface: Option<&WorldKey>, func: &wit_parser::Function) -> String {
        let export = WasmExport::Func {
            interface,
            func,
            kind: wit_parser::WasmExportKind::Normal,
        };
        self.resolve.wasm_export_name(ABI, export)
    }
}
