//! The command line, built with the tests: `thumbnet` itself is one line more than this.

use std::process::ExitCode;

fn main() -> ExitCode {
    thumbnet::main()
}
