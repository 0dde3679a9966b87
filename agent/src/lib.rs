//! The guest's side of a launch (RFC 0002, RFC 0003, `docs/agent.md`): verifies every point before the first change, applies the steps in order, journals, reports.
//!
//! [`points`] finds and verifies, [`plan`] orders steps over all points, [`apply`] runs them under the [`journal`]. [`root`] is the only way to a path of the guest.
//! [`policy`] keeps services from starting while packages are installed, [`held`] starts them afterwards.

#![forbid(unsafe_code)]

pub mod accounts;
pub mod action;
pub mod apply;
pub mod clock;
pub mod command;
pub mod console;
pub mod entry;
mod error;
pub mod gpt;
pub mod held;
pub mod journal;
pub mod plan;
pub mod points;
pub mod policy;
pub mod record;
pub mod report;
pub mod root;
pub mod service;
pub mod settings;
pub mod wipe;

pub use error::AgentError;
