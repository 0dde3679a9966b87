//! The author's loop: a generator's project, looked at and run on this machine without a host.
//!
//! | room | what is in it |
//! |---|---|
//! | [`project`] | `bootsplice-plugin.toml`, and where the component lies |

pub mod project;
