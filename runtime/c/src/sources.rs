//! The header and the examples, for tools that hand them out.

/// `thumbnet.h`.
pub const HEADER: &str = include_str!("../include/thumbnet.h");
