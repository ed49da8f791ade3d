//! Run a thumbnet model on a microcontroller.
#![no_std]
