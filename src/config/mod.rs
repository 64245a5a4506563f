//! What a user may write, turned into what the program relies on.

mod model;

pub use model::*;
