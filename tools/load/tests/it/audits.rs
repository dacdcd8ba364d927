//! What the server did is what the report says, no more and no less.

use serde_json::json;

use crate::mock::{Act, Mock, load, tester};

/// 20 subscribers, 200 messages: what `load` asks for.
const DELIVERIES: u64 = 20 * 200;

#[test]
fn a_faultless_server_passes() {
    for flags in [
        &["--runtime", "auto"][..],
        &["--runtime", "tokio"],
        &["--publish-mode", "post"],
        &["--size", "20000"],
        &["--size", "36"],
    ] {
        let run = load(Mock::faultless().serve(), flags);
        let report = &run.report;
        assert_eq!(run.status, Some(0), "{flags:?}: {report} {}", run.stderr);
        assert_eq!(report["verdict"], "passed");
        assert_eq!(report["publish"]["messages"], 200);
        assert_eq!(report["publish"]["accepted"], 200);
        assert_eq!(report["delivery"]["delivered"], DELIVERIES);
        assert_eq!(report["audit"]["cut"], 0);
        let rate = report["publish"]["per_second"].as_f64().unwrap_or_default();
        assert!(rate <= 401.0, "never ahead of the schedule: {rate} messages per second");
        let p99 = report["latency_ms"]["p99"].as_f64().unwrap_or_default();
        assert!(p99 > 0.0, "a delivery takes time");
    }
}

#[test]
fn a_stream_without_chunks_passes() {
    let run = load(Mock { chunked: false, ..Mock::faultless() }.serve(), &[]);
    assert_eq!(run.status, Some(0), "{run:?}");
    assert_eq!(run.report["delivery"]["delivered"], DELIVERIES);
}

#[test]
fn every_planned_fault_is_reported_exactly() {
    let act = |subscriber, message| match (subscriber, message) {
        (3, 10 | 11 | 199) => Act::Drop,
        (4, 0) => Act::Drop,
        (5, 20) | (6, 199) => Act::Twice,
        (7, 30 | 40) => Act::Delay,
        (8 | 9, 50) | (8, 198) => Act::Corrupt,
        _ => Act::Send,
    };
    for runtime in ["auto", "tokio"] {
        let server = Mock { act, ..Mock::faultless() }.serve();
        let run = load(server, &["--runtime", runtime]);
        assert_eq!(run.status, Some(1), "{run:?}");
        let expected = json!({"missing": 4, "duplicated": 2, "reordered": 2, "corrupted": 3});
        for (fault, count) in expected.as_object().expect("an object") {
            assert_eq!(&run.report["audit"][fault], count, "{fault}: {}", run.report["audit"]);
        }
        assert_eq!(run.report["verdict"], "failed");
        assert_eq!(run.report["delivery"]["delivered"], DELIVERIES - 4 - 3);
    }
}

#[test]
fn subscribers_cut_by_the_server_are_counted_and_the_rest_goes_on() {
    let act = |subscriber, message| match (subscriber, message) {
        (0 | 1, 100) => Act::Cut,
        _ => Act::Send,
    };
    let run = load(Mock { act, ..Mock::faultless() }.serve(), &[]);
    assert_eq!(run.status, Some(1), "{run:?}");
    assert_eq!(run.report["audit"]["cut"], 2);
    assert_eq!(run.report["audit"]["missing"], 200);
    assert_eq!(run.report["delivery"]["delivered"], DELIVERIES - 200);
}

#[test]
fn people_get_a_table() {
    let target = format!("http://{}", Mock::faultless().serve());
    let pid = std::process::id().to_string();
    let flags = ["--subscribers", "5", "--duration", "200ms", "--target", &target, "--pid", &pid];
    let output = tester(&flags);
    let table = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{table}");
    for row in ["receiving on", "delivered", "p99", "missing 0", "server used", "passed"] {
        assert!(table.contains(row), "no {row} in\n{table}");
    }
}

#[test]
fn subscribers_are_held_without_a_publish() {
    let run = load(Mock::faultless().serve(), &["--rate", "0", "--duration", "100ms"]);
    assert_eq!(run.status, Some(0), "{run:?}");
    assert_eq!(run.report["delivery"]["expected"], 0);
}
