//! What one call of a generator used: for authors, who want a number that is the same on every machine.
//!
//! Instructions are counted by wasmtime's fuel. That needs code of its own kind (slower, and compiled with other settings), so an engine either
//! meters every call or none: a host that serves never does. The same component, configuration and answers of the host use the same number of
//! instructions wherever they run; another release of bootsplice may count otherwise.

use std::time::Duration;

/// One call, as it ended: well or not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Usage {
    /// `describe`, `validate`, `resolve` or `generate`.
    pub call: &'static str,
    /// Units of wasmtime's fuel: nearly one for each instruction; operations on ranges of memory cost by their size.
    pub instructions: u64,
    /// Linear memory at its highest, in bytes; it never shrinks while a call runs.
    pub memory: u64,
    pub fetches: u64,
    /// Bytes fetched, cached answers included.
    pub fetched: u64,
    /// Bytes of content, templates and actions, with what each entry costs besides.
    pub written: u64,
    /// Wall-clock time, instantiation included. Of this machine, and slower than where nothing is counted.
    pub time: Duration,
}

/// Hears of every call's usage, once it ended. Must not block.
pub trait Metering: Send + Sync {
    fn used(&self, usage: &Usage);
}
