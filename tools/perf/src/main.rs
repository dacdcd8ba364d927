//! `cargo perf`: every target of the design, measured by the program that it is about, as one table.
//!
//! Nothing is measured here: benchmarks and the load tester are, each in a run of its own, with the floor
//! of a row in the same run. A target that is missed is a row that says so, not an error; a run that fails,
//! because something was lost or could not be had, is.
#![forbid(unsafe_code)]

mod measured;
mod program;
mod table;
mod targets;

use std::process::ExitCode;

use clap::Parser;

use self::{
    measured::Measured,
    table::Table,
    targets::{MEASUREMENTS, Measurement},
};

/// Measures every target of the design, and prints one table.
#[derive(Parser)]
#[command(name = "cargo perf")]
struct Arguments {
    /// Only these measurements; `cargo perf --list` names them.
    names: Vec<String>,
    /// How often each load is run, of which the median counts; benchmarks repeat by themselves.
    #[arg(long, default_value_t = 3)]
    repeats: usize,
    /// Name the measurements and end.
    #[arg(long)]
    list: bool,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    if arguments.list {
        MEASUREMENTS.iter().for_each(|one| println!("{:12} {}", one.name, one.program));
        return ExitCode::SUCCESS;
    }
    let chosen = match choose(&arguments.names) {
        Ok(chosen) => chosen,
        Err(unknown) => {
            eprintln!("cargo perf: there is no measurement {unknown:?}; --list names them");
            return ExitCode::from(2);
        }
    };
    let mut table = Table::default();
    let mut failed = false;
    for measurement in chosen {
        eprintln!("== {}: {}", measurement.name, measurement.program);
        match measurement.program.run(arguments.repeats) {
            Ok(documents) => measurement.targets.iter().for_each(|target| {
                table.add(target, Measured::of(target, &documents));
            }),
            Err(fault) => {
                eprintln!("   {fault}");
                table.fail(measurement, &fault);
                failed = true;
            }
        }
    }
    println!("{table}");
    if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

fn choose(names: &[String]) -> Result<Vec<&'static Measurement>, String> {
    if names.is_empty() {
        return Ok(MEASUREMENTS.iter().collect());
    }
    let find = |name: &String| {
        MEASUREMENTS.iter().find(|one| one.name == name).ok_or_else(|| name.clone())
    };
    names.iter().map(find).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_chosen_in_their_order_or_refused() {
        let name = |nth: usize| MEASUREMENTS[nth].name.to_owned();
        let chosen = choose(&[name(1), name(0)]).unwrap();
        assert_eq!(chosen.iter().map(|one| one.name).collect::<Vec<_>>(), [name(1), name(0)]);
        assert_eq!(choose(&[]).unwrap().len(), MEASUREMENTS.len());
        assert_eq!(choose(&["no such".to_owned()]).err(), Some("no such".to_owned()));
    }
}
