//! Axes: where a value stands on a plot, and which values are named beside it.

/// How values become places.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Scale {
    Linear,
    /// Each decade has the same length.
    Log,
    /// Of quantiles: each nine has the same length.
    Nines,
}

/// One axis of a plot.
#[derive(Clone, Debug)]
pub(super) struct Axis {
    scale: Scale,
    /// First and last place.
    pub(super) from: f64,
    pub(super) to: f64,
    /// Places with their names.
    pub(super) ticks: Vec<(f64, String)>,
}

/// Named values of a linear axis at most, and at least half as many.
const TICKS_MAX: f64 = 6.0;
/// Decades up to which a logarithmic axis names values between them.
const DECADES_WITH_MORE: f64 = 2.5;
/// What a clock counts in, in seconds.
const CLOCK_STEPS: [f64; 17] = [
    0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1_800.0, 3_600.0,
    7_200.0, 14_400.0,
];

impl Axis {
    /// From 0 to `max`, named by `words`.
    pub(super) fn linear(max: f64, words: impl Fn(f64) -> String) -> Self {
        Self::between(0.0, max, 1.0, words)
    }

    /// From `min` to `max`, at round multiples of `unit`.
    pub(super) fn between(min: f64, max: f64, unit: f64, words: impl Fn(f64) -> String) -> Self {
        let max = if max > min { max } else { min + unit };
        let step = round_step((max - min) / unit / TICKS_MAX) * unit;
        Self::stepped(min, max + 0.05 * (max - min), step, words)
    }

    /// Seconds since the run began.
    pub(super) fn time(last: f64) -> Self {
        let last = last.max(0.1);
        let fits = |step: &&f64| last / **step <= TICKS_MAX;
        let step = CLOCK_STEPS.iter().find(fits).copied();
        let step = step.unwrap_or_else(|| round_step(last / 86_400.0 / TICKS_MAX) * 86_400.0);
        Self::stepped(0.0, last, step, moment)
    }

    /// From `min` to `max`, both above 0.
    pub(super) fn log(min: f64, max: f64, words: impl Fn(f64) -> String) -> Self {
        let (from, to) = (min.log10(), max.log10().max(min.log10() + 0.3));
        let margin = 0.03 * (to - from);
        let (from, to) = (from - margin, to + margin);
        let between: &[f64] = match to - from {
            decades if decades <= 1.0 => &[1.0, 2.0, 3.0, 5.0, 7.0],
            decades if decades <= DECADES_WITH_MORE => &[1.0, 2.0, 5.0],
            _ => &[1.0],
        };
        let decades = from.floor() as i32..=to.ceil() as i32;
        let values =
            decades.flat_map(|decade| between.iter().map(move |n| n * 10_f64.powi(decade)));
        let ticks = values.map(|value| (value.log10(), words(value)));
        let ticks = ticks.filter(|(place, _)| (from..=to).contains(place)).collect();
        Self { scale: Scale::Log, from, to, ticks }
    }

    /// Quantiles up to `last`, which is below 1.
    pub(super) fn nines(last: f64) -> Self {
        let to = nines(last).max(1.0);
        let percent = |nines: i32| match nines {
            0 => "0%".to_owned(),
            1 => "90%".to_owned(),
            2 => "99%".to_owned(),
            3 => "99.9%".to_owned(),
            4 => "99.99%".to_owned(),
            more => format!("{more} nines"),
        };
        let ticks = (0..=to as i32).map(|count| (f64::from(count), percent(count))).collect();
        Self { scale: Scale::Nines, from: 0.0, to, ticks }
    }

    /// Whether each decade has the same length.
    pub(super) fn is_log(&self) -> bool {
        self.scale == Scale::Log
    }

    /// Where `value` stands; nowhere if the scale does not have it.
    pub(super) fn place(&self, value: f64) -> Option<f64> {
        let place = match self.scale {
            Scale::Linear => value,
            Scale::Log => value.log10(),
            Scale::Nines => nines(value),
        };
        place.is_finite().then_some(place)
    }

    fn stepped(from: f64, to: f64, step: f64, words: impl Fn(f64) -> String) -> Self {
        let first = (from / step).ceil() as i64;
        let last = (to / step).floor() as i64;
        let ticks = (first..=last).map(|at| at as f64 * step).map(|at| (at, words(at))).collect();
        Self { scale: Scale::Linear, from, to, ticks }
    }
}

/// How many nines a quantile has.
fn nines(quantile: f64) -> f64 {
    -(1.0 - quantile).log10()
}

/// 1, 2 or 5 times a power of ten, and no less than `least`.
fn round_step(least: f64) -> f64 {
    let decade = 10_f64.powf(least.log10().floor());
    let times = [1.0, 2.0, 5.0].into_iter().find(|times| times * decade >= least);
    times.unwrap_or(10.0) * decade
}

/// A time since the run began, in the unit that fits.
fn moment(seconds: f64) -> String {
    let (value, unit) = match seconds {
        s if s >= 172_800.0 => (s / 86_400.0, "d"),
        s if s >= 7_200.0 => (s / 3_600.0, "h"),
        s if s >= 120.0 => (s / 60.0, "min"),
        s => (s, "s"),
    };
    format!("{} {unit}", (value * 10.0).round() / 10.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(axis: &Axis) -> Vec<&str> {
        axis.ticks.iter().map(|(_, name)| &**name).collect()
    }

    #[test]
    fn ticks_are_round_and_few() {
        let plain = |value: f64| value.to_string();
        assert_eq!(names(&Axis::linear(11.0, plain)), ["0", "2", "4", "6", "8", "10"]);
        assert_eq!(names(&Axis::linear(0.0, plain))[0], "0");
        assert_eq!(names(&Axis::between(40.0, 43.5, 1.0, plain)), ["40", "41", "42", "43"]);
        assert_eq!(names(&Axis::log(0.4, 80.0, plain)), ["0.5", "1", "2", "5", "10", "20", "50"]);
        assert_eq!(names(&Axis::log(0.5, 20_000.0, plain)), ["1", "10", "100", "1000", "10000"]);
        for last in [0.2, 30.0, 3_600.0, 86_400.0, 1e6] {
            let count = Axis::time(last).ticks.len();
            assert!((3..=8).contains(&count), "{count} for {last} s");
        }
        assert_eq!(
            names(&Axis::time(30.0)),
            ["0 s", "5 s", "10 s", "15 s", "20 s", "25 s", "30 s"]
        );
    }

    #[test]
    fn each_nine_is_as_far_from_the_last() {
        let axis = Axis::nines(0.999_995);
        assert_eq!(names(&axis), ["0%", "90%", "99%", "99.9%", "99.99%", "5 nines"]);
        let places = [0.9, 0.99, 0.999].map(|quantile| axis.place(quantile).expect("a place"));
        assert!(
            places.iter().zip([1.0, 2.0, 3.0]).all(|(place, nines)| (place - nines).abs() < 1e-9)
        );
        assert_eq!(axis.place(1.0), None);
    }

    #[test]
    fn what_a_scale_does_not_have_stands_nowhere() {
        let axis = Axis::log(1.0, 10.0, |value| value.to_string());
        assert_eq!((axis.place(0.0), axis.place(-1.0), axis.place(f64::NAN)), (None, None, None));
        assert_eq!(axis.place(100.0), Some(2.0));
    }
}
