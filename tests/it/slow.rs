//! A slow consumer hurts only itself: it is bounded, cut, and told apart from those who read.

use std::time::{Duration, Instant};

use socket2::{Domain, Socket, Type};

use crate::harness::{Connection, Driver, End, Options, Publisher, Server, Subscriber, eventually};

both_drivers!(
    a_subscriber_that_never_reads_is_cut_and_the_others_lose_nothing,
    a_subscriber_that_takes_nothing_for_its_deadline_is_cut,
    a_subscriber_that_stops_for_a_while_catches_up,
    who_skips_is_told_and_goes_on_with_the_newest,
    who_conflates_gets_the_latest_of_each_key,
    a_quiet_stream_is_heard_of,
);

/// A connection that can hold little that its user has not read.
pub(crate) fn narrow_connection(server: &Server) -> Connection {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
    socket.set_recv_buffer_size(4 * 1024).expect("a small buffer");
    socket.connect(&server.address().into()).expect("the server accepts");
    Connection::over(socket.into())
}

fn a_subscriber_that_never_reads_is_cut_and_the_others_lose_nothing(driver: Driver) {
    const HISTORY_BYTES: u64 = 4 << 20;
    const MESSAGE_BYTES: usize = 64 * 1024;
    const MESSAGES_MIN: u64 = 1_000;
    const STALLED: u64 = 20;
    let server = Options::new(driver).history_bytes("4MiB").start();
    let subscribe = "GET /events?topic=s HTTP/1.1\r\nHost: test\r\n\r\n";
    let mut stalled: Vec<_> =
        (0..STALLED).map(|_| Subscriber::request(narrow_connection(&server), subscribe)).collect();
    let mut healthy: Vec<_> = (0..3).map(|_| Subscriber::open(&server, &["s"])).collect();
    let before = server.resident_bytes();

    let mut publisher = Publisher::open(&server);
    let padding = "x".repeat(MESSAGE_BYTES);
    let cut_by = Instant::now() + Duration::from_secs(120);
    let mut published = 0;
    let mut counted = STALLED + 3;
    while counted > 3 || published < MESSAGES_MIN {
        assert!(Instant::now() < cut_by, "{counted} of the topic's subscribers stand");
        counted = publisher.text(&["s"], &format!("{published} {padding}")).subscribers;
        for subscriber in &mut healthy {
            let event = subscriber.next();
            let (number, rest) = event.data().split_once(' ').expect("a number");
            assert_eq!(number.parse(), Ok(published));
            assert!(rest == padding, "the whole message");
        }
        published += 1;
    }

    // A queue per subscriber would have held all of it, twenty times over.
    let grown = server.resident_bytes().saturating_sub(before);
    let sent = published * MESSAGE_BYTES as u64;
    assert!(grown < 4 * HISTORY_BYTES + (16 << 20), "grew by {grown} bytes while {sent} were sent");

    for subscriber in &mut stalled {
        let (events, end) = subscriber.until_end();
        assert_eq!(end, End::Cut);
        let numbers = events.iter().map(|event| event.data().split(' ').next().map(str::to_owned));
        assert!(numbers.eq((0..events.len()).map(|number| Some(number.to_string()))));
    }
    assert_eq!(cut(&server), STALLED);
}

/// How many were cut for being slow, and not counted as having left.
fn cut(server: &Server) -> u64 {
    let metrics = server.metrics();
    let ends = |reason| metrics.labelled("fanfare_connections_ended_total", "reason", reason);
    (ends("overtaken") + ends("stalled")) as u64
}

fn a_subscriber_that_takes_nothing_for_its_deadline_is_cut(driver: Driver) {
    let server = Server::start(driver);
    let subscribe = "GET /events?topic=s HTTP/1.1\r\nHost: test\r\n\r\n";
    let mut stalled = Subscriber::request(narrow_connection(&server), subscribe);
    let mut healthy = Subscriber::open(&server, &["s"]);
    let mut publisher = Publisher::open(&server);
    // More than the kernel holds for one connection, far less than the history: it is the deadline
    // that ends it.
    let padding = "x".repeat(64 * 1024);
    for _ in 0..64 {
        publisher.text(&["s"], &padding);
        assert_eq!(healthy.next().data().len(), padding.len());
    }
    eventually("the stalled one is cut", || {
        let receipt = publisher.text(&["s"], "tick");
        assert_eq!(healthy.next().id(), receipt.id);
        (receipt.subscribers == 1).then_some(())
    });
    assert_eq!(stalled.until_end().1, End::Cut);
    assert_eq!(cut(&server), 1);
}

fn a_subscriber_that_stops_for_a_while_catches_up(driver: Driver) {
    const MESSAGES: u64 = 400;
    let server = Server::start(driver);
    let subscribe = "GET /events?topic=s HTTP/1.1\r\nHost: test\r\n\r\n";
    let mut stops = Subscriber::request(narrow_connection(&server), subscribe);
    let mut publisher = Publisher::open(&server);
    let padding = "x".repeat(16 * 1024);
    for number in 0..MESSAGES {
        publisher.text(&["s"], &format!("{number} {padding}"));
        publisher.text(&["other"], &padding);
    }
    for number in 0..MESSAGES {
        let event = stops.next();
        assert_eq!(event.data().split(' ').next(), Some(number.to_string().as_str()));
    }
    // Live again.
    publisher.text(&["s"], "live");
    assert_eq!(stops.next().data(), "live");
}

/// As many bytes as the kernel holds for one connection, and more.
const MORE_THAN_THE_KERNEL_HOLDS: usize = 4 << 20;

fn who_skips_is_told_and_goes_on_with_the_newest(driver: Driver) {
    let server = Options::new(driver).argument("--lag-bytes=1MiB").start();
    let subscribe = "GET /events?topic=s&lag=skip HTTP/1.1\r\nHost: test\r\n\r\n";
    let mut stops = Subscriber::request(narrow_connection(&server), subscribe);
    let mut healthy = Subscriber::open(&server, &["s"]);
    let mut publisher = Publisher::open(&server);
    let padding = "x".repeat(16 * 1024);
    let count = (MORE_THAN_THE_KERNEL_HOLDS / padding.len()) as u64;
    for number in 0..count {
        publisher.text(&["s"], &format!("{number} {padding}"));
        healthy.next();
    }
    let number = |data: &str| data.split(' ').next().and_then(|number| number.parse().ok());
    let (mut next, mut gaps) = (0, 0);
    while next < count {
        let event = stops.next();
        if event.kind.as_deref() == Some("fanfare.gap") {
            assert!(event.data().contains("\"reason\":\"lagged\""), "{event:?}");
            gaps += 1;
        } else {
            let number: u64 = number(event.data()).expect("a number");
            assert!(number == next || gaps > 0, "{number} instead of {next} without a word");
            next = number + 1;
        }
    }
    assert!(gaps > 0, "it was behind by more than it may be");
    publisher.text(&["s"], "live");
    assert_eq!(stops.next().data(), "live");
    let metrics = server.metrics();
    assert!(metrics.sum("fanfare_subscribers_skipped_total") >= 1.0);
    assert_eq!(cut(&server), 0);
}

fn who_conflates_gets_the_latest_of_each_key(driver: Driver) {
    const KEYS: usize = 3;
    let server = Options::new(driver).argument("--lag=conflate").start();
    let subscribe = "GET /events?topic=s HTTP/1.1\r\nHost: test\r\n\r\n";
    let mut stops = Subscriber::request(narrow_connection(&server), subscribe);
    let mut publisher = Publisher::open(&server);
    let padding = "x".repeat(16 * 1024);
    let count = MORE_THAN_THE_KERNEL_HOLDS / padding.len();
    for number in 0..count {
        let key = number % KEYS;
        publisher.json(&serde_json::json!({
            "topics": ["s"],
            "data": format!("{number} {padding}"),
            "conflation_key": key.to_string(),
        }));
    }
    let mut numbers = Vec::new();
    while numbers.last() != Some(&(count - 1)) {
        let event = stops.next();
        let number = event.data().split(' ').next().and_then(|number| number.parse().ok());
        numbers.push(number.expect("a number"));
    }
    assert!(numbers.is_sorted() && numbers.len() < count, "{numbers:?}");
    let last = count - KEYS;
    assert_eq!(numbers[numbers.len() - KEYS..], [last, last + 1, last + 2]);
}

fn a_quiet_stream_is_heard_of(driver: Driver) {
    let server = Options::new(driver).argument("--heartbeat=1").start();
    let mut quiet = Subscriber::open(&server, &["q"]);
    assert_eq!(quiet.next_within(Duration::from_secs(2)), None, "a comment is no event");
    eventually("two heartbeats", || {
        (server.metrics().sum("fanfare_heartbeats_total") >= 2.0).then_some(())
    });
    let receipt = server.publish(&["q"], "after them");
    assert_eq!(quiet.next().id(), receipt.id);
    assert!(quiet.comments() >= 2, "they are on the wire");
}
