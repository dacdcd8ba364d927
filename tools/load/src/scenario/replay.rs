//! `replay`: everybody comes for what was published before.

use std::time::Duration;

use clap::Args;

use super::Scenario;
use crate::histogram::Percentiles;
use crate::report::{OutputArgs, Report, ScenarioResult};
use crate::session::{LoadArgs, Plan, Session};
use crate::values;
use crate::worker::{CaughtUp, Connect, Resume};

/// Messages are published to one subscriber per topic; then the others connect, with the id of the
/// first message, and get the rest.
#[derive(Args, Clone, Debug)]
pub(crate) struct ReplayArgs {
    /// Whom, and what with
    #[command(flatten)]
    load: LoadArgs,

    /// Messages that are published before. A server keeps only so many
    #[arg(long, value_name = "N", default_value_t = 1_000, value_parser = clap::value_parser!(u64).range(2..=1_000_000))]
    messages: u64,

    /// Messages per second at which they are published
    #[arg(long, value_name = "MSG/S", default_value_t = 1_000.0, value_parser = values::some_rate)]
    rate: f64,

    /// Connections per second that come for them (0: as fast as --connecting allows)
    #[arg(long, value_name = "CONN/S", default_value_t = 0.0, value_parser = values::rate)]
    come: f64,
}

impl Scenario for ReplayArgs {
    fn play(&self) -> Result<Report, String> {
        let topics = self.load.topics;
        let per_topic = self.messages / u64::from(topics);
        if self.load.subscribers <= topics || per_topic < 2 {
            return Err("the first subscriber of each topic sees what is published, and others come \
                        for what follows its first message: ask for more --subscribers or --messages"
                .to_owned());
        }
        let messages = per_topic * u64::from(topics);
        let plan = Plan::new(
            "replay",
            Some(self.rate),
            Duration::from_secs_f64(messages as f64 / self.rate),
        );
        let mut session = Session::start(&self.load, plan)?;
        session.connect(session.order(0..topics))?;
        session.await_up(topics)?;
        session.begin_messages(self.rate, messages)?;
        session.end_publishing()?;
        session.await_progress(|standing| standing.delivered, messages)?;
        session.stage("replay");
        let seen = session.first_seen()?;
        session.all_stand()?;
        let others = topics..session.all().end;
        let count = u64::from(others.end - others.start);
        // The first message of each topic is the one they come back with.
        session.expect((per_topic - 1) * count);
        session.connect(Connect {
            per_second: (self.come > 0.0).then_some(self.come),
            resume: Resume::From(seen),
            caught_up: Some(CaughtUp::Messages(per_topic)),
            ..session.order(others.clone())
        })?;
        session.await_up(others.end)?;
        session.await_progress(|standing| standing.caught_up, count)?;
        session.finish(|session, _| {
            let tally = session.measured();
            let (from_ns, to_ns) = (tally.first_attempt_ns.unwrap_or(0), tally.last_delivery_ns);
            let seconds = to_ns.saturating_sub(from_ns) as f64 / 1e9;
            Some(ScenarioResult::Replay {
                messages,
                caught_up_ms: Percentiles::of(&tally.caught_up),
                deliveries_per_second: if seconds > 0.0 {
                    tally.delivered as f64 / seconds
                } else {
                    0.0
                },
                gaps: tally.gaps,
            })
        })
    }

    fn outputs(&self) -> &OutputArgs {
        &self.load.outputs
    }
}
