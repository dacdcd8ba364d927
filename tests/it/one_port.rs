//! One port serves it all: pages, publishing, counters and subscriptions, on one connection too.

use serde_json::json;

use crate::harness::{Driver, Publisher, Server, Subscriber};

both_drivers!(
    a_kept_connection_may_become_a_subscription,
    a_kept_connection_may_resume_a_subscription,
    pipelined_requests_are_answered_in_order,
    a_subscription_may_follow_pipelined_requests,
    health_and_the_page_are_served,
    counters_add_up,
);

fn a_kept_connection_may_become_a_subscription(driver: Driver) {
    let server = Server::start(driver);
    let mut connection = server.connect();
    assert!(connection.get("/").expect_text(200).contains("<html"));
    let answer = connection.get("/subscribers?topic=k").expect_json(200);
    assert_eq!(answer, json!({"topic": "k", "subscribers": 0}));
    connection.post("/publish?topic=k", "text/plain", b"before").expect_json(202);

    let request = "GET /events?topic=k&topic=l HTTP/1.1\r\nHost: test\r\n\r\n";
    let mut kept = Subscriber::request(connection, request);
    let mut fresh = Subscriber::open(&server, &["k", "l"]);
    for name in ["content-type", "cache-control", "x-accel-buffering", "transfer-encoding"] {
        assert_eq!(kept.head().header(name), fresh.head().header(name), "{name}");
    }
    assert_eq!(server.subscribers("k"), 2);
    let mut publisher = Publisher::open(&server);
    for number in 0..500 {
        let topics: &[&str] = [&["k"][..], &["l"], &["l", "k"]][number % 3];
        assert!(publisher.text(topics, &number.to_string()).subscribers >= 2);
    }
    let events = kept.take(500);
    assert!(events.iter().map(|event| event.number()).eq(0..500));
    assert!(fresh.take(500) == events, "the same events by either way");

    drop(kept);
    server.await_subscribers("k", 1);
}

fn a_kept_connection_may_resume_a_subscription(driver: Driver) {
    let server = Server::start(driver);
    let ids: Vec<_> = (0..10).map(|n: u64| server.publish(&["k"], &n.to_string()).id).collect();
    let resume = |target: &str, headers: &str| {
        let mut connection = server.connect();
        assert_eq!(connection.get("/health").status, 200);
        let request = format!("GET {target} HTTP/1.1\r\nHost: test\r\n{headers}\r\n");
        Subscriber::request(connection, &request)
    };
    let header = format!("Last-Event-ID: {}\r\n", ids[3]);
    let query = format!("/events?topic=k&last-event-id={}", ids[3]);
    let mut subscribers = [resume("/events?topic=k", &header), resume(&query, "")];
    let mut unknown = resume("/events?topic=k", "Last-Event-ID: unknown\r\n");
    server.publish(&["k"], "10");
    for subscriber in &mut subscribers {
        assert!(subscriber.take(7).iter().map(|event| event.number()).eq(4..=10));
    }
    assert_eq!(unknown.next().kind.as_deref(), Some("fanfare.gap"));
    assert!(unknown.take(11).iter().map(|event| event.number()).eq(0..=10));
}

fn pipelined_requests_are_answered_in_order(driver: Driver) {
    let server = Server::start(driver);
    let mut subscriber = Subscriber::open(&server, &["p"]);
    let mut connection = server.connect();
    let post = |body: &str| {
        let length = body.len();
        format!(
            "POST /publish?topic=p HTTP/1.1\r\nHost: t\r\nContent-Length: {length}\r\n\r\n{body}"
        )
    };
    let get = |path| format!("GET {path} HTTP/1.1\r\nHost: t\r\n\r\n");
    let requests =
        [get("/health"), post("one"), get("/nothing"), get("/subscribers?topic=p"), post("two")];
    connection.send(requests.concat().as_bytes());
    assert_eq!(connection.response().status, 200);
    let one = connection.response().expect_json(202);
    connection.response().expect_fault(404);
    assert_eq!(connection.response().expect_json(200)["subscribers"], 1);
    let two = connection.response().expect_json(202);
    for (answer, data) in [(one, "one"), (two, "two")] {
        let event = subscriber.next();
        assert_eq!((answer["id"].as_str(), event.data()), (Some(event.id()), data));
    }
}

fn a_subscription_may_follow_pipelined_requests(driver: Driver) {
    let server = Server::start(driver);
    let mut connection = server.connect();
    connection.send(
        b"GET /health HTTP/1.1\r\nHost: t\r\n\r\nGET /events?topic=p HTTP/1.1\r\nHost: t\r\n\r\n",
    );
    assert_eq!(connection.response().status, 200);
    let mut subscriber = Subscriber::request(connection, "");
    let receipt = server.publish(&["p"], "after");
    assert_eq!(subscriber.next().id(), receipt.id);
}

fn health_and_the_page_are_served(driver: Driver) {
    let server = Server::start(driver);
    assert_eq!(server.get("/health").expect_text(200).trim(), "ok");
    assert_eq!(server.get("/ready").status, 200);
    let page = server.get("/");
    assert!(page.header("content-type").is_some_and(|t| t.starts_with("text/html")));
    let page = page.expect_text(200);
    for id in
        ["topic", "connect", "state", "events", "data", "event-type", "publish", "subscribers"]
    {
        assert!(page.contains(&format!("id=\"{id}\"")), "#{id} in the page");
    }
    for outside in ["http://", "https://", "//cdn"] {
        assert!(
            !page.contains(&format!("src=\"{outside}")),
            "the page needs nothing from elsewhere"
        );
    }
}

fn counters_add_up(driver: Driver) {
    const MESSAGES: u64 = 40;
    let server = Server::start(driver);
    let mut two: Vec<_> = (0..2).map(|_| Subscriber::open(&server, &["m"])).collect();
    let mut other = Subscriber::open(&server, &["o"]);
    let left = Subscriber::open(&server, &["m"]);
    drop(left);
    server.await_subscribers("m", 2);
    for number in 0..MESSAGES {
        server.publish(if number % 4 == 0 { &["m", "o"] } else { &["m"] }, "x");
    }
    server.publish(&["nobody"], "x");
    two.iter_mut().for_each(|subscriber| drop(subscriber.take(MESSAGES as usize)));
    other.take(MESSAGES as usize / 4);

    let metrics = server.metrics();
    let deliveries = 2 * MESSAGES + MESSAGES / 4;
    for (name, expected) in [
        ("fanfare_messages_published_total", MESSAGES + 1),
        ("fanfare_events_delivered_total", deliveries),
        ("fanfare_subscriptions_started_total", 4),
        ("fanfare_subscribers", 3),
    ] {
        assert_eq!(metrics.sum(name), expected as f64, "{name} in {metrics:#?}");
    }
    let left = metrics.labelled("fanfare_connections_ended_total", "reason", "left");
    assert_eq!(left, 1.0, "in {metrics:#?}");
    let timed = metrics.sum("fanfare_written_seconds_count");
    assert!((1.0..=metrics.sum("fanfare_passes_total")).contains(&timed), "{timed} are timed");
    assert_eq!(metrics.labelled("fanfare_written_seconds_bucket", "le", "+Inf"), timed);
    assert!(metrics.sum("fanfare_written_seconds_sum") > 0.0, "in {metrics:#?}");
}
