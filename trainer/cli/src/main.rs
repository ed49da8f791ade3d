//! The command `thumbnet`.

use std::process::ExitCode;

fn main() -> ExitCode {
    thumbnet::main()
}
