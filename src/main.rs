//! The `freezer` program.
fn main() {}
