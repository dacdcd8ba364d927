//! What is noise. Everything is compared by ratio, so everything is done on logarithms.

use serde::Serialize;
use statrs::distribution::{ContinuousCDF, Normal, StudentsT};

/// Of all rows together: how often a difference may be told where there is none.
const ERROR: f64 = 0.05;
/// Slices below which their spread says nothing.
const SLICES_MIN: usize = 5;

/// How noise is told, with several runs a side.
pub(super) const BETWEEN: &str = "Welch's t-test on logarithms, between runs; the bounds of all rows \
                                  hold together in 95 % of comparisons (Bonferroni)";
/// How noise is told, with one run each.
pub(super) const WITHIN: &str = "only what one run shows, by how its slices differ: between two runs \
                                 of one server it is more; compare several (--baseline, --candidate)";

/// Where the ratio lies.
#[derive(Clone, Copy, Debug, Serialize)]
pub(super) struct Interval {
    pub(super) low: f64,
    pub(super) high: f64,
}

impl Interval {
    fn around(log_ratio: f64, width: f64) -> Self {
        Self { low: (log_ratio - width).exp(), high: (log_ratio + width).exp() }
    }
}

/// Geometric mean, or the plain one if a value has no logarithm.
pub(super) fn mean(values: &[f64]) -> f64 {
    let count = values.len() as f64;
    match logs(values) {
        Some(logs) => (logs.iter().sum::<f64>() / count).exp(),
        None => values.iter().sum::<f64>() / count,
    }
}

/// Welch's interval for the ratio of `b` to `a`, two runs or more each.
///
/// `grain` is a deviation that every value has although runs may not show it; the interval holds for
/// `rows` of its kind together. Nothing if a value has no logarithm.
pub(super) fn between_runs(a: &[f64], b: &[f64], grain: f64, rows: usize) -> Option<Interval> {
    let (a, b) = (Sample::of(&logs(a)?, grain)?, Sample::of(&logs(b)?, grain)?);
    let squared = a.error_squared + b.error_squared;
    let freedom = squared.powi(2)
        / (a.error_squared.powi(2) / a.freedom + b.error_squared.powi(2) / b.freedom);
    let times = StudentsT::new(0.0, 1.0, freedom).ok()?.inverse_cdf(confidence(rows));
    Some(Interval::around(b.mean - a.mean, times * squared.sqrt()))
}

/// What the ratio of two runs' figures is if their logarithms deviate so much. `grain` and `rows` as in
/// [`between_runs`].
pub(super) fn within_runs(
    (a, b): (f64, f64),
    deviations: (f64, f64),
    grain: f64,
    rows: usize,
) -> Option<Interval> {
    let [log_a, log_b] = logs(&[a, b])?[..] else { return None };
    let squared = deviations.0.powi(2) + deviations.1.powi(2) + 2.0 * grain.powi(2);
    let times = Normal::standard().inverse_cdf(confidence(rows));
    Some(Interval::around(log_b - log_a, times * squared.sqrt()))
}

/// How much the logarithms of a run's slices deviate: 1.4826 times the median distance from the median,
/// which is the standard deviation if they are normal, and which a few outliers do not move. Nothing
/// if they are too few.
pub(super) fn deviation(slices: &[f64]) -> Option<f64> {
    let logs = logs(slices).filter(|logs| logs.len() >= SLICES_MIN)?;
    let middle = median(logs.clone())?;
    let distances = logs.iter().map(|value| (value - middle).abs()).collect();
    Some(1.482_6 * median(distances)?)
}

/// The quantile for one end of one of so many intervals.
fn confidence(rows: usize) -> f64 {
    1.0 - ERROR / (2.0 * rows.max(1) as f64)
}

fn logs(values: &[f64]) -> Option<Vec<f64>> {
    let logs = values.iter().map(|value| (*value > 0.0).then(|| value.ln()));
    logs.collect()
}

struct Sample {
    mean: f64,
    /// Of the mean.
    error_squared: f64,
    freedom: f64,
}

impl Sample {
    fn of(values: &[f64], grain: f64) -> Option<Self> {
        let count = values.len() as f64;
        let mean = values.iter().sum::<f64>() / count;
        let freedom = count - 1.0;
        let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
        let variance = squares / freedom + grain.powi(2);
        (values.len() >= 2).then_some(Self { mean, error_squared: variance / count, freedom })
    }
}

fn median(mut values: Vec<f64>) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    let half = values.len() / 2;
    let upper = *values.get(half)?;
    Some(if values.len().is_multiple_of(2) { (values[half - 1] + upper) / 2.0 } else { upper })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shifted(values: &[f64], times: f64) -> Vec<f64> {
        values.iter().map(|value| value * times).collect()
    }

    /// The expected bounds were computed apart, by integrating the t-distribution: t = 5.2025,
    /// 3.9594 degrees of freedom.
    #[test]
    fn the_interval_is_welchs() {
        let (a, b) = ([3.0, 3.1, 2.9], [3.4, 3.55, 3.35]);
        let Some(Interval { low, high }) = between_runs(&a, &b, 0.0, 1) else { panic!("known") };
        let off = (low - 1.064_659).abs().max((high - 1.230_373).abs());
        assert!(off < 1e-5, "{low} {high}");
    }

    /// 1,000 comparisons of a dozen figures that are the same, three runs a side: some 50 may tell a
    /// difference, and as Welch's test is cautious with so few runs, fewer do.
    #[test]
    fn what_is_the_same_is_seldom_told_to_differ() {
        let mut state = 1_u64;
        let mut uniform = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (state >> 11) as f64 / (1_u64 << 53) as f64
        };
        // Twelve of them together are close to normal, with a deviation of 1.
        let mut run = || (0.1 * ((0..12).map(|_| uniform()).sum::<f64>() - 6.0)).exp();
        let rows = 12;
        let mut differs = || {
            let (a, b) = ([run(), run(), run()], [run(), run(), run()]);
            let bounds = between_runs(&a, &b, 0.0, rows).expect("all are above 0");
            bounds.low > 1.0 || bounds.high < 1.0
        };
        let wrong = (0..1_000).filter(|_| (0..rows).filter(|_| differs()).count() > 0).count();
        assert!((5..=60).contains(&wrong), "{wrong} of 1,000");
    }

    #[test]
    fn more_rows_widen_the_bounds_and_runs_narrow_them() {
        let a = [3.0, 3.1, 2.9];
        let width = |a: &[f64], rows| {
            let interval = between_runs(a, &shifted(a, 1.1), 0.0, rows).expect("known");
            assert!((interval.low * interval.high).sqrt() / 1.1 - 1.0 < 1e-9);
            interval.high / interval.low
        };
        assert!(width(&a, 10) > width(&a, 1));
        assert!(width(&[a, a].concat(), 1) < width(&a, 1));
    }

    #[test]
    fn values_that_never_differ_are_still_grainy() {
        let same = [8_000.0; 3];
        let interval = between_runs(&same, &shifted(&same, 1.001), 0.001, 1).expect("known");
        assert!(interval.low < 1.0 && interval.high > 1.0, "{interval:?}");
        let interval = between_runs(&same, &shifted(&same, 2.0), 0.001, 1).expect("known");
        assert!(interval.low > 1.9, "{interval:?}");
    }

    #[test]
    fn one_wild_slice_does_not_make_all_noise() {
        let mut slices = vec![3.0, 3.1, 2.9, 3.05, 2.95, 3.0, 3.02, 2.98];
        let of = |slices: &[f64], b| {
            let deviation = deviation(slices).expect("enough slices");
            within_runs((3.0, b), (deviation, deviation), 0.0, 1).expect("known")
        };
        let calm = of(&slices, 3.6);
        slices[3] = 300.0;
        let wild = of(&slices, 3.6);
        assert!(calm.low > 1.0 && wild.low > 1.0, "{calm:?} {wild:?}");
        assert!(of(&slices, 3.1).low < 1.0);
        assert_eq!(deviation(&[3.0; 4]), None);
    }

    #[test]
    fn what_has_no_logarithm_has_no_bounds() {
        assert!(between_runs(&[0.0, 1.0], &[1.0, 1.0], 0.0, 1).is_none());
        assert!(between_runs(&[1.0], &[1.0, 1.0], 0.0, 1).is_none());
        assert_eq!((mean(&[0.0, 2.0]), mean(&[2.0, 8.0])), (1.0, 4.0));
    }
}
