//! What `cargo ci` is asked to do.

use std::time::Duration;

use crate::step::Step;

pub(crate) const USAGE: &str = "\
usage: cargo ci [STEP]... [--seconds N]

Runs the steps in this order, or only those named:
  fmt     the code is formatted
  clippy  no warnings
  doc     the documentation builds without warnings
  loom    models of the lock-free structures
  sim     10,000 seeds of the simulation of whole cores
  fuzz    each target of tools/fuzz for N seconds (default 10); needs nightly and cargo-fuzz
  tidy    our own rules about the source
  test    cargo test --workspace

With CI=true a step that cannot run here fails; without, it is skipped and says why.
";

/// Asked on the command line.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Arguments {
    pub(crate) steps: Vec<Step>,
    /// How long each fuzz target runs.
    pub(crate) fuzz_time: Duration,
}

impl Arguments {
    /// `None` if the usage is asked for.
    pub(crate) fn parse(words: impl IntoIterator<Item = String>) -> Result<Option<Self>, String> {
        let mut steps = Vec::new();
        let mut fuzz_time = Duration::from_secs(10);
        let mut words = words.into_iter();
        while let Some(word) = words.next() {
            match &*word {
                "--help" | "-h" => return Ok(None),
                "--seconds" => {
                    let value = words.next().ok_or("--seconds has no value")?;
                    fuzz_time = parse_seconds(&value)?;
                }
                name => {
                    let step = Step::ALL.into_iter().find(|step| step.name() == name);
                    steps.push(step.ok_or_else(|| format!("there is no step {name:?}"))?);
                }
            }
        }
        if steps.is_empty() {
            steps = Step::ALL.to_vec();
        }
        steps.sort_unstable();
        steps.dedup();
        Ok(Some(Self { steps, fuzz_time }))
    }
}

/// To libFuzzer zero would mean without an end.
fn parse_seconds(value: &str) -> Result<Duration, String> {
    match value.parse() {
        Ok(seconds @ 1..) => Ok(Duration::from_secs(seconds)),
        _ => Err(format!("--seconds wants a whole number from 1 on, not {value:?}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<Option<Arguments>, String> {
        Arguments::parse(line.split_whitespace().map(str::to_owned))
    }

    #[test]
    fn no_step_is_every_step_and_the_tests_are_last() {
        let all = parse("").unwrap().unwrap();
        assert_eq!(all.steps, Step::ALL);
        assert_eq!(all.steps.last(), Some(&Step::Test));
    }

    #[test]
    fn named_steps_run_once_each_in_the_usual_order() {
        let some = parse("test fmt --seconds 600 fuzz fmt").unwrap().unwrap();
        assert_eq!(some.steps, [Step::Fmt, Step::Fuzz, Step::Test]);
        assert_eq!(some.fuzz_time, Duration::from_secs(600));
    }

    #[test]
    fn the_usage_names_every_step() {
        assert_eq!(parse("tidy --help"), Ok(None));
        for step in Step::ALL {
            assert!(USAGE.contains(&format!("\n  {} ", step.name())), "{step:?}");
        }
    }

    #[test]
    fn a_fault_is_named() {
        for (line, fault) in [
            ("tests", "there is no step \"tests\""),
            ("fuzz --seconds", "--seconds has no value"),
            ("fuzz --seconds 0", "--seconds wants a whole number from 1 on, not \"0\""),
        ] {
            assert_eq!(parse(line), Err(fault.to_owned()));
        }
    }
}
