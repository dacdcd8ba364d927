//! The process: what it says when it starts, and how it ends.

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::harness::{Driver, End, Options, Pending, Server, Subscriber, binary, eventually, skip};

both_drivers!(
    the_first_line_says_where_and_how_it_serves,
    the_printed_lines_work_in_a_shell,
    sigterm_ends_every_stream_in_order,
    who_drains_takes_its_time_and_says_so,
    a_second_signal_ends_at_once,
    thousands_that_end_at_once_do_not_flood_the_log,
    a_port_that_is_taken_is_an_error_that_names_it,
);

fn the_first_line_says_where_and_how_it_serves(driver: Driver) {
    let server = Server::start(driver);
    let banner = server.banner();
    assert!(banner.starts_with("fanfare "), "{banner}");
    assert!(banner.contains("2 cores"), "{banner}");
    assert!(banner.contains(driver.name()), "{banner}");
    let info = server.get("/metrics").expect_text(200);
    let info = info.lines().find(|line| line.starts_with("fanfare_info{")).expect("an info");
    assert!(info.contains(driver.name()), "{info}");
}

fn the_printed_lines_work_in_a_shell(driver: Driver) {
    if Command::new("curl").arg("--version").stdout(Stdio::null()).status().is_err() {
        return skip("curl is not installed");
    }
    let server = Server::start(driver);
    let shell = |label: &str| {
        let line = server.await_log(label);
        let (_, command) = line.split_once(':').expect("a label and a command");
        let mut shell = Command::new("sh");
        // `exec`, so that the process to be ended is curl.
        shell.args(["-c", &format!("exec {command}")]).stdout(Stdio::piped()).stderr(Stdio::null());
        shell
    };
    let mut subscriber = shell("subscribe:").spawn().expect("a shell");
    server.await_subscribers("demo", 1);
    let published = shell("publish:").output().expect("a shell");
    let answer: Value = serde_json::from_slice(&published.stdout).expect("an answer in JSON");
    assert_eq!(answer["subscribers"], 1);
    let stdout = BufReader::new(subscriber.stdout.take().expect("stdout is piped"));
    let event: Vec<_> = stdout.lines().take(3).map(|line| line.expect("a line")).collect();
    let id = answer["id"].as_str().expect("an id");
    assert_eq!(event, [&format!("id: {id}"), "data: hello", ""]);
    subscriber.kill().expect("it is ours");
    subscriber.wait().expect("it is ours");
}

fn sigterm_ends_every_stream_in_order(driver: Driver) {
    const MESSAGES: u64 = 500;
    let mut server = Server::start(driver);
    let mut kept = server.connect();
    assert_eq!(kept.get("/health").status, 200);
    let request = "GET /events?topic=t HTTP/1.1\r\nHost: test\r\n\r\n";
    let mut chunked: Vec<_> = (0..20).map(|_| Subscriber::open(&server, &["t"])).collect();
    chunked.push(Subscriber::request(kept, request));
    let request = "GET /events?topic=t HTTP/1.0\r\n\r\n";
    let mut bare = Subscriber::request(server.connect(), request);
    for number in 0..MESSAGES {
        server.publish(&["t"], &number.to_string());
    }
    let status = server.terminate();
    assert!(status.success(), "{status}");

    let expected = (0..MESSAGES).collect::<Vec<_>>();
    let expect_all = |subscriber: &mut Subscriber, how: End| {
        let (events, end) = subscriber.until_end();
        let numbers: Vec<_> = events.iter().map(|event| event.number()).collect();
        assert!(numbers == expected, "all that was published: {numbers:?}");
        assert_eq!(end, how);
    };
    for subscriber in &mut chunked {
        expect_all(subscriber, End::InOrder);
    }
    // Without chunks, a close is all there is.
    expect_all(&mut bare, End::Cut);
    chunked.push(bare);
    let come_back: BTreeSet<_> = chunked.iter().map(|one| one.come_back().expect("told")).collect();
    assert!(come_back.iter().all(|millis| (1000..5000).contains(millis)), "{come_back:?}");
    assert!(come_back.len() > 10, "they do not all come back at once: {come_back:?}");
}

/// Two thousand streams end over some seconds, and meanwhile the server says that it is going.
fn who_drains_takes_its_time_and_says_so(driver: Driver) {
    let mut server = Server::start(driver);
    let mut kept = server.connect();
    assert_eq!(kept.get("/ready").status, 200);
    let mut subscribers = crowd(&server);
    server.signal();
    // Whoever asks is told to go elsewhere, and that nothing is wrong.
    eventually("it is not ready", || (kept.get("/ready").status == 503).then_some(()));
    assert_eq!(kept.get("/health").status, 200);
    // Whoever has left would not get it: it belongs elsewhere, and its publisher is told so.
    assert_eq!(kept.post("/publish?topic=t", "text/plain", b"late").status, 503);
    assert!(server.ended().success());
    for subscriber in &mut subscribers {
        let (events, end) = subscriber.until_end();
        assert_eq!((events.len(), end), (0, End::InOrder));
    }
}

fn crowd(server: &Server) -> Vec<Subscriber> {
    let pending: Vec<_> = (0..2000).map(|_| Subscriber::send(server, &["t"])).collect();
    pending.into_iter().map(Pending::accepted).collect()
}

fn a_second_signal_ends_at_once(driver: Driver) {
    let mut server = Server::start(driver);
    let _subscribers = crowd(&server);
    server.signal();
    server.await_log("draining");
    server.signal();
    assert_eq!(server.ended().code(), Some(130));
}

fn thousands_that_end_at_once_do_not_flood_the_log(driver: Driver) {
    const SUBSCRIBERS: usize = 2_000;
    let server = Options::new(driver).argument("--log=warn,fanfare::engine=debug").start();
    let pending: Vec<_> = (0..SUBSCRIBERS).map(|_| Subscriber::send(&server, &["s"])).collect();
    let subscribers: Vec<_> = pending.into_iter().map(Pending::accepted).collect();
    drop(subscribers);
    server.await_subscribers("s", 0);
    let line = server.await_log_with("more connections ended");
    let (_, count) = line.split_once("left_out=").expect("it says how many");
    let digits: String = count.chars().take_while(char::is_ascii_digit).collect();
    assert!((1..SUBSCRIBERS).contains(&digits.parse().expect("a number")), "{line}");
}

fn a_port_that_is_taken_is_an_error_that_names_it(driver: Driver) {
    let server = Server::start(driver);
    let address = server.address().to_string();
    // Were it to share the port, half of the subscribers would never hear half of the messages.
    let fault = refusal(Options::new(driver).listen(&address).command());
    assert!(fault.contains(&address), "{fault}");

    let mut nonsense = Command::new(binary());
    nonsense.args(["serve", "--listen", "nowhere"]);
    assert!(refusal(nonsense).contains("address to listen on"));
}

/// What a server says that must not start.
fn refusal(mut command: Command) -> String {
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it runs");
    let mut first_line = String::new();
    let stdout = child.stdout.take().expect("stdout is piped");
    BufReader::new(stdout).read_line(&mut first_line).expect("a line or the end");
    if !first_line.is_empty() {
        let _ = child.kill();
        panic!("it started: {first_line}");
    }
    let output = child.wait_with_output().expect("it is ours");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success(), "{said}");
    said
}
