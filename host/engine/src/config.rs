//! The settings that compiled code depends on: the one source of both the engine and its compiler.
//!
//! `bootsplice-compile` includes this very file, so the two cannot drift apart, and the engine is built without a compiler. What only the
//! running side decides (pooling) is added in `pool.rs`.

use wasmtime::Config;

/// Names this set of settings in the MAC of compiled artefacts. Raise both with every change below: all plugins are then compiled anew.
pub const fn fingerprint(metered: bool) -> &'static str {
    if metered {
        "bootsplice-sandbox-1-metered"
    } else {
        "bootsplice-sandbox-1"
    }
}

/// Stack that a guest's code may use.
const WASM_STACK: usize = 1 << 20;
/// Stack of the fiber that a call runs on, host functions included.
const FIBER_STACK: usize = 2 << 20;

/// Everything that shapes generated code or its meaning, but NaN canonicalisation: that is a setting of the code generator, which exists
/// only in the compiler and is switched on there. `metered` code counts its instructions.
pub fn config(metered: bool) -> Config {
    let mut config = Config::new();
    config
        .epoch_interruption(true)
        .consume_fuel(metered)
        .max_wasm_stack(WASM_STACK)
        .async_stack_size(FIBER_STACK)
        // Another tenant's stack is never seen, even if wasmtime had a fault.
        .async_stack_zeroing(true)
        .memory_init_cow(true)
        // Named, so that the on-demand allocator of the compiler and the pool of the engine agree.
        .memory_reservation(4 << 30)
        .memory_guard_size(32 << 20)
        .memory_may_move(true)
        // QuickJS guests use the async ABI even for sync worlds.
        .concurrency_support(true)
        .wasm_component_model(true)
        .wasm_component_model_async(true)
        // Stays on: adapters between components of JavaScript need it, and wasmtime aborts without it.
        .wasm_multi_memory(true)
        .gc_support(false)
        .wasm_memory64(false)
        .wasm_stack_switching(false)
        .wasm_custom_page_sizes(false)
        .wasm_wide_arithmetic(false)
        // The same bytes on every machine.
        .wasm_relaxed_simd(false);
    config
}
