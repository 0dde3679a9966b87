//! The config generator.
