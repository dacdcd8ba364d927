//! From flags, variables and a file to settings: the strongest wins, and every fault is found.

use std::{
    ffi::OsString,
    fmt, fs,
    path::{Path, PathBuf},
};

use clap::{Arg, ArgMatches, Command, FromArgMatches};

use super::{
    CONFIG, Flags, Problem, Problems, Settings,
    check::check_together,
    file::{self, Entry},
    name, parser, raw, variable,
};

/// Where a value comes from, the weakest first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Origin {
    Default,
    /// A line of the file; 0 is the file as a whole.
    File {
        path: PathBuf,
        line: usize,
    },
    /// The variable of that name.
    Environment(String),
    /// The flag of that setting.
    Flag(String),
}

/// Settings, each with its origin.
#[derive(Clone, Debug)]
pub(crate) struct Resolved {
    pub(crate) settings: Settings,
    pub(crate) values: Vec<Value>,
    /// The file, if there is one.
    pub(crate) file: Option<PathBuf>,
}

/// A setting as it was given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Value {
    pub(crate) name: String,
    /// None where it has neither been given nor a default.
    pub(crate) texts: Vec<OsString>,
    pub(crate) origin: Origin,
    /// Nobody may see it.
    pub(crate) is_secret: bool,
}

/// The variables of the process.
pub(crate) type Environment<'e> = &'e dyn Fn(&str) -> Option<OsString>;

/// A setting that somebody gave.
#[derive(Clone, Debug)]
struct Given {
    origin: Origin,
    name: String,
    texts: Vec<OsString>,
}

/// The effective settings.
///
/// # Errors
/// Every value that cannot be read, wherever it is given, and whether or not a stronger one hides it;
/// or, where all can be, those that do not go together.
pub(crate) fn resolve(flags: &Flags, environment: Environment<'_>) -> Result<Resolved, Problems> {
    let parser = parser();
    let mut problems = Vec::new();
    let file = flags.config.clone().or_else(|| set(environment, &variable(CONFIG)).map(Into::into));
    // The weakest first: what is given later is stronger.
    let mut given = Vec::new();
    if let Some(path) = &file {
        read_file(path, &mut given, &mut problems);
    }
    given.extend(parser.get_arguments().filter_map(|arg| of_environment(arg, environment)));
    given.extend(flags.given.iter().map(|(name, texts)| Given {
        origin: Origin::Flag(name.clone()),
        name: name.clone(),
        texts: texts.clone(),
    }));
    problems.extend(given.iter().filter_map(|given| check(&parser, given)));
    if !problems.is_empty() {
        return Err(Problems(problems));
    }
    let strongest = |arg: &Arg| given.iter().rfind(|given| given.name == name(arg));
    let arguments = parser.get_arguments().filter_map(strongest).flat_map(Given::arguments);
    let parsed = parser.clone().try_get_matches_from(arguments).and_then(|matches| {
        let settings = Settings::from_arg_matches(&matches)?;
        Ok((settings, matches))
    });
    let (settings, matches) = parsed.map_err(|fault| {
        // Each value for itself can be read: they exclude each other.
        let origin = given.last().map_or(Origin::Default, |given| given.origin.clone());
        Problems(vec![Problem::of_clap(origin, "", &fault)])
    })?;
    let values = parser.get_arguments().map(|arg| Value::of(arg, strongest(arg), &matches));
    let resolved = Resolved { settings, values: values.collect(), file };
    match check_together(&resolved) {
        problems if problems.is_empty() => Ok(resolved),
        problems => Err(Problems(problems)),
    }
}

fn read_file(path: &Path, given: &mut Vec<Given>, problems: &mut Vec<Problem>) {
    let at = |line| Origin::File { path: path.to_owned(), line };
    match fs::read_to_string(path) {
        Err(fault) => problems.push(Problem::unreadable(path.to_owned(), &fault)),
        Ok(text) => {
            let (entries, faults) = file::parse(&text);
            let faults = faults.into_iter().map(|fault| (fault.line, fault.text));
            problems.extend(faults.map(|(line, text)| Problem { origin: at(line), text }));
            given.extend(entries.into_iter().map(|Entry { line, name, values }| Given {
                origin: at(line),
                name,
                texts: values.into_iter().map(Into::into).collect(),
            }));
        }
    }
}

/// What the environment says of a setting. One variable more than ours is heard: that which tools
/// that log with `tracing` have in common.
fn of_environment(arg: &Arg, environment: Environment<'_>) -> Option<Given> {
    let ours = variable(name(arg));
    let common = (name(arg) == "log").then(|| "RUST_LOG".to_owned());
    let of_variable = |variable: String| Some((set(environment, &variable)?, variable));
    let (text, variable) = [Some(ours), common].into_iter().flatten().find_map(of_variable)?;
    let origin = Origin::Environment(variable);
    Some(Given { origin, name: name(arg).to_owned(), texts: vec![text] })
}

/// The value of a variable. An empty one is not set, as a container's manifest cannot unset one.
fn set(environment: Environment<'_>, variable: &str) -> Option<OsString> {
    environment(variable).filter(|text| !text.is_empty())
}

/// Whether nobody may see its value.
pub(super) fn is_secret(arg: &Arg) -> bool {
    arg.is_hide_env_values_set()
}

/// Reads a setting for itself.
fn check(parser: &Command, given: &Given) -> Option<Problem> {
    let fault = parser.clone().try_get_matches_from(given.arguments()).err()?;
    let is_it = |arg: &&Arg| name(arg) == given.name;
    let is_secret = parser.get_arguments().find(is_it).is_some_and(is_secret);
    Some(match is_secret {
        true => Problem::secret(given.origin.clone(), &given.name),
        false => Problem::of_clap(given.origin.clone(), &given.name, &fault),
    })
}

impl Given {
    /// As the command line has it.
    fn arguments(&self) -> impl Iterator<Item = OsString> + use<> {
        let flag = format!("--{}=", self.name);
        self.texts.clone().into_iter().map(move |text| {
            let mut argument = OsString::from(&flag);
            argument.push(text);
            argument
        })
    }
}

impl Value {
    fn of(arg: &Arg, given: Option<&Given>, matches: &ArgMatches) -> Self {
        Self {
            name: name(arg).to_owned(),
            texts: raw(matches, arg),
            origin: given.map_or(Origin::Default, |given| given.origin.clone()),
            is_secret: is_secret(arg),
        }
    }
}

impl Resolved {
    /// Where a setting was given.
    pub(crate) fn origin(&self, name: &str) -> Origin {
        let value = self.values.iter().find(|value| value.name == name);
        value.map_or(Origin::Default, |value| value.origin.clone())
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::File { path, line: 0 } => write!(f, "{}", path.display()),
            Self::File { path, line } => write!(f, "{}:{line}", path.display()),
            Self::Environment(variable) => f.write_str(variable),
            Self::Flag(name) => write!(f, "--{name}"),
        }
    }
}

#[cfg(test)]
mod tests;
