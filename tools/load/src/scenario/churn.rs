//! `churn`: some come and go all the time; the others get every message.

use std::time::Duration;

use clap::Args;

use super::Scenario;
use crate::report::{OutputArgs, Report, ScenarioResult};
use crate::session::{LoadArgs, Plan, Session};
use crate::values;

/// How often some leave and others come.
const EVERY: Duration = Duration::from_millis(50);

/// A share of the subscribers comes and goes while messages go on.
#[derive(Args, Clone, Debug)]
pub(crate) struct ChurnArgs {
    /// Whom, and what with
    #[command(flatten)]
    load: LoadArgs,

    /// Messages per second
    #[arg(long, value_name = "MSG/S", default_value_t = 100.0, value_parser = values::some_rate)]
    rate: f64,

    /// How long to publish
    #[arg(long, value_name = "TIME", default_value = "20s", value_parser = values::duration)]
    duration: Duration,

    /// Which share comes and goes
    #[arg(long, value_name = "SHARE", default_value = "50%", value_parser = values::share)]
    share: f64,

    /// Subscribers per second that leave, and come back as new ones
    #[arg(long, value_name = "CONN/S", default_value_t = 200.0, value_parser = values::some_rate)]
    churn: f64,
}

impl Scenario for ChurnArgs {
    fn play(&self) -> Result<Report, String> {
        let all = self.load.subscribers;
        let passing = ((f64::from(all) * self.share).round() as u32).max(1);
        if passing >= all {
            return Err(
                "a share that comes and goes needs others: ask for more --subscribers".into()
            );
        }
        let plan = Plan {
            passing: all - passing..all,
            ..Plan::new("churn", Some(self.rate), self.duration)
        };
        let mut session = Session::start(&self.load, plan)?;
        session.connect_all()?;
        session.begin_publishing(self.rate, self.duration)?;
        let began_ns = session.now_ns();
        self.churn(&mut session, all - passing, passing)?;
        session.end_publishing()?;
        session.await_settled()?;
        session.await_delivered()?;
        let seconds = (session.now_ns() - began_ns) as f64 / 1e9;
        session.finish(|session, _| {
            let tally = session.measured();
            Some(ScenarioResult::Churn {
                came: tally.connected,
                went: tally.went,
                per_second: tally.went as f64 / seconds,
            })
        })
    }

    fn outputs(&self) -> &OutputArgs {
        &self.load.outputs
    }
}

impl ChurnArgs {
    /// Those whose turn it is leave; those who left the last time come back.
    fn churn(&self, session: &mut Session, first: u32, passing: u32) -> Result<(), String> {
        let start_ns = session.now_ns();
        let end_ns = start_ns + self.duration.as_nanos() as u64;
        let (mut gone, mut next, mut away) = (0, 0, Vec::new());
        while session.now_ns() < end_ns {
            session.pass(EVERY)?;
            for members in std::mem::take(&mut away) {
                session.connect(session.order(members))?;
            }
            let seconds = (session.now_ns() - start_ns) as f64 / 1e9;
            let mut due = ((self.churn * seconds) as u64 - gone).min(passing.into()) as u32;
            gone += u64::from(due);
            while due > 0 {
                // As many as are due, up to the end of the row.
                let count = due.min(passing - next);
                let members = first + next..first + next + count;
                session.kill(members.clone())?;
                away.push(members);
                next = (next + count) % passing;
                due -= count;
            }
        }
        for members in away {
            session.connect(session.order(members))?;
        }
        Ok(())
    }
}
