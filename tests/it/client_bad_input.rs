//! What a server must not do to a client: each has a clear end, and none costs memory without end.

use std::net::TcpListener;
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use std::{env, fs, iter, thread};

use fanfare::Client;
use fanfare::client::{Backoff, ClientBuilder, ConnectionError, ErrorKind, Jitter};
use fanfare::sse::Event;

use crate::harness::PATIENCE;
use crate::harness::scripted::{Bytes, Reply, ScriptedServer, Then};

/// No end that a test could live to see.
const ENDLESS: u64 = u64::MAX / 2;

const INITIAL_INTERVAL: Duration = Duration::from_millis(20);

/// What came of reading a stream.
#[derive(Debug, Default)]
struct Outcome {
    events: Vec<Event>,
    /// What failed and how long the wait after it is.
    retries: Vec<Retry>,
    /// Why it ended for good, if it did.
    end: Option<ConnectionError>,
}

#[derive(Debug)]
struct Retry {
    kind: ErrorKind,
    text: String,
    wait: Duration,
}

impl Outcome {
    fn data(&self) -> Vec<&str> {
        self.events.iter().map(Event::data).collect()
    }

    fn only_retry(&self) -> &Retry {
        let [retry] = self.retries.as_slice() else { panic!("not one retry: {self:?}") };
        retry
    }

    /// Why it ended for good: the kind, the text, and whether it could not have got better.
    fn end(&self) -> (ErrorKind, String, bool) {
        let error = self.end.as_ref().unwrap_or_else(|| panic!("it has not ended: {self:?}"));
        (error.kind(), error.to_string(), error.is_permanent())
    }
}

/// Gives up after that many retries in a row, with waits that double.
fn client(max_retries: u32) -> ClientBuilder {
    Client::builder().backoff(Backoff {
        initial_interval: INITIAL_INTERVAL,
        multiplier: 2.0,
        jitter: Jitter::Off,
        max_retries: Some(max_retries),
        ..Backoff::default()
    })
}

/// Reads until so many events have come, or the stream ends for good.
fn read(client: ClientBuilder, url: &str, events: usize) -> Outcome {
    let retries = Arc::<Mutex<Vec<Retry>>>::default();
    let note = Arc::clone(&retries);
    let client = client.on_retry(move |error, wait| {
        let (kind, text) = (error.kind(), error.to_string());
        note.lock().expect("nobody panics with it").push(Retry { kind, text, wait });
    });
    let mut connection = client.build().expect("good settings").get(url).expect("a URL");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let mut outcome = Outcome::default();
    runtime.expect("a runtime").block_on(async {
        let reading = async {
            while outcome.events.len() < events {
                match connection.next().await {
                    Some(Ok(event)) => outcome.events.push(event),
                    Some(Err(error)) => outcome.end = Some(error),
                    None => return,
                }
            }
        };
        let read = tokio::time::timeout(PATIENCE, reading).await;
        read.unwrap_or_else(|_| panic!("neither events nor an end came from {url}"));
    });
    outcome.retries = std::mem::take(&mut retries.lock().expect("nobody panics with it"));
    outcome
}

/// Runs `test` in a process of its own, whose memory is not that of other tests.
fn in_own_process(name: &str, test: fn()) {
    const VARIABLE: &str = "FANFARE_TEST_IN_OWN_PROCESS";
    if env::var(VARIABLE).is_ok_and(|value| value == name) {
        return test();
    }
    let program = env::current_exe().expect("this is a program");
    let name_of_test = format!("client_bad_input::{name}");
    let output =
        Command::new(program).args([&name_of_test, "--exact"]).env(VARIABLE, name).output();
    let output = output.expect("the program starts");
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && said.contains("1 passed"), "{said}");
}

/// Most bytes of memory that this process has ever held.
fn peak_memory() -> usize {
    let status = fs::read_to_string("/proc/self/status").expect("Linux tells");
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).expect("a VmHWM line");
    let kib: usize = line.split_whitespace().nth(1).and_then(|n| n.parse().ok()).expect("KiB");
    kib * 1024
}

fn repeated(pattern: &str, count: u64) -> Bytes {
    let mut bytes = Bytes::default();
    bytes.push_repeated(pattern.as_bytes(), count);
    bytes
}

fn with_event_after(mut bytes: Bytes) -> Bytes {
    bytes.push(b"\ndata: after\n\n");
    bytes
}

#[test]
fn an_endless_line_or_event_ends_at_its_cap_and_costs_no_more_memory() {
    const CAP: usize = 4 << 20;
    in_own_process("an_endless_line_or_event_ends_at_its_cap_and_costs_no_more_memory", || {
        let normal = ScriptedServer::once(Reply::stream("data: a\n\n"));
        assert_eq!(read(client(0), &normal.url(), 1).data(), ["a"]);
        let before = peak_memory();
        for (pattern, what) in [("data: x", "line"), ("data: x\n", "event")] {
            let server = ScriptedServer::once(Reply::stream(repeated(pattern, ENDLESS)));
            let outcome = read(client(0).event_bytes_max(CAP), &server.url(), 1);
            let (kind, text, is_permanent) = outcome.end();
            assert_eq!((kind, is_permanent), (ErrorKind::Parse, false), "{text}");
            assert_eq!(text, format!("GET {}: the stream cannot be parsed", server.url()));
            let error = outcome.end.as_ref().and_then(std::error::Error::source);
            let cause = error.map(ToString::to_string).unwrap_or_default();
            assert!(cause.contains(what) && cause.contains(&CAP.to_string()), "{cause:?}");
        }
        let grown = peak_memory() - before;
        // A copy may be made where a buffer grows; what was sent would be as large as time allows.
        assert!(grown < 2 * CAP + (4 << 20), "grew by {grown} bytes for a cap of {CAP}");
    });
}

#[test]
fn a_gibibyte_of_comments_costs_no_memory_and_the_event_after_it_arrives() {
    const EACH: u64 = 512 << 20;
    in_own_process("a_gibibyte_of_comments_costs_no_memory_and_the_event_after_it_arrives", || {
        let normal = ScriptedServer::once(Reply::stream("data: a\n\n"));
        assert_eq!(read(client(0), &normal.url(), 1).data(), ["a"]);
        let before = peak_memory();
        // One of them is far longer than any cap, the others are many.
        let mut body = repeated(":", EACH);
        body.append(repeated("\n: is anybody there? \r\n", EACH / 23));
        let server = ScriptedServer::once(Reply::stream(with_event_after(body)));
        let outcome = read(client(0).event_bytes_max(64 * 1024), &server.url(), 1);
        assert_eq!(outcome.data(), ["after"]);
        let grown = peak_memory() - before;
        assert!(grown < 8 << 20, "grew by {grown} bytes");
    });
}

#[test]
fn blank_lines_without_end_are_nothing() {
    for blank in ["\n", "\r\n", "\r"] {
        let body = with_event_after(repeated(blank, 8 << 20));
        let server = ScriptedServer::once(Reply::stream(body));
        let outcome = read(client(0).event_bytes_max(64), &server.url(), 1);
        assert_eq!(outcome.data(), ["after"], "{blank:?}");
    }
}

#[test]
fn a_reconnection_time_that_no_clock_can_count_is_ignored() {
    let body = format!("retry: 300\nretry: 1{}\ndata: a\n\n", "0".repeat(40));
    let server = ScriptedServer::start(|_| {
        vec![Reply::stream(body.as_str()).then(Then::Close), Reply::stream("data: b\n\n")]
    });
    let outcome = read(client(1), &server.url(), 2);
    assert_eq!(outcome.data(), ["a", "b"]);
    let retry = outcome.only_retry();
    assert_eq!((retry.kind, retry.wait), (ErrorKind::Ended, Duration::from_millis(300)));
    let requests = server.requests();
    let ended = requests[0].ended.expect("the first answer has ended");
    assert!(requests[1].at - ended >= retry.wait, "not asked again too early");
}

#[test]
fn a_response_head_that_drips_is_given_up_and_tried_again() {
    let limit = Duration::from_millis(500);
    let server = ScriptedServer::start(|_| {
        let dripping = Reply::stream("data: too late\n\n").dripping(limit / 20);
        vec![dripping, Reply::stream("data: a\n\n")]
    });
    let outcome = read(client(1).response_timeout(limit), &server.url(), 1);
    assert_eq!(outcome.data(), ["a"]);
    let Retry { kind, text, .. } = outcome.only_retry();
    assert_eq!(*kind, ErrorKind::ResponseTimeout);
    assert_eq!(*text, format!("GET {}: no complete response head within 500ms", server.url()));
}

#[test]
fn a_server_that_never_answers_is_given_up_after_the_retries() {
    let server = ScriptedServer::once(Reply::silence());
    let limit = Duration::from_millis(200);
    let outcome = read(client(2).response_timeout(limit), &server.url(), 1);
    let (kind, text, is_permanent) = outcome.end();
    assert_eq!((kind, is_permanent), (ErrorKind::ResponseTimeout, false));
    assert_eq!(text, format!("GET {}: no complete response head within 200ms", server.url()));
    assert!(outcome.retries.iter().all(|retry| retry.kind == ErrorKind::ResponseTimeout));
    assert_eq!((outcome.retries.len(), server.requests().len()), (2, 3));
}

#[test]
fn a_server_that_accepts_and_closes_at_once_gets_one_connection_per_retry_and_growing_waits() {
    const RETRIES: u32 = 4;
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let url = format!("http://{}/events", listener.local_addr().expect("it is bound"));
    let accepted = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&accepted);
    // It ends with the process: the tests before it need no other way.
    thread::spawn(move || {
        listener.incoming().map_while(Result::ok).for_each(|connection| {
            count.fetch_add(1, Ordering::SeqCst);
            drop(connection);
        });
    });
    let outcome = read(client(RETRIES), &url, 1);
    let (kind, text, is_permanent) = outcome.end();
    assert_eq!((kind, is_permanent), (ErrorKind::Connect, false), "{text}");
    assert!(text.starts_with(&format!("GET {url}: ")), "{text}");
    assert_eq!(accepted.load(Ordering::SeqCst), RETRIES as usize + 1);
    let doubling = iter::successors(Some(INITIAL_INTERVAL), |wait| Some(*wait * 2));
    let waits = outcome.retries.iter().map(|retry| retry.wait);
    assert!(waits.eq(doubling.take(RETRIES as usize)), "{outcome:?}");
}

#[test]
fn an_answer_that_ends_without_an_event_does_not_reset_the_waits() {
    let server = ScriptedServer::start(|_| vec![Reply::stream(": hi\n\n").then(Then::Close); 4]);
    let outcome = read(client(3), &server.url(), 1);
    assert_eq!(outcome.end().0, ErrorKind::Ended);
    let waits: Vec<_> = outcome.retries.iter().map(|retry| retry.wait).collect();
    assert_eq!(waits, [INITIAL_INTERVAL, INITIAL_INTERVAL * 2, INITIAL_INTERVAL * 4]);
    assert_eq!(server.requests().len(), 4);
}

#[test]
fn an_event_that_breaks_off_is_not_delivered_nor_is_its_id_sent() {
    let body = "id: 1\ndata: whole\n\nid: 2\ndata: half\n";
    let framed = |header: &str, body: &str| {
        let head = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n";
        Reply::raw(format!("{head}{header}\r\n\r\n{body}").as_str()).then(Then::Close)
    };
    let chunked = |chunks: &str| framed("Transfer-Encoding: chunked", chunks);
    let chunk = format!("{:x}\r\n{body}\r\n", body.len());
    let closed = |body: &str| Reply::stream(body).then(Then::Close);
    for (what, broken, kind) in [
        ("a reset", Reply::stream(body).then(Then::Reset), ErrorKind::Read),
        ("an end in order", closed(body), ErrorKind::Ended),
        ("an end within a line", closed(body.trim_end()), ErrorKind::Ended),
        ("an end within a chunk", chunked(&format!("99\r\n{body}")), ErrorKind::Read),
        ("no last chunk", chunked(&chunk), ErrorKind::Read),
        ("a chunk of no size", chunked(&format!("{chunk}x\r\n")), ErrorKind::Read),
        ("a length not reached", framed("Content-Length: 99", body), ErrorKind::Read),
    ] {
        let server = ScriptedServer::start(|_| vec![broken, Reply::stream("data: next\n\n")]);
        let outcome = read(client(1), &server.url(), 2);
        assert_eq!(outcome.data(), ["whole", "next"], "{what}");
        assert_eq!(outcome.only_retry().kind, kind, "{what}: {outcome:?}");
        assert_eq!(outcome.events[1].last_event_id(), "1", "{what}");
        let sent = server.requests()[1].header("Last-Event-ID");
        assert_eq!(sent.as_deref(), Some("1"), "{what}");
    }
}

#[test]
fn what_is_not_http_or_has_no_end_of_a_head_is_permanent() {
    let mut endless = Bytes::from("HTTP/1.1 200 OK\r\nX: ");
    endless.push_repeated(b"x", ENDLESS);
    let mut many = Bytes::from("HTTP/1.1 200 OK\r\n");
    many.push_repeated(b"X: x\r\n", ENDLESS);
    let garbage = Bytes::from("220 mail.example.com ESMTP\r\n\r\n");
    for bytes in [endless, many, garbage] {
        let server = ScriptedServer::once(Reply::raw(bytes));
        let outcome = read(client(3), &server.url(), 1);
        let (kind, text, is_permanent) = outcome.end();
        assert_eq!((kind, is_permanent), (ErrorKind::ResponseHead, true), "{text}");
        assert_eq!(server.requests().len(), 1);
    }
}

#[test]
fn redirects_without_end_are_permanent() {
    let server = ScriptedServer::start(|origins| {
        let redirect = |location: String| {
            let head =
                format!("HTTP/1.1 307 Go on\r\nLocation: {location}\r\nConnection: close\r\n\r\n");
            Reply::raw(head.as_str()).then(Then::Close)
        };
        (0..50).map(|n| redirect([origins.first(), origins.second()][n % 2].clone())).collect()
    });
    let outcome = read(client(3), &server.url(), 1);
    let (kind, text, is_permanent) = outcome.end();
    assert_eq!((kind, is_permanent), (ErrorKind::Redirect, true), "{text}");
    assert!(text.contains("more than 10 redirects"), "{text}");
    assert_eq!(server.requests().len(), 1 + fanfare::limits::REDIRECTS_MAX);
}
