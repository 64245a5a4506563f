//! The command `dormouse`: everything is in the library.

fn main() {}
