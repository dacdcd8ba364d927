//! Providers of one's own, within this process: one without a Log, and one that wraps a Log.

use fanfare::{
    DriverChoice, EventType, LocalProvider, LogOptions, Message, Provider, PublishError, Receipt,
    Server,
    provider::{
        Closed, SerialProvider, SubscribeError, SubscribeRequest, Subscription,
        conformance::{self, Capabilities},
    },
};
use serde_json::{Value, json};

use crate::harness::{Connection, Driver, End, Subscriber};

#[expect(dead_code, unreachable_pub, reason = "it is a program, with a main")]
#[path = "../../examples/own_provider.rs"]
mod own_provider;

#[test]
fn the_example_s_provider_keeps_the_contract() {
    conformance::run(&Capabilities::default(), own_provider::Queues::default).assert();
}

both_drivers!(
    one_without_a_log_is_served,
    one_without_a_log_is_asked_to_resume,
    one_that_wraps_a_log_is_served_from_it,
);

fn serve(provider: impl Provider, driver: Driver) -> Server {
    let driver = match driver {
        Driver::Uring => DriverChoice::Uring,
        Driver::Epoll => DriverChoice::Epoll,
    };
    let builder = Server::builder().listen("127.0.0.1:0").cores(2).driver(driver);
    builder.provider(provider).start().expect("the server starts")
}

fn subscribe(server: &Server, query: &str, headers: &str) -> Subscriber {
    let request = format!("GET /events?{query} HTTP/1.1\r\nHost: test\r\n{headers}\r\n");
    Subscriber::request(Connection::open(server.local_addr()), &request)
}

fn publish(server: &Server, topic: &str, data: &str) -> Value {
    let mut connection = Connection::open(server.local_addr());
    let target = format!("/publish?topic={topic}");
    connection.post(&target, "text/plain", data.as_bytes()).expect_json(202)
}

/// The data of everything that came up to the end, which is one in order.
fn to_end(mut subscriber: Subscriber) -> Vec<String> {
    let (events, end) = subscriber.until_end();
    assert!(matches!(end, End::InOrder), "{end:?}");
    events.iter().map(|event| event.data().to_owned()).collect()
}

fn one_without_a_log_is_served(driver: Driver) {
    let server = serve(own_provider::Queues::default(), driver);
    let a = subscribe(&server, "topic=a", "");
    let both = subscribe(&server, "topic=a&topic=b", "");
    assert_eq!(publish(&server, "a", "one"), json!({"subscribers": 0}));
    publish(&server, "b", "two");
    publish(&server, "a", "two\nlines\n");
    server.shutdown();
    assert_eq!(to_end(a), ["one", "two\nlines\n"]);
    assert_eq!(to_end(both), ["one", "two", "two\nlines\n"]);
    server.wait();
}

fn one_without_a_log_is_asked_to_resume(driver: Driver) {
    let server = serve(SerialProvider::new(10), driver);
    let ids: Vec<_> = (0..4).map(|n| publish(&server, "a", &n.to_string())["id"].clone()).collect();
    let id = ids[1].as_str().expect("it gives ids");
    let by_header = subscribe(&server, "topic=a", &format!("Last-Event-ID: {id}\r\n"));
    let by_query = subscribe(&server, &format!("topic=a&last-event-id={id}"), "");
    let mut unknown = subscribe(&server, "topic=a&last-event-id=what", "");
    assert_eq!(publish(&server, "a", "4")["subscribers"], 3);
    server.shutdown();
    assert_eq!(to_end(by_header), ["2", "3", "4"]);
    assert_eq!(to_end(by_query), ["2", "3", "4"]);
    assert_eq!(unknown.next().kind.as_deref(), Some("fanfare.gap"));
    assert_eq!(to_end(unknown), ["0", "1", "2", "3", "4"]);
    server.wait();
}

/// Wraps a Log: stamps what is published, and keeps some of it back.
struct Stamped(LocalProvider);

impl Provider for Stamped {
    fn publish(&self, message: &Message, topics: &[&str]) -> Result<Receipt, PublishError> {
        if message.lines().any(|line| line.text() == "secret") {
            return Err(PublishError::Failed("that is a secret".to_owned()));
        }
        let stamp = EventType::new("stamped").expect("it is a valid type");
        self.0.publish(&message.clone().event(stamp), topics)
    }

    fn subscribe(&self, request: &SubscribeRequest) -> Result<Subscription, SubscribeError> {
        Provider::subscribe(&self.0, request)
    }

    fn shutdown(&self) -> Result<(), Closed> {
        self.0.shutdown()
    }

    fn is_closed(&self) -> bool {
        self.0.is_closed()
    }

    fn local(&self) -> Option<&LocalProvider> {
        Some(&self.0)
    }
}

fn one_that_wraps_a_log_is_served_from_it(driver: Driver) {
    let log = LocalProvider::new(LogOptions::default());
    let server = serve(Stamped(log.clone()), driver);
    let mut subscriber = subscribe(&server, "topic=a", "");
    publish(&server, "a", "one");
    let mut connection = Connection::open(server.local_addr());
    let refused = connection.post("/publish?topic=a", "text/plain", b"secret");
    assert!(refused.expect_fault(502).contains("that is a secret"));
    server.publisher().publish(&Message::new("two"), &["a"]).expect("it is no secret");
    for data in ["one", "two"] {
        let event = subscriber.next();
        assert_eq!((event.kind.as_deref(), event.data()), (Some("stamped"), data));
    }
    // The cores read the Log: what is published to it directly comes as well, and without a stamp.
    log.publish(&Message::new("three"), &["a"]).expect("the Log takes it");
    assert_eq!(subscriber.next().kind, None);
    let metrics = connection.get("/metrics").expect_text(200);
    assert!(metrics.contains("\nfanfare_subscribers 1\n"), "{metrics}");
    server.shutdown();
    assert_eq!(to_end(subscriber), [""; 0]);
    server.wait();
}
