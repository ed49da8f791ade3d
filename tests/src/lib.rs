//! Shared by the integration tests beside this crate.
