//! Write a bootsplice generator in Rust.
