//! What a run plays: one file each, its options and its play.

mod churn;
mod hold;
mod ladder;
mod objective;
mod ramp;
mod replay;
mod slow;
mod soak;
mod steady;
mod storm;

use std::time::Duration;

pub(crate) use self::churn::ChurnArgs;
pub(crate) use self::hold::HoldArgs;
pub(crate) use self::ladder::LadderArgs;
pub(crate) use self::ramp::RampArgs;
pub(crate) use self::replay::ReplayArgs;
pub(crate) use self::slow::SlowArgs;
pub(crate) use self::soak::SoakArgs;
pub(crate) use self::steady::SteadyArgs;
pub(crate) use self::storm::StormArgs;
use crate::histogram::Percentiles;
use crate::report::{OutputArgs, Phase, Report};
use crate::session::{Part, Session};

/// Something that can be played.
pub(crate) trait Scenario {
    /// Plays it.
    ///
    /// # Errors
    /// In words, when it could not be played; faults of the server are in the report.
    fn play(&self) -> Result<Report, String>;

    /// Where its report goes.
    fn outputs(&self) -> &OutputArgs;
}

/// What a phase is told of beside what was counted.
struct PhaseFacts {
    name: String,
    rate: f64,
    expected: u64,
    /// The server's CPU time in it.
    server_cpu: Option<Duration>,
    holds: Option<bool>,
}

/// A phase of the report out of a part of the run.
fn phase(part: &Part, facts: PhaseFacts) -> Phase {
    let tally = &part.tally;
    let delivered = tally.delivered + tally.delivered_to_slow + tally.delivered_to_passing;
    let cpu_us = facts.server_cpu.filter(|_| delivered > 0);
    Phase {
        name: facts.name,
        from_seconds: part.from_ns as f64 / 1e9,
        to_seconds: part.to_ns as f64 / 1e9,
        rate: facts.rate,
        expected: facts.expected,
        delivered: tally.delivered,
        per_second: if part.seconds() > 0.0 { delivered as f64 / part.seconds() } else { 0.0 },
        latency_ms: Percentiles::of(&tally.latency),
        server_cpu_us_per_delivery: cpu_us.map(|cpu| cpu.as_secs_f64() * 1e6 / delivered as f64),
        holds: facts.holds,
        bottleneck: !part.doubts().is_empty(),
    }
}

/// The server's CPU time since it was `before`.
fn cpu_since(session: &Session, before: Option<Duration>) -> Option<Duration> {
    let now = session.server_usage()?.cpu;
    Some(now.saturating_sub(before?))
}
