use std::{fs, process};

use clap::Parser;

use super::*;
use crate::settings::{Size, Span, server::Lag};

/// As `serve` takes them.
#[derive(Parser)]
struct CommandLine {
    #[command(flatten)]
    flags: Flags,
}

/// A settings file, removed when dropped.
struct File(PathBuf);

impl File {
    fn new(name: &str, text: &str) -> Self {
        let path = std::env::temp_dir().join(format!("fanfare-{name}-{}.toml", process::id()));
        fs::write(&path, text).unwrap();
        Self(path)
    }

    /// The problems of a file that cannot be, each without the folder.
    fn problems(&self, flags: &[&str], variables: &[(&str, &str)]) -> Vec<String> {
        let problems = self.resolve(flags, variables).unwrap_err().0;
        let path = format!("{}:", self.0.display());
        problems.iter().map(|problem| problem.to_string().replace(&path, "file:")).collect()
    }

    fn resolve(&self, flags: &[&str], variables: &[(&str, &str)]) -> Result<Resolved, Problems> {
        let path = format!("--config={}", self.0.display());
        resolve_from(&[&[&*path], flags].concat(), variables)
    }
}

impl Drop for File {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

fn resolve_from(flags: &[&str], variables: &[(&str, &str)]) -> Result<Resolved, Problems> {
    let line = CommandLine::try_parse_from([&["fanfare"], flags].concat()).unwrap();
    let find = |name: &str| variables.iter().find(|(variable, _)| *variable == name);
    resolve(&line.flags, &|name| find(name).map(|(_, text)| text.into()))
}

#[test]
fn the_strongest_wins_and_is_named() {
    let file = File::new("strongest", "heartbeat = 4\nlag-bytes = \"4KiB\"\nlag = \"skip\"\n");
    let variables = [("FANFARE_HEARTBEAT", "3s"), ("FANFARE_LAG_BYTES", "3KiB")];
    let resolved = file.resolve(&["--heartbeat", "2"], &variables).unwrap();
    let history = &resolved.settings.history;
    assert_eq!(history.heartbeat, Span(std::time::Duration::from_secs(2)));
    assert_eq!(history.lag_bytes, Some(Size(3 << 10)));
    assert_eq!(history.lag, Lag::Skip);
    assert_eq!(history.history_bytes, Size(64 << 20));
    assert_eq!(resolved.origin("heartbeat"), Origin::Flag("heartbeat".into()));
    assert_eq!(resolved.origin("lag-bytes"), Origin::Environment("FANFARE_LAG_BYTES".into()));
    assert_eq!(resolved.origin("lag"), Origin::File { path: file.0.clone(), line: 3 });
    assert_eq!(resolved.origin("history-bytes"), Origin::Default);
}

#[test]
fn every_problem_is_found_with_its_place_even_where_a_stronger_value_hides_it() {
    let text = "lag-byte = 1\nlag_bytes = 1\nhistory-bytes = \"64MB\"\ndriver = \"magic\"\n\
                cores = 0\nlag = [\"skip\", \"conflate\"]\nconfig = \"other.toml\"\nzebra = 1\n";
    let file = File::new("problems", text);
    let problems = file.problems(&["--driver", "epoll"], &[("FANFARE_CORES", "many")]);
    let expected = [
        "file:1: unknown setting `lag-byte`; did you mean `lag-bytes`?",
        "file:2: unknown setting `lag_bytes`; did you mean `lag-bytes`?",
        "file:3: invalid value '64MB' for `history-bytes`: expected a number of bytes, such as \
         1000, 512KiB, 64MiB or 2GiB",
        "file:4: invalid value 'magic' for `driver` [possible values: auto, uring, epoll]",
        "file:5: invalid value '0' for `cores`: 0 is not in 1..=65535",
        "file:6: the argument `lag` cannot be used multiple times",
        "file:7: unknown setting `config`",
        "file:8: unknown setting `zebra`",
        "FANFARE_CORES: invalid value 'many' for `cores`: invalid digit found in string",
    ];
    assert_eq!(problems, expected);
}

#[test]
fn a_file_that_is_no_toml_or_not_there_is_named() {
    let file = File::new("no-toml", "lag = \"skip\nheartbeat = 1\n");
    let problems = file.problems(&[], &[]);
    assert!(problems[0].starts_with("file:1: "), "{problems:?}");
    let problems = resolve_from(&["--config=/no/such.toml"], &[]).unwrap_err().to_string();
    assert!(problems.starts_with("/no/such.toml: cannot be read: "), "{problems}");
}

#[test]
fn variables_name_the_file_and_an_empty_one_is_not_set() {
    let file = File::new("by-variable", "cores = 3\n");
    let path = file.0.to_str().unwrap();
    let resolved = resolve_from(&[], &[("FANFARE_CONFIG", path), ("FANFARE_CORES", "")]).unwrap();
    assert_eq!(resolved.settings.server.cores, Some(3));
    assert_eq!(resolved.file.as_ref(), Some(&file.0));
    let resolved = resolve_from(&[], &[("FANFARE_CONFIG", "")]).unwrap();
    assert_eq!(resolved.file, None);
}

#[test]
fn what_is_logged_is_also_said_by_the_variable_that_tracing_has() {
    let log = |variables: &[_]| resolve_from(&[], variables).unwrap().settings.server.log;
    assert_eq!(log(&[("RUST_LOG", "debug")]), "debug");
    assert_eq!(log(&[("RUST_LOG", "debug"), ("FANFARE_LOG", "error")]), "error");
    assert_eq!(log(&[]), crate::logging::FILTER_DEFAULT);
}

#[test]
fn values_that_do_not_go_together_are_named_where_they_are_given() {
    let file = File::new("together", "lag-bytes = \"65MiB\"\n");
    let problems = file.problems(&[], &[]);
    assert_eq!(problems, ["file:1: `lag-bytes` of 65MiB is more than `history-bytes` of 64MiB"]);
    assert!(file.resolve(&["--history-bytes=65MiB"], &[]).is_ok());
    let problems = resolve_from(&["--history-bytes=1MiB", "--heartbeat=500ms"], &[]).unwrap_err();
    assert!(resolve_from(&["--heartbeat=0"], &[]).is_ok());
    let expected = "--heartbeat: `heartbeat` of 500ms is less than 1s";
    assert_eq!(problems.to_string(), expected);
    let problems = resolve_from(&["--drain-deadline=99ms", "--control-connections=9"], &[]);
    let expected = "--drain-deadline: `drain-deadline` of 99ms is not in 100ms..=86400s\n\
                    default: `control-subscriptions` of 1024 is not below control-connections of 9";
    assert_eq!(problems.unwrap_err().to_string(), expected);
    let problems = resolve_from(&["--history-bytes=1023KiB"], &[]).unwrap_err();
    let expected = "--history-bytes: `history-bytes` of 1023KiB is less than 1MiB";
    assert_eq!(problems.to_string(), expected);
}

#[test]
fn every_setting_takes_a_value_and_is_described() {
    for arg in parser().get_arguments() {
        let name = name(arg);
        assert!(arg.get_action().takes_values(), "{name}: a file cannot give a bare switch");
        assert!(arg.get_help().is_some(), "{name} has no help");
        assert!(arg.get_help_heading().is_some(), "{name} has no heading");
        assert_eq!(arg.get_id().as_str().replace('_', "-"), name, "one name");
    }
}
