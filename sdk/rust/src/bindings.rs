//! What `wit-bindgen` makes of the contract. The only place with `unsafe` code: the canonical ABI's calls and returns.
//!
//! On any other target than WebAssembly the imports panic when called, so everything that only thinks is tested on the developer's machine.

wit_bindgen::generate!({
    path: "wit",
    world: "plugin",
    additional_derives: [PartialEq],
    additional_derives_ignore: ["response", "lock-file", "locked", "verified"],
    pub_export_macro: true,
    export_macro_name: "export_bindings",
    default_bindings_module: "bootsplice_sdk::bindings",
    generate_unused_types: true,
});
