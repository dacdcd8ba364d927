//! `fanfare-load`: subscribes, publishes at a fixed rate, and audits every delivery.
//!
//! With no flags it starts a server on a free port, runs the canonical load, prints one table and
//! ends the server. Exit status: 0 when every delivery arrived intact, once and in order; 1 when
//! one did not; 2 when the run could not be made.
#![forbid(unsafe_code)]

mod args;
mod audit;
mod clock;
mod framing;
mod http;
mod link;
mod machine;
mod payload;
mod proven;
mod publisher;
mod report;
mod run;
mod scanner;
mod server_process;
mod stream;
mod subscriber;
mod target;
mod usage;

use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    let args = args::Args::parse();
    match run::run(&args).and_then(|report| report.deliver(args.json.as_deref())) {
        Ok(verdict) => verdict.exit_code(),
        Err(error) => {
            eprintln!("fanfare-load: {error}");
            ExitCode::from(2)
        }
    }
}
