//! Everything that tests models, files, the command line and emulated boards from outside, in one
//! program: it is linked once, and its tests share the cores. What counts allocations has programs of its own.

mod activations;
mod api;
mod blobs;
mod calibration;
mod callbacks;
mod cli;
mod command_line;
mod console;
mod cost;
mod custom;
mod damaged_files;
mod decisions;
mod estimate;
mod evaluate;
mod export;
mod extremes;
mod faults;
mod files;
mod keras_arguments;
mod keras_rules;
mod keras_tests;
mod killed;
mod layers;
mod normalizations;
mod parity;
mod quantization;
mod real_keras;
mod signature;
mod softfloat;
mod tables;
mod threads;
mod trajectories;
mod unit_tables;
mod without_a_loss;
mod wrong_input;
