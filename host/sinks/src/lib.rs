//! Where a personalised volume goes.
//!
//! A [`VolumeReader`] gives the blocks of the plan: base, archives, patched tables. [`drive`] streams them into any [`Sink`], in load order, and waits at a point's
//! mark only when its archive is not ready. [`FileSink`] and [`DeviceSink`] hold nothing bootable until they committed; [`HttpVolume`] is the same volume as
//! an HTTP body. [`NamedSink`] opens what requests name within what the operator allowed.

#![forbid(unsafe_code)]

mod archive;
mod body;
#[cfg(any(test, feature = "conformance"))]
pub mod conformance;
mod device;
mod digest;
mod disk;
mod drive;
mod error;
mod file;
mod named;
mod order;
mod progress;
mod range;
mod reader;
mod readers;
mod sink;
#[cfg(test)]
mod testing;

pub use archive::{ArchivePromise, ArchiveSlot};
pub use body::HttpVolume;
pub use device::{DeviceSink, DeviceTarget};
pub use digest::Midstates;
pub use drive::drive;
pub use error::{Result, SinkError};
pub use file::{Existing, FileSink, FileTarget, PARTIAL};
pub use named::{NamedSink, Target};
pub use order::LoadOrder;
pub use progress::{Held, Progress, StreamState};
pub use range::{Requested, content_range};
pub use reader::VolumeReader;
pub use readers::Readers;
pub use sink::{Caps, Geometry, Sink};
