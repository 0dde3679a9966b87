//! Dependency resolution for package generators: which packages a request adds to what is installed.
//!
//! The crate knows nothing of any package format. A format describes its packages as a [`Universe`]: *names* that hold at most one chosen
//! *solvable* (a version that can be had, or the installed one), and for each solvable its dependencies as ordered choices among explicit sets
//! of solvables. Virtual packages, alternatives, version ranges, pins and architectures are all expressed by listing the real packages that
//! would do. [`solve`] answers with the chosen solvables and why each is there, or with a [`Refusal`] that tells the story of the conflict.
//!
//! * The universe is asked lazily: the dependencies of a solvable only when it may be chosen.
//! * Every request has a solver of its own, so that an answer depends on nothing but the request: the same inputs give the same answer.
//! * No input or output, no clock, no threads. A deadline comes in as [`Problem::stop`].
//!
//! The search is [resolvo](https://docs.rs/resolvo)'s, a CDCL solver. Its contract wants every candidate of a version set to bear the same
//! name; [`Choice`] keeps to it by its shape.
#![forbid(unsafe_code)]

mod answer;
mod pool;
mod problem;
mod provider;
mod reason;
mod refusal;
mod solve;
#[cfg(test)]
mod tests;
mod universe;

pub use answer::{Answer, Chosen, Reason};
pub use problem::{Problem, Wish};
pub use refusal::{Clause, Party, Refusal};
pub use solve::{SolveError, solve};
pub use universe::{Candidates, Choice, Dependencies, Dependency, Link, Name, Solvable, Universe};
