//! Every chore of a developer: demo, test, bench, image, boot.
fn main() {}
