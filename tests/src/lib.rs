//! Shared by the integration tests beside this crate.

pub mod log;
