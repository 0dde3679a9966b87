//! Everything that leaves the sandbox: HTTP, the operator's directories and buckets.
//!
//! A URL is fetched when a grant of the step covers it, and each redirect is asked for the same. A name is resolved once, addresses that are
//! not public are taken out, and the connection goes to one of those left. Through a proxy the name goes as it is, unless it is known to lead inside. What came is admitted to the scope that it was reached in.

mod address;
mod file;
mod http;
mod lanes;
mod meter;
mod policy;
mod proxy;
mod remembered;
mod service;

pub use address::{Lookup, Network, NetworkError};
pub use meter::Meter;
pub use policy::{Bucket, FetchPolicy};
pub use proxy::Proxy;
pub use service::{Asker, Fetched, Fetcher, Wanted};
