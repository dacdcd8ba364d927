//! The comparison as people read it.

use std::fmt;

use super::{Comparison, Outcome, Row};
use crate::report::figures::{count, number};

/// Files of a side that are named; of more the number is told.
const FILES_MAX: usize = 3;

impl fmt::Display for Comparison {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.heading)?;
        for (name, files) in [("baseline", &self.baseline), ("candidate", &self.candidate)] {
            writeln!(f, "  {name:<10} {}", named(files))?;
        }
        let cells: Vec<_> = std::iter::once(head()).chain(self.rows.iter().map(cells)).collect();
        let width = |at: usize| cells.iter().map(|row| row[at].chars().count()).max().unwrap_or(0);
        let widths: [usize; 6] = std::array::from_fn(width);
        for [name, baseline, candidate, ratio, bounds, outcome] in &cells {
            let [w0, w1, w2, w3, w4, _] = widths;
            let line = format!(
                "  {name:<w0$}  {baseline:>w1$}  {candidate:>w2$}  {ratio:>w3$}  {bounds:>w4$}  {outcome}"
            );
            writeln!(f, "{}", line.trim_end())?;
        }
        writeln!(f, "  {:<10} {}", "noise", self.method)?;
        self.notes.iter().try_for_each(|note| writeln!(f, "  {:<10} {note}", "note"))?;
        writeln!(f, "  {:<10} {}", "verdict", self.verdict())
    }
}

impl Comparison {
    fn verdict(&self) -> String {
        let of = |wanted| {
            let rows = self.rows.iter().filter(|row| row.outcome == wanted);
            rows.map(|row| row.name).collect::<Vec<_>>().join(", ")
        };
        match (of(Outcome::Worse), of(Outcome::Better)) {
            (worse, _) if !worse.is_empty() => format!("REGRESSION: {worse}"),
            (_, better) if !better.is_empty() => {
                format!("nothing is worse beyond noise; better: {better}")
            }
            _ => "no difference beyond noise".to_owned(),
        }
    }
}

fn named(files: &[String]) -> String {
    match files {
        [file] => file.clone(),
        few if few.len() <= FILES_MAX => format!("{} runs: {}", few.len(), few.join(", ")),
        [first, .., last] => format!("{} runs: {first} to {last}", count(files.len() as u64)),
        [] => String::new(),
    }
}

fn head() -> [String; 6] {
    ["figure", "baseline", "candidate", "ratio", "bounds", ""].map(str::to_owned)
}

fn cells(row: &Row) -> [String; 6] {
    let figure = |value: Option<f64>| value.map_or_else(|| "-".to_owned(), number);
    let bounds = row.bounds.map_or_else(String::new, |bounds| {
        format!("{} to {}", number(bounds.low), number(bounds.high))
    });
    [
        format!("{}, {}", row.name, row.unit),
        figure(row.baseline),
        figure(row.candidate),
        row.ratio.map_or_else(String::new, number),
        bounds,
        outcome(row).to_owned(),
    ]
}

fn outcome(row: &Row) -> &'static str {
    match row.outcome {
        Outcome::Better => "better",
        Outcome::Worse => "WORSE",
        Outcome::Noise if row.baseline.zip(row.candidate).is_some_and(is_same) => "same",
        Outcome::Noise => "noise",
        Outcome::Unknown => "unknown",
    }
}

/// To more digits than anything is measured; a mean of several runs is rounded.
fn is_same((a, b): (f64, f64)) -> bool {
    (a - b).abs() <= 1e-9 * a.abs()
}
