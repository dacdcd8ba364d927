//! The settings of a server, and where their values come from.
//!
//! A setting is a field of one of the structs here, declared once, as clap has it: its type reads
//! its text, its comment says what it does and what it costs. It is then a flag (`--lag-bytes`), a
//! variable (`FANFARE_LAG_BYTES`) and a line of the file (`lag-bytes = "4MiB"`), all read by the same
//! parser, and has its place in `--help`, `config show` and the example file. A new one needs no
//! more than its field, which takes a value (no bare switches), and whatever uses it. One whose
//! value nobody may see says `hide_env_values = true`.
//!
//! The flag is stronger than the variable, the variable than the file, the file than the default.

mod check;
mod example;
mod file;
mod limits;
mod problem;
mod resolve;
mod server;
mod size;
mod span;

use std::{ffi::OsString, path::PathBuf};

use clap::{Arg, ArgMatches, Args, Command, FromArgMatches, error, parser::ValueSource};

pub(crate) use self::{
    example::{example, shown},
    limits::LimitSettings,
    problem::{Problem, Problems},
    resolve::{Origin, Resolved, Value, resolve},
    server::{HistorySettings, ServerSettings},
    size::Size,
    span::Span,
};

use crate::access::AccessSettings;

/// Every setting.
#[derive(Args, Clone, Debug)]
pub(crate) struct Settings {
    #[command(flatten)]
    pub(crate) server: ServerSettings,
    #[command(flatten)]
    pub(crate) history: HistorySettings,
    #[command(flatten)]
    pub(crate) access: AccessSettings,
    #[command(flatten)]
    pub(crate) limits: LimitSettings,
}

/// The settings that the command line gives, as it gives them, and where the others may be.
#[derive(Clone, Debug, Default)]
pub(crate) struct Flags {
    config: Option<PathBuf>,
    given: Vec<(String, Vec<OsString>)>,
}

const CONFIG: &str = "config";

/// The variable that gives a setting.
fn variable(name: &str) -> String {
    format!("FANFARE_{}", name.to_uppercase().replace('-', "_"))
}

/// Its name: that of the flag, and of the line in the file.
fn name(arg: &Arg) -> &str {
    arg.get_long().expect("every setting has a long flag")
}

/// Every setting, to read texts with: each argument is a flag of one.
fn parser() -> Command {
    let command = Command::new("fanfare").no_binary_name(true).disable_help_flag(true);
    Settings::augment_args(command.disable_version_flag(true))
}

fn with_variable(arg: Arg) -> Arg {
    let variable = format!("[env: {}]", variable(name(&arg)));
    let help = arg.get_help().map(ToString::to_string).unwrap_or_default();
    let long = arg.get_long_help().map(|help| format!("{help}\n\n{variable}"));
    let arg = arg.help(format!("{help} {variable}"));
    match long {
        Some(long) => arg.long_help(long),
        None => arg,
    }
}

impl Args for Flags {
    fn augment_args(command: Command) -> Command {
        let config = Arg::new(CONFIG)
            .long(CONFIG)
            .value_name("FILE")
            .value_parser(clap::value_parser!(PathBuf))
            .help("File to read settings from, weaker than flags and variables");
        Settings::augment_args(command.arg(config)).mut_args(with_variable)
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl FromArgMatches for Flags {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, error::Error> {
        let is_given = |id| matches.value_source(id) == Some(ValueSource::CommandLine);
        let given = parser()
            .get_arguments()
            .filter(|arg| is_given(arg.get_id().as_str()))
            .map(|arg| (name(arg).to_owned(), raw(matches, arg)))
            .collect();
        Ok(Self { config: matches.get_one(CONFIG).cloned(), given })
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), error::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

/// The texts of a setting.
fn raw(matches: &ArgMatches, arg: &Arg) -> Vec<OsString> {
    let texts = matches.get_raw(arg.get_id().as_str()).into_iter().flatten();
    texts.map(OsString::from).collect()
}
