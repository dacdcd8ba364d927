use super::*;
use crate::report::samples;

/// Runs of the same setting whose times and costs are `times` as large as the sample's.
fn side(name: &str, sample: fn() -> Report, times: &[f64]) -> Side {
    let runs = times.iter().map(|times| {
        let mut run = sample();
        for of in [&mut run.latency_ms, &mut run.service_ms, &mut run.connect.first_byte_ms] {
            of.p50 *= times;
            of.p99 *= times;
            of.p99_9 *= times;
            of.max *= times;
        }
        run
    });
    let runs: Vec<_> = runs.collect();
    let files = (1..=runs.len()).map(|at| format!("{name}{at}.json")).collect();
    Side { files, runs }
}

fn outcome(comparison: &Comparison, name: &str) -> Outcome {
    let mut rows = comparison.rows.iter();
    rows.find(|row| row.name == name).unwrap_or_else(|| panic!("no {name}")).outcome
}

#[test]
fn a_difference_beyond_what_runs_differ_in_is_a_regression() {
    let baseline = side("a", samples::steady, &[1.0, 1.01, 0.99, 1.02, 0.98]);
    let same = side("b", samples::steady, &[1.01, 1.0, 0.99, 1.0, 1.03]);
    let comparison = Comparison::of(&baseline, &same, false).expect("of one setting");
    assert!(!comparison.regression, "{comparison}");
    assert_eq!(outcome(&comparison, "p99"), Outcome::Noise);

    let slower = side("b", samples::steady, &[1.11, 1.1, 1.09, 1.1, 1.13]);
    let comparison = Comparison::of(&baseline, &slower, false).expect("of one setting");
    assert!(comparison.regression, "{comparison}");
    assert_eq!(outcome(&comparison, "p99"), Outcome::Worse);
    assert_eq!(outcome(&comparison, "deliveries"), Outcome::Noise);
    assert!(comparison.to_string().contains("REGRESSION: p50, p99, p99.9, max, service p99"));

    let comparison = Comparison::of(&slower, &baseline, false).expect("of one setting");
    assert!(!comparison.regression, "{comparison}");
    assert_eq!(outcome(&comparison, "p99"), Outcome::Better);
}

#[test]
fn runs_that_differ_much_hide_a_small_difference() {
    let baseline = side("a", samples::steady, &[1.0, 1.3, 0.8, 1.1, 0.9]);
    let slower = side("b", samples::steady, &[1.1, 1.4, 0.9, 1.2, 1.0]);
    let comparison = Comparison::of(&baseline, &slower, false).expect("of one setting");
    assert_eq!(outcome(&comparison, "p99"), Outcome::Noise, "{comparison}");
}

#[test]
fn one_run_each_knows_the_noise_of_its_slices_only() {
    let (a, b) = (side("a", samples::steady, &[1.0]), side("b", samples::steady, &[1.1]));
    let comparison = Comparison::of(&a, &b, false).expect("of one setting");
    assert_eq!(outcome(&comparison, "p99"), Outcome::Noise, "{comparison}");
    assert_eq!(outcome(&comparison, "p99.9"), Outcome::Unknown);
    assert!(comparison.method.contains("only what one run shows") && !comparison.regression);
    let b = side("b", samples::steady, &[4.0]);
    let comparison = Comparison::of(&a, &b, false).expect("of one setting");
    assert_eq!(outcome(&comparison, "p99"), Outcome::Worse, "{comparison}");
    assert!(Comparison::of(&a, &side("b", samples::steady, &[1.0, 1.0]), false).is_err());
}

#[test]
fn a_fault_is_never_noise() {
    let (a, b) = (side("a", samples::steady, &[1.0]), side("b", samples::failed, &[1.0]));
    let comparison = Comparison::of(&a, &b, false).expect("of one setting");
    assert!(comparison.regression);
    assert_eq!(outcome(&comparison, "faults"), Outcome::Worse);
    let comparison = Comparison::of(&b, &a, false).expect("of one setting");
    assert_eq!(outcome(&comparison, "faults"), Outcome::Better);
}

#[test]
fn a_knee_differs_when_it_is_more_than_a_step_away() {
    let knee_at = |rate: f64| {
        let mut side = side("x", samples::ladder, &[1.0]);
        let Some(report::ScenarioResult::Ladder { knee_rate, .. }) = &mut side.runs[0].result
        else {
            panic!("a ladder")
        };
        *knee_rate = Some(rate);
        side
    };
    let outcome_of = |rate| {
        let comparison = Comparison::of(&knee_at(8_000.0), &knee_at(rate), false);
        outcome(&comparison.expect("of one setting"), "knee")
    };
    assert_eq!(outcome_of(4_000.0), Outcome::Noise);
    assert_eq!(outcome_of(2_000.0), Outcome::Worse);
    assert_eq!(outcome_of(32_000.0), Outcome::Better);
}

#[test]
fn settings_that_differ_are_refused_by_name_unless_forced() {
    let a = side("a", samples::steady, &[1.0]);
    let mut b = side("b", samples::steady, &[1.0]);
    b.runs[0].setting.size_bytes = 512;
    b.runs[0].machine.kernel = "Linux 7.0".to_owned();
    let refused = Comparison::of(&a, &b, false).expect_err("they differ");
    for named in ["bytes of data: 128 (a1.json), 512 (b1.json)", "kernel: Linux 6.18.0", "--force"]
    {
        assert!(refused.contains(named), "{refused}");
    }
    let forced = Comparison::of(&a, &b, true).expect("forced");
    assert_eq!(forced.notes.len(), 2, "{forced}");
}

#[test]
fn a_busy_tester_is_marked_and_its_rates_are_left_out() {
    let a = side("a", samples::ladder, &[1.0]);
    let b = side("b", samples::bottlenecked, &[1.0]);
    let mut busy = side("b", samples::steady, &[1.0]);
    busy.runs[0].tester.bottleneck = true;
    for (a, b, name) in [(a, b, "knee"), (side("a", samples::steady, &[1.0]), busy, "deliveries")] {
        let comparison = Comparison::of(&a, &b, false).expect("of one setting");
        let table = comparison.to_string();
        assert!(table.contains("b1.json: THE TESTER WAS THE BOTTLENECK"), "{table}");
        assert_eq!(outcome(&comparison, name), Outcome::Unknown, "{table}");
        let row = comparison.rows.iter().find(|row| row.name == name).expect("there");
        assert!(row.baseline.is_some() && row.candidate.is_none());
    }
}

#[test]
fn each_scenario_is_compared_by_what_it_asks() {
    let named = |sample: fn() -> Report| {
        let comparison =
            Comparison::of(&side("a", sample, &[1.0]), &side("b", sample, &[1.0]), false);
        let rows = comparison.expect("of one setting").rows;
        rows.into_iter().map(|row| row.name).collect::<Vec<_>>()
    };
    let storm = named(samples::storm);
    assert!(storm.contains(&"back after the cut, p99") && storm.contains(&"caught up, p99"));
    let ladder = named(samples::ladder);
    assert!(
        ladder.contains(&"knee") && !ladder.contains(&"p99") && !ladder.contains(&"deliveries")
    );
}
