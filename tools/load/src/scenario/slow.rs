//! `slow`: some read slowly; what does that do to the others?

use std::time::Duration;

use clap::Args;

use super::{PhaseFacts, Scenario, cpu_since, phase};
use crate::report::{OutputArgs, Phase, Report, ScenarioResult};
use crate::session::{LoadArgs, Plan, Session};
use crate::values;

/// A share of the subscribers reads slowly, or not at all, in the second half of the run.
#[derive(Args, Clone, Debug)]
pub(crate) struct SlowArgs {
    /// Whom, and what with
    #[command(flatten)]
    load: LoadArgs,

    /// Messages per second
    #[arg(long, value_name = "MSG/S", default_value_t = 200.0, value_parser = values::some_rate)]
    rate: f64,

    /// How long to publish; slow readers slow down in the middle
    #[arg(long, value_name = "TIME", default_value = "20s", value_parser = values::duration)]
    duration: Duration,

    /// Which share reads slowly
    #[arg(long, value_name = "SHARE", default_value = "10%", value_parser = values::share)]
    share: f64,

    /// Bytes per second that a slow reader reads (0: none)
    #[arg(long, value_name = "BYTES/S", default_value_t = 1_024)]
    read: u64,
}

impl Scenario for SlowArgs {
    fn play(&self) -> Result<Report, String> {
        let all = self.load.subscribers;
        let slow = ((f64::from(all) * self.share).round() as u32).max(1);
        if slow >= all {
            return Err("a share that reads slowly needs others: ask for more --subscribers".into());
        }
        let plan =
            Plan { slow: all - slow..all, ..Plan::new("slow", Some(self.rate), self.duration) };
        let slow = plan.slow.clone();
        let mut session = Session::start(&self.load, plan)?;
        session.connect_all()?;
        let before = self.half(&mut session, "all read")?;
        session.throttle(slow.clone(), self.read)?;
        let during = self.half(&mut session, "some read slowly")?;
        let published = session.published() / u64::from(self.load.topics);
        session.finish(|session, _| {
            let tally = session.measured();
            let count = slow.len() as u64;
            let (before, during) = (before.latency_ms.p99, during.latency_ms.p99);
            Some(ScenarioResult::Slow {
                slow: count,
                bytes_per_second: self.read as f64,
                slow_cut: tally.slow_cut,
                slow_delivered_share: tally.delivered_to_slow as f64
                    / (published * count).max(1) as f64,
                others_p99_ms_before: before,
                others_p99_ms_during: during,
                ratio: if before > 0.0 { during / before } else { 0.0 },
            })
        })
    }

    fn outputs(&self) -> &OutputArgs {
        &self.load.outputs
    }
}

impl SlowArgs {
    fn half(&self, session: &mut Session, name: &str) -> Result<Phase, String> {
        session.stage(name);
        session.turn()?;
        let first = session.published();
        let before = session.server_usage().map(|usage| usage.cpu);
        session.begin_publishing(self.rate, self.duration / 2)?;
        session.end_publishing()?;
        session.await_delivered()?;
        let server_cpu = cpu_since(session, before);
        let part = session.turn()?;
        let expected = session.expected(first..session.published());
        let facts = PhaseFacts {
            name: name.to_owned(),
            rate: self.rate,
            expected,
            server_cpu,
            holds: None,
        };
        let half = phase(&part, facts);
        session.note_phase(half.clone());
        Ok(half)
    }
}
