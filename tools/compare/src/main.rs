//! `fanfare-compare`: the same load on Fanfare and on its peers, in one run, as one table.
//!
//! Nothing is measured here: `fanfare-load` is run against each peer, which is started anew for each run with the
//! best settings that its documents name. The order of the peers turns from repeat to repeat, because a machine
//! drifts. A peer that is not installed is left out and named; where a peer is better than Fanfare, the
//! table says so.
#![forbid(unsafe_code)]

mod arguments;
mod binaries;
mod comparison;
mod interrupt;
mod machine;
mod peer;
mod process;
mod record;
mod scenario;
mod table;
mod tester;

use std::{fs, path::Path, process::ExitCode};

use clap::Parser;

use self::{arguments::Arguments, comparison::Comparison, record::Record, table::Table};

fn main() -> ExitCode {
    match run(&Arguments::parse()) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(fault) => {
            eprintln!("fanfare-compare: {fault}");
            ExitCode::from(2)
        }
    }
}

/// Tells whether all went well with Fanfare.
fn run(arguments: &Arguments) -> Result<bool, String> {
    if arguments.list {
        peer::PEERS.iter().for_each(|peer| println!("{:14} {}", peer.name(), peer.settings()));
        scenario::SCENARIOS.iter().for_each(|one| println!("{:14} {}", one.name, one.what));
        return Ok(true);
    }
    let record = match &arguments.from {
        Some(path) => Record::read(path)?,
        None => Comparison::prepare(arguments)?.run(),
    };
    let table = Table(&record).to_string();
    println!("{table}");
    if let Some(path) = &arguments.json {
        record.write(path)?;
    }
    if let Some(path) = &arguments.markdown {
        write(path, &table)?;
    }
    if interrupt::asked() {
        return Err("interrupted: the rest was not run".to_owned());
    }
    Ok(record.fanfare_holds())
}

fn write(path: &Path, text: &str) -> Result<(), String> {
    fs::write(path, text).map_err(|error| format!("{}: {error}", path.display()))
}
