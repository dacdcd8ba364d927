//! `steady`: everybody is connected, and messages come at one rate.

use std::time::Duration;

use clap::Args;

use super::Scenario;
use crate::report::{OutputArgs, Report};
use crate::session::{LoadArgs, Plan, Session};
use crate::values;

/// Messages at one rate, each delivery audited.
#[derive(Args, Clone, Debug)]
pub(crate) struct SteadyArgs {
    /// Whom, and what with
    #[command(flatten)]
    load: LoadArgs,

    /// Messages per second, at times fixed in advance (0: connect and hold only)
    #[arg(long, value_name = "MSG/S", default_value_t = 1_000.0, value_parser = values::rate)]
    rate: f64,

    /// How long to publish, as in 5s, 500ms or 2m
    #[arg(long, value_name = "TIME", default_value = "5s", value_parser = values::duration)]
    duration: Duration,
}

impl Scenario for SteadyArgs {
    fn play(&self) -> Result<Report, String> {
        let plan = Plan::new("steady", (self.rate > 0.0).then_some(self.rate), self.duration);
        let mut session = Session::start(&self.load, plan)?;
        session.connect_all()?;
        if self.rate > 0.0 {
            session.begin_publishing(self.rate, self.duration)?;
            session.end_publishing()?;
            session.await_delivered()?;
        } else {
            session.pass(self.duration)?;
        }
        session.finish(|_, _| None)
    }

    fn outputs(&self) -> &OutputArgs {
        &self.load.outputs
    }
}
