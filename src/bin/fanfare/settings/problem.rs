//! What is wrong with settings: each with its place.

use std::{error::Error, fmt, io, path::PathBuf};

use clap::error::{ContextKind, ContextValue, ErrorKind};

use super::Origin;

/// A setting that cannot be, and where it was given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Problem {
    pub(crate) origin: Origin,
    pub(crate) text: String,
}

/// One or more of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Problems(pub(crate) Vec<Problem>);

impl Problem {
    /// A file that cannot be read.
    pub(super) fn unreadable(path: PathBuf, fault: &io::Error) -> Self {
        Self { origin: Origin::File { path, line: 0 }, text: format!("cannot be read: {fault}") }
    }

    /// What clap says of a setting, in the words of wherever it was given.
    pub(super) fn of_clap(origin: Origin, name: &str, fault: &clap::Error) -> Self {
        let text = match fault.kind() {
            ErrorKind::UnknownArgument => unknown(name, fault),
            _ => refused(name, fault),
        };
        Self { origin, text }
    }

    /// A secret that cannot be read: what clap says would tell it.
    pub(super) fn secret(origin: Origin, name: &str) -> Self {
        Self { origin, text: format!("invalid value for `{name}`, which is a secret") }
    }
}

fn unknown(name: &str, fault: &clap::Error) -> String {
    let flag = text_of(fault, ContextKind::SuggestedArg).map(|flag| flag.trim_start_matches('-'));
    let hint = flag.map(|similar| format!("; did you mean `{similar}`?"));
    format!("unknown setting `{name}`{}", hint.unwrap_or_default())
}

/// The first paragraph, on one line.
fn refused(name: &str, fault: &clap::Error) -> String {
    let rendered = fault.render().to_string();
    let paragraph = rendered.split("\n\n").next().unwrap_or_default();
    let line = paragraph.split_whitespace().collect::<Vec<_>>().join(" ");
    let text = line.trim_start_matches("error: ").to_owned();
    match text_of(fault, ContextKind::InvalidArg) {
        Some(flag) => text.replace(&format!("'{flag}'"), &format!("`{name}`")),
        None => text,
    }
}

fn text_of(fault: &clap::Error, kind: ContextKind) -> Option<&str> {
    match fault.get(kind) {
        Some(ContextValue::String(text)) => Some(text),
        _ => None,
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.origin, self.text)
    }
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (nth, problem) in self.0.iter().enumerate() {
            let separator = if nth == 0 { "" } else { "\n" };
            write!(f, "{separator}{problem}")?;
        }
        Ok(())
    }
}

impl Error for Problems {}
