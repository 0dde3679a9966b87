//! The host: REST, admission, launches, and the bootsplice command.
fn main() {}
