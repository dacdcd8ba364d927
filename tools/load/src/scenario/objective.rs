//! What must hold, as in `p99<50ms`.

use std::fmt;
use std::time::Duration;

use crate::histogram::Percentiles;
use crate::values;

/// A bound on one figure of latency.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Objective {
    figure: Figure,
    bound: Duration,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Figure {
    P50,
    P90,
    P99,
    P99_9,
    P99_99,
    Max,
}

const FIGURES: [(&str, Figure); 6] = [
    ("p50", Figure::P50),
    ("p90", Figure::P90),
    ("p99", Figure::P99),
    ("p99.9", Figure::P99_9),
    ("p99.99", Figure::P99_99),
    ("max", Figure::Max),
];

impl Objective {
    /// Reads one, as in `p99<50ms`.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let expected = "expected a figure and its bound, as in p99<50ms";
        let (figure, bound) = text.split_once('<').ok_or(expected)?;
        let known = FIGURES.iter().find(|(name, _)| *name == figure.trim());
        let (_, figure) =
            known.ok_or("expected p50, p90, p99, p99.9, p99.99 or max before the <")?;
        Ok(Self { figure: *figure, bound: values::duration(bound.trim())? })
    }

    /// Whether it is met.
    pub(crate) fn is_met(&self, latency_ms: &Percentiles) -> bool {
        latency_ms.count > 0 && self.value(latency_ms) < self.bound.as_secs_f64() * 1e3
    }

    /// What p99 may be, when it is about that.
    pub(crate) fn p99_ms(&self) -> Option<f64> {
        (self.figure == Figure::P99).then_some(self.bound.as_secs_f64() * 1e3)
    }

    fn value(&self, latency_ms: &Percentiles) -> f64 {
        match self.figure {
            Figure::P50 => latency_ms.p50,
            Figure::P90 => latency_ms.p90,
            Figure::P99 => latency_ms.p99,
            Figure::P99_9 => latency_ms.p99_9,
            Figure::P99_99 => latency_ms.p99_99,
            Figure::Max => latency_ms.max,
        }
    }
}

impl fmt::Display for Objective {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = FIGURES.iter().find(|(_, figure)| *figure == self.figure);
        let name = name.map_or("", |(name, _)| name);
        write!(f, "{name} < {:?}", self.bound)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_objective_is_a_figure_and_a_bound() {
        let objective = Objective::parse("p99.9<20ms").expect("as it should be");
        assert_eq!(objective.to_string(), "p99.9 < 20ms");
        let latency = |p99_9| Percentiles { count: 1, p99_9, ..Percentiles::default() };
        assert!(objective.is_met(&latency(19.9)) && !objective.is_met(&latency(20.0)));
        assert!(!objective.is_met(&Percentiles::default()), "nothing arrived");
        assert_eq!(Objective::parse("p99<1s").expect("it is").p99_ms(), Some(1_000.0));
        for bad in ["p99", "p98<1s", "p99<", "p99<fast"] {
            assert!(Objective::parse(bad).is_err(), "{bad} was taken");
        }
    }
}
