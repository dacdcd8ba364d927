//! What the server did is what the report says, no more and no less.

use std::time::Duration;

use serde_json::json;

use crate::acts::{Act, Expected, seeded, seeded_among_topics};
use crate::mock::{Mock, NEXT_TOPIC, load, tester};

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
        (7, 30 | 40) => Act::Swap,
        (8 | 9, 50) | (8, 198) => Act::Corrupt(message),
        (10, 60) => Act::OtherRun,
        (11, 70 | 71) => Act::Named,
        (12, 0 | 80 | 199) => Act::Heartbeat,
        (13 | 14, 100) => Act::Cut,
        _ => Act::Send,
    };
    let expected = Expected {
        delivered: 20 * 200 - 4 - 4 - 200,
        missing: 4 + 200,
        duplicated: 2,
        reordered: 2,
        corrupted: 4,
        misrouted: 0,
        cut: 2,
        foreign: 2,
    };
    assert_eq!(ONE_TOPIC.expected(act), expected);
    reports(act, &ONE_TOPIC, &["--runtime", "auto"]);
}

#[test]
fn whatever_a_seed_plans_is_reported_exactly() {
    std::thread::scope(|scope| {
        for runtime in ["auto", "tokio"] {
            scope.spawn(|| reports(|s, m| seeded(1, s, m), &ONE_TOPIC, &["--runtime", runtime]));
            scope.spawn(|| reports(|s, m| seeded(2, s, m), &ONE_TOPIC, &["--runtime", runtime]));
        }
        scope.spawn(|| reports(|s, m| seeded(5, s, m), &ONE_TOPIC, &["--publish-mode", "post"]));
    });
}

#[test]
fn messages_that_go_astray_between_topics_and_processes_are_reported_exactly() {
    std::thread::scope(|scope| {
        for processes in ["1", "2", "3"] {
            let act = |s, m| seeded_among_topics(1, s, m);
            scope.spawn(move || reports(act, &TWO_TOPICS, &["--processes", processes]));
        }
        let act = |s, m| seeded_among_topics(2, s, m);
        let flags = ["--processes", "2", "--runtime", "tokio", "--publish-mode", "post"];
        scope.spawn(move || reports(act, &TWO_TOPICS, &flags));
    });
    assert!(TWO_TOPICS.expected(|s, m| seeded_among_topics(1, s, m)).misrouted > 0);
}

/// Who subscribes to what, in all 20 subscribers and 200 messages.
struct Audience {
    topics: usize,
    subscribers: usize,
    messages: usize,
}

const ONE_TOPIC: Audience = Audience { topics: 1, subscribers: 20, messages: 200 };
const TWO_TOPICS: Audience = Audience { topics: 2, subscribers: 10, messages: 100 };

impl Audience {
    fn expected(&self, act: fn(usize, usize) -> Act) -> Expected {
        let ids = (0..self.topics)
            .flat_map(|topic| (0..self.subscribers).map(move |index| topic * NEXT_TOPIC + index));
        Expected::of(act, ids, self.messages)
    }
}

/// Runs the tester against a server that does that, in chunks and without: it must report what was
/// done, no more and no less.
fn reports(act: fn(usize, usize) -> Act, audience: &Audience, flags: &[&str]) {
    let topics = audience.topics;
    let expected = audience.expected(act);
    for chunked in [true, false] {
        let server = Mock { act, topics, chunked, ..Mock::faultless() }.serve();
        let run = load(server, &[flags, &["--topics", &topics.to_string()]].concat());
        let count = |part: &str, name: &str| {
            let count =
                run.report[part][name].as_u64().unwrap_or_else(|| panic!("no {name}: {run:?}"));
            usize::try_from(count).expect("a small one")
        };
        let reported = Expected {
            delivered: count("delivery", "delivered"),
            missing: count("audit", "missing"),
            duplicated: count("audit", "duplicated"),
            reordered: count("audit", "reordered"),
            corrupted: count("audit", "corrupted"),
            misrouted: count("audit", "misrouted"),
            cut: count("audit", "cut"),
            foreign: count("delivery", "foreign_events"),
        };
        assert_eq!(reported, expected, "{flags:?}, chunks {chunked}: {}", run.report);
        assert_eq!((run.status, &run.report["verdict"]), (Some(1), &json!("failed")));
    }
}

#[test]
fn what_comes_late_is_late_and_out_of_order_where_it_is() {
    const LATE: Act = Act::Late(Duration::from_millis(2_500));
    let act = |subscriber, message| match (subscriber, message) {
        (5, 50) | (6, 199) => LATE,
        _ => Act::Send,
    };
    let run =
        load(Mock { act, ..Mock::faultless() }.serve(), &["--late", "1500ms", "--patience", "10s"]);
    let audit = &run.report["audit"];
    assert_eq!((&audit["late"], &audit["reordered"]), (&json!(2), &json!(1)), "{run:?}");
    assert_eq!((&audit["missing"], run.status), (&json!(0), Some(1)), "{run:?}");
    assert_eq!(run.report["delivery"]["delivered"], DELIVERIES);
    let max = run.report["latency_ms"]["max"].as_f64().unwrap_or_default();
    assert!(max >= 2_500.0, "{max} ms at most");
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

#[test]
fn a_run_tells_how_it_goes_when_asked() {
    let run = load(Mock::faultless().serve(), &["--duration", "1500ms", "--progress"]);
    assert_eq!(run.status, Some(0), "{run:?}");
    let lines: Vec<_> = run.stderr.lines().collect();
    let [line] = lines[..] else { panic!("one line within ten seconds: {lines:?}") };
    assert!(line.contains(" of 1.500 s | 20 of 20 connected"), "{line}");
    assert!(line.contains("| no faults |"), "{line}");
    let run = load(Mock::faultless().serve(), &["--duration", "1500ms"]);
    assert_eq!(run.stderr, "", "nothing for a file that nobody asked it for");
}
