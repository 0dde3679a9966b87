//! Host side of `bootsplice:generator@0.1.0`: one module for each interface, all of one shape.
//!
//! Each implements its interface's `Host` traits on [`Run`], translating between the contract's types and the host's own. A later WIT
//! version gets a directory of its own beside this one.

mod archive;
mod bindings;
mod blobs;
mod cache;
mod convert;
mod fetch;
mod inventory;
mod job;
mod lock;
mod trust;
mod types;

use wasmtime::component::{HasSelf, InstancePre, Linker};

pub(crate) use bindings::{Plugin as World, PluginPre};
pub(crate) use convert::Guest;

use crate::run::Run;

/// A linker with every import of the world, and WASI 0.2.
pub(crate) fn linker(engine: &wasmtime::Engine) -> wasmtime::Result<Linker<Run>> {
    let mut linker = Linker::new(engine);
    wasmtime_wasi::p2::add_to_linker_async(&mut linker)?;
    World::add_to_linker::<_, HasSelf<Run>>(&mut linker, |run| run)?;
    Ok(linker)
}

/// Checks a component's types against the world, once.
pub(crate) fn prepare(instance: InstancePre<Run>) -> wasmtime::Result<PluginPre<Run>> {
    PluginPre::new(instance)
}
