//! What a mode has found: printed as it comes, and written as JSON at the end.

use std::{fs::File, path::Path};

use hdrhistogram::Histogram;
use serde::Serialize;

/// Rows so far, and what went wrong.
#[derive(Debug, Serialize)]
pub(super) struct Report {
    mode: String,
    machine: String,
    rows: Vec<Row>,
    failures: Vec<String>,
}

/// One number.
#[derive(Debug, Serialize)]
struct Row {
    name: String,
    value: f64,
    unit: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    spread: Option<(f64, f64)>,
    #[serde(skip_serializing_if = "Option::is_none")]
    target: Option<&'static str>,
}

impl Report {
    pub(super) fn new(mode: String, machine: String) -> Self {
        println!("{mode}: {machine}");
        Self { mode, machine, rows: Vec::new(), failures: Vec::new() }
    }

    /// One number.
    pub(super) fn row(&mut self, name: impl Into<String>, value: f64, unit: &'static str) {
        self.add(Row { name: name.into(), value, unit, spread: None, target: None });
    }

    /// One number that the design asks something of.
    pub(super) fn aimed(
        &mut self,
        name: impl Into<String>,
        value: f64,
        unit: &'static str,
        target: &'static str,
    ) {
        self.add(Row { name: name.into(), value, unit, spread: None, target: Some(target) });
    }

    /// The median of several, with the least and the most of them. Gives the median.
    pub(super) fn median(
        &mut self,
        name: impl Into<String>,
        mut values: Vec<f64>,
        unit: &'static str,
    ) -> f64 {
        values.sort_by(f64::total_cmp);
        let (Some(&least), Some(&most)) = (values.first(), values.last()) else { return f64::NAN };
        let value = values[values.len() / 2];
        let spread = Some((least, most));
        self.add(Row { name: name.into(), value, unit, spread, target: None });
        value
    }

    /// The percentiles of a histogram of microseconds. Gives the 99th, in milliseconds.
    pub(super) fn latency(&mut self, name: &str, histogram: &Histogram<u64>) -> f64 {
        let milliseconds = |value: u64| value as f64 / 1e3;
        let at = |quantile| milliseconds(histogram.value_at_quantile(quantile));
        for (percentile, value) in [
            ("p50", at(0.5)),
            ("p99", at(0.99)),
            ("p99.9", at(0.999)),
            ("most", milliseconds(histogram.max())),
        ] {
            self.row(format!("{name}, {percentile}"), value, "ms");
        }
        at(0.99)
    }

    /// Something is wrong: the run fails.
    pub(super) fn fail(&mut self, what: impl Into<String>) {
        let what = what.into();
        println!("  WRONG: {what}");
        self.failures.push(what);
    }

    /// Fails if the condition does not hold.
    pub(super) fn check(&mut self, holds: bool, what: impl FnOnce() -> String) {
        if !holds {
            self.fail(what());
        }
    }

    /// Whether nothing went wrong.
    pub(super) fn is_sound(&self) -> bool {
        self.failures.is_empty()
    }

    pub(super) fn write(&self, path: &Path) {
        let file = File::create(path).expect("the file can be written");
        serde_json::to_writer_pretty(file, self).expect("the file can be written");
    }

    fn add(&mut self, row: Row) {
        print!("  {:58} {:>14} {}", row.name, rounded(row.value), row.unit);
        if let Some((least, most)) = row.spread {
            print!(" ({}..{})", rounded(least), rounded(most));
        }
        println!("{}", row.target.map(|target| format!("  target {target}")).unwrap_or_default());
        self.rows.push(row);
    }
}

/// Three digits or so.
fn rounded(value: f64) -> String {
    let digits = match value.abs() {
        value if value >= 100.0 || value.fract() == 0.0 => 0,
        value if value >= 10.0 => 1,
        value if value >= 1.0 => 2,
        _ => 4,
    };
    format!("{value:.digits$}")
}
