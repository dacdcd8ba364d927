use serde_json::json;

use super::*;
use crate::record::{Compared, LeftOut, Run};

/// A record of three runs each of Fanfare and a peer, in one scenario.
fn record(reports: [[serde_json::Value; 3]; 2]) -> Record {
    let names = ["fanfare", "nchan"];
    let mut runs = Vec::new();
    for (name, reports) in names.into_iter().zip(reports) {
        for (report, repeat) in reports.into_iter().zip(0..) {
            let (scenario, peer) = ("steady".to_owned(), name.to_owned());
            runs.push(Run { scenario, peer, repeat, report: Ok(report) });
        }
    }
    let peer = |name: &str| Compared {
        name: name.to_owned(),
        version: "1.2".to_owned(),
        settings: format!("as {name} is"),
    };
    Record {
        machine: Machine {
            kernel: "6.18".to_owned(),
            cpu: "EPYC".to_owned(),
            cpus: 2,
            memory_gib: 23.4,
            rustc: "1.95.0".to_owned(),
            load: ["0.1".to_owned(), "2.0".to_owned()],
        },
        repeat: 3,
        load: Vec::new(),
        scenarios: vec!["steady".to_owned()],
        peers: names.map(peer).into(),
        left_out: vec![LeftOut { name: "Mercure".to_owned(), why: "not to be had".to_owned() }],
        runs,
    }
}

/// A report with these two percentiles and nothing amiss.
fn report(p50: f64, p99: f64) -> serde_json::Value {
    json!({
        "verdict": "passed",
        "latency_ms": { "p50": p50, "p99": p99 },
        "delivery": { "per_second": 200_000.0 + p50 },
        "audit": { "missing": 0, "duplicated": 0, "reordered": 0, "corrupted": 0, "cut": 0 },
        "tester": { "saturated": false },
    })
}

fn line<'t>(text: &'t str, start: &str) -> &'t str {
    text.lines().find(|line| line.starts_with(start)).unwrap_or_else(|| panic!("{start} in {text}"))
}

#[test]
fn a_row_has_medians_spreads_and_ratios_and_what_is_missing_is_a_dash() {
    let ours = [report(4.0, 8.0), report(2.0, 9.0), report(3.0, 30.0)];
    let theirs = [report(6.0, 4.5), report(7.0, 4.0), report(6.5, 8.0)];
    let text = Table(&record([ours, theirs])).to_string();
    assert_eq!(
        line(&text, "| fanfare"),
        "| fanfare | 1.2 | 3 ms (2..4) | 9 ms (8..30) | 200,003/s (200,002..200,004) | - | - | none |"
    );
    assert_eq!(
        line(&text, "| nchan"),
        "| nchan | 1.2 | 6.50 ms (6..7), 2.17× | **4.50 ms (4..8), 0.50×** \
         | 200,006/s (200,006..200,007), 1.00× | - | - | none |"
    );
    assert_eq!(
        line(&text, "Linux"),
        "Linux 6.18, 2 × EPYC, 23 GiB, rustc 1.95.0; the server on one CPU, the load tester on another; \
         load average 0.1 before and 2.0 after."
    );
    assert!(text.contains("- Mercure: not to be had"), "{text}");
    assert!(text.contains("- nchan 1.2: as nchan is"), "{text}");
}

#[test]
fn what_we_lose_is_listed_with_what_speaks_against_it() {
    let ours = || [report(3.0, 8.0), report(3.0, 9.0), report(3.0, 10.0)];
    let theirs = || [report(3.0, 4.0), report(3.0, 5.0), report(3.0, 8.5)];
    let lost = |record: &Record| {
        let text = Table(record).to_string();
        text.split_once("### Rows we lose\n\n").unwrap().1.split("\n\n").next().unwrap().to_owned()
    };
    assert_eq!(
        lost(&record([ours(), theirs()])),
        "- steady, p99: nchan 5 ms (4..8.50), fanfare 9 ms (8..10), within the spread"
    );
    // Beside that, one that has lost messages says so.
    let mut other = theirs();
    other[2] = report(3.0, 5.5);
    other[1]["audit"]["missing"] = json!(1200);
    other[1]["audit"]["cut"] = json!(3);
    assert_eq!(
        lost(&record([ours(), other])),
        "- steady, p99: nchan 5 ms (4..5.50), fanfare 9 ms (8..10); its faults: 1,200 missing, 3 cut off"
    );
    // One hundredth is none.
    let nearly = [report(2.98, 9.0), report(2.98, 9.0), report(2.98, 9.0)];
    assert_eq!(lost(&record([ours(), nearly])), "None.");
}

#[test]
fn where_the_tester_sets_the_pace_nothing_is_claimed() {
    let ours = [report(3.0, 8.0), report(3.0, 9.0), report(3.0, 10.0)];
    for place in ["saturated", "bottleneck"] {
        let mut theirs = [report(1.0, 1.0), report(2.0, 1.0), report(2.0, 1.0)];
        theirs[0]["tester"][place] = json!(true);
        // Where it is one of three, the others count.
        let text = Table(&record([ours.clone(), theirs.clone()])).to_string();
        assert!(line(&text, "| nchan").starts_with("| nchan | 1.2 | **2 ms, 0.67×** |"), "{text}");
        assert!(line(&text, "Runs that").ends_with(" bottleneck: 1 of nchan."), "{text}");

        theirs[1]["tester"][place] = json!(true);
        let text = Table(&record([ours.clone(), theirs])).to_string();
        let row = line(&text, "| nchan");
        assert!(row.starts_with("| nchan | 1.2 | 2 ms (1..2) † | 1 ms † |"), "{text}");
        assert!(row.ends_with("| - † | - † | none |"), "{row}");
        assert!(text.contains("† The load tester was the bottleneck"), "{text}");
        assert!(text.contains("### Rows we lose\n\nNone."), "{text}");
    }
}

#[test]
fn runs_that_failed_are_told_and_the_others_count() {
    let ours = [report(3.0, 8.0), report(3.0, 9.0), report(3.0, 10.0)];
    let mut refused = report(6.0, 9.0);
    refused["publish"]["error"] = json!("the server refused a publish: 503 | full\n");
    let theirs = [refused, report(4.0, 9.0), report(4.0, 9.0)];
    let mut record = record([ours, theirs]);
    record.runs[5].report = Err("not ready\nafter 10s".to_owned());
    assert!(record.fanfare_holds(), "it is not Fanfare that failed");
    let text = Table(&record).to_string();
    let row = line(&text, "| nchan");
    assert!(row.contains("| 6 ms (4..6), 2× |"), "{row}");
    assert!(
        row.ends_with(
            "| the server refused a publish: 503 / full, 1 of 3 runs failed: not ready after 10s |"
        ),
        "{row}"
    );
    let nothing = report(0.0, 0.0);
    record.runs[4].report = Ok(nothing);
    let text = Table(&record).to_string();
    assert!(line(&text, "| nchan").contains("| 6 ms, 2× |"), "{text}");
    record.runs.truncate(3);
    let text = Table(&record).to_string();
    assert!(line(&text, "| nchan").starts_with("| nchan | 1.2 | - | - | - |"), "{text}");
}

#[test]
fn a_record_is_read_as_it_was_written() {
    let reports = || [report(3.0, 8.0), report(3.0, 9.0), report(3.0, 10.0)];
    let mut record = record([reports(), reports()]);
    record.runs[0].report = Err("no port".to_owned());
    assert!(!record.fanfare_holds());
    let file = tempfile::NamedTempFile::new().unwrap();
    record.write(file.path()).unwrap();
    let read = Record::read(file.path()).unwrap();
    assert_eq!(Table(&read).to_string(), Table(&record).to_string());
    assert!(Record::read(std::path::Path::new("/no/such/file")).is_err());
}
