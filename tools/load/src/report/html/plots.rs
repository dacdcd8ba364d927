//! Which plots a report has: each only where there is something to see.

use super::super::figures::{bytes, compact};
use super::super::{Phase, Point, Report, ScenarioResult, table};
use super::axis::Axis;
use super::plot::{Ink, Line, Plot, Shape};

/// From this ratio of greatest to least on, times are drawn on a logarithmic scale.
const LOG_FROM: f64 = 30.0;

/// All of them, in the order in which they are looked at.
pub(super) fn of(report: &Report) -> Vec<Plot> {
    let series = Series(&report.series);
    let mut plots: Vec<Plot> = ladder(report).into_iter().collect();
    plots.extend(percentile_curve(report));
    plots.push(series.times(
        "Latency over time",
        &[
            ("max", Ink::Third, |point| point.max_ms),
            ("p99", Ink::First, |point| point.p99_ms),
            ("p50", Ink::Second, |point| point.p50_ms),
        ],
    ));
    plots.push(deliveries(report));
    plots.push(series.amounts(
        "Publishes per second",
        compact,
        &[("publishes", Ink::First, |point| point.published_per_second)],
    ));
    plots.push(memory(report));
    plots.push(series.amounts(
        "Connections that stand",
        compact,
        &[("connections", Ink::First, |point| point.connected as f64)],
    ));
    plots.push(series.amounts(
        "CPU, in cores",
        compact,
        &[
            ("server", Ink::First, |point| point.server_cpu_cores.unwrap_or(f64::NAN)),
            ("tester", Ink::Second, |point| point.tester_cpu_cores),
        ],
    ));
    plots.push(series.times(
        "How late the tester was itself",
        &[("tester", Ink::Second, |point| point.tester_lag_ms)],
    ));
    plots.retain(Plot::has_something);
    plots
}

fn deliveries(report: &Report) -> Plot {
    let of = |point: &Point| point.delivered_per_second;
    let title = "Deliveries per second";
    let plot = Series(&report.series).amounts(title, compact, &[("deliveries", Ink::First, of)]);
    let caption = match report.tester.bottleneck {
        true => "the tester was the bottleneck: the server may deliver more".to_owned(),
        false => plot.caption,
    };
    Plot { caption, ..plot }
}

fn millis(value: f64) -> String {
    format!("{} ms", compact(value))
}

/// The slices of a run.
struct Series<'a>(&'a [Point]);

/// A line's name, its colour, and what it takes of each slice.
type Taken = (&'static str, Ink, fn(&Point) -> f64);

impl Series<'_> {
    fn times(&self, title: &'static str, taken: &[Taken]) -> Plot {
        self.plot(title, taken, times)
    }

    fn amounts(&self, title: &'static str, words: fn(f64) -> String, taken: &[Taken]) -> Plot {
        self.plot(title, taken, |lines| Axis::linear(extent(lines).1, words))
    }

    /// Values over time. A line that is zero throughout is left out.
    fn plot(&self, title: &'static str, taken: &[Taken], y: impl Fn(&[Line]) -> Axis) -> Plot {
        let lines: Vec<Line> = taken.iter().filter_map(|taken| self.line(*taken)).collect();
        Plot { title, caption: String::new(), x: self.axis(), y: y(&lines), lines }
    }

    fn line(&self, (name, ink, value): Taken) -> Option<Line> {
        let points: Vec<_> = self.0.iter().map(|point| (point.at_seconds, value(point))).collect();
        let is_seen = points.iter().any(|point| point.1 > 0.0);
        is_seen.then_some(Line { name, ink, shape: Shape::Line, points })
    }

    fn axis(&self) -> Axis {
        Axis::time(self.0.last().map_or(0.0, |point| point.at_seconds))
    }
}

/// Logarithmic where the times differ much.
fn times(lines: &[Line]) -> Axis {
    let (least, greatest) = extent(lines);
    match greatest > LOG_FROM * least {
        true => Axis::log(least, greatest, millis),
        false => Axis::linear(greatest, millis),
    }
}

/// Least and greatest value above 0; 0.1 and 1 if there is none.
fn extent(lines: &[Line]) -> (f64, f64) {
    let values = lines.iter().flat_map(|line| &line.points).map(|point| point.1);
    let seen = values.filter(|value| *value > 0.0);
    let (least, greatest) = seen.fold((f64::INFINITY, 0.0_f64), |(least, greatest), value| {
        (least.min(value), greatest.max(value))
    });
    if greatest > 0.0 { (least, greatest) } else { (0.1, 1.0) }
}

fn percentile_curve(report: &Report) -> Option<Plot> {
    let points = &report.curve;
    let last = points.iter().map(|point| point.quantile).filter(|quantile| *quantile < 1.0);
    let last = last.fold(0.0, f64::max);
    let mut lines = vec![Line {
        name: "latency, from the intended time",
        ink: Ink::First,
        shape: Shape::Line,
        points: points.iter().map(|point| (point.quantile, point.latency_ms)).collect(),
    }];
    if report.service_ms.count > 0 {
        lines.push(Line {
            name: "service time, from the write",
            ink: Ink::Second,
            shape: Shape::Line,
            points: points.iter().map(|point| (point.quantile, point.service_ms)).collect(),
        });
    }
    let caption = "how many deliveries took no longer than that".to_owned();
    let (title, x, y) = ("Percentile curve", Axis::nines(last), times(&lines));
    (!points.is_empty()).then_some(Plot { title, caption, x, y, lines })
}

fn memory(report: &Report) -> Plot {
    let pss = |point: &Point| point.server_pss_bytes.map_or(f64::NAN, |bytes| bytes as f64);
    let series = Series(&report.series);
    let mut lines: Vec<Line> = series.line(("server (PSS)", Ink::First, pss)).into_iter().collect();
    let fit = lines.first().and_then(|line| fitted(report, line));
    let is_fitted = fit.is_some();
    lines.extend(fit);
    let (least, greatest) = extent(&lines);
    // A slope is seen only if the axis does not begin at 0.
    let from = if is_fitted { least } else { 0.0 };
    let unit = 1024_f64.powi((greatest.log2() / 10.0) as i32);
    let result = report.result.as_ref().filter(|_| is_fitted);
    let caption = result.map_or_else(String::new, |result| table::result(result, report));
    let y = Axis::between(from, greatest, unit, bytes);
    Plot { title: "The server's memory", caption, x: series.axis(), y, lines }
}

/// The line that a soak has fitted: its slope, through the middle of the points.
fn fitted(report: &Report, memory: &Line) -> Option<Line> {
    let Some(ScenarioResult::Soak { memory_bytes_per_hour, .. }) = &report.result else {
        return None;
    };
    let known: Vec<_> = memory.points.iter().filter(|point| point.1.is_finite()).collect();
    let (first, last) = (known.first()?, known.last()?);
    let count = known.len() as f64;
    let middle = known
        .iter()
        .fold((0.0, 0.0), |sum, point| (sum.0 + point.0 / count, sum.1 + point.1 / count));
    let at = |x: f64| (x, middle.1 + memory_bytes_per_hour / 3_600.0 * (x - middle.0));
    let points = vec![at(first.0), at(last.0)];
    Some(Line { name: "fitted", ink: Ink::Limit, shape: Shape::Line, points })
}

fn ladder(report: &Report) -> Option<Plot> {
    let Some(ScenarioResult::Ladder { objective, objective_p99_ms, knee_rate, .. }) =
        &report.result
    else {
        return None;
    };
    let steps = steps(&report.phases);
    let p99 = steps.first().filter(|line| line.points.iter().any(|step| step.0 > 0.0))?;
    let (shortest, longest) = extent(std::slice::from_ref(p99));
    let longest = objective_p99_ms.map_or(longest, |limit| longest.max(limit));
    let rates = p99.points.iter().map(|step| step.0).filter(|rate| *rate > 0.0);
    let (least, greatest) =
        rates.fold((f64::INFINITY, 0.0_f64), |ends, rate| (ends.0.min(rate), ends.1.max(rate)));
    let line = |name, ink, points| Line { name, ink, shape: Shape::Line, points };
    let limit =
        objective_p99_ms.map(|ms| line("objective", Ink::Limit, vec![(least, ms), (greatest, ms)]));
    let knee = knee_rate.filter(|_| !report.tester.bottleneck);
    let knee = knee.map(|at| line("knee", Ink::Good, vec![(at, shortest), (at, longest)]));
    Some(Plot {
        title: "Ladder: p99 at each rate",
        caption: format!("messages per second against p99; objective: {objective}"),
        x: Axis::log(least, greatest, compact),
        y: Axis::log(shortest, longest, millis),
        lines: limit.into_iter().chain(knee).chain(steps).collect(),
    })
}

/// A line through all steps, and a dot on each that tells how it went.
fn steps(phases: &[Phase]) -> Vec<Line> {
    let those = |wanted: fn(&Phase) -> bool| {
        let wanted = phases.iter().filter(|phase| wanted(phase));
        wanted.map(|phase| (phase.rate, phase.latency_ms.p99)).collect::<Vec<_>>()
    };
    let line = |name, ink, shape, points| Line { name, ink, shape, points };
    let dots = [
        ("holds", Ink::Good, those(|phase| !phase.bottleneck && phase.holds == Some(true))),
        ("misses", Ink::Bad, those(|phase| !phase.bottleneck && phase.holds == Some(false))),
        ("the tester was the bottleneck", Ink::Third, those(|phase| phase.bottleneck)),
    ];
    let dots = dots.into_iter().filter(|(_, _, points)| !points.is_empty());
    [line("p99", Ink::First, Shape::Line, those(|_| true))]
        .into_iter()
        .chain(dots.map(|(name, ink, points)| line(name, ink, Shape::Dots, points)))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::super::super::samples;
    use super::*;

    fn titles(report: &Report) -> Vec<&'static str> {
        of(report).iter().map(|plot| plot.title).collect()
    }

    fn plot(report: &Report, title: &str) -> Plot {
        let mut plots = of(report).into_iter();
        plots.find(|plot| plot.title.starts_with(title)).expect("the plot is there")
    }

    #[test]
    fn a_plot_is_there_when_there_is_something_to_see() {
        let mut report = samples::steady();
        assert_eq!(titles(&report).len(), 8, "{:?}", titles(&report));
        assert_eq!(titles(&samples::ladder())[0], "Ladder: p99 at each rate");
        for point in &mut report.series {
            (point.server_pss_bytes, point.server_cpu_cores) = (None, None);
        }
        assert!(!titles(&report).contains(&"The server's memory"));
        report.series.clear();
        assert_eq!(titles(&report), ["Percentile curve"]);
        report.curve.clear();
        assert!(titles(&report).is_empty());
    }

    #[test]
    fn every_plot_of_every_sample_can_be_drawn() {
        for report in samples::all() {
            for plot in of(&report) {
                let svg = plot.svg().unwrap_or_else(|error| panic!("{error}"));
                assert!(svg.contains("<polyline") || svg.contains("<circle"), "{}", plot.title);
            }
        }
    }

    #[test]
    fn the_ladder_shows_objective_and_how_each_step_went() {
        let names: Vec<_> =
            plot(&samples::ladder(), "Ladder").lines.iter().map(|line| line.name).collect();
        assert_eq!(names, ["objective", "knee", "p99", "holds", "misses"]);
        let names: Vec<_> =
            plot(&samples::bottlenecked(), "Ladder").lines.iter().map(|line| line.name).collect();
        assert_eq!(names, ["objective", "p99", "holds", "the tester was the bottleneck"]);
    }

    #[test]
    fn the_fitted_line_has_the_slope_and_runs_through_the_points() {
        let memory = plot(&samples::soak(), "The server's memory");
        let [(x0, y0), (x1, y1)] = memory.lines[1].points[..] else { panic!("two points") };
        let per_hour = (y1 - y0) / (x1 - x0) * 3_600.0;
        assert!((per_hour / (2.1 * 1_048_576.0) - 1.0).abs() < 1e-6, "{per_hour}");
        assert!(memory.y.from <= y0 && y1 < memory.y.to, "{y0} {y1}");
    }

    #[test]
    fn times_that_differ_much_are_on_a_logarithmic_scale() {
        assert!(!plot(&samples::steady(), "Latency").y.is_log());
        assert!(plot(&samples::storm(), "Latency").y.is_log());
    }
}
