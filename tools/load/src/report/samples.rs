//! Reports of runs that could have been, one of each kind, for the tests of what is made from them.
//!
//! `tests/reports/` holds them as documents, for the tests of the whole program. Written anew with
//! `BLESS=1 cargo test -p fanfare-load samples`.

mod series;

use std::path::PathBuf;

use super::{
    Audit, Connect, CurvePoint, Delivery, FanOut, Machine, Phase, Point, Publish, Report, SCHEMA,
    ScenarioResult, ServerCost, Setting, Tester, Verdict,
};
use crate::histogram::Percentiles;
use crate::worker::Faults;

const MIB: f64 = 1_048_576.0;

/// All of them.
pub(crate) fn all() -> [Report; 6] {
    [steady(), ladder(), bottlenecked(), soak(), storm(), failed()]
}

/// 1,000 subscribers, 1,000 messages per second, 30 s, nothing wrong.
pub(crate) fn steady() -> Report {
    let delivered = 30_000_000;
    Report {
        schema: SCHEMA.to_owned(),
        scenario: "steady".to_owned(),
        verdict: Verdict::Passed,
        notes: Vec::new(),
        setting: setting(),
        machine: machine(),
        connect: connect(),
        publish: Some(Publish {
            messages: 30_000,
            accepted: 30_000,
            per_second: 1_000.0,
            lag_max_ms: 0.4,
            error: None,
        }),
        delivery: Delivery {
            expected: delivered,
            delivered,
            per_second: 999_800.0,
            bytes: 5_100_000_000,
            bytes_per_second: 169_900_000.0,
            foreign_events: 0,
        },
        latency_ms: times(delivered, 1.2),
        service_ms: times(delivered, 1.1),
        curve: curve(),
        fan_out: Some(fan_out()),
        audit: Audit { late_after_ms: 1_000.0, ..Audit::default() },
        phases: Vec::new(),
        result: None,
        series: series::of(30, 1.0, 7, series::level),
        server: Some(server()),
        tester: tester(),
    }
}

/// Six steps, the fifth of which misses the objective.
pub(crate) fn ladder() -> Report {
    let rates = [1_000.0, 2_000.0, 4_000.0, 8_000.0, 16_000.0, 32_000.0];
    let p50s = [0.8, 0.9, 1.3, 2.4, 40.0, 900.0];
    let steps = rates.iter().zip(p50s).enumerate();
    let phases: Vec<_> = steps.map(|(at, (&rate, p50))| step(at, rate, p50)).collect();
    Report {
        scenario: "ladder".to_owned(),
        setting: Setting {
            subscribers: 100,
            command: "fanfare-load ladder".to_owned(),
            ..setting()
        },
        notes: vec!["from step 5 on messages came later than the objective allows".to_owned()],
        result: Some(ScenarioResult::Ladder {
            objective: "p99 <= 25 ms".to_owned(),
            objective_p99_ms: Some(25.0),
            knee_rate: Some(8_000.0),
            knee_deliveries_per_second: Some(799_000.0),
            ended: "two steps in a row missed the objective".to_owned(),
        }),
        series: series::of(30, 1.0, 11, series::climbing),
        phases,
        ..steady()
    }
}

/// The same where the tester gave out before the server did.
pub(crate) fn bottlenecked() -> Report {
    let mut report = ladder();
    for phase in &mut report.phases[3..] {
        (phase.bottleneck, phase.holds) = (true, None);
    }
    report.result = Some(ScenarioResult::Ladder {
        objective: "p99 <= 25 ms".to_owned(),
        objective_p99_ms: Some(25.0),
        knee_rate: None,
        knee_deliveries_per_second: None,
        ended: "the tester was the bottleneck".to_owned(),
    });
    report.tester.cpu_cores = 1.96;
    report.tester.bottleneck = true;
    report.tester.bottleneck_why = vec!["it used 0.98 of each core it may use".to_owned()];
    report
}

/// An hour in which memory grew a little.
pub(crate) fn soak() -> Report {
    let series = series::of(60, 60.0, 23, series::growing);
    Report {
        scenario: "soak".to_owned(),
        setting: Setting {
            duration_seconds: 3_600.0,
            command: "fanfare-load soak --duration 1h".to_owned(),
            ..setting()
        },
        result: Some(ScenarioResult::Soak {
            memory_bytes_per_hour: 2.1 * MIB,
            memory_bytes_per_hour_error: 0.4 * MIB,
            memory_bytes_start: (40.0 * MIB) as u64,
            memory_bytes_end: (42.1 * MIB) as u64,
        }),
        series,
        ..steady()
    }
}

/// All cut off at 10 s, back within 3.
pub(crate) fn storm() -> Report {
    Report {
        scenario: "storm".to_owned(),
        setting: Setting { command: "fanfare-load storm".to_owned(), ..setting() },
        result: Some(ScenarioResult::Storm {
            killed: 1_000,
            back: 1_000,
            seconds: 0.84,
            back_ms: times(1_000, 400.0),
            caught_up_ms: times(1_000, 430.0),
            gaps: 0,
        }),
        series: series::of(30, 1.0, 31, series::interrupted),
        ..steady()
    }
}

/// Some deliveries went wrong, and the server's words hold what a page must not run.
pub(crate) fn failed() -> Report {
    let mut report = steady();
    report.verdict = Verdict::Failed;
    report.notes = vec!["4 deliveries are missing".to_owned()];
    report.audit = Audit {
        faults: Faults {
            missing: 4,
            duplicated: 2,
            reordered: 1,
            corrupted: 3,
            ..Faults::default()
        },
        cut: 1,
        late_after_ms: 1_000.0,
        examples: vec![
            "subscriber 3: message 10 came with <script>alert(\"&\")</script>".to_owned(),
            "subscriber 8: cut: the server ended the stream".to_owned(),
        ],
    };
    report.delivery.delivered -= 4;
    report.connect.failed = 1;
    report.connect.first_failure = Some("the server refuses with status 503".to_owned());
    report
}

/// A distribution around `p50` with a long tail.
pub(crate) fn times(count: u64, p50: f64) -> Percentiles {
    Percentiles {
        count,
        min: 0.2 * p50,
        p50,
        p90: 1.6 * p50,
        p99: 2.5 * p50,
        p99_9: 4.0 * p50,
        p99_99: 6.0 * p50,
        max: 8.0 * p50,
        mean: 1.1 * p50,
    }
}

fn setting() -> Setting {
    Setting {
        target: "http://127.0.0.1:8080".to_owned(),
        preset: "fanfare".to_owned(),
        server_started_here: true,
        subscribers: 1_000,
        topics: 1,
        rate: 1_000.0,
        duration_seconds: 30.0,
        size_bytes: 128,
        publish_mode: "one NDJSON request".to_owned(),
        processes: 2,
        runtime: "tokio-uring".to_owned(),
        runtime_why: "io_uring is available".to_owned(),
        blind: false,
        optimised: true,
        command: "fanfare-load steady --duration 30s".to_owned(),
    }
}

fn machine() -> Machine {
    Machine {
        kernel: "Linux 6.18.0".to_owned(),
        cpu: "A CPU at 3 GHz".to_owned(),
        cpus: 2,
        memory_bytes: (8_192.0 * MIB) as u64,
        tester_version: "0.1.0".to_owned(),
        began: "2026-01-02T03:04:05Z".to_owned(),
    }
}

fn connect() -> Connect {
    Connect {
        attempted: 1_000,
        connected: 1_000,
        failed: 0,
        seconds: 0.031,
        per_second: 32_258.0,
        tcp_ms: times(1_000, 0.3),
        first_byte_ms: times(1_000, 1.4),
        first_failure: None,
    }
}

/// Each point leaves half as many deliveries above it as the one before.
fn curve() -> Vec<CurvePoint> {
    let of = |step: i32| {
        let quantile = 1.0 - 0.5_f64.powi(step);
        let latency_ms = 0.25 + 0.9 * 1.17_f64.powi(step);
        CurvePoint { quantile, latency_ms, service_ms: 0.85 * latency_ms }
    };
    (0..=20).map(of).collect()
}

fn fan_out() -> FanOut {
    FanOut {
        events: 300,
        one_in: 100,
        first_ms: times(300, 0.4),
        median_ms: times(300, 1.1),
        last_ms: times(300, 2.2),
        spread_ms: times(300, 1.8),
    }
}

fn server() -> ServerCost {
    ServerCost {
        processes: 1,
        cpu_seconds: 15.6,
        cpu_cores: 0.52,
        cpu_us_per_delivery: 0.52,
        cpu_seconds_per_million_deliveries: 0.52,
        pss_bytes_start: (4.2 * MIB) as u64,
        pss_bytes_ready: (6.4 * MIB) as u64,
        pss_bytes_peak: (42.0 * MIB) as u64,
        pss_bytes_per_subscriber: 2_306.0,
        kernel_bytes_per_subscriber: 5_100.0,
        voluntary_switches: 61_000,
        involuntary_switches: 420,
    }
}

fn tester() -> Tester {
    Tester {
        cpu_seconds: 12.4,
        cpu_cores: 0.41,
        cpu_us_per_delivery: 0.41,
        loop_lag_ms: times(3_000, 0.1),
        backlog_mean_bytes: 2_150.0,
        backlog_max_bytes: 61_440,
        bottleneck: false,
        bottleneck_why: Vec::new(),
        recognised: 29_970_000,
    }
}

fn step(at: usize, rate: f64, p50: f64) -> Phase {
    let expected = (5.0 * 100.0 * rate) as u64;
    let latency_ms = times(expected, p50);
    Phase {
        name: format!("step {}", at + 1),
        from_seconds: 5.0 * at as f64,
        to_seconds: 5.0 * (at + 1) as f64,
        rate,
        expected,
        delivered: expected,
        per_second: 99.9 * rate,
        latency_ms,
        server_cpu_us_per_delivery: Some(0.7 - 0.05 * at as f64),
        holds: Some(latency_ms.p99 <= 25.0),
        bottleneck: false,
    }
}

/// The document of the report that has this name.
fn file(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(format!("tests/reports/{name}.json"))
}

#[test]
fn the_documents_of_the_tests_hold_the_samples() {
    for (name, report) in [
        ("steady", steady()),
        ("ladder", ladder()),
        ("bottlenecked", bottlenecked()),
        ("soak", soak()),
        ("storm", storm()),
        ("failed", failed()),
    ] {
        let document = serde_json::to_string(&report).expect("a document") + "\n";
        if std::env::var_os("BLESS").is_some() {
            std::fs::write(file(name), &document).expect("the folder is there");
        }
        let kept = std::fs::read_to_string(file(name)).unwrap_or_default();
        // Both read and written again: a field that came later and has a default is no fault.
        assert!(again(&kept) == again(&document), "{name}: see the head of samples.rs");
    }
}

fn again(document: &str) -> String {
    let report: Report = serde_json::from_str(document)
        .unwrap_or_else(|error| panic!("it cannot be read any more: {error}"));
    serde_json::to_string(&report).expect("a document")
}
