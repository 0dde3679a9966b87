//! The volume documents, the partition table and the layout of a launch (RFC 0001): pure, no input or output.
//!
//! [`ContentManifest`] names what a volume holds, [`Placement`] where it lies, [`Layout`] which block of a launched volume comes from where.

#![forbid(unsafe_code)]

mod error;
pub mod gpt;
mod inventory;
mod launch;
mod layout;
mod manifest;
mod name;
mod page;
pub mod paths;
mod placement;
mod point;

pub use error::VolumeError;
pub use inventory::{AgentVersion, Inventory, InventoryFile};
pub use launch::{LaunchManifest, archive_digest};
pub use layout::{Kind, Layout, Segment};
pub use manifest::{ContentManifest, MANIFEST_SCHEMA};
pub use name::{NAME_SCHEMA, NameRecord, is_volume_name};
pub use page::{PAGE_BLOCKS, Page, PageBuilder};
pub use placement::{Location, PLACEMENT_SCHEMA, Pack, Placement, PlacementPage};
pub use point::{Point, PointName, Stage};

/// The largest volume: 64 TiB.
pub const MAX_SIZE: u64 = 64 << 40;
