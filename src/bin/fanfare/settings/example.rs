//! Settings as files: those in effect, and all there are.
//!
//! Both are made of the declarations, so neither can go stale.

use std::fmt::Write;

use clap::Arg;

use super::{
    Origin, Resolved, name, parser,
    resolve::{Value, is_secret},
};

/// Columns of the example.
const WIDTH: usize = 100;

const PREFACE: &str = "\
# Every setting of `fanfare serve`, with its default. `fanfare serve --config FILE` reads such a file,
# `fanfare config check --config FILE` checks it, and SIGHUP reads it again. `fanfare config example`
# has written this one.
#
# A flag (`--lag-bytes 4MiB`) is stronger than a variable (`FANFARE_LAG_BYTES=4MiB`), a variable than
# this file. Sizes are `1000`, `512KiB`, `64MiB`, `2GiB`; times are `100ms`, `15s`, `1h 30m`.
";

/// The settings in effect, each with its origin.
pub(crate) fn shown(resolved: &Resolved) -> String {
    let lines = resolved.values.iter().map(|value| {
        let line = value.line();
        let origin = if value.texts.is_empty() { &Origin::Default } else { &value.origin };
        format!("{line:<44} # {origin}\n")
    });
    lines.collect()
}

impl Value {
    /// As the file would say it.
    pub(crate) fn line(&self) -> String {
        match self.texts.as_slice() {
            [] => format!("# {} is not set", self.name),
            _ if self.is_secret => format!("# {} is secret", self.name),
            texts => {
                let texts: Vec<_> = texts.iter().map(|text| text.to_string_lossy()).collect();
                format!("{} = {}", self.name, toml(&texts))
            }
        }
    }
}

/// A file of every setting.
pub(crate) fn example() -> String {
    let mut text = PREFACE.to_owned();
    let mut heading = None;
    for arg in parser().get_arguments() {
        if arg.get_help_heading() != heading.as_deref() {
            heading = arg.get_help_heading().map(str::to_owned);
            let rule = format!("--- {} ---", heading.as_deref().unwrap_or_default());
            let _ = writeln!(text, "\n# {rule}");
        }
        text.push('\n');
        text.push_str(&described(arg));
    }
    text
}

fn described(arg: &Arg) -> String {
    let help = arg.get_long_help().or_else(|| arg.get_help()).map(ToString::to_string);
    let mut text = wrapped(&help.unwrap_or_default());
    for value in arg.get_possible_values() {
        let help = value.get_help().map(ToString::to_string).unwrap_or_default();
        text.push_str(&wrapped(&format!("- {:?}: {help}", value.get_name())));
    }
    let values: Vec<_> = arg.get_default_values().iter().map(|v| v.to_string_lossy()).collect();
    let value = if values.is_empty() || is_secret(arg) { String::new() } else { toml(&values) };
    let line = format!("#{} = {value}", name(arg));
    text.push_str(line.trim_end());
    text.push('\n');
    text
}

/// Comment lines of a width.
fn wrapped(text: &str) -> String {
    let mut lines = String::new();
    for paragraph in text.split("\n\n") {
        let mut line = "#".to_owned();
        for word in paragraph.split_whitespace() {
            if line.chars().count() + 1 + word.chars().count() > WIDTH {
                let _ = writeln!(lines, "{line}");
                line = "#".to_owned();
            }
            let _ = write!(line, " {word}");
        }
        // clap takes the full stop of a lone sentence away.
        let stop = if line.ends_with(['.', ']']) { "" } else { "." };
        let _ = writeln!(lines, "{line}{stop}");
    }
    lines
}

/// A value as TOML, a list if there are several.
fn toml(texts: &[impl AsRef<str>]) -> String {
    match texts {
        [text] => literal(text.as_ref()),
        texts => {
            let items: Vec<_> = texts.iter().map(|text| literal(text.as_ref())).collect();
            format!("[{}]", items.join(", "))
        }
    }
}

fn literal(text: &str) -> String {
    let is_number = text.parse().is_ok_and(|number: i64| number.to_string() == text);
    match text {
        "true" | "false" => text.to_owned(),
        _ if is_number => text.to_owned(),
        _ => toml::Value::String(text.to_owned()).to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::{Flags, resolve};

    #[test]
    fn the_example_in_packaging_is_of_this_version() {
        let there = include_str!("../../../../packaging/fanfare.toml");
        assert_eq!(example(), there, "run `fanfare config example > packaging/fanfare.toml`");
    }

    #[test]
    fn what_is_shown_can_be_read_back() {
        let shown_defaults = shown(&resolve(&Flags::default(), &|_| None).unwrap());
        let folder = tempfile(&shown_defaults);
        let path = folder.clone().into_os_string();
        let read = |name: &str| (name == "FANFARE_CONFIG").then(|| path.clone());
        let resolved = resolve(&Flags::default(), &read).unwrap();
        let file_gives = |value: &&Value| matches!(value.origin, Origin::File { .. });
        assert!(resolved.values.iter().filter(file_gives).count() > 5, "{shown_defaults}");
        let without_origins =
            |text: &str| text.lines().map(|l| l.split("  #").next().unwrap().to_owned()).collect();
        let (a, b): (Vec<_>, Vec<_>) =
            (without_origins(&shown_defaults), without_origins(&shown(&resolved)));
        assert_eq!(a, b);
        std::fs::remove_file(folder).unwrap();
    }

    fn tempfile(text: &str) -> std::path::PathBuf {
        let path = std::env::temp_dir().join(format!("fanfare-shown-{}.toml", std::process::id()));
        std::fs::write(&path, text).unwrap();
        path
    }

    #[test]
    fn literals_are_what_toml_reads() {
        assert_eq!(toml(&["12"]), "12");
        assert_eq!(toml(&["012"]), "\"012\"");
        assert_eq!(toml(&["true"]), "true");
        assert_eq!(toml(&["a\"b", "c"]), "['a\"b', \"c\"]");
    }
}
