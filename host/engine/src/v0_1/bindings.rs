//! What `bindgen!` makes of the WIT directory.

use crate::error::GeneratorError;

wasmtime::component::bindgen!({
    path: "../../wit/since-v0.1.0",
    world: "plugin",
    imports: { default: async | trappable },
    exports: { default: async },
    with: {
        "bootsplice:generator/blobs.blob": crate::blobs::Blob,
        "bootsplice:generator/blobs.blob-builder": super::blobs::Builder,
        "bootsplice:generator/archive.entry-writer": super::archive::Writer,
        "bootsplice:generator/archive.sink": super::archive::Sink,
    },
    trappable_error_type: {
        "bootsplice:generator/types.error" => GeneratorError,
    },
});
