//! Makes a generator's component from a core WebAssembly module, as compilers without components of their own give it (Go, C).
//!
//! In: a module of at most 64 MiB that is a *reactor* (it exports `_initialize` or needs no start, and has no `main`), exports the functions of the
//! world `bootsplice:generator/plugin` by their names of the canonical ABI, and imports nothing but that world and WASI preview 1. The world is
//! the one in this crate unless the module brings its own (custom sections `component-type…`, as `wit-bindgen` writes them).
//! Out: the component. The same module gives the same bytes, and nothing is read but the module.
//!
//! WASI preview 1 becomes imports of WASI 0.2 by the adapter of the Wasmtime project; only those remain that the module reaches. The host links
//! WASI with nothing granted.

#![forbid(unsafe_code)]

mod contract;
mod module;

use wit_component::{ComponentEncoder, StringEncoding, embed_component_metadata};

pub use contract::CONTRACT;
use contract::Contract;
use module::Module;

/// Largest module that is taken, in bytes: what a host takes of a component.
pub const MAX_MODULE: usize = 64 << 20;

/// Module whose functions the adapter provides.
const PREVIEW1: &str = "wasi_snapshot_preview1";

/// Why there is no component, by what mends it.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// These bytes are nothing to make a component from.
    #[error("{0}")]
    NotAModule(String),
    /// Build it as a reactor.
    #[error(
        "the module is a program with a `main` (it exports `_start`): build it as a library (Go: -buildmode=c-shared; C: -mexec-model=reactor)"
    )]
    Command,
    /// Link the SDK, whose bindings export them.
    #[error(
        "the module does not export {}: it needs the SDK's bindings of the world `plugin` of {CONTRACT}",
        .0.join(", ")
    )]
    MissingExports(Vec<String>),
    /// Do without them.
    #[error("the module imports what no host offers: {}", .0.join(", "))]
    ForeignImports(Vec<String>),
    /// The module says one thing and has another: bindings of another version, or by hand.
    #[error("the module does not fit the world `plugin` of {CONTRACT}: {0}")]
    Mismatch(String),
    /// This crate is at fault.
    #[error("a fault in componentize: {0}")]
    Fault(String),
}

/// The component of `module`.
pub fn componentize(module: &[u8]) -> Result<Vec<u8>, Error> {
    let contract = Contract::read()?;
    let facts = Module::read(module)?;
    if facts.exports.contains("_start") {
        return Err(Error::Command);
    }
    let missing = absent(contract.exports(), |name| facts.exports.contains(name));
    if !missing.is_empty() {
        return Err(Error::MissingExports(missing));
    }
    let foreign = absent(facts.imports.iter().cloned(), |name| {
        name == PREVIEW1 || facts.brings_world || contract.has_import(name)
    });
    if !foreign.is_empty() {
        return Err(Error::ForeignImports(foreign));
    }
    let mut module = module.to_vec();
    if !facts.brings_world {
        embed_component_metadata(
            &mut module,
            &contract.resolve,
            contract.world,
            StringEncoding::UTF8,
        )
        .map_err(|error| Error::Fault(format!("{error:#}")))?;
    }
    encode(&module).map_err(|error| Error::Mismatch(format!("{error:#}")))
}

fn encode(module: &[u8]) -> Result<Vec<u8>, impl std::fmt::Display> {
    let adapter = wasi_preview1_component_adapter_provider::WASI_SNAPSHOT_PREVIEW1_REACTOR_ADAPTER;
    ComponentEncoder::default()
        .validate(true)
        .module(module)
        .and_then(|encoder| encoder.adapter(PREVIEW1, adapter))
        .and_then(ComponentEncoder::encode)
}

/// Those of `names` that are not there.
fn absent(names: impl Iterator<Item = String>, is_there: impl Fn(&str) -> bool) -> Vec<String> {
    names.filter(|name| !is_there(name)).collect()
}

#[cfg(test)]
mod tests {
    use wit_component::{DecodedWasm, dummy_module};
    use wit_parser::{LiftLowerAbi, ManglingAndAbi, Resolve};

    use super::*;

    fn of_world(package: &str, world: &str) -> Vec<u8> {
        let mut resolve = Resolve::default();
        let package = resolve.push_str("test.wit", package).unwrap();
        let world = resolve.select_world(&[package], Some(world)).unwrap();
        dummy_module(&resolve, world, ManglingAndAbi::Legacy(LiftLowerAbi::Sync))
    }

    fn ours() -> Vec<u8> {
        of_world(contract::TEXT, "plugin")
    }

    #[test]
    fn a_module_of_the_world_becomes_a_component_of_it_and_always_the_same() {
        let component = componentize(&ours()).unwrap();
        assert_eq!(component, componentize(&ours()).unwrap());
        let DecodedWasm::Component(resolve, world) = wit_component::decode(&component).unwrap()
        else {
            panic!("it is no component");
        };
        let exports: Vec<String> = resolve.worlds[world]
            .exports
            .keys()
            .map(|key| resolve.name_world_key(key))
            .collect();
        assert_eq!(
            exports,
            [
                "bootsplice:generator/plugin-info@0.1.0",
                "bootsplice:generator/generator@0.1.0"
            ]
        );
    }

    #[test]
    fn a_module_that_brings_its_world_gives_the_same_component() {
        let contract = Contract::read().unwrap();
        let mut module = ours();
        embed_component_metadata(
            &mut module,
            &contract.resolve,
            contract.world,
            StringEncoding::UTF8,
        )
        .unwrap();
        assert_eq!(
            componentize(&module).unwrap(),
            componentize(&ours()).unwrap()
        );
    }

    #[test]
    fn exports_that_are_missing_are_named() {
        let module = of_world("package a:b; world c { export d: func(); }", "c");
        let error = componentize(&module).unwrap_err();
        let Error::MissingExports(names) = error else {
            panic!("{error}");
        };
        assert!(names.contains(&"bootsplice:generator/generator@0.1.0#resolve".to_owned()));
        assert_eq!(names.len(), 4, "{names:?}");
    }

    #[test]
    fn imports_that_no_host_offers_are_named() {
        let wider = contract::TEXT.replace(
            "world plugin {",
            "interface more { f: func(); } world plugin { import more;",
        );
        let error = componentize(&of_world(&wider, "plugin")).unwrap_err();
        assert!(
            matches!(&error, Error::ForeignImports(names) if names == &["bootsplice:generator/more@0.1.0"]),
            "{error}"
        );
    }

    #[test]
    fn bindings_of_another_version_do_not_fit() {
        let other = contract::TEXT.replace(
            "is-cancelled: func() -> bool",
            "is-cancelled: func(a: u64) -> bool",
        );
        let error = componentize(&of_world(&other, "plugin")).unwrap_err();
        assert!(matches!(error, Error::Mismatch(_)), "{error}");
        assert!(error.to_string().contains("is-cancelled"), "{error}");
    }

    #[test]
    fn what_is_no_module_is_refused() {
        let component = componentize(&ours()).unwrap();
        let module = ours();
        for (bytes, words) in [
            (&b""[..], "it is no WebAssembly"),
            (b"\x7fELF", "it is no WebAssembly"),
            (&component, "it is a component already"),
            (&module[..module.len() - 3], "it is damaged"),
        ] {
            let error = componentize(bytes).unwrap_err();
            assert!(matches!(error, Error::NotAModule(_)), "{error}");
            assert!(error.to_string().contains(words), "{error}");
        }
        assert!(componentize(&vec![0; MAX_MODULE + 1]).is_err());
    }

    #[test]
    fn a_damaged_module_ends_in_an_error_or_a_component() {
        let module = ours();
        // A stride that shares no factor with the sizes of anything in it.
        for at in (0..module.len()).step_by(97) {
            let mut damaged = module.clone();
            damaged[at] ^= 0x41;
            // Neither a panic nor a loop: a flipped byte of a name or an opcode is refused, one of data is as good as another.
            if let Ok(component) = componentize(&damaged) {
                assert!(wit_component::decode(&component).is_ok());
            }
        }
    }
}
