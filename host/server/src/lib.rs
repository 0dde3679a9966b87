//! The host: REST, admission, launches, and the `bootsplice` command.
//!
//! | room | what is in it |
//! |---|---|
//! | [`api`] | one module a resource, and the table of all routes |
//! | [`route`], [`http`], [`extract`], [`problem`] | what every route shares: guard, request id, bodies, errors |
//! | [`auth`], [`secret`], [`keys`] | who may do what; what nobody may see; who signs |
//! | [`profile`] | documents, their faults, their versions |
//! | [`plugins`], [`usage`], [`upgrade`] | generators: built in and pushed, who uses them, what another release changes |
//! | [`registry`] | where plugins are pushed to and pulled from |
//! | [`launch`] | launches, from the request to the sealed volume |
//! | [`lock`] | lock files, their differences, bills of materials and known vulnerabilities |
//! | [`local`] | profiles resolved and run on this machine, without a host |
//! | [`made`] | what generators made, file by file |
//! | [`recording`] | what came into a run, kept and run again |
//! | [`app`], [`config`], [`state`] | a host put together |
//! | [`serve`] | listening, TLS, the end |
//! | [`client`], [`oci`], [`cli`] | the other side of the wire |
//! | [`author`] | a generator's project, without a host |

#![forbid(unsafe_code)]

pub mod api;
pub mod app;
pub mod auth;
pub mod author;
pub mod cli;
pub mod client;
pub mod clock;
pub mod config;
pub mod extract;
pub mod http;
pub mod keys;
mod last_seen;
pub mod launch;
pub mod local;
pub mod lock;
pub mod log;
pub mod made;
pub mod metrics;
pub mod oci;
pub mod openapi;
pub mod plugins;
pub mod problem;
pub mod profile;
pub mod recording;
pub mod registry;
pub mod route;
pub mod secret;
pub mod serve;
pub mod size;
pub mod state;
pub mod upgrade;
pub mod usage;

pub use app::{AppState, Parts};
