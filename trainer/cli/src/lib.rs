//! The command line of thumbnet: `thumbnet train | evaluate | predict | summary | ...`.
//!
//! One file per verb; this one parses, dispatches and turns failures into one line and a code. It is a
//! library so that tests from outside run it without building everything a second time.

#![forbid(unsafe_code)]
#![warn(clippy::print_stdout, clippy::print_stderr)]

mod anomaly;
mod answers;
mod architecture;
mod boards;
mod callbacks;
mod compile;
mod completions;
mod config;
mod console;
mod data;
mod demo;
mod diff;
mod difference;
mod emit;
mod evaluate;
mod export;
mod failure;
mod firmware;
mod fit;
mod head;
mod import;
mod inspect;
mod interrupt;
mod json;
mod keygen;
mod layers;
mod live;
mod meaning;
mod models;
mod nan;
mod new;
mod outputs;
mod predict;
mod prove;
mod record;
mod report;
mod run;
mod scores;
mod search;
mod sign;
mod split;
mod summary;
mod train;
mod values;
mod verify;

use std::{env, io::Write, process::ExitCode};

use clap::{CommandFactory, FromArgMatches, Parser, Subcommand, error::ErrorKind};

use self::{config::CommandLine, failure::Failure};

/// Result of a verb.
type Outcome<T = ()> = Result<T, Failure>;

/// Train dense neural networks with Keras semantics, quantize them, and run them on Cortex-M.
#[derive(Debug, Parser)]
#[command(
    name = "thumbnet",
    version,
    max_term_width = 100,
    after_help = "Exit codes: 0 done; 1 a file, the data or the model is at fault; 2 wrong usage; 130 and 143 a training that Ctrl-C or SIGTERM ended"
)]
struct Cli {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    Train(Box<train::Train>),
    Reproduce(record::Reproduce),
    Search(search::Search),
    Evaluate(evaluate::Evaluate),
    Predict(predict::Predict),
    Prove(prove::Prove),
    Summary(summary::Summary),
    Export(export::Export),
    Inspect(inspect::Inspect),
    Diff(diff::Diff),
    Boards(boards::Boards),
    New(Box<new::New>),
    Run(run::Run),
    Import(import::Import),
    Keygen(keygen::Keygen),
    Sign(sign::Sign),
    Verify(verify::Verify),
    Demo(demo::Demo),
    Completions(completions::Completions),
    Man(completions::Man),
}

/// Parses the command line and runs the verb. Exit code 0, 2 for wrong usage, 1 for the rest.
pub fn main() -> ExitCode {
    let line = match CommandLine::new(env::args_os().collect()) {
        Ok(line) => line,
        Err(failure) => return end(&failure),
    };
    let parsed = Cli::command()
        .try_get_matches_from(&line.arguments)
        .and_then(|matches| Ok((Cli::from_arg_matches(&matches)?, matches)));
    let (cli, matches) = match parsed {
        Ok(parsed) => parsed,
        Err(error) => return usage(&error, &line),
    };
    if let Some(options) = config::printed(&matches) {
        return code(console::print(&options));
    }
    let outcome = threads(env::var("THUMBNET_THREADS").ok()).and_then(|()| match cli.verb {
        Verb::Train(verb) => verb.run_recorded(&line.arguments),
        Verb::Reproduce(verb) => verb.run(),
        Verb::Search(verb) => verb.run(),
        Verb::Evaluate(verb) => verb.run(),
        Verb::Predict(verb) => verb.run(),
        Verb::Prove(verb) => verb.run(),
        Verb::Summary(verb) => verb.run(),
        Verb::Export(verb) => verb.run(),
        Verb::Inspect(verb) => verb.run(),
        Verb::Diff(verb) => verb.run(),
        Verb::Boards(verb) => verb.run(),
        Verb::New(verb) => verb.run(),
        Verb::Run(verb) => verb.run(),
        Verb::Import(verb) => verb.run(),
        Verb::Keygen(verb) => verb.run(),
        Verb::Sign(verb) => verb.run(),
        Verb::Verify(verb) => verb.run(),
        Verb::Demo(verb) => verb.run(),
        Verb::Completions(verb) => verb.run(),
        Verb::Man(verb) => verb.run(),
    });
    code(outcome)
}

fn code(outcome: Outcome) -> ExitCode {
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => end(&failure),
    }
}

/// Says what went wrong, unless only the reader of the output is gone.
fn end(failure: &Failure) -> ExitCode {
    if !matches!(failure, Failure::ReaderGone | Failure::Verdict(_)) {
        console::note(&format!("error: {failure}"));
    }
    failure.code()
}

/// Prints help as clap does, and its errors in one line.
fn usage(error: &clap::Error, line: &CommandLine) -> ExitCode {
    if !error.use_stderr() || error.kind() == ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand {
        let printed = error.print().and_then(|()| std::io::stdout().flush());
        return match console::checked(printed) {
            _ if error.use_stderr() => ExitCode::from(2),
            Ok(()) => ExitCode::SUCCESS,
            Err(failure) => end(&failure),
        };
    }
    let verb = std::env::args().nth(1);
    let message = one_line(&error.render().to_string(), verb.as_deref());
    console::note(&match line.origin(error) {
        Some(origin) => message.replacen("error: ", &format!("error: {origin}: "), 1),
        None => message,
    });
    ExitCode::from(2)
}

/// Refuses a number of threads that the library would ignore.
fn threads(variable: Option<String>) -> Outcome {
    match variable {
        Some(text) if !text.parse().is_ok_and(|threads: usize| threads > 0) => {
            Err(Failure::usage(format!(
                "THUMBNET_THREADS is {text:?}, expected a number of threads such as 2; unset it to use every core"
            )))
        }
        _ => Ok(()),
    }
}

/// `error: what is wrong; tip; see thumbnet train --help`, without the usage itself.
fn one_line(message: &str, verb: Option<&str>) -> String {
    let end = ["\n\nUsage:", "\n\nFor more information"]
        .iter()
        .filter_map(|mark| message.find(mark))
        .min()
        .unwrap_or(message.len());
    let problem = message[..end].replace("\n\n", "; ");
    let problem: Vec<&str> = problem.split_whitespace().collect();
    let verb = verb
        .filter(|verb| Cli::command().find_subcommand(verb).is_some())
        .map(|verb| format!(" {verb}"))
        .unwrap_or_default();
    format!("{}; see thumbnet{verb} --help", problem.join(" "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_well_formed() {
        Cli::command().debug_assert();
    }

    #[test]
    fn a_number_of_threads_is_a_number() {
        assert!(threads(None).is_ok());
        assert!(threads(Some("2".into())).is_ok());
        for wrong in ["0", "two", ""] {
            assert_eq!(
                threads(Some(wrong.into())).unwrap_err().to_string(),
                format!(
                    "THUMBNET_THREADS is {wrong:?}, expected a number of threads such as 2; unset it to use every core"
                )
            );
        }
    }

    #[test]
    fn a_usage_error_is_one_line_with_its_tip() {
        let error = Cli::try_parse_from(["thumbnet", "summary", "m.h5", "--line-lenght", "3"]);
        assert_eq!(
            one_line(&error.unwrap_err().render().to_string(), Some("summary")),
            "error: unexpected argument '--line-lenght' found; tip: a similar argument exists: '--line-length'; see thumbnet summary --help"
        );
    }
}
