//! `ladder`: the rate climbs step by step until an objective does not hold any more.

use std::time::Duration;

use clap::Args;

use super::objective::Objective;
use super::{PhaseFacts, Scenario, cpu_since, phase};
use crate::report::{OutputArgs, Phase, Report, ScenarioResult};
use crate::session::{LoadArgs, Plan, Session};
use crate::values;

/// Steps between the last rate that held and the first that did not.
const REFINEMENTS: u32 = 2;

/// The highest rate at which an objective holds: the knee.
#[derive(Args, Clone, Debug)]
pub(crate) struct LadderArgs {
    /// Whom, and what with
    #[command(flatten)]
    load: LoadArgs,

    /// Messages per second of the first step
    #[arg(long, value_name = "MSG/S", default_value_t = 100.0, value_parser = values::some_rate)]
    from: f64,

    /// What each step's rate is multiplied with
    #[arg(long, default_value_t = 1.5, value_parser = factor)]
    factor: f64,

    /// Steps at most
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=100))]
    steps: u32,

    /// How long each step is
    #[arg(long, value_name = "TIME", default_value = "5s", value_parser = values::duration)]
    step: Duration,

    /// What must hold: p50, p90, p99, p99.9, p99.99 or max below a time
    #[arg(long, default_value = "p99<50ms", value_parser = Objective::parse)]
    objective: Objective,
}

/// How a ladder ended.
struct Climbed {
    knee: Option<Phase>,
    ended: String,
}

impl Scenario for LadderArgs {
    fn play(&self) -> Result<Report, String> {
        let plan = Plan::new("ladder", Some(self.from), self.step * self.steps);
        let mut session = Session::start(&self.load, plan)?;
        session.connect_all()?;
        let climbed = self.climb(&mut session)?;
        let knee = climbed.knee.filter(|phase| !phase.bottleneck);
        session.finish(|_, _| {
            Some(ScenarioResult::Ladder {
                objective: self.objective.to_string(),
                objective_p99_ms: self.objective.p99_ms(),
                knee_rate: knee.as_ref().map(|phase| phase.rate),
                knee_deliveries_per_second: knee.as_ref().map(|phase| phase.per_second),
                ended: climbed.ended,
            })
        })
    }

    fn outputs(&self) -> &OutputArgs {
        &self.load.outputs
    }
}

impl LadderArgs {
    fn climb(&self, session: &mut Session) -> Result<Climbed, String> {
        let mut climbed = Climbed { knee: None, ended: format!("all {} steps held", self.steps) };
        let mut rate = self.from;
        for _ in 0..self.steps {
            let step = self.step(session, rate)?;
            if step.holds != Some(true) {
                climbed.ended = why(&step, &self.objective);
                self.refine(session, &mut climbed, rate)?;
                return Ok(climbed);
            }
            climbed.knee = Some(step);
            rate *= self.factor;
        }
        Ok(climbed)
    }

    /// Looks between the last rate that held and `too_much`.
    fn refine(
        &self,
        session: &mut Session,
        climbed: &mut Climbed,
        mut too_much: f64,
    ) -> Result<(), String> {
        for _ in 0..REFINEMENTS {
            let Some(knee) = &climbed.knee else { return Ok(()) };
            let between = (knee.rate * too_much).sqrt();
            let step = self.step(session, between)?;
            match step.holds {
                Some(true) => climbed.knee = Some(step),
                _ => too_much = between,
            }
        }
        Ok(())
    }

    /// Publishes at `rate` until all is in.
    fn step(&self, session: &mut Session, rate: f64) -> Result<Phase, String> {
        session.stage(format!("{rate:.0}/s"));
        session.turn()?;
        let first = session.published();
        let before = session.server_usage().map(|usage| usage.cpu);
        session.begin_publishing(rate, self.step)?;
        let outcome = session.end_publishing()?;
        session.await_delivered()?;
        let server_cpu = cpu_since(session, before);
        let part = session.turn()?;
        let facts = PhaseFacts {
            name: format!("{rate:.0}/s"),
            rate,
            expected: session.expected(first..session.published()),
            server_cpu,
            holds: None,
        };
        let mut step = phase(&part, facts);
        let is_whole = step.delivered >= step.expected && outcome.error.is_none();
        step.holds = Some(is_whole && self.objective.is_met(&step.latency_ms));
        session.note_phase(step.clone());
        Ok(step)
    }
}

fn why(step: &Phase, objective: &Objective) -> String {
    let Phase { name, expected, delivered, latency_ms, .. } = step;
    match delivered < expected {
        true => format!("at {name}, {delivered} of {expected} deliveries arrived"),
        false => format!("at {name}, {objective} did not hold: p99 was {:.1} ms", latency_ms.p99),
    }
}

fn factor(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(factor) if (1.01..=100.0).contains(&factor) => Ok(factor),
        _ => Err("expected a number from 1.01 to 100".to_owned()),
    }
}
