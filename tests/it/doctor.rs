//! `fanfare doctor`: on this machine, on one that is short of something, and on a stream without a proxy.
//!
//! What it says of real proxies, good and bad ones, is in `proxies`.

use std::process::{Command, Output};

use serde_json::Value;

use crate::harness::{Driver, Options, binary};

both_drivers!(a_stream_without_a_proxy_is_in_order);

/// What it says, by check.
pub(crate) struct Report {
    pub(crate) succeeded: bool,
    findings: Vec<Value>,
}

impl Report {
    /// Runs `fanfare doctor --json` with these arguments.
    pub(crate) fn of(arguments: &[&str]) -> Self {
        Self::by(Command::new(binary()).args(["doctor", "--json"]).args(arguments))
    }

    /// Runs a command that ends in `fanfare doctor --json …`.
    pub(crate) fn by(command: &mut Command) -> Self {
        let output = command.output().expect("the binary starts");
        let report: Value = serde_json::from_slice(&output.stdout)
            .unwrap_or_else(|fault| panic!("{fault} in {output:?}"));
        let findings = report["findings"].as_array().expect("a list").clone();
        Self { succeeded: output.status.success(), findings }
    }

    /// How bad it is, of a check that must have been made.
    #[track_caller]
    pub(crate) fn level(&self, check: &str) -> &str {
        self.finding(check)["level"].as_str().expect("a level")
    }

    /// All that is said of a check, in JSON.
    #[track_caller]
    pub(crate) fn text(&self, check: &str) -> String {
        self.finding(check).to_string()
    }

    #[track_caller]
    fn finding(&self, check: &str) -> &Value {
        let mut findings = self.findings.iter();
        let found = findings.find(|finding| finding["check"] == check);
        found.unwrap_or_else(|| panic!("nothing of {check} in {:#?}", self.findings))
    }
}

/// What is checked of a stream, where every check can be made.
pub(crate) const STREAM_CHECKS: [&str; 5] =
    ["delivery", "headers", "compression", "resume", "heartbeat"];

fn a_stream_without_a_proxy_is_in_order(driver: Driver) {
    let server = Options::new(driver).argument("--heartbeat=1").start();
    let url = format!("http://{}/events", server.address());
    let report = Report::of(&["--url", &url, "--heartbeat", "1", "--idle", "2"]);
    for check in STREAM_CHECKS.iter().chain(&["idle"]) {
        assert_eq!(report.level(check), "ok", "{}", report.text(check));
    }
}

#[test]
fn the_machine_is_looked_at() {
    let report = Report::of(&[]);
    for check in ["io_uring", "descriptors", "backlog", "ports", "tcp_mem", "wmem_max"] {
        assert!(!report.text(check).is_empty());
    }
}

#[test]
fn few_descriptors_are_a_problem_with_the_line_that_mends() {
    let in_shell = |arguments: &str| {
        let mut shell = Command::new("sh");
        shell.args(["-c", &format!("ulimit -n 512 && exec \"$0\" doctor {arguments}")]);
        shell.arg(binary());
        shell
    };
    let report = Report::by(&mut in_shell("--json"));
    assert!(!report.succeeded);
    assert_eq!(report.level("descriptors"), "problem");
    assert!(report.text("descriptors").contains("LimitNOFILE="));
    let output: Output = in_shell("").output().expect("a shell");
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(text.contains("512 may be open"), "{text}");
    assert!(String::from_utf8_lossy(&output.stderr).contains("problem"), "{output:?}");
}

#[test]
fn what_is_no_stream_is_a_problem() {
    // Nobody listens on the discard port.
    let report = Report::of(&["--url", "http://127.0.0.1:9/events"]);
    assert!(!report.succeeded);
    assert_eq!(report.level("subscribe"), "problem");
    assert!(report.text("subscribe").contains("127.0.0.1:9"), "{}", report.text("subscribe"));
}
