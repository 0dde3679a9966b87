//! Which world a component lives in: what it may import, what it must export.

use wasmtime::Engine;
use wasmtime::component::Component;

use crate::Failure;

const PACKAGE: &str = "bootsplice:generator";
/// Versions of the contract that the engine has a host module for.
const VERSIONS: &[&str] = &["0.1.0"];
const IMPORTS: &[&str] = &[
    "types",
    "job",
    "blobs",
    "inventory",
    "fetch",
    "trust",
    "archive",
    "cache",
];
const EXPORTS: &[&str] = &["plugin-info", "generator"];
/// WASI 0.2, linked with nothing granted. `wasi:http` is not among it: what leaves the sandbox goes through `fetch`.
const WASI: &[&str] = &["io", "cli", "clocks", "filesystem", "random", "sockets"];

/// Imports, and exports, of one component: the contract and WASI have fewer than half as many.
const MAX_NAMES: usize = 100;

/// What a plugin's component says about itself by its type.
#[derive(Debug)]
pub struct World {
    pub version: String,
    pub imports: Vec<String>,
    pub exports: Vec<String>,
}

/// Refuses core modules, compiled artefacts and what is no WebAssembly at all, before anything is compiled.
pub fn refuse_other_kinds(bytes: &[u8]) -> Result<(), Failure> {
    let refuse = |reason: &str| Err(Failure::Refused(reason.to_owned()));
    if Engine::detect_precompiled(bytes).is_some() {
        return refuse(
            "it is compiled already; upload the component itself, compiled code is never taken from outside",
        );
    }
    match bytes {
        [0, b'a', b's', b'm', 0x0d, 0, 1, 0, ..] => Ok(()),
        [0, b'a', b's', b'm', 1, 0, 0, 0, ..] => refuse(
            "it is a core module, not a component; build for wasm32-wasip2 or wrap it with wit-component",
        ),
        [0, b'a', b's', b'm', ..] => refuse("it is WebAssembly of an unknown version"),
        _ => refuse("it is no WebAssembly"),
    }
}

// === impl World ===

impl World {
    pub fn of(engine: &Engine, component: &Component) -> Result<Self, Failure> {
        let kind = component.component_type();
        let mut imports: Vec<String> = kind
            .imports(engine)
            .map(|(name, _)| name.to_owned())
            .collect();
        let mut exports: Vec<String> = kind
            .exports(engine)
            .map(|(name, _)| name.to_owned())
            .collect();
        imports.sort_unstable();
        exports.sort_unstable();
        Self::check(imports, exports).map_err(Failure::Refused)
    }

    fn check(imports: Vec<String>, exports: Vec<String>) -> Result<Self, String> {
        for (what, names) in [("imports", &imports), ("exports", &exports)] {
            if names.len() > MAX_NAMES {
                return Err(format!(
                    "it has {} {what}; {MAX_NAMES} are allowed",
                    names.len()
                ));
            }
        }
        let version = VERSIONS
            .iter()
            .find(|version| EXPORTS.iter().all(|name| exports.contains(&format!("{PACKAGE}/{name}@{version}"))))
            .ok_or_else(|| {
                format!(
                    "it is not a plugin: it must export {PACKAGE}/plugin-info and {PACKAGE}/generator of one version ({}); it exports {}",
                    VERSIONS.join(", "),
                    if exports.is_empty() { "nothing".to_owned() } else { exports.join(", ") },
                )
            })?;
        let foreign: Vec<&str> = imports
            .iter()
            .map(String::as_str)
            .filter(|name| !is_linked(name, version))
            .collect();
        if !foreign.is_empty() {
            return Err(format!(
                "it imports what no host offers: {}; only {PACKAGE}@{version} and WASI 0.2 (without wasi:http) are linked",
                foreign.join(", ")
            ));
        }
        Ok(Self {
            version: (*version).to_owned(),
            imports,
            exports,
        })
    }
}

fn is_linked(import: &str, version: &str) -> bool {
    let Some((package, rest)) = import.split_once('/') else {
        return false;
    };
    let Some((interface, of)) = rest.split_once('@') else {
        return false;
    };
    if package == PACKAGE {
        return of == version && IMPORTS.contains(&interface);
    }
    package
        .strip_prefix("wasi:")
        .is_some_and(|name| WASI.contains(&name) && of.starts_with("0.2."))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(names: &[&str]) -> Vec<String> {
        names.iter().map(ToString::to_string).collect()
    }

    fn ours() -> Vec<String> {
        names(&[
            "bootsplice:generator/generator@0.1.0",
            "bootsplice:generator/plugin-info@0.1.0",
        ])
    }

    #[test]
    fn a_foreign_import_is_refused_by_its_name() {
        let imports = names(&["bootsplice:generator/job@0.1.0", "wasi:io/poll@0.2.6"]);
        assert_eq!(World::check(imports, ours()).unwrap().version, "0.1.0");
        for foreign in [
            "wasi:http/outgoing-handler@0.2.6",
            "wasi:io/poll@0.3.0",
            "bootsplice:generator/secrets@0.1.0",
            "bootsplice:generator/job@0.2.0",
            "env",
        ] {
            let error = World::check(names(&[foreign]), ours()).unwrap_err();
            assert!(error.contains(foreign), "{error}");
        }
    }

    #[test]
    fn names_without_end_are_refused_by_their_number() {
        let many: Vec<String> = (0..101).map(|n| format!("n{n}")).collect();
        let error = World::check(many.clone(), ours()).unwrap_err();
        assert!(error.contains("101 imports"), "{error}");
        let error = World::check(vec![], [ours(), many].concat()).unwrap_err();
        assert!(error.contains("103 exports"), "{error}");
    }

    #[test]
    fn another_world_is_refused_and_its_exports_named() {
        let error = World::check(vec![], names(&["wasi:cli/run@0.2.6"])).unwrap_err();
        assert!(error.contains("wasi:cli/run@0.2.6"), "{error}");
    }

    #[test]
    fn what_is_no_component_is_refused_before_it_is_compiled() {
        for bytes in [&b""[..], b"\x7fELF", b"\0asm\x01\0\0\0", b"\0asm\x02\0\0\0"] {
            assert!(matches!(
                refuse_other_kinds(bytes),
                Err(Failure::Refused(_))
            ));
        }
        assert!(refuse_other_kinds(b"\0asm\x0d\0\x01\0").is_ok());
    }
}
