//! The figures that add up: whatever was offered is delivered, pending or discarded, at any scrape.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use crate::harness::{Driver, Metrics, Options, Publisher, Server, Subscriber, eventually};
use crate::slow::narrow_connection;

both_drivers!(
    what_a_stalled_reader_is_owed_is_pending_until_it_leaves,
    what_a_slow_reader_skips_is_discarded,
    what_a_slow_reader_conflates_is_discarded,
    what_is_replayed_is_offered_once,
);

/// Messages in a test, together more than the kernel holds for one connection.
const MESSAGES: u64 = 128;

/// Reads the figures of one moment, which must add up on each core.
fn scrape(server: &Server) -> Metrics {
    let metrics = server.metrics();
    for core in ["0", "1"] {
        let figure = |name| metrics.labelled(name, "core", core);
        let settled = figure("fanfare_events_delivered_total")
            + figure("fanfare_events_discarded_total")
            + figure("fanfare_events_pending");
        assert_eq!(figure("fanfare_events_offered_total"), settled, "core {core}: {metrics:#?}");
    }
    metrics
}

/// Offered, delivered, pending.
fn figures(metrics: &Metrics) -> [u64; 3] {
    let names = ["events_offered_total", "events_delivered_total", "events_pending"];
    names.map(|name| metrics.sum(&format!("fanfare_{name}")) as u64)
}

fn discarded(metrics: &Metrics, reason: &str) -> u64 {
    metrics.labelled("fanfare_events_discarded_total", "reason", reason) as u64
}

/// The figures when so much has been offered and nothing is pending.
fn settled(server: &Server, offered: u64) -> Metrics {
    eventually("everything is settled", || {
        let metrics = scrape(server);
        let [is_offered, _, pending] = figures(&metrics);
        (is_offered == offered && pending == 0).then_some(metrics)
    })
}

/// Publishes to a topic, each read by `healthy`, while the figures are scraped all the time.
fn publish_under_scrapes(
    server: &Server,
    healthy: &mut Subscriber,
    json: impl Fn(u64) -> serde_json::Value,
) {
    let is_over = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            while !is_over.load(Ordering::Relaxed) {
                scrape(server);
            }
        });
        let mut publisher = Publisher::open(server);
        for number in 0..MESSAGES {
            publisher.json(&json(number));
            healthy.next();
        }
        is_over.store(true, Ordering::Relaxed);
    });
}

fn message(number: u64) -> serde_json::Value {
    serde_json::json!({"topics": ["s"], "data": format!("{number} {}", "x".repeat(64 * 1024))})
}

fn narrow(server: &Server, query: &str) -> Subscriber {
    let request = format!("GET /events?{query} HTTP/1.1\r\nHost: test\r\n\r\n");
    Subscriber::request(narrow_connection(server), &request)
}

fn what_a_stalled_reader_is_owed_is_pending_until_it_leaves(driver: Driver) {
    let server = Server::start(driver);
    let stalled = narrow(&server, "topic=s&topic=nothing");
    let mut healthy = Subscriber::open(&server, &["s", "*"]);
    publish_under_scrapes(&server, &mut healthy, message);
    let offered = 2 * MESSAGES;
    let before = scrape(&server);
    let [is_offered, delivered, pending] = figures(&before);
    assert_eq!(is_offered, offered, "each message was for two");
    assert!(pending > 0 && delivered == offered - pending, "{before:#?}");
    drop(stalled);
    let after = settled(&server, offered);
    assert_eq!(discarded(&after, "ended"), pending, "{after:#?}");
    assert_eq!(figures(&after)[1], delivered);
}

fn what_a_slow_reader_skips_is_discarded(driver: Driver) {
    let server = Options::new(driver).argument("--lag-bytes=1MiB").start();
    let mut slow = narrow(&server, "topic=s&lag=skip");
    let mut healthy = Subscriber::open(&server, &["s"]);
    publish_under_scrapes(&server, &mut healthy, message);
    let got = received_until_last(&mut slow);
    let metrics = settled(&server, 2 * MESSAGES);
    assert!(got < MESSAGES, "it was behind by more than it may be");
    assert_eq!(figures(&metrics)[1], MESSAGES + got, "{metrics:#?}");
    assert_eq!(discarded(&metrics, "skipped"), MESSAGES - got, "{metrics:#?}");
}

fn what_a_slow_reader_conflates_is_discarded(driver: Driver) {
    let server = Server::start(driver);
    let mut slow = narrow(&server, "topic=s&lag=conflate");
    let mut healthy = Subscriber::open(&server, &["s"]);
    publish_under_scrapes(&server, &mut healthy, |number| {
        let mut message = message(number);
        message["conflation_key"] = (number % 3).to_string().into();
        message
    });
    let got = received_until_last(&mut slow);
    let metrics = settled(&server, 2 * MESSAGES);
    assert!(got < MESSAGES, "it was behind");
    assert_eq!(figures(&metrics)[1], MESSAGES + got, "{metrics:#?}");
    assert_eq!(discarded(&metrics, "conflated"), MESSAGES - got, "{metrics:#?}");
}

fn what_is_replayed_is_offered_once(driver: Driver) {
    let server = Server::start(driver);
    let ids: Vec<String> =
        (0..MESSAGES).map(|number| server.publish(&["s/1"], &number.to_string()).id).collect();
    let mut by_pattern = Subscriber::resume(&server, &["s/**", "t"], &ids[9]);
    let mut by_name = Subscriber::resume(&server, &["s/1"], &ids[MESSAGES as usize / 2 - 1]);
    server.publish(&["s/1", "t"], "live");
    assert_eq!(by_pattern.take(MESSAGES as usize - 10 + 1).len() as u64, MESSAGES - 9);
    assert_eq!(by_name.take(MESSAGES as usize / 2 + 1).len() as u64, MESSAGES / 2 + 1);
    let offered = (MESSAGES - 9) + (MESSAGES / 2 + 1);
    let metrics = settled(&server, offered);
    assert_eq!(figures(&metrics)[1], offered, "{metrics:#?}");
}

/// How many messages there are up to the last, without what tells of those left out.
fn received_until_last(slow: &mut Subscriber) -> u64 {
    let mut got = 0;
    loop {
        let event = slow.next();
        if event.kind.as_deref() == Some("fanfare.gap") {
            continue;
        }
        got += 1;
        let number = event.data().split(' ').next().expect("it has a number");
        if number.parse() == Ok(MESSAGES - 1) {
            return got;
        }
    }
}
