//! The table, as README carries it.

mod row;

use std::fmt;

use self::row::{Row, Value};
use crate::{
    machine::Machine,
    record::{Compared, Record},
    scenario::{self, Metric, Scenario},
};

/// A record, for people.
#[derive(Debug)]
pub(crate) struct Table<'r>(pub(crate) &'r Record);

/// A number in which a peer is better than the first row.
#[derive(Debug)]
struct Lost<'t> {
    scenario: &'t str,
    row: &'t Row,
    first: &'t Row,
    metric: Metric,
    theirs: Value,
    ours: Value,
}

impl fmt::Display for Table<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let record = self.0;
        head(f, record)?;
        let scenarios: Vec<_> =
            record.scenarios.iter().filter_map(|name| scenario::find(name)).collect();
        let tables: Vec<_> = scenarios.iter().map(|scenario| rows(record, scenario)).collect();
        for (scenario, rows) in scenarios.iter().zip(&tables) {
            section(f, scenario, rows)?;
        }
        if tables.iter().flatten().any(|row| row.bottleneck) {
            writeln!(f, "\n† The load tester was the bottleneck in most runs: this is no claim.")?;
        }
        let lost: Vec<_> =
            scenarios.iter().zip(&tables).flat_map(|(one, rows)| lost(one, rows)).collect();
        rows_we_lose(f, &lost)?;
        notes(f, record)
    }
}

fn head(f: &mut fmt::Formatter<'_>, record: &Record) -> fmt::Result {
    let Machine { kernel, cpu, cpus, memory_gib, rustc, load: [before, after] } = &record.machine;
    writeln!(
        f,
        "Linux {kernel}, {cpus} × {cpu}, {memory_gib:.0} GiB, rustc {rustc}; the server on one CPU, \
         the load tester on another; load average {before} before and {after} after."
    )?;
    write!(f, "Medians of {} runs (least..most), in turn", record.repeat)?;
    if let Some(first) = record.peers.first() {
        write!(f, "; × is to {}. **Bold** is better than it", first.name)?;
    }
    if !record.load.is_empty() {
        write!(f, ". Run with `{}`, whatever the titles say", record.load.join(" "))?;
    }
    writeln!(f, ".")
}

fn rows(record: &Record, scenario: &Scenario) -> Vec<Row> {
    let row = |peer: &Compared| {
        Row::new(peer, scenario.metrics, &record.runs_of(scenario.name, &peer.name))
    };
    record.peers.iter().map(row).collect()
}

fn section(f: &mut fmt::Formatter<'_>, scenario: &Scenario, rows: &[Row]) -> fmt::Result {
    writeln!(f, "\n### {}: {}\n", scenario.name, scenario.what)?;
    let names: Vec<_> = scenario.metrics.iter().map(|metric| metric.name).collect();
    writeln!(f, "| peer | version | {} | faults |", names.join(" | "))?;
    writeln!(f, "|{}", " --- |".repeat(names.len() + 3))?;
    for row in rows {
        let cells: Vec<_> = (0..names.len()).map(|nth| row.cell(nth, &rows[0])).collect();
        let Row { peer, version, faults, .. } = row;
        writeln!(f, "| {peer} | {version} | {} | {faults} |", cells.join(" | "))?;
    }
    let left_out = rows.iter().filter(|row| row.left_out > 0);
    let left_out: Vec<_> =
        left_out.map(|row| format!("{} of {}", row.left_out, row.peer)).collect();
    match left_out.is_empty() {
        true => Ok(()),
        false => {
            let runs = left_out.join(", ");
            writeln!(f, "\nRuns that do not count, as the load tester was the bottleneck: {runs}.")
        }
    }
}

/// Where another row is better than the first.
fn lost<'t>(scenario: &'t Scenario, rows: &'t [Row]) -> Vec<Lost<'t>> {
    let Some((first, others)) = rows.split_first() else { return Vec::new() };
    let mut lost = Vec::new();
    for row in others {
        for (nth, metric) in scenario.metrics.iter().enumerate() {
            if let Some((theirs, ours)) = row.better_than(nth, first) {
                lost.push(Lost {
                    scenario: scenario.name,
                    row,
                    first,
                    metric: *metric,
                    theirs,
                    ours,
                });
            }
        }
    }
    lost
}

fn rows_we_lose(f: &mut fmt::Formatter<'_>, lost: &[Lost<'_>]) -> fmt::Result {
    writeln!(f, "\n### Rows we lose\n")?;
    if lost.is_empty() {
        return writeln!(f, "None.");
    }
    for Lost { scenario, row, first, metric, theirs, ours } in lost {
        let Row { peer, faults, .. } = row;
        let within = if theirs.overlaps(ours) { ", within the spread" } else { "" };
        let but = if row.is_clean() { String::new() } else { format!("; its faults: {faults}") };
        let (theirs, ours) = (theirs.text(metric), ours.text(metric));
        writeln!(
            f,
            "- {scenario}, {}: {peer} {theirs}, {} {ours}{within}{but}",
            metric.name, first.peer
        )?;
    }
    Ok(())
}

fn notes(f: &mut fmt::Formatter<'_>, record: &Record) -> fmt::Result {
    writeln!(f, "\n### How each is set up\n")?;
    for peer in &record.peers {
        writeln!(f, "- {} {}: {}", peer.name, peer.version, peer.settings)?;
    }
    if !record.left_out.is_empty() {
        writeln!(f, "\nLeft out:\n")?;
    }
    record.left_out.iter().try_for_each(|one| writeln!(f, "- {}: {}", one.name, one.why))
}

#[cfg(test)]
mod tests;
