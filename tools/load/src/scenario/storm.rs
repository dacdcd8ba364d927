//! `storm`: everybody is cut off at once and comes back, while messages go on.

use std::time::Duration;

use clap::Args;

use super::Scenario;
use crate::histogram::Percentiles;
use crate::report::{OutputArgs, Report, ScenarioResult};
use crate::session::{LoadArgs, Plan, Session};
use crate::values;
use crate::worker::{CaughtUp, Connect, Resume};

/// All connections are reset and come back with the id of their last event: nothing may be lost.
#[derive(Args, Clone, Debug)]
pub(crate) struct StormArgs {
    /// Whom, and what with
    #[command(flatten)]
    load: LoadArgs,

    /// Messages per second, before the cut, during it and after
    #[arg(long, value_name = "MSG/S", default_value_t = 100.0, value_parser = values::some_rate)]
    rate: f64,

    /// How long to publish; the cut is in the middle
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = values::duration)]
    duration: Duration,

    /// How long they stay away
    #[arg(long, value_name = "TIME", default_value = "500ms", value_parser = values::duration)]
    away: Duration,

    /// Connections per second that come back (0: as fast as --connecting allows)
    #[arg(long, value_name = "CONN/S", default_value_t = 0.0, value_parser = values::rate)]
    back: f64,
}

impl Scenario for StormArgs {
    fn play(&self) -> Result<Report, String> {
        let plan = Plan::new("storm", Some(self.rate), self.duration);
        let mut session = Session::start(&self.load, plan)?;
        session.connect_all()?;
        session.begin_publishing(self.rate, self.duration)?;
        session.pass(self.duration / 2)?;
        session.stage("cut off");
        let cut_ns = session.kill(session.all())?;
        session.await_progress(|standing| u64::from(standing.up == 0), 1)?;
        session.pass(self.away)?;
        let all = session.all();
        session.connect(Connect {
            per_second: (self.back > 0.0).then_some(self.back),
            resume: Resume::Last,
            since_ns: Some(cut_ns),
            caught_up: Some(CaughtUp::Live),
            ..session.order(all)
        })?;
        // Who does not come back is what is asked here, and no reason to give up.
        session.await_settled()?;
        session.stage("back");
        session.end_publishing()?;
        session.await_delivered()?;
        session.finish(|session, _| {
            let tally = session.measured();
            let back_ms = Percentiles::of(&tally.back);
            Some(ScenarioResult::Storm {
                killed: session.all().end.into(),
                back: back_ms.count,
                seconds: back_ms.max / 1e3,
                back_ms,
                caught_up_ms: Percentiles::of(&tally.caught_up),
                gaps: tally.gaps,
            })
        })
    }

    fn outputs(&self) -> &OutputArgs {
        &self.load.outputs
    }
}
