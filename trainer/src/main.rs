//! The command line of thumbnet: `thumbnet train | evaluate | predict | summary | ...`.

mod cli;

fn main() -> std::process::ExitCode {
    cli::run()
}
