//! `soak`: the same for a long time; does the server's memory grow?

use std::time::Duration;

use clap::Args;

use super::Scenario;
use crate::report::{OutputArgs, Report, ScenarioResult};
use crate::server::Sample;
use crate::session::{LoadArgs, Plan, Session};
use crate::values;

/// The first part of a run, in which caches fill: it is left out of the slope.
const WARM_UP_SHARE: f64 = 0.2;
/// Standard errors to each side of a slope: of 95 % of the cases, where there are many samples.
const ERRORS: f64 = 1.96;

/// A long run, and the slope of the server's memory.
#[derive(Args, Clone, Debug)]
pub(crate) struct SoakArgs {
    /// Whom, and what with
    #[command(flatten)]
    load: LoadArgs,

    /// Messages per second
    #[arg(long, value_name = "MSG/S", default_value_t = 100.0, value_parser = values::some_rate)]
    rate: f64,

    /// How long to publish
    #[arg(long, value_name = "TIME", default_value = "10m", value_parser = values::duration)]
    duration: Duration,
}

impl Scenario for SoakArgs {
    fn play(&self) -> Result<Report, String> {
        let plan = Plan::new("soak", Some(self.rate), self.duration);
        let mut session = Session::start(&self.load, plan)?;
        if session.server_usage().is_none() {
            return Err("whose memory? give the server's --pid".to_owned());
        }
        session.connect_all()?;
        session.begin_publishing(self.rate, self.duration)?;
        let began_ns = session.now_ns();
        session.end_publishing()?;
        session.await_delivered()?;
        let warm_ns = began_ns + (self.duration.as_nanos() as f64 * WARM_UP_SHARE) as u64;
        session.finish(|_, totals| slope(&totals.samples, warm_ns))
    }

    fn outputs(&self) -> &OutputArgs {
        &self.load.outputs
    }
}

/// The least-squares slope of the memory since `warm_ns`; `None`: too few looks.
fn slope(samples: &[Sample], warm_ns: u64) -> Option<ScenarioResult> {
    let warm: Vec<(f64, f64)> = samples
        .iter()
        .filter(|sample| sample.at_ns >= warm_ns)
        .map(|sample| (sample.at_ns as f64 / 3.6e12, sample.usage.pss_bytes as f64))
        .collect();
    let (first, last) = (warm.first()?, warm.last()?);
    let count = warm.len() as f64;
    if warm.len() < 3 {
        return None;
    }
    let mean = |of: fn(&(f64, f64)) -> f64| warm.iter().map(of).sum::<f64>() / count;
    let (hours, bytes) = (mean(|at| at.0), mean(|at| at.1));
    let spread: f64 = warm.iter().map(|at| (at.0 - hours).powi(2)).sum();
    let slope = warm.iter().map(|at| (at.0 - hours) * (at.1 - bytes)).sum::<f64>() / spread;
    let rest: f64 = warm.iter().map(|at| (at.1 - bytes - slope * (at.0 - hours)).powi(2)).sum();
    let error = (rest / (count - 2.0) / spread).sqrt();
    Some(ScenarioResult::Soak {
        memory_bytes_per_hour: slope,
        memory_bytes_per_hour_error: ERRORS * error,
        memory_bytes_start: first.1 as u64,
        memory_bytes_end: last.1 as u64,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::Usage;

    #[test]
    fn a_slope_is_found_with_its_error() {
        let minute = 60_000_000_000;
        // 1 MB a minute, one byte up and down, and a start that is none of it.
        let sample = |at: u64| Sample {
            at_ns: at * minute,
            usage: Usage { pss_bytes: 50_000_000 + at * 1_000_000 + at % 2, ..Usage::default() },
        };
        let mut samples: Vec<Sample> = (10..70).map(sample).collect();
        samples.insert(0, Sample { at_ns: 0, usage: Usage::default() });
        let Some(ScenarioResult::Soak {
            memory_bytes_per_hour: slope,
            memory_bytes_per_hour_error: error,
            ..
        }) = slope(&samples, minute)
        else {
            panic!("there are enough");
        };
        assert!((slope - 60_000_000.0).abs() < 1_000.0 && error < 1_000.0, "{slope} {error}");
        assert!(super::slope(&samples[..2], minute).is_none());
    }
}
