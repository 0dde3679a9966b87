//! The guest's service: verifies archives, applies them in order, reports.
fn main() {}
