//! `--config run.toml`: options from a file, each under its name, and `--print-config`, which writes them.

use std::{
    collections::HashMap,
    ffi::OsString,
    fmt::Write as _,
    ops::Range,
    path::{Path, PathBuf},
};

use clap::{Arg, ArgMatches, Args, CommandFactory, parser::ValueSource};
use thumbnet_trainer::{Error, dataset::nearest, input};
use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

use super::{Cli, Outcome, outputs::Named};

/// The option that names the file.
const OPTION: &str = "config";
/// The option that writes one.
const PRINT: &str = "print-config";

/// Options of verbs that take theirs from a file.
#[derive(Debug, Args)]
pub struct ConfigArguments {
    /// Options from a TOML file, such as seed = 20; those typed count more
    #[arg(long, value_name = "FILE.toml")]
    config: Option<PathBuf>,
    /// Print all options of this run as --config reads them, and do nothing
    #[arg(long)]
    print_config: bool,
}

impl ConfigArguments {
    pub fn input(&self) -> Option<Named<'_>> {
        Named::of("--config", self.config.as_ref())
    }
}

/// A command line, with what a file gave to it.
#[derive(Debug, Default)]
pub struct CommandLine {
    pub arguments: Vec<OsString>,
    /// Where an option came from, such as `run.toml: line 3`, by its name.
    origins: HashMap<String, String>,
}

impl CommandLine {
    /// The arguments, with those of the file that they name where they do not have them themselves.
    ///
    /// # Errors
    ///
    /// A file that cannot be read, is no TOML, or has an option that the verb does not have, by line.
    pub fn new(arguments: Vec<OsString>) -> Outcome<Self> {
        let mut line = Self {
            arguments,
            origins: HashMap::new(),
        };
        let Some(path) = line.value_of(OPTION).filter(|_| line.takes_config()) else {
            return Ok(line);
        };
        line.read(Path::new(&path))?;
        Ok(line)
    }

    /// Where the option came from that an error of clap's is about; none where it was typed.
    pub fn origin(&self, error: &clap::Error) -> Option<&str> {
        let about = error.get(clap::error::ContextKind::InvalidArg)?.to_string();
        let name = about.strip_prefix("--")?;
        let name = name.split([' ', '=', '[']).next()?;
        self.origins.get(name).map(String::as_str)
    }

    fn verb(&self) -> Option<clap::Command> {
        let name = self.arguments.get(1)?.to_str()?;
        Cli::command().find_subcommand(name).cloned()
    }

    /// Whether the verb has both options: `--config` of other verbs is something else.
    fn takes_config(&self) -> bool {
        self.verb().is_some_and(|verb| {
            verb.get_arguments()
                .any(|argument| argument.get_long() == Some(PRINT))
        })
    }

    /// Where an option is typed, and its value behind a `=`.
    fn typed(&self, option: &str) -> Option<(usize, Option<OsString>)> {
        let option = format!("--{option}");
        self.arguments
            .iter()
            .enumerate()
            .skip(2)
            .find_map(|(place, argument)| {
                let behind = argument.to_str()?.strip_prefix(&option)?;
                match behind.strip_prefix('=') {
                    Some(value) => Some((place, Some(value.into()))),
                    None => behind.is_empty().then_some((place, None)),
                }
            })
    }

    fn value_of(&self, option: &str) -> Option<OsString> {
        let (place, value) = self.typed(option)?;
        value.or_else(|| self.arguments.get(place + 1).cloned())
    }

    fn read(&mut self, path: &Path) -> Outcome {
        let text = String::from_utf8(input::read(path)?).map_err(|_| {
            Error::format(
                path,
                "the file is no text, expected TOML such as epochs = 20",
            )
        })?;
        let at =
            |span: Range<usize>| format!("line {}", text[..span.start].matches('\n').count() + 1);
        let wrong = |span: Range<usize>, message: String| {
            Error::format(path, format!("{}: {message}", at(span)))
        };
        let table = DeTable::parse(&text).map_err(|error| {
            wrong(
                error.span().unwrap_or_default(),
                format!("{}; write it as TOML: option = value", error.message()),
            )
        })?;
        let Some(verb) = self.verb() else {
            return Ok(());
        };
        let options: Vec<&Arg> = verb.get_arguments().collect();
        let names: Vec<String> = options
            .iter()
            .filter_map(|option| option.get_long())
            .filter(|name| ![OPTION, PRINT].contains(name))
            .map(String::from)
            .collect();
        let mut read = Vec::new();
        for (key, value) in table.get_ref() {
            let span = key.span();
            let name = key.get_ref().replace('_', "-");
            let option = options
                .iter()
                .find(|option| option.get_long() == Some(&name));
            let Some(option) = option.filter(|_| names.contains(&name)) else {
                let near = match nearest(&name, &names) {
                    Some(near) => format!("did you mean {near}?"),
                    None => format!("see thumbnet {} --help", verb.get_name()),
                };
                return Err(wrong(
                    span,
                    format!(
                        "{} has no option {:?}; {near}",
                        verb.get_name(),
                        key.get_ref()
                    ),
                )
                .into());
            };
            if self.typed(&name).is_some() {
                continue;
            }
            let arguments =
                arguments(&name, option, value).map_err(|message| wrong(span.clone(), message))?;
            read.extend(arguments);
            self.origins
                .insert(name, format!("{}: {}", path.display(), at(span)));
        }
        self.arguments.extend(read);
        Ok(())
    }
}

/// `--name=value`, `--name`, or nothing for false.
fn arguments(
    name: &str,
    option: &Arg,
    value: &Spanned<DeValue>,
) -> Result<Option<OsString>, String> {
    let least = option.get_num_args().map_or(1, |range| range.min_values());
    let is_flag = !option.get_action().takes_values();
    Ok(match value.get_ref() {
        DeValue::Boolean(given) if is_flag || least == 0 => {
            given.then(|| format!("--{name}").into())
        }
        _ if is_flag => {
            return Err(format!(
                "{name} is either there or not, expected true or false"
            ));
        }
        value => Some(format!("--{name}={}", text(name, value)?).into()),
    })
}

/// A value as it is typed: lists with commas, tables with colons.
fn text(name: &str, value: &DeValue) -> Result<String, String> {
    Ok(match value {
        DeValue::String(text) => text.to_string(),
        DeValue::Integer(number) => number.as_str().to_string(),
        DeValue::Float(number) => number.as_str().to_string(),
        DeValue::Array(values) => {
            let values = values.iter().map(|value| text(name, value.get_ref()));
            values.collect::<Result<Vec<_>, _>>()?.join(",")
        }
        DeValue::Table(table) => {
            let pairs = table.iter().map(|(key, value)| {
                Ok(format!(
                    "{}:{}",
                    key.get_ref(),
                    text(name, value.get_ref())?
                ))
            });
            pairs.collect::<Result<Vec<_>, String>>()?.join(",")
        }
        DeValue::Boolean(_) | DeValue::Datetime(_) => {
            return Err(format!(
                "{name} is a date or a truth value, expected a text, a number or a list of them"
            ));
        }
    })
}

/// All options of a verb that have a value, defaults included, as `--config` reads them; none where they are not
/// asked for.
pub fn printed(matches: &ArgMatches) -> Option<String> {
    let (verb, matches) = matches.subcommand()?;
    let asked = matches.try_get_one::<bool>(&PRINT.replace('-', "_"));
    if asked.ok()? != Some(&true) {
        return None;
    }
    let command = Cli::command();
    let options = command
        .find_subcommand(verb)
        .into_iter()
        .flat_map(|verb| verb.get_arguments());
    let mut out = format!("# thumbnet {verb} --config FILE\n");
    for option in options {
        let (id, Some(name)) = (option.get_id().as_str(), option.get_long()) else {
            continue;
        };
        let given = matches!(
            matches.value_source(id),
            Some(ValueSource::CommandLine | ValueSource::DefaultValue)
        );
        if !given || [OPTION, PRINT].contains(&name) {
            continue;
        }
        let values = matches.get_raw(id).into_iter().flatten();
        let values: Vec<String> = values
            .map(|value| value.to_string_lossy().into_owned())
            .collect();
        let value = match values.as_slice() {
            _ if !option.get_action().takes_values() => match matches.get_flag(id) {
                true => "true".to_string(),
                false => continue,
            },
            [] => "true".to_string(),
            [one] => quoted(one),
            several => format!(
                "[{}]",
                several
                    .iter()
                    .map(|value| quoted(value))
                    .collect::<Vec<_>>()
                    .join(", ")
            ),
        };
        let _ = writeln!(out, "{name} = {value}");
    }
    Some(out)
}

/// A number as it is, all else as a text.
fn quoted(value: &str) -> String {
    let plain = value
        .parse::<i64>()
        .is_ok_and(|number| number.to_string() == value);
    match plain {
        true => value.to_string(),
        // TOML's escapes are JSON's.
        false => serde_json::Value::from(value).to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(file: &str, typed: &[&str]) -> Outcome<Vec<String>> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("run.toml");
        std::fs::write(&path, file).unwrap();
        let path = path.into_os_string();
        let start = ["thumbnet", "train", "--config"].map(OsString::from);
        let typed = typed.iter().map(OsString::from);
        let arguments = start.into_iter().chain([path]).chain(typed).collect();
        let line = CommandLine::new(arguments)?;
        Ok(line.arguments[4..]
            .iter()
            .map(|argument| argument.to_string_lossy().into_owned())
            .collect())
    }

    #[test]
    fn options_of_a_file_come_behind_those_typed() {
        let file = "# a run\ndata = \"d.csv\"\nlayers = [\"16:relu\", \"3:softmax\"]\nlearning_rate = 1e-3\nno-shuffle = true\nnormalize = false\nq-metrics = true\nseed = 7\n\n[class-weight]\nwalk = 2.5\nrun = 1\n";
        let found = line(file, &["--seed", "9", "--output=m.h5"]).unwrap();
        let mut sorted = found.clone();
        sorted[3..].sort();
        assert_eq!(
            sorted,
            [
                "--seed",
                "9",
                "--output=m.h5",
                "--class-weight=run:1,walk:2.5",
                "--data=d.csv",
                "--layers=16:relu,3:softmax",
                "--learning-rate=1e-3",
                "--no-shuffle",
                "--q-metrics"
            ]
        );
    }

    #[test]
    fn what_is_wrong_in_a_file_is_said_by_line() {
        let cases = [
            (
                "seed = 1\nepoch = 3\n",
                "line 2: train has no option \"epoch\"; did you mean epochs?",
            ),
            (
                "seed = 1\n\nno_shuffle = 3\n",
                "line 3: no-shuffle is either there or not, expected true or false",
            ),
            (
                "seed = true\n",
                "line 1: seed is a date or a truth value, expected a text, a number or a list of them",
            ),
            ("seed 1\n", "line 1: "),
            (
                "config = \"b.toml\"\n",
                "line 1: train has no option \"config\"",
            ),
        ];
        for (file, expected) in cases {
            let error = line(file, &[]).unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
        }
    }

    #[test]
    fn texts_are_quoted_and_numbers_are_not() {
        assert_eq!(
            ["7", "-1", "07", "1e3", "a\"b\\"].map(quoted),
            ["7", "-1", "\"07\"", "\"1e3\"", "\"a\\\"b\\\\\""]
        );
    }
}
