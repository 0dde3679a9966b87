//! The limits that the compiler puts on itself.

use std::io;

use rustix::process::{Resource, Rlimit, setrlimit};
use rustix::thread::set_no_new_privs;

/// Largest file that the compiler writes, in bytes: whoever called it reads it whole. The largest plugin of Python makes 40 MB.
pub const MAX_FILE: u64 = 256 << 20;

/// Limits data memory (`RLIMIT_DATA`: address space is no measure, since every linear memory reserves 4 GiB of it), processor time and
/// file size, and rules out core dumps and new privileges.
pub fn apply(memory: u64, cpu: u64) -> io::Result<()> {
    for (resource, limit) in [
        (Resource::Data, memory),
        (Resource::Cpu, cpu),
        (Resource::Fsize, MAX_FILE),
        (Resource::Core, 0),
    ] {
        let limit = Rlimit {
            current: Some(limit),
            maximum: Some(limit),
        };
        setrlimit(resource, limit)?;
    }
    set_no_new_privs(true)?;
    Ok(())
}
