//! `cargo ci`: every check that a change must pass, in one command; `cargo ci STEP…` for some of them.
//!
//! A step that fails does not stop the others, so that one run tells all that is wrong. The tests come
//! last: what they print of themselves ends the output.
#![forbid(unsafe_code)]

mod arguments;
mod command;
mod fuzz;
mod step;
mod summary;
mod tidy;

use std::process::ExitCode;
use std::time::Instant;

use crate::arguments::{Arguments, USAGE};
use crate::step::Step;
use crate::summary::Summary;

fn main() -> ExitCode {
    let arguments = match Arguments::parse(std::env::args().skip(1)) {
        Ok(Some(arguments)) => arguments,
        Ok(None) => {
            print!("{USAGE}");
            return ExitCode::SUCCESS;
        }
        Err(fault) => {
            eprintln!("cargo ci: {fault}\n\n{USAGE}");
            return ExitCode::from(2);
        }
    };
    if run(&arguments) { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Whether all went well.
fn run(arguments: &Arguments) -> bool {
    let mut summary = Summary::default();
    for step in &arguments.steps {
        if *step == Step::Test && !summary.is_empty() {
            println!("\n{summary}");
        }
        println!("\n== {}: {}", step.name(), step.about());
        let started = Instant::now();
        let outcome = step.run(arguments);
        summary.add(*step, started.elapsed(), outcome);
    }
    if !arguments.steps.contains(&Step::Test) {
        println!("\n{summary}");
    }
    if let Some(failed) = summary.failed() {
        println!("\nfailed: {failed}");
    }
    summary.failed().is_none()
}

/// Whether this is CI, where what cannot run is a failure.
fn is_ci() -> bool {
    std::env::var("CI").is_ok_and(|value| value == "true")
}
