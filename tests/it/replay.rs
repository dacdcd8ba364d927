//! Coming back: what a client that names its last event is given.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use serde_json::{Value, json};

use crate::harness::{Driver, Event, Options, Publisher, Random, Server, Subscriber};

both_drivers!(
    header_and_query_resume_after_the_last_event,
    the_newest_id_replays_nothing,
    replay_is_filtered_by_topic,
    an_own_id_is_kept_and_resumed_from,
    an_unknown_id_is_a_gap_and_then_all_that_is_retained,
    an_id_of_an_earlier_life_is_a_gap,
    an_evicted_id_is_a_gap,
    resuming_under_full_speed_neither_skips_nor_repeats,
);

/// Publishes `0..count` on the topic and returns the ids.
fn publish_numbers(server: &Server, topic: &str, count: u64) -> Vec<String> {
    let mut publisher = Publisher::open(server);
    (0..count).map(|number| publisher.text(&[topic], &number.to_string()).id).collect()
}

fn numbers(events: &[Event]) -> Vec<u64> {
    events.iter().map(Event::number).collect()
}

/// Reads the gap event that must come first and returns its data.
fn expect_gap(subscriber: &mut Subscriber) -> Value {
    let event = subscriber.next();
    assert_eq!(event.kind.as_deref(), Some("fanfare.gap"), "{event:?}");
    let gap: Value = serde_json::from_str(event.data()).expect("a gap is told in JSON");
    assert!(gap.get("first_available").is_some(), "{gap}");
    gap
}

fn header_and_query_resume_after_the_last_event(driver: Driver) {
    let server = Server::start(driver);
    let ids = publish_numbers(&server, "r", 20);
    let get = |target: String, headers: &str| {
        let request = format!("GET {target} HTTP/1.1\r\nHost: test\r\n{headers}\r\n");
        Subscriber::request(server.connect(), &request)
    };
    for seen in [0, 7, 18] {
        let by_header = Subscriber::resume(&server, &["r"], &ids[seen]);
        let by_query = get(format!("/events?topic=r&last-event-id={}", ids[seen]), "");
        // A browser that reconnects repeats the query it began with, and knows better by then.
        let headers = format!("Last-Event-ID: {}\r\n", ids[seen]);
        let by_both = get(format!("/events?last-event-id={}&topic=r", ids[0]), &headers);
        let missed = ids.len() - 1 - seen;
        for mut subscriber in [by_header, by_query, by_both] {
            let events = subscriber.take(missed);
            assert!(events.iter().map(Event::id).eq(ids[seen + 1..].iter().map(String::as_str)));
        }
    }
}

fn the_newest_id_replays_nothing(driver: Driver) {
    let server = Server::start(driver);
    let ids = publish_numbers(&server, "r", 5);
    let mut subscriber = Subscriber::resume(&server, &["r"], &ids[4]);
    let next = server.publish(&["r"], "next");
    assert_eq!(next.subscribers, 1);
    assert_eq!(subscriber.next().id(), next.id);
}

fn replay_is_filtered_by_topic(driver: Driver) {
    let server = Server::start(driver);
    let mut publisher = Publisher::open(&server);
    let ids: Vec<_> = (0..30)
        .map(|number: u64| {
            let topics: &[&str] = [&["a"][..], &["b"], &["a", "b"]][number as usize % 3];
            publisher.text(topics, &number.to_string()).id
        })
        .collect();
    // The last event seen may have been another topic's: an id is a place in the one order.
    for (topics, seen, kinds) in [
        (&["a"][..], 0, &[0, 2][..]),
        (&["a"], 1, &[0, 2]),
        (&["b"], 5, &[1, 2]),
        (&["a", "b"], 4, &[0, 1, 2]),
        (&["c"], 4, &[]),
    ] {
        let mut subscriber = Subscriber::resume(&server, topics, &ids[seen as usize]);
        let expected: Vec<_> = (seen + 1..30).filter(|n| kinds.contains(&(n % 3))).collect();
        assert_eq!(numbers(&subscriber.take(expected.len())), expected, "{topics:?} after {seen}");
        publisher.text(&["a", "b", "c"], "1000");
        assert_eq!(subscriber.next().number(), 1000, "{topics:?} after {seen}");
    }
}

fn an_own_id_is_kept_and_resumed_from(driver: Driver) {
    let server = Server::start(driver);
    let mut publisher = Publisher::open(&server);
    for number in 0..10 {
        let id = format!("order/{number}");
        let message = json!({"topics": ["o"], "id": id, "data": number.to_string()});
        assert_eq!(publisher.json(&message).id, id);
    }
    let mut subscriber = Subscriber::resume(&server, &["o"], "order/6");
    for number in 7..10 {
        let event = subscriber.next();
        assert_eq!((event.id(), event.number()), (format!("order/{number}").as_str(), number));
    }
    publisher.text(&["o"], "10");
    assert_eq!(subscriber.next().number(), 10);
}

fn an_unknown_id_is_a_gap_and_then_all_that_is_retained(driver: Driver) {
    let server = Server::start(driver);
    let mut early = Subscriber::resume(&server, &["r"], "never-seen");
    assert_eq!(expect_gap(&mut early)["requested"], "never-seen");
    let ids = publish_numbers(&server, "r", 10);
    assert_eq!(numbers(&early.take(10)), (0..10).collect::<Vec<_>>());

    for unknown in ["never-seen", "-", "0", "99999999999999999999", "x-1", "\u{e9}"] {
        let mut subscriber = Subscriber::resume(&server, &["r"], unknown);
        let gap = expect_gap(&mut subscriber);
        assert_eq!(gap["requested"], unknown);
        assert_eq!(gap["reason"], "unknown", "of {unknown:?}");
        assert_eq!(gap["first_available"], ids[0], "of {unknown:?}");
        assert_eq!(numbers(&subscriber.take(10)), (0..10).collect::<Vec<_>>());
    }
}

fn an_id_of_an_earlier_life_is_a_gap(driver: Driver) {
    let mut server = Server::start(driver);
    let before = publish_numbers(&server, "r", 10);
    server.restart();
    let after = publish_numbers(&server, "r", 10);
    assert_ne!(before[3], after[3], "a new life has a new epoch");

    let mut subscriber = Subscriber::resume(&server, &["r"], &before[3]);
    let gap = expect_gap(&mut subscriber);
    assert_eq!(gap["requested"], before[3]);
    assert_eq!(gap["reason"], "epoch");
    assert_eq!(gap["first_available"], after[0]);
    assert!(subscriber.take(10).iter().map(Event::id).eq(after.iter().map(String::as_str)));
}

fn an_evicted_id_is_a_gap(driver: Driver) {
    const MESSAGES: usize = 60;
    let server = Options::new(driver).history_bytes("1MiB").start();
    let mut publisher = Publisher::open(&server);
    let data = "x".repeat(100 * 1024);
    let ids: Vec<_> = (0..MESSAGES).map(|_| publisher.text(&["big"], &data).id).collect();

    let mut subscriber = Subscriber::resume(&server, &["big"], &ids[0]);
    let gap = expect_gap(&mut subscriber);
    assert_eq!(gap["requested"], ids[0]);
    assert_eq!(gap["reason"], "evicted");
    let first = ids.iter().position(|id| gap["first_available"] == **id);
    let first = first.expect("the first available is one of those published");
    assert!(first > 1, "six times the history is not retained");
    assert!(first < MESSAGES, "something is retained");
    let rest = subscriber.take(MESSAGES - first);
    assert!(rest.iter().map(Event::id).eq(ids[first..].iter().map(String::as_str)));

    // The last one evicted is followed by the first retained: nothing is missing there.
    let mut contiguous = Subscriber::resume(&server, &["big"], &ids[first]);
    assert_eq!(contiguous.next().id(), ids[first + 1]);
}

fn resuming_under_full_speed_neither_skips_nor_repeats(driver: Driver) {
    const RECONNECTS: usize = 50;
    // So many do not leave the history, however fast the machine is.
    const MESSAGES_MAX: u64 = 300_000;
    let server = Server::start(driver);
    let stop = AtomicBool::new(false);
    let mut random = Random::new(50);
    thread::scope(|scope| {
        let mut first = Subscriber::open(&server, &["flood"]);
        scope.spawn(|| {
            let mut publisher = Publisher::open(&server);
            let mut numbers = 0..MESSAGES_MAX;
            while !stop.load(Ordering::Relaxed) && !numbers.is_empty() {
                let batch: Vec<_> = numbers.by_ref().take(20).map(|n| n.to_string()).collect();
                publisher.pipelined(&["flood"], &batch);
            }
        });
        // A panic here must still end the publisher, or the scope never does.
        let stop_at_the_end = StopOnDrop(&stop);
        let mut last = first.next();
        for _ in 0..RECONNECTS {
            let mut subscriber = Subscriber::resume(&server, &["flood"], last.id());
            for _ in 0..random.below(300) {
                let event = subscriber.next();
                assert_eq!(event.number(), last.number() + 1, "after {last:?}");
                last = event;
            }
        }
        drop(stop_at_the_end);
    });
}

/// Tells a thread to end, also when a test fails.
struct StopOnDrop<'a>(&'a AtomicBool);

impl Drop for StopOnDrop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}
