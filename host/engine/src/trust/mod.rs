//! OpenPGP signatures (RFC 9580), verified for generators and judged by the host's real clock; and the replay guard.
//!
//! A generator names the keys that may sign, and is given back only what they signed; which key is good, which digest is strong and what the
//! time is, is not its to say. RFC 0003 (Trust) states the rules; limits stand beside what they limit.

mod armour;
mod certificate;
mod clearsigned;
mod distrust;
mod last_seen;
mod memo;
mod moment;
mod ring;
mod seen;
#[cfg(test)]
mod tests;
mod verify;
#[cfg(test)]
mod workshop;

pub use distrust::{Distrust, Rejection};
pub use last_seen::{LastSeen, LastSeenError, MemoryLastSeen, SeenKey};
pub use ring::{KeyRule, Keyring};
pub(crate) use seen::Seen;
pub use verify::{GoodSignature, Verified, verify};
