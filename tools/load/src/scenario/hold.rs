//! `hold`: everybody is connected, and nothing is published.

use std::time::Duration;

use clap::Args;

use super::Scenario;
use crate::report::{OutputArgs, Report, ScenarioResult};
use crate::session::{LoadArgs, Plan, Session};
use crate::values;

/// Idle connections, and what they cost.
#[derive(Args, Clone, Debug)]
pub(crate) struct HoldArgs {
    /// Whom, and what with
    #[command(flatten)]
    load: LoadArgs,

    /// How long to hold them
    #[arg(long, value_name = "TIME", default_value = "30s", value_parser = values::duration)]
    duration: Duration,
}

impl Scenario for HoldArgs {
    fn play(&self) -> Result<Report, String> {
        let plan = Plan::new("hold", None, self.duration);
        let mut session = Session::start(&self.load, plan)?;
        session.connect_all()?;
        let before = session.server_usage();
        session.pass(self.duration)?;
        let after = session.server_usage();
        let used = before.zip(after).map(|(before, after)| after.cpu.saturating_sub(before.cpu));
        let connection_seconds = f64::from(self.load.subscribers) * self.duration.as_secs_f64();
        session.finish(|session, _| {
            let lost = session.stands().cut;
            Some(ScenarioResult::Hold {
                held: u64::from(session.all().end) - lost,
                lost,
                cpu_us_per_connection_second: used
                    .map(|used| used.as_secs_f64() * 1e6 / connection_seconds),
            })
        })
    }

    fn outputs(&self) -> &OutputArgs {
        &self.load.outputs
    }
}
