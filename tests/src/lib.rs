//! Shared by the integration tests beside this crate.

pub mod allocations;
pub mod boundaries;
pub mod command;
pub mod cost;
pub mod estimate;
pub mod fuzz;
pub mod golden;
pub mod iris;
pub mod keras_tests;
pub mod qemu;
pub mod random_model;
pub mod size;
pub mod unit_tables;
