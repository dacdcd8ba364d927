//! A row: what the runs of one peer come to.

use crate::{
    record::{Compared, Run},
    scenario::{Better, Metric},
};

/// What is counted as a fault, by its place in a report.
const FAULTS: [(&str, &str); 7] = [
    ("missing", "/audit/missing"),
    ("twice", "/audit/duplicated"),
    ("out of order", "/audit/reordered"),
    ("late", "/audit/late"),
    ("corrupted", "/audit/corrupted"),
    ("to another topic", "/audit/misrouted"),
    ("cut off", "/audit/cut"),
];

/// Either says that the load tester, not the server, set the pace.
const BOTTLENECK: [&str; 2] = ["/tester/bottleneck", "/tester/saturated"];

/// Less than this is no difference.
const TIE: f64 = 0.01;

/// One peer in one scenario.
#[derive(Debug)]
pub(crate) struct Row {
    pub(crate) peer: String,
    pub(crate) version: String,
    metrics: Vec<(Metric, Option<Value>)>,
    /// All that went wrong, or "none".
    pub(crate) faults: String,
    /// Runs in which the load tester set the pace, and that do not count beside those in which it did not.
    pub(crate) left_out: usize,
    /// The load tester set the pace in most runs: none is a claim.
    pub(crate) bottleneck: bool,
}

/// The median of a metric, with the least and the most.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Value {
    median: f64,
    least: f64,
    most: f64,
}

impl Row {
    pub(crate) fn new(peer: &Compared, metrics: &[Metric], runs: &[&Run]) -> Self {
        let reports: Vec<_> = runs.iter().filter_map(|run| run.report.as_ref().ok()).collect();
        let (paced, claims): (Vec<_>, Vec<_>) = reports.iter().partition(|it| is_bottleneck(it));
        let bottleneck = paced.len() > claims.len();
        let counted = if bottleneck { &paced } else { &claims };
        let value = |metric: &Metric| (*metric, Value::of(metric, counted));
        Self {
            peer: peer.name.clone(),
            version: peer.version.clone(),
            metrics: metrics.iter().map(value).collect(),
            faults: faults(runs, &reports),
            left_out: if bottleneck { 0 } else { paced.len() },
            bottleneck,
        }
    }

    /// The text of a cell, beside the row of what is compared with.
    pub(crate) fn cell(&self, nth: usize, first: &Self) -> String {
        let (metric, value) = &self.metrics[nth];
        let mut text = value.map_or_else(|| "-".to_owned(), |value| value.text(metric));
        if let Some(ratio) = self.ratio(nth, first)
            && !std::ptr::eq(self, first)
        {
            text = format!("{text}, {}×", rounded(ratio));
        }
        if self.better_than(nth, first).is_some() {
            text = format!("**{text}**");
        }
        if self.bottleneck { text + " †" } else { text }
    }

    /// To the row of what is compared with; none where either is no claim.
    fn ratio(&self, nth: usize, first: &Self) -> Option<f64> {
        let (ours, theirs) = (first.metrics[nth].1?, self.metrics[nth].1?);
        let claims = !first.bottleneck && !self.bottleneck;
        claims.then(|| theirs.median / ours.median)
    }

    /// Its value and that of `first`, where its own is better.
    pub(crate) fn better_than(&self, nth: usize, first: &Self) -> Option<(Value, Value)> {
        let ratio = self.ratio(nth, first)?;
        let is_better = match self.metrics[nth].0.better {
            Better::Less => ratio < 1.0 - TIE,
            Better::More => ratio > 1.0 + TIE,
        };
        is_better.then_some((self.metrics[nth].1?, first.metrics[nth].1?))
    }

    /// Nothing went wrong.
    pub(crate) fn is_clean(&self) -> bool {
        self.faults == NONE
    }
}

const NONE: &str = "none";

fn is_bottleneck(report: &serde_json::Value) -> bool {
    BOTTLENECK.iter().any(|place| report.pointer(place) == Some(&true.into()))
}

/// All that went wrong in all runs.
fn faults(runs: &[&Run], reports: &[&serde_json::Value]) -> String {
    let mut faults = Vec::new();
    for (name, place) in FAULTS {
        let count = |report: &&serde_json::Value| report.pointer(place)?.as_u64();
        let count: u64 = reports.iter().filter_map(count).sum();
        if count > 0 {
            faults.push(format!("{} {name}", rounded(count as f64)));
        }
    }
    let refused = |report: &&serde_json::Value| {
        Some(report.pointer("/publish/error")?.as_str()?.trim().to_owned())
    };
    faults.extend(reports.iter().find_map(refused));
    if let Some(fault) = runs.iter().find_map(|run| run.report.as_ref().err()) {
        let failed = runs.len() - reports.len();
        faults.push(format!("{failed} of {} runs failed: {fault}", runs.len()));
    }
    match faults.is_empty() {
        true => NONE.to_owned(),
        // A cell has one line and no bars.
        false => faults.join(", ").replace('\n', " ").replace('|', "/"),
    }
}

impl Value {
    /// None: no report has it. Nothing measured here costs or takes nothing, so that a zero says that it
    /// was not measured: nothing came, or it was too little to count.
    fn of(metric: &Metric, reports: &[&serde_json::Value]) -> Option<Self> {
        let number = |report: &&serde_json::Value| {
            report.pointer(metric.pointer)?.as_f64().filter(|number| *number > 0.0)
        };
        let mut numbers: Vec<_> =
            reports.iter().filter_map(number).map(|number| number / metric.per).collect();
        numbers.sort_by(f64::total_cmp);
        let (&least, &most) = (numbers.first()?, numbers.last()?);
        Some(Self { median: numbers[numbers.len() / 2], least, most })
    }

    pub(crate) fn text(&self, metric: &Metric) -> String {
        let Self { median, least, most } = *self;
        let space = if metric.unit.starts_with('/') { "" } else { " " };
        let value = format!("{}{space}{}", rounded(median), metric.unit);
        match rounded(least) == rounded(most) {
            true => value,
            false => format!("{value} ({}..{})", rounded(least), rounded(most)),
        }
    }

    pub(crate) fn overlaps(&self, other: &Self) -> bool {
        self.least <= other.most && other.least <= self.most
    }
}

/// Three digits or so.
fn rounded(value: f64) -> String {
    let digits = match value.abs() {
        value if value >= 100.0 || value.fract() == 0.0 => 0,
        value if value >= 10.0 => 1,
        _ => 2,
    };
    let text = format!("{value:.digits$}");
    let (whole, fraction) = text.split_once('.').unwrap_or((&text, ""));
    let mut grouped = String::new();
    for (place, digit) in whole.chars().enumerate() {
        if place > 0 && (whole.len() - place).is_multiple_of(3) && !grouped.ends_with('-') {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    if fraction.is_empty() { grouped } else { format!("{grouped}.{fraction}") }
}
