//! The figures that are compared.

use super::{Outcome, statistics};
use crate::histogram::Percentiles;
use crate::report::{Point, Report, ScenarioResult};

/// One figure of a run.
#[derive(Debug)]
pub(super) struct Figure {
    pub(super) name: &'static str,
    pub(super) unit: &'static str,
    better: Better,
    value: fn(&Report) -> Option<f64>,
    slice: Option<fn(&Point) -> Option<f64>>,
    /// It says how much a server can do, which a run says nothing of in which the tester was the
    /// bottleneck.
    is_capacity: bool,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Better {
    Less,
    More,
}

const KNEE: &str = "knee";
/// Histograms tell three digits, as a share of the value.
const GRAIN: f64 = 0.001;

/// All of them, in the order in which they are shown.
pub(super) const ALL: &[Figure] = &[
    slices("p50", "ms", |run| latency(run, 1).map(|of| of.p50), |slice| Some(slice.p50_ms)),
    slices("p99", "ms", |run| latency(run, 100).map(|of| of.p99), |slice| Some(slice.p99_ms)),
    less("p99.9", "ms", |run| latency(run, 1_000).map(|of| of.p99_9)),
    slices("max", "ms", |run| latency(run, 1).map(|of| of.max), |slice| Some(slice.max_ms)),
    less("service p99", "ms", |run| {
        some(run.service_ms.p99, run.service_ms.count >= 100 && !is_ladder(run))
    }),
    less("fan-out last p99", "ms", |run| {
        run.fan_out.as_ref().filter(|_| !is_ladder(run)).map(|of| of.last_ms.p99)
    }),
    less("first byte p99", "ms", |run| {
        some(run.connect.first_byte_ms.p99, run.connect.first_byte_ms.count > 0)
    }),
    Figure {
        name: "deliveries",
        unit: "/s",
        better: Better::More,
        value: |run| some(run.delivery.per_second, run.delivery.expected > 0 && !is_ladder(run)),
        slice: Some(|slice| Some(slice.delivered_per_second)),
        is_capacity: true,
    },
    Figure {
        name: KNEE,
        unit: "msg/s",
        better: Better::More,
        value: knee,
        slice: None,
        is_capacity: true,
    },
    less("back after the cut, p99", "ms", |run| match &run.result {
        Some(ScenarioResult::Storm { back_ms, .. }) => Some(back_ms.p99),
        _ => None,
    }),
    less("caught up, p99", "ms", |run| match &run.result {
        Some(
            ScenarioResult::Storm { caught_up_ms, .. }
            | ScenarioResult::Replay { caught_up_ms, .. },
        ) => Some(caught_up_ms.p99),
        _ => None,
    }),
    less("p99 beside slow readers", "times", |run| match run.result {
        Some(ScenarioResult::Slow { ratio, .. }) => Some(ratio),
        _ => None,
    }),
    slices(
        "server CPU",
        "us/delivery",
        |run| {
            let cpu = run.server.as_ref()?.cpu_us_per_delivery;
            some(cpu, cpu > 0.0)
        },
        |slice| Some(slice.server_cpu_cores? * 1e6 / slice.delivered_per_second),
    ),
    less("server memory (PSS)", "B/subscriber", |run| {
        run.server.as_ref().map(|server| server.pss_bytes_per_subscriber)
    }),
    less("kernel memory", "B/subscriber", |run| {
        let kernel = run.server.as_ref()?.kernel_bytes_per_subscriber;
        some(kernel, kernel > 0.0)
    }),
];

const fn less(name: &'static str, unit: &'static str, value: fn(&Report) -> Option<f64>) -> Figure {
    Figure { name, unit, better: Better::Less, value, slice: None, is_capacity: false }
}

/// One that is known of each slice too.
const fn slices(
    name: &'static str,
    unit: &'static str,
    value: fn(&Report) -> Option<f64>,
    slice: fn(&Point) -> Option<f64>,
) -> Figure {
    Figure { slice: Some(slice), ..less(name, unit, value) }
}

fn some(value: f64, is_known: bool) -> Option<f64> {
    is_known.then_some(value)
}

/// The latencies, if there are so many of one load.
fn latency(run: &Report, least: u64) -> Option<&Percentiles> {
    (run.latency_ms.count >= least && !is_ladder(run)).then_some(&run.latency_ms)
}

/// Over all its steps, times and rates are those of no load at all.
fn is_ladder(run: &Report) -> bool {
    matches!(run.result, Some(ScenarioResult::Ladder { .. }))
}

fn knee(run: &Report) -> Option<f64> {
    match run.result {
        Some(ScenarioResult::Ladder { knee_rate, .. }) => knee_rate,
        _ => None,
    }
}

/// All that was wrong in a run.
pub(super) fn faults(run: &Report) -> u64 {
    let found: u64 = run.audit.counted().iter().map(|(_, faults)| faults).sum();
    let publishing = run.publish.as_ref().is_some_and(|publish| publish.error.is_some());
    found + run.audit.cut + run.connect.failed + u64::from(publishing)
}

impl Figure {
    /// Its value in a run that has it.
    pub(super) fn of(&self, run: &Report) -> Option<f64> {
        let is_claimed = !(self.is_capacity && run.tester.bottleneck);
        (self.value)(run).filter(|value| is_claimed && value.is_finite())
    }

    /// How much it deviates within one run, of its logarithm; nothing if that is not known.
    pub(super) fn deviation(&self, run: &Report) -> Option<f64> {
        // It lies somewhere in its step, which is in the grain.
        if self.is_knee() {
            return Some(0.0);
        }
        let values = run.series.iter().filter_map(self.slice?);
        let values: Vec<_> = values.filter(|value| value.is_finite() && *value > 0.0).collect();
        statistics::deviation(&values)
    }

    /// How coarsely it is measured: a standard deviation, of its logarithm.
    pub(super) fn grain(&self, run: &Report) -> f64 {
        if self.is_knee() { step_grain(run) } else { GRAIN }
    }

    fn is_knee(&self) -> bool {
        self.name == KNEE
    }

    pub(super) fn outcome_of_more(&self) -> Outcome {
        if self.better == Better::More { Outcome::Better } else { Outcome::Worse }
    }

    pub(super) fn outcome_of_less(&self) -> Outcome {
        if self.better == Better::Less { Outcome::Better } else { Outcome::Worse }
    }
}

/// A knee is anywhere between its step and the next one: the deviation of what is spread evenly.
fn step_grain(run: &Report) -> f64 {
    let steps = run.phases.windows(2).map(|two| (two[1].rate / two[0].rate).ln());
    let widest = steps.filter(|step| step.is_finite()).fold(0.0, f64::max);
    GRAIN.max(widest / 12_f64.sqrt())
}
