//! Brings a disk image into an object store as a base volume, and looks after what is there: [`import`], [`inspect`], [`list`], [`verify`], [`export`].
//!
//! Images are hostile until proven otherwise: their format is given, never probed; what names other files is refused; `qemu-img` runs under limits and
//! without a network. Memory is bounded whatever the size of the image. A name is written last, so an interrupted import leaves none.

#![forbid(unsafe_code)]

mod apt;
mod error;
mod export;
#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub mod fuzzing;
mod guest;
mod image;
mod import;
mod known;
mod pack;
mod pages;
mod pipeline;
mod publish;
mod qemu;
mod request;
mod source;
mod stored;
mod verify;

pub use apt::apt_files;
pub use error::{ImportError, Result};
pub use export::export;
pub use guest::{os_release, package as installed_package};
pub use import::{ImportReport, Progress, import};
pub use request::{Format, ImportRequest, Isolation, parse_point, parse_size};
pub use stored::{Inspection, Named, inspect, list};
pub use verify::{Fault, Verification, verify};
