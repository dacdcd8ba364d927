//! `fanfare config`: the settings, checked, shown and explained, and nothing started.

use std::{
    env,
    error::Error,
    io::{self, Write},
};

use clap::Subcommand;
use fanfare::server::AccessError;

use super::settings::{self, Flags, Resolved};

/// What `config` can do.
#[derive(Subcommand)]
pub(crate) enum Config {
    /// Check the settings as `serve` would read them: print every problem with its place.
    Check(Flags),
    /// Show the effective settings as a file, each with where it comes from.
    Show(Flags),
    /// Print a file of every setting with its default and its cost.
    Example,
}

/// Prints what is asked for. Settings that cannot be are an error that lists them all.
pub(crate) fn run(config: &Config) -> Result<(), Box<dyn Error>> {
    let resolve = |flags| settings::resolve(flags, &|variable| env::var_os(variable));
    let text = match config {
        Config::Check(flags) => checked(&resolve(flags)?)?,
        Config::Show(flags) => settings::shown(&resolve(flags)?),
        Config::Example => settings::example(),
    };
    Ok(io::stdout().lock().write_all(text.as_bytes())?)
}

fn checked(resolved: &Resolved) -> Result<String, AccessError> {
    // The files that settings name are read too.
    resolved.settings.access.access()?;
    Ok(match &resolved.file {
        Some(file) => format!("{}: ok\n", file.display()),
        None => "ok; no file is named\n".to_owned(),
    })
}
