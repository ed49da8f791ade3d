//! The header and the examples, for tools that hand them out.

/// `thumbnet.h`.
pub const HEADER: &str = include_str!("../include/thumbnet.h");

macro_rules! examples {
    ($($name:literal)*) => {
        /// The examples: path below their folder, and text. They include `model.h`, which the exporter writes,
        /// and `rows.h`: `ROW_COUNT` inputs named `rows`.
        pub const EXAMPLES: &[(&str, &str)] = &[$(($name, include_str!(concat!("../examples/", $name)))),*];
    };
}

examples! {
    "classify.c"
    "classify.cpp"
    "detect.c"
    "qemu/microbit.ld"
    "qemu/mps2-an385.ld"
    "qemu/mps2-an386.ld"
    "qemu/mps2-an500.ld"
    "qemu/mps2-an505.ld"
    "qemu/mps3-an547.ld"
    "qemu/sections.ld"
    "qemu/semihosting.c"
    "qemu/semihosting.h"
    "qemu/startup.c"
}
