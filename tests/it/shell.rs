//! The commands for the shell: `parse`, `subscribe` and `publish`.

use std::io::{BufRead, BufReader, Write};
use std::process::{Command, Output, Stdio};

use serde_json::{Value, json};

use crate::harness::{Driver, Server, binary};

both_drivers!(
    arguments_are_published_and_printed,
    lines_are_published_and_followed_as_json,
    nobody_reads_what_is_printed,
);

fn fanfare(arguments: &[&str]) -> Command {
    let mut command = Command::new(binary());
    command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

fn run(arguments: &[&str], input: &[u8]) -> Output {
    let mut child = fanfare(arguments).spawn().expect("the binary starts");
    // A command that refuses its arguments reads nothing.
    let _ = child.stdin.take().expect("stdin is piped").write_all(input);
    child.wait_with_output().expect("it is ours")
}

fn json_lines(output: &Output) -> Vec<Value> {
    assert!(output.status.success(), "{output:?}");
    let text = str::from_utf8(&output.stdout).expect("JSON is UTF-8");
    text.lines().map(|line| serde_json::from_str(line).expect("a line is JSON")).collect()
}

fn arguments_are_published_and_printed(driver: Driver) {
    let server = Server::start(driver);
    let events = format!("http://{}/events?topic=t", server.address());
    let subscriber = fanfare(&["subscribe", &events, "-n", "2"]).spawn().expect("it starts");
    server.await_subscribers("t", 1);
    let publish = format!("http://{}/publish?topic=t", server.address());
    let receipts = json_lines(&run(&["publish", &publish, "one", "two\nlines"], b""));
    assert_eq!(receipts.len(), 2);
    assert!(receipts.iter().all(|receipt| receipt["subscribers"] == 1), "{receipts:?}");
    let output = subscriber.wait_with_output().expect("it is ours");
    assert!(output.status.success(), "{output:?}");
    assert_eq!(String::from_utf8_lossy(&output.stdout), "one\ntwo\nlines\n");
}

fn lines_are_published_and_followed_as_json(driver: Driver) {
    let server = Server::start(driver);
    let publish = format!("http://{}/publish?topic=t", server.address());
    let published = json_lines(&run(&["publish", &publish, "--event", "tick"], b"a\r\n\nb\nlast"));
    assert_eq!(published[0]["published"], 4);
    let last = published[0]["id"].as_str().expect("an id");

    let first = json_lines(&run(&["publish", &publish, "--id", "own-1", "x"], b""));
    assert_eq!(first[0]["id"], "own-1");
    json_lines(&run(&["publish", &publish], b"y\nz\n"));
    let events = format!("http://{}/events?topic=t", server.address());
    let arguments = ["subscribe", &events, "--json", "-n", "3", "--last-event-id", last];
    let lines = json_lines(&run(&arguments, b""));
    let data: Vec<_> = lines.iter().map(|line| &line["data"]).collect();
    assert_eq!(data, [&json!("x"), &json!("y"), &json!("z"), &Value::Null]);
    assert_eq!(lines[3]["lastEventId"], lines[2]["lastEventId"]);
}

#[test]
fn a_stream_is_printed_as_it_arrives_and_its_end_says_how_to_go_on() {
    let mut child = fanfare(&["parse"]).spawn().expect("the binary starts");
    let mut input = child.stdin.take().expect("stdin is piped");
    let mut lines = BufReader::new(child.stdout.take().expect("stdout is piped")).lines();
    let mut next = || lines.next().expect("a line").expect("UTF-8");
    input
        .write_all(b"retry: 1500\nid: 7\nevent: t\ndata: a\ndata: b\n\nid: 8\n\nda")
        .expect("read");
    assert_eq!(next(), r#"{"type":"t","data":"a\nb","lastEventId":"7"}"#);
    input.write_all(b"ta: \xff\r\rdata: cut off\n").expect("read");
    assert_eq!(next(), "{\"type\":\"message\",\"data\":\"\u{fffd}\",\"lastEventId\":\"8\"}");
    drop(input);
    assert_eq!(next(), r#"{"retry":1500,"lastEventId":"8"}"#);
    assert!(lines.next().is_none());
    assert!(child.wait().expect("it is ours").success());
}

/// As in `fanfare publish … | true`.
fn nobody_reads_what_is_printed(driver: Driver) {
    let server = Server::start(driver);
    let publish = format!("http://{}/publish?topic=t", server.address());
    for arguments in [&["publish", &publish, "a"][..], &["publish", &publish]] {
        let mut child = fanfare(arguments).spawn().expect("the binary starts");
        drop(child.stdout.take());
        // With arguments it reads nothing, and may have ended.
        let _ = child.stdin.take().expect("stdin is piped").write_all(b"a\n");
        let output = child.wait_with_output().expect("it is ours");
        assert!(output.status.success() && output.stderr.is_empty(), "{output:?}");
    }
}

#[test]
fn the_go_sse_dialect_prints_what_has_no_blank_line() {
    let lines = json_lines(&run(&["parse", "--dialect", "go-sse"], b"data: last\n"));
    assert_eq!(lines[0]["data"], "last");
    let output = run(&["parse", "--dialect", "go-sse"], b"data: cut");
    assert_eq!(
        String::from_utf8_lossy(&output.stderr),
        "fanfare: the stream ended within a line\n"
    );
    assert!(!output.status.success());
}

#[test]
fn faults_name_what_is_wrong() {
    let says = |arguments: &[&str], text: &str| {
        let output = run(arguments, b"\xff\n");
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success());
        assert!(stderr.contains(text), "{stderr}");
    };
    // Nobody listens on the discard port.
    let nobody = "http://127.0.0.1:9/publish";
    says(&["publish", nobody, "--id", "a", "x", "y"], "an id is of one message");
    says(&["publish", nobody, "--idempotency-key", "k"], "an idempotency key is of one message");
    says(&["publish", nobody], "line 1 is not UTF-8 at byte 0");
    says(&["publish", nobody, "x"], "127.0.0.1:9");
    says(&["publish", nobody, "--event", "a\nb", "x"], "event type has a line feed at byte 1");
    says(&["subscribe", "http://127.0.0.1:9/e", "--max-retries", "0"], "GET http://127.0.0.1:9/e");
    says(&["subscribe", nobody, "-H", "no colon"], "expected \"Name: value\"");
}
