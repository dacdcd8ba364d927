//! `fanfare-load compare`: whether runs differ, and whether by more than noise.
//!
//! With several runs a side noise is what differs between runs of the same side. With one run each
//! there is only what differs between the slices of a run, which is less: two runs of the same
//! server differ in more than that, and the comparison says so.

mod figures;
mod setting;
mod show;
mod statistics;

use std::process::ExitCode;

use clap::Args;
use serde::Serialize;

use self::figures::Figure;
use self::statistics::Interval;
use crate::report::{self, Report};

/// The version of a comparison's document.
const SCHEMA: &str = "fanfare-load-compare/1";

/// Which runs are compared: `A.json B.json`, or several on each side.
#[derive(Args, Clone, Debug)]
pub(crate) struct CompareArgs {
    /// The run to compare with
    #[arg(value_name = "A.json", required_unless_present = "baseline")]
    a: Option<String>,

    /// The run that may have become worse
    #[arg(value_name = "B.json", required_unless_present = "baseline")]
    b: Option<String>,

    /// Several runs to compare with: five a side tell small differences from noise
    #[arg(long, value_name = "FILES", value_delimiter = ',', num_args = 1..)]
    #[arg(requires = "candidate", conflicts_with_all = ["a", "b"])]
    baseline: Vec<String>,

    /// Several runs that may have become worse
    #[arg(long, value_name = "FILES", value_delimiter = ',', num_args = 1.., requires = "baseline")]
    candidate: Vec<String>,

    /// Compare although the settings differ
    #[arg(long)]
    force: bool,

    /// Write the comparison as JSON to this file, or to standard output instead of the table (-)
    #[arg(long, value_name = "FILE")]
    json: Option<String>,
}

/// Runs of the same setting, and the files that they are from.
#[derive(Debug)]
struct Side {
    files: Vec<String>,
    runs: Vec<Report>,
}

/// What two sides are to each other.
#[derive(Debug, Serialize)]
struct Comparison {
    schema: &'static str,
    /// What was run.
    heading: String,
    baseline: Vec<String>,
    candidate: Vec<String>,
    /// How noise was told.
    method: &'static str,
    /// What a reader must know.
    notes: Vec<String>,
    rows: Vec<Row>,
    /// A figure has become worse by more than noise.
    regression: bool,
}

/// One figure on both sides.
#[derive(Debug, Serialize)]
struct Row {
    name: &'static str,
    unit: &'static str,
    /// Geometric mean of the runs; absent where a run has none.
    baseline: Option<f64>,
    candidate: Option<f64>,
    /// Candidate by baseline, with what noise makes of it.
    ratio: Option<f64>,
    bounds: Option<Interval>,
    outcome: Outcome,
}

/// What became of a figure.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
enum Outcome {
    Better,
    Worse,
    /// It may be the same.
    Noise,
    /// Noise is not known, or a side has no figure.
    Unknown,
}

impl CompareArgs {
    /// Compares, and prints or writes what came of it. The exit status is 1 when a figure has become
    /// worse by more than noise.
    ///
    /// # Errors
    /// In words, when the runs cannot be read or are not of the same kind.
    pub(crate) fn compare(&self) -> Result<ExitCode, String> {
        let baseline = Side::read(self.a.iter().chain(&self.baseline))?;
        let candidate = Side::read(self.b.iter().chain(&self.candidate))?;
        let comparison = Comparison::of(&baseline, &candidate, self.force)?;
        comparison.deliver(self.json.as_deref())?;
        Ok(if comparison.regression { ExitCode::FAILURE } else { ExitCode::SUCCESS })
    }
}

impl Side {
    fn read<'a>(files: impl Iterator<Item = &'a String>) -> Result<Self, String> {
        let files: Vec<_> = files.cloned().collect();
        let runs = files.iter().map(|file| report::read(file)).collect::<Result<_, _>>()?;
        Ok(Self { files, runs })
    }

    /// The figure of each run.
    fn values(&self, figure: &Figure) -> Option<Vec<f64>> {
        self.runs.iter().map(|run| figure.of(run)).collect()
    }
}

impl Comparison {
    fn of(baseline: &Side, candidate: &Side, force: bool) -> Result<Self, String> {
        let differences = setting::differences(baseline, candidate);
        if !differences.is_empty() && !force {
            let differences = differences.join("\n  ");
            return Err(format!(
                "the runs are not of one setting:\n  {differences}\n--force compares them"
            ));
        }
        let method = match (baseline.runs.len(), candidate.runs.len()) {
            (1, 1) => statistics::WITHIN,
            (1, _) | (_, 1) => return Err("several runs cannot be compared with one".to_owned()),
            _ => statistics::BETWEEN,
        };
        let rows = rows(baseline, candidate);
        Ok(Self {
            schema: SCHEMA,
            heading: candidate.runs[0].heading(),
            baseline: baseline.files.clone(),
            candidate: candidate.files.clone(),
            method,
            notes: setting::notes(baseline, candidate, differences),
            regression: rows.iter().any(|row| row.outcome == Outcome::Worse),
            rows,
        })
    }

    fn deliver(&self, json: Option<&str>) -> Result<(), String> {
        let document = || serde_json::to_string_pretty(self).map_err(|error| error.to_string());
        match json {
            Some("-") => println!("{}", document()?),
            Some(path) => {
                std::fs::write(path, document()? + "\n")
                    .map_err(|error| format!("{path}: {error}"))?;
                print!("{self}");
            }
            None => print!("{self}"),
        }
        Ok(())
    }
}

/// A row for every figure that a side has, and one for the faults.
fn rows(baseline: &Side, candidate: &Side) -> Vec<Row> {
    let known =
        |figure: &&Figure| baseline.values(figure).is_some() || candidate.values(figure).is_some();
    let figures: Vec<_> = figures::ALL.iter().filter(known).collect();
    let of = |figure| Row::of(figure, baseline, candidate, figures.len());
    figures.iter().map(|figure| of(figure)).chain([Row::faults(baseline, candidate)]).collect()
}

impl Row {
    /// `rows` is how many there are: the bounds hold for all of them together.
    fn of(figure: &Figure, baseline: &Side, candidate: &Side, rows: usize) -> Self {
        let values = baseline.values(figure).zip(candidate.values(figure));
        let grains = baseline.runs.iter().chain(&candidate.runs).map(|run| figure.grain(run));
        let grain = grains.fold(0.0, f64::max);
        let bounds = values.and_then(|(a, b)| match (&a[..], &b[..]) {
            ([a], [b]) => {
                let of = |side: &Side| figure.deviation(&side.runs[0]);
                let deviations = of(baseline).zip(of(candidate))?;
                statistics::within_runs((*a, *b), deviations, grain, rows)
            }
            (a, b) => statistics::between_runs(a, b, grain, rows),
        });
        let mean = |side: &Side| side.values(figure).map(|values| statistics::mean(&values));
        let [baseline, candidate] = [baseline, candidate].map(mean);
        let ratio = baseline.zip(candidate).filter(|(a, _)| *a != 0.0).map(|(a, b)| b / a);
        let outcome = match &bounds {
            Some(bounds) if bounds.low > 1.0 => figure.outcome_of_more(),
            Some(bounds) if bounds.high < 1.0 => figure.outcome_of_less(),
            Some(_) => Outcome::Noise,
            None if baseline == candidate && baseline.is_some() => Outcome::Noise,
            None => Outcome::Unknown,
        };
        Self { name: figure.name, unit: figure.unit, baseline, candidate, ratio, bounds, outcome }
    }

    /// Faults per run. One is never noise.
    fn faults(baseline: &Side, candidate: &Side) -> Self {
        let [a, b] = [baseline, candidate].map(|side| {
            let faults: u64 = side.runs.iter().map(figures::faults).sum();
            faults as f64 / side.runs.len() as f64
        });
        let outcome = match a.total_cmp(&b) {
            std::cmp::Ordering::Less => Outcome::Worse,
            std::cmp::Ordering::Equal => Outcome::Noise,
            std::cmp::Ordering::Greater => Outcome::Better,
        };
        let ratio = (a > 0.0).then(|| b / a);
        let (name, unit) = ("faults", "per run");
        Self { name, unit, baseline: Some(a), candidate: Some(b), ratio, bounds: None, outcome }
    }
}

#[cfg(test)]
mod tests;
