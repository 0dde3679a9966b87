//! Compiles and inspects an uploaded component, under limits, in a process of its own.
fn main() {}
