//! Where `cargo xtask` leaves what it built.
//!
//! Each place may be given by an environment variable, so that tests run against another build.

use std::path::PathBuf;

/// The workspace's root directory.
pub fn root() -> PathBuf {
    let tests = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    tests.parent().map(PathBuf::from).unwrap_or(tests)
}

/// Cargo's target directory: `CARGO_TARGET_DIR`, else `target` in the workspace.
pub fn target() -> PathBuf {
    match std::env::var_os("CARGO_TARGET_DIR") {
        Some(dir) => root().join(dir),
        None => root().join("target"),
    }
}

/// A host binary of the debug build: `bootsplice` or `bootsplice-compile`.
pub fn binary(name: &str) -> PathBuf {
    target().join("debug").join(name)
}

/// A host binary of the release build, which is what benches measure.
pub fn release(name: &str) -> PathBuf {
    target().join("release").join(name)
}

/// The guest's static binary.
pub fn agent() -> PathBuf {
    target().join("x86_64-unknown-linux-musl/small/bootsplice-agent")
}

/// A built-in generator's component: `config`, `data` or `script`.
pub fn component(generator: &str) -> PathBuf {
    target().join(format!(
        "wasm32-wasip2/small/bootsplice_generator_{generator}.wasm"
    ))
}

/// The component of the example of a generator, which is installed on no host by itself.
pub fn example() -> PathBuf {
    target().join("wasm32-wasip2/small/bootsplice_example_timers.wasm")
}

/// Where the debug build of the host finds the generators to install.
pub fn plugins() -> PathBuf {
    target().join("debug/plugins")
}

/// The Debian image with the agent and the demo's key in it (`BOOTSPLICE_IMAGE`), as `cargo xtask image` makes it.
pub fn image() -> PathBuf {
    match std::env::var_os("BOOTSPLICE_IMAGE") {
        Some(path) => path.into(),
        None => target().join("image/debian-12.raw"),
    }
}

/// The state directory whose public key is in the image: `serve --state` on it signs what that image trusts.
pub fn image_keys() -> PathBuf {
    target().join("image/state")
}
