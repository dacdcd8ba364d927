//! `fanfare-load`: subscribes, publishes at times fixed in advance, and audits every delivery.
//!
//! `cli` says what can be asked; `scenario` plays it on a `session`, which starts `worker` processes that
//! receive, a `publisher`, and the `server` where none is given; what comes of it is a `report`.
//! `target` is what is spoken to and how, `payload` what a message carries so that it can be audited.
#![forbid(unsafe_code)]

mod cli;
mod clock;
mod compare;
mod extract;
mod histogram;
mod http;
mod machine;
mod payload;
mod publisher;
mod report;
mod scenario;
mod server;
mod session;
mod target;
mod values;
mod worker;

use std::process::ExitCode;

use clap::Parser;

use crate::cli::{Cli, Command};
use crate::scenario::Scenario;

fn main() -> ExitCode {
    let cli = Cli::parse();
    let status = match &cli.command {
        None => play(&cli.steady),
        Some(Command::Report(recorded)) => recorded.show().map(|()| ExitCode::SUCCESS),
        Some(Command::Compare(runs)) => runs.compare(),
        Some(Command::Worker) => worker::run().map(|()| ExitCode::SUCCESS),
        Some(command) => match command.scenario() {
            Some(scenario) => play(scenario),
            None => Err("there is nothing to play".to_owned()),
        },
    };
    status.unwrap_or_else(|error| {
        eprintln!("fanfare-load: {error}");
        ExitCode::from(2)
    })
}

fn play(scenario: &dyn Scenario) -> Result<ExitCode, String> {
    let report = scenario.play()?;
    report::deliver(&report, scenario.outputs())?;
    Ok(report.verdict.exit_code())
}
