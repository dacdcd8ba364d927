//! What a run was, and what its scenario asks.

use std::fmt;

use super::super::figures::{bytes, count, ms, number, seconds, short_percentiles};
use super::super::{Report, ScenarioResult};

/// Scenario, load and length of a run.
pub(super) struct Heading<'a>(pub(super) &'a Report);

impl fmt::Display for Heading<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let setting = &self.0.setting;
        write!(f, "{}: {} subscribers", self.0.scenario, count(setting.subscribers.into()))?;
        if setting.topics > 1 {
            write!(f, " of {} topics", count(setting.topics.into()))?;
        }
        if setting.rate > 0.0 {
            let more = if self.is_ladder() { " and more" } else { "" };
            write!(f, " x {} msg/s{more}", number(setting.rate))?;
            write!(f, " x {} bytes", count(setting.size_bytes as u64))?;
        }
        write!(f, " for {}", seconds(setting.duration_seconds))
    }
}

impl Heading<'_> {
    fn is_ladder(&self) -> bool {
        matches!(self.0.result, Some(ScenarioResult::Ladder { .. }))
    }
}

/// A scenario's result, in words. What a busy tester has hidden is not told.
pub(super) struct Played<'a>(pub(super) &'a ScenarioResult, pub(super) &'a Report);

impl fmt::Display for Played<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            ScenarioResult::Ladder { .. } => self.ladder(f),
            ScenarioResult::Replay { .. } => self.replay(f),
            ScenarioResult::Slow { .. } => slow(self.0, f),
            ScenarioResult::Storm { killed, back, seconds: took, back_ms, caught_up_ms, gaps } => {
                write!(f, "{} cut off, {} back in", count(*killed), count(*back))?;
                write!(f, " {}: {}", seconds(*took), short_percentiles(back_ms))?;
                write!(f, "\ncaught up after {}", short_percentiles(caught_up_ms))?;
                write!(f, "; {} told of a gap", count(*gaps))
            }
            ScenarioResult::Hold { held, lost, cpu_us_per_connection_second } => {
                write!(f, "{} held, {} lost", count(*held), count(*lost))?;
                match cpu_us_per_connection_second {
                    Some(us) => write!(f, ", {} us of CPU per connection and second", number(*us)),
                    None => Ok(()),
                }
            }
            ScenarioResult::Churn { came, went, per_second } => {
                write!(f, "{} came, {} went", count(*came), count(*went))?;
                self.rate(f, *per_second, "comings and goings")
            }
            ScenarioResult::Soak {
                memory_bytes_per_hour: slope,
                memory_bytes_per_hour_error: error,
                memory_bytes_start: start,
                memory_bytes_end: end,
            } => {
                write!(f, "memory {} per hour", signed_bytes(*slope))?;
                write!(f, " (+/- {}, 95 %)", bytes(*error))?;
                write!(f, ", from {} to {}", bytes(*start as f64), bytes(*end as f64))
            }
        }
    }
}

impl Played<'_> {
    fn ladder(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ScenarioResult::Ladder {
            objective, knee_rate, knee_deliveries_per_second, ended, ..
        } = self.0
        else {
            return Ok(());
        };
        match (knee_rate, self.can_claim()) {
            (_, false) => f.write_str("no knee is claimed: the tester was the bottleneck")?,
            (None, true) => f.write_str("the objective held at no step")?,
            (Some(rate), true) => {
                write!(f, "the objective held up to {} msg/s", number(*rate))?;
                if let Some(deliveries) = knee_deliveries_per_second {
                    write!(f, ", {} deliveries/s", number(deliveries.round()))?;
                }
            }
        }
        write!(f, "\nobjective {objective}; ended: {ended}")
    }

    fn replay(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ScenarioResult::Replay { messages, caught_up_ms, deliveries_per_second, gaps } = self.0
        else {
            return Ok(());
        };
        write!(f, "{} messages each, had after", count(*messages))?;
        write!(f, " {}", short_percentiles(caught_up_ms))?;
        self.rate(f, *deliveries_per_second, "deliveries")?;
        write!(f, "; {} told of a gap", count(*gaps))
    }

    fn rate(&self, f: &mut fmt::Formatter<'_>, per_second: f64, what: &str) -> fmt::Result {
        match self.can_claim() {
            true => write!(f, ", {} {what}/s", number(per_second)),
            false => Ok(()),
        }
    }

    fn can_claim(&self) -> bool {
        !self.1.tester.bottleneck
    }
}

fn slow(result: &ScenarioResult, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let ScenarioResult::Slow {
        slow,
        bytes_per_second,
        slow_cut,
        slow_delivered_share,
        others_p99_ms_before,
        others_p99_ms_during,
        ratio,
    } = result
    else {
        return Ok(());
    };
    write!(f, "{} read {}/s each: they got", count(*slow), bytes(*bytes_per_second))?;
    write!(f, " {:.1} % of their messages", 100.0 * slow_delivered_share)?;
    write!(f, ", the server ended {}", count(*slow_cut))?;
    write!(f, "\np99 of the others {} ms before", ms(*others_p99_ms_before))?;
    write!(f, ", {} ms meanwhile: {ratio:.2} times", ms(*others_p99_ms_during))
}

fn signed_bytes(value: f64) -> String {
    let sign = if value >= 0.0 { "+" } else { "" };
    format!("{sign}{}", bytes(value))
}

#[cfg(test)]
mod tests {
    use super::super::super::samples;
    use super::*;
    use crate::histogram::Percentiles;

    fn told(result: &ScenarioResult) -> String {
        Played(result, &samples::steady()).to_string()
    }

    #[test]
    fn every_scenario_has_its_words() {
        let times =
            Percentiles { count: 9, p50: 1.0, p99: 2.0, max: 3.0, ..Percentiles::default() };
        let hold =
            ScenarioResult::Hold { held: 9, lost: 1, cpu_us_per_connection_second: Some(0.5) };
        assert_eq!(told(&hold), "9 held, 1 lost, 0.500 us of CPU per connection and second");
        let replay = ScenarioResult::Replay {
            messages: 10,
            caught_up_ms: times,
            deliveries_per_second: 5_000.0,
            gaps: 0,
        };
        let words = "10 messages each, had after p50 1.00 ms, p99 2.00, max 3.00, 5,000 deliveries/s; \
                     0 told of a gap";
        assert_eq!(told(&replay), words);
        let churn = ScenarioResult::Churn { came: 20, went: 10, per_second: 3.0 };
        assert_eq!(told(&churn), "20 came, 10 went, 3 comings and goings/s");
        let slow = ScenarioResult::Slow {
            slow: 10,
            bytes_per_second: 2_048.0,
            slow_cut: 3,
            slow_delivered_share: 0.25,
            others_p99_ms_before: 2.0,
            others_p99_ms_during: 3.0,
            ratio: 1.5,
        };
        let words = "10 read 2 KiB/s each: they got 25.0 % of their messages, the server ended 3\n\
                     p99 of the others 2.00 ms before, 3.00 ms meanwhile: 1.50 times";
        assert_eq!(told(&slow), words);
        let mut busy = samples::steady();
        busy.tester.bottleneck = true;
        assert!(!Played(&replay, &busy).to_string().contains("/s"));
    }

    #[test]
    fn memory_that_shrinks_has_its_sign() {
        assert_eq!([-2_048.0, 2_048.0].map(signed_bytes), ["-2 KiB", "+2 KiB"]);
    }

    #[test]
    fn a_ladder_in_which_nothing_held_says_so() {
        let mut ladder = samples::ladder();
        let Some(ScenarioResult::Ladder { knee_rate, .. }) = &mut ladder.result else {
            panic!("a ladder")
        };
        *knee_rate = None;
        let result = ladder.result.clone().expect("a result");
        assert!(Played(&result, &ladder).to_string().starts_with("the objective held at no step"));
    }
}
