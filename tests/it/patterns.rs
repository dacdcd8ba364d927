//! Patterns of topics over HTTP: live, resumed, and beside names.

use crate::harness::{Driver, Event, Server, Subscriber};

both_drivers!(
    a_pattern_gets_the_topics_it_stands_for_each_message_once,
    a_pattern_resumes_after_what_it_saw,
    a_pattern_cannot_be_published_to,
);

fn a_pattern_gets_the_topics_it_stands_for_each_message_once(driver: Driver) {
    let server = Server::start(driver);
    let mut by_pattern = Subscriber::open(&server, &["orders/*/status", "orders/7/status"]);
    let mut by_rest = Subscriber::open(&server, &["orders/**"]);
    for (number, topics) in [
        &["orders/7/status"][..],
        &["orders/7/items"],
        &["orders"],
        &["invoices/7/status"],
        &["orders/8/status", "orders/9/status"],
    ]
    .iter()
    .enumerate()
    {
        server.publish(topics, &number.to_string());
    }
    assert_eq!(server.publish(&["orders/1/status"], "5").subscribers, 2);
    assert_data(&by_pattern.take(3), &["0", "4", "5"]);
    assert_data(&by_rest.take(4), &["0", "1", "4", "5"]);
}

fn a_pattern_resumes_after_what_it_saw(driver: Driver) {
    let server = Server::start(driver);
    let first = server.publish(&["a/1"], "0").id;
    for (number, topic) in ["a/2", "b/1", "a/3", "a"].iter().enumerate() {
        server.publish(&[topic], &(number + 1).to_string());
    }
    let mut resumed = Subscriber::resume(&server, &["a/*"], &first);
    server.publish(&["a/4"], "live");
    assert_data(&resumed.take(3), &["1", "3", "live"]);
}

fn a_pattern_cannot_be_published_to(driver: Driver) {
    let server = Server::start(driver);
    let fault = server.post("/publish?topic=a/*", "text/plain", b"x").expect_fault(400);
    assert!(fault.contains("can be subscribed to but not published to"), "{fault}");
    let json = br#"{"data":"x","topics":["a","b/**"]}"#;
    server.post("/publish", "application/json", json).expect_fault(400);
    let fault = server.get("/events?topic=a/**/b").expect_fault(400);
    assert!(fault.contains("last segment"), "{fault}");
}

#[track_caller]
fn assert_data(events: &[Event], expected: &[&str]) {
    assert!(events.iter().map(Event::data).eq(expected.iter().copied()), "{events:?}");
}
