//! What a generator made: entries and actions of one step, checked as they arrive.

pub mod action;
mod builder;
#[cfg(test)]
mod cases;
mod entry;
mod path;
mod placeholder;
mod unpack;

pub use bootsplice_archive::step::{
    Action, Change, Command, Conflict, EditFormat, FileEdit, Service, Verb,
};
pub use builder::{Reservation, StepBuilder, StepLimits};
pub use entry::{Attributes, Entry, EntryKind, Owner, StepContent, TemplateFormat};
pub use path::{GuestPath, PathError, PathRules};
pub use placeholder::{FillError, Placeholder, Text, Values};
pub use unpack::{UnpackFormat, UnpackOptions};
