//! `ramp`: connections come at times fixed in advance.

use std::time::Duration;

use clap::Args;

use super::Scenario;
use crate::report::{OutputArgs, Report};
use crate::session::{LoadArgs, Plan, Session};
use crate::values;
use crate::worker::Connect;

/// Connections at one rate: how many a server accepts, and when each gets its first byte.
#[derive(Args, Clone, Debug)]
pub(crate) struct RampArgs {
    /// Whom, and what with
    #[command(flatten)]
    load: LoadArgs,

    /// Connections per second, at times fixed in advance (0: as fast as --connecting allows)
    #[arg(long, value_name = "CONN/S", default_value_t = 1_000.0, value_parser = values::rate)]
    rate: f64,
}

impl Scenario for RampArgs {
    fn play(&self) -> Result<Report, String> {
        let seconds = f64::from(self.load.subscribers) / self.rate.max(1.0);
        let plan = Plan::new("ramp", None, Duration::from_secs_f64(seconds));
        let mut session = Session::start(&self.load, plan)?;
        let per_second = (self.rate > 0.0).then_some(self.rate);
        let order = Connect { per_second, ..session.order(session.all()) };
        session.connect(order)?;
        // What does not come up is what is asked here, and no reason to give up.
        session.await_settled()?;
        session.note_usage()?;
        session.finish(|_, _| None)
    }

    fn outputs(&self) -> &OutputArgs {
        &self.load.outputs
    }
}
