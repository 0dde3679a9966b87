//! One call of a generator: its store, its limits, what it may do in which phase.

mod call;
mod log;
mod memory;
mod state;
mod wasi;

pub(crate) use call::Sandbox;
pub(crate) use log::Log;
pub(crate) use state::{Access, Caller, Phase, Reach, Run, Services};
