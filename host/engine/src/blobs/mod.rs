//! Bytes that live in the host: content-addressed, handed to guests as handles, never through their memory.
//!
//! A [`Spool`] takes bytes as they come, hashing them; what is small stays in memory, the rest goes to a file. Its [`Blob`] is either
//! scratch, gone with its last handle, or kept in the [`BlobStore`] under its digest. Being kept serves nobody yet: a digest is given out only
//! in a [`Scope`] it was *admitted* to (RFC 0004).

mod blob;
mod codec;
mod scope;
mod spool;
mod store;

pub use blob::{Blob, BlobReader};
pub use codec::{Codec, CodecError, decoder, decompress};
pub use scope::Scope;
pub use spool::Spool;
pub use store::BlobStore;
pub(crate) use store::{private_dir, scope_key};
