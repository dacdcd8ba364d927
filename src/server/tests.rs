//! The routes over real sockets, handed over as a core does it.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::{TcpListener, TcpStream},
    thread,
    time::Duration,
};

use axum::http::StatusCode;

use super::*;
use crate::{
    engine::HandedOver,
    provider::{ReplayRequest, Replayed, Replayer},
    sse::Message,
};

/// A control runtime without an engine.
struct Served {
    provider: LocalProvider,
    listener: TcpListener,
    hand_over: mpsc::Sender<HandedOver>,
    control: Option<Control>,
}

#[derive(Debug)]
struct Reply {
    status: u16,
    head: String,
    body: String,
}

impl Served {
    fn new() -> Self {
        Self::with_places(limits::CONTROL_CONNECTIONS_MAX)
    }

    fn with_places(places: usize) -> Self {
        let tuning = Tuning { heartbeat: None, ..Tuning::default() };
        let provider = LocalProvider::new(LogOptions::default());
        let counters = Arc::new(ControlCounters::default());
        let permits = Arc::new(Semaphore::new(places));
        let sources = Sources {
            provider: Some(provider.clone()),
            cores: vec![Arc::default(), Arc::default()],
            control: Arc::clone(&counters),
            control_permits: Arc::clone(&permits),
            control_places: places,
        };
        let registry = metrics::registry("epoll", "a \"test\"", sources);
        let gates = Gates::new(Access::new(), DEFAULT_LISTEN, false).unwrap();
        let desk = Desk::new(
            Publisher::new(provider.clone()),
            counters,
            registry,
            Places::of(Some(&provider), &tuning.limits),
            Arc::new(gates),
            SharedTuning::new(tuning),
            Arc::default(),
        );
        let (hand_over, handed_over) = mpsc::channel(8);
        let arrivals = Arrivals { handed_over, asked: mpsc::channel(1).1 };
        let control = Control::start(
            routes::router(desk),
            permits,
            arrivals,
            SharedTuning::new(tuning),
            Extras::default(),
        )
        .unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        Self { provider, listener, hand_over, control: Some(control) }
    }

    /// A connection from which a core has read `received`.
    fn connect(&self, received: &str) -> TcpStream {
        let client = TcpStream::connect(self.listener.local_addr().unwrap()).unwrap();
        client.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        let (socket, _) = self.listener.accept().unwrap();
        let handed = HandedOver { socket: socket.into(), received: received.into() };
        self.hand_over.blocking_send(handed).unwrap();
        client
    }

    /// Sends a request of which a core has read the first half, and reads to the end.
    fn exchange(&self, request: &str) -> Reply {
        let (received, rest) = request.split_at(request.len() / 2);
        let mut client = self.connect(received);
        client.write_all(rest.as_bytes()).unwrap();
        Reply::read(&mut client)
    }

    fn get(&self, target: &str) -> Reply {
        self.exchange(&format!("GET {target} HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n"))
    }

    fn post(&self, target: &str, headers: &str, body: &str) -> Reply {
        let length = body.len();
        self.exchange(&format!(
            "POST {target} HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\
             Content-Length: {length}\r\n{headers}\r\n{body}"
        ))
    }

    fn wait_for_subscribers(&self, topic: &str, subscribers: u32) {
        for _ in 0..2_000 {
            if self.provider.subscribers(topic) == subscribers {
                return;
            }
            thread::sleep(Duration::from_millis(5));
        }
        panic!("there are {} subscribers, not {subscribers}", self.provider.subscribers(topic));
    }
}

/// An archive of one message.
struct Archive;

impl Replayer for Archive {
    fn replay(&self, _: &ReplayRequest) -> Option<Replayed> {
        Some(Box::pin(Once(Some(Message::new("archived").id("old-1".parse().unwrap())))))
    }
}

struct Once(Option<Message>);

impl futures_core::Stream for Once {
    type Item = Result<Message, Box<dyn std::error::Error + Send + Sync>>;

    fn poll_next(
        mut self: std::pin::Pin<&mut Self>,
        _: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Self::Item>> {
        std::task::Poll::Ready(self.0.take().map(Ok))
    }
}

#[test]
fn whoever_needs_the_replayer_is_served_by_the_control_runtime() {
    let provider = LocalProvider::builder().replayer(Archive).build();
    let server =
        Server::builder().listen("127.0.0.1:0").cores(1).provider(provider).start().unwrap();
    let publisher = server.publisher();
    publisher.publish(&Message::new("retained"), &["a"]).unwrap();
    let mut client = TcpStream::connect(server.local_addr()).unwrap();
    client.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    client
        .write_all(b"GET /events?topic=a&last-event-id=old-0 HTTP/1.0\r\nHost: h\r\n\r\n")
        .unwrap();
    let mut lines = BufReader::new(client).lines().map(Result::unwrap);
    let mut next_data = || lines.find(|line| line.starts_with("data: ")).unwrap();
    assert_eq!(next_data(), "data: archived");
    assert_eq!(next_data(), "data: retained");
    publisher.publish(&Message::new("live"), &["a"]).unwrap();
    assert_eq!(next_data(), "data: live");
}

impl Drop for Served {
    fn drop(&mut self) {
        let _ = self.provider.shutdown();
        if let Some(control) = self.control.take() {
            control.shutdown();
            control.join();
        }
    }
}

impl Reply {
    fn read(client: &mut TcpStream) -> Self {
        let mut bytes = Vec::new();
        client.read_to_end(&mut bytes).unwrap();
        let text = String::from_utf8(bytes).unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap_or_else(|| panic!("{text:?}"));
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        Self { status, head: head.to_ascii_lowercase(), body: body.to_owned() }
    }

    #[track_caller]
    fn check(&self, status: u16, body: &str) {
        assert_eq!((self.status, &*self.body), (status, body), "{}", self.head);
    }

    #[track_caller]
    fn check_error(&self, status: u16, fault: &str) {
        self.check_problem(status, &format!("\"detail\":{fault:?}}}"));
    }

    /// `members` are those after the status.
    #[track_caller]
    fn check_problem(&self, status: u16, members: &str) {
        assert_eq!(self.status, status, "{self:?}");
        let status = StatusCode::from_u16(status).unwrap();
        let (title, status) = (status.canonical_reason().unwrap(), status.as_u16());
        let expected = format!(
            "{{\"type\":\"about:blank\",\"title\":\"{title}\",\"status\":{status},{members}"
        );
        assert_eq!(self.body, expected);
        assert!(self.head.contains("content-type: application/problem+json\r\n"), "{}", self.head);
    }

    /// The problem's detail begins with `fault`.
    #[track_caller]
    fn check_named(&self, status: u16, fault: &str) {
        let problem: serde_json::Value = serde_json::from_str(&self.body).unwrap();
        let detail = problem["detail"].as_str().unwrap();
        assert!(detail.starts_with(fault), "{detail:?}");
        assert_eq!(self.status, status, "{self:?}");
    }
}

/// Reads the head of a response, up to its blank line.
fn read_head(client: &mut BufReader<TcpStream>) -> String {
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        assert_ne!(client.read_line(&mut head).unwrap(), 0, "ended within {head:?}");
    }
    head.to_ascii_lowercase()
}

/// Reads up to and with `end`.
fn read_until(client: &mut impl BufRead, end: &str) -> String {
    let mut text = String::new();
    while !text.ends_with(end) {
        assert_ne!(client.read_line(&mut text).unwrap(), 0, "ended within {text:?}");
    }
    text
}

const GET_EVENTS: &str = "GET /events?topic=a HTTP/1.1\r\nHost: h\r\n\r\n";

#[test]
fn a_text_body_is_the_data_wherever_it_was_split() {
    let served = Served::new();
    let mut subscription = BufReader::new(served.connect(GET_EVENTS));
    read_head(&mut subscription);
    let reply = served.post("/publish?topic=a", "Content-Type: text/plain\r\n", "häl\nlo\n");
    assert_eq!(reply.status, 202, "{reply:?}");
    let id = format!("{:08x}-1", served.provider.log().epoch());
    assert_eq!(reply.body, format!("{{\"id\":\"{id}\",\"subscribers\":1}}"));
    let event = read_until(&mut subscription, "\n\n");
    let expected = format!("id: {id}\ndata: häl\ndata: lo\ndata: \n\n");
    assert!(event.ends_with(&expected), "{event:?}");
}

#[test]
fn a_subscription_gets_its_head_at_once_and_its_events_after() {
    let served = Served::new();
    let mut subscription = BufReader::new(served.connect(GET_EVENTS));
    let head = read_head(&mut subscription);
    for line in [
        "http/1.1 200 ok",
        "content-type: text/event-stream",
        "cache-control: no-store",
        "x-accel-buffering: no",
        "transfer-encoding: chunked",
    ] {
        assert!(head.contains(&format!("{line}\r\n")), "{head}");
    }
    served.wait_for_subscribers("a", 1);
    served.provider.publish(&Message::new("1"), &["a"]).unwrap();
    assert!(read_until(&mut subscription, "\n\n").ends_with("data: 1\n\n"));
    drop(subscription);
    served.wait_for_subscribers("a", 0);
}

#[test]
fn a_kept_alive_connection_may_subscribe_after_a_page() {
    let served = Served::new();
    let first = served.provider.publish(&Message::new("1"), &["a"]).unwrap().id().unwrap();
    served.provider.publish(&Message::new("2"), &["a"]).unwrap();
    let client = served.connect("GET /health HTTP/1.1\r\nHost: h\r\n\r\n");
    let mut client = BufReader::new(client);
    read_head(&mut client);
    client.read_exact(&mut [0; 2]).unwrap();
    let request =
        format!("GET /events?topic=a HTTP/1.1\r\nHost: h\r\nLast-Event-ID: {first}\r\n\r\n");
    client.get_mut().write_all(request.as_bytes()).unwrap();
    assert!(read_head(&mut client).starts_with("http/1.1 200 ok\r\n"));
    let event = read_until(&mut client, "\n\n");
    assert!(event.contains("data: 2\n\n") && !event.contains("data: 1"), "{event:?}");
}

#[test]
fn http_1_0_gets_the_bare_events_and_the_end_of_the_connection() {
    let served = Served::new();
    let mut client = BufReader::new(served.connect("GET /events?topic=a HTTP/1.0\r\n\r\n"));
    let head = read_head(&mut client);
    assert!(!head.contains("transfer-encoding"), "{head}");
    served.wait_for_subscribers("a", 1);
    let id = served.provider.publish(&Message::new("1"), &["a"]).unwrap().id().unwrap();
    assert_eq!(read_until(&mut client, "\n\n"), format!("id: {id}\ndata: 1\n\n"));
    served.provider.shutdown().unwrap();
    let mut rest = String::new();
    client.read_to_string(&mut rest).unwrap();
    assert!(rest.starts_with("retry: ") && rest.ends_with("\n\n"), "{rest:?}");
}

#[test]
fn event_streams_end_in_order_and_idle_connections_close_at_shutdown() {
    let mut served = Served::new();
    let mut subscription = BufReader::new(served.connect(GET_EVENTS));
    read_head(&mut subscription);
    let mut idle = BufReader::new(served.connect("GET /health HTTP/1.1\r\nHost: h\r\n\r\n"));
    read_head(&mut idle);
    served.provider.publish(&Message::new("last"), &["a"]).unwrap();
    let control = served.control.take().unwrap();
    served.provider.shutdown().unwrap();
    control.shutdown();
    control.join();
    let mut text = String::new();
    subscription.read_to_string(&mut text).unwrap();
    assert!(text.contains("data: last\n\n\r\nD\r\nretry: "), "{text:?}");
    assert!(text.ends_with("\n\n\r\n0\r\n\r\n"), "{text:?}");
    idle.read_to_string(&mut text).unwrap();
}

#[test]
fn a_json_message_carries_every_field() {
    let served = Served::new();
    let mut subscription = BufReader::new(served.connect(GET_EVENTS));
    read_head(&mut subscription);
    let message = r#"{"topics":["a","b"],"id":"7","event":"price","data":"x","retry":250}"#;
    let reply = served.post("/publish", "Content-Type: application/json\r\n", message);
    reply.check(202, r#"{"id":"7","subscribers":1}"#);
    let event = read_until(&mut subscription, "\n\n");
    assert!(event.ends_with("id: 7\nevent: price\nretry: 250\ndata: x\n\n"), "{event:?}");
}

#[test]
fn faults_of_a_message_are_named() {
    let served = Served::new();
    let json =
        |body: &str| served.post("/publish?topic=a", "Content-Type: application/json\r\n", body);
    let named = |reply: Reply, fault: &str| reply.check_named(400, fault);
    named(json(r#"{"data":"x","dta":1}"#), "unknown field `dta`");
    named(json(r#"{"event":"x"}"#), "missing field `data`");
    named(json(r#"{"data":"x","data":"y"}"#), "duplicate field `data`");
    named(json(r#"{"data":"x","topics":[]}"#), "no topic is named");
    named(json(r#"{"data":"x","topics":["a",""]}"#), "topic is empty");
    named(json(r#"{"data":"x","id":"a\nb"}"#), "event id has a line feed at byte 1");
    named(json(r#"{"data":"x","event":"fanfare.gap"}"#), "event types that begin with");
    named(json(r#"{"data":"x","retry":-1}"#), "invalid value: integer `-1`");
    named(json(r#"["a","b"]"#), "message 1: a message is a JSON object");
    named(json(r#"[{"data":"x"},[["a"],null,null,"x"]]"#), "message 2: a message is a JSON");
    named(json(r#"[{"data":"x"},{"data":"y","event":"fanfare.x"}]"#), "message 2: event types");
    named(json(r#"[{"data":"x"},"#), "EOF while parsing");
    named(json(r#""x""#), "a message is a JSON object");
    named(json(r#"{"data":"x"} {}"#), "trailing characters");
    named(json(""), "EOF while parsing");
    assert_eq!(served.provider.log().head(), crate::log::Sequence::FIRST);
    served.post("/publish?topic=", "", "x").check_error(400, "topic is empty");
    served.post("/publish?topik=a", "", "x").check_error(400, "unknown parameter \"topik\"");
}

#[test]
fn content_types_are_told_apart() {
    let served = Served::new();
    for accepted in [
        "",
        "Content-Type: application/octet-stream\r\n",
        "content-type: Text/Plain; charset=UTF-8\r\n",
    ] {
        assert_eq!(served.post("/publish", accepted, "x").status, 202, "{accepted}");
    }
    for refused in [
        "Content-Type: text/plain; charset=iso-8859-1\r\n",
        "Content-Type: text/html\r\n",
        "Content-Encoding: gzip\r\n",
    ] {
        served.post("/publish", refused, "x").check_named(415, "c");
    }
}

#[test]
fn a_body_over_the_limit_is_refused_and_one_at_it_is_not() {
    let served = Served::new();
    let largest = "x".repeat(limits::BODY_BYTES_MAX);
    assert_eq!(served.post("/publish", "", &largest).status, 202);
    let request = |framing: &str, body: &str| {
        served.exchange(&format!("POST /publish HTTP/1.1\r\nHost: h\r\n{framing}\r\n\r\n{body}"))
    };
    let announced =
        request(&format!("Content-Length: {}", largest.len() + 1), &(largest.clone() + "x"));
    announced.check_error(413, "body is larger than 262144 bytes");
    assert!(announced.head.contains("connection: close"), "{}", announced.head);
    let chunked = format!("{:x}\r\n{largest}\r\n1\r\nx\r\n0\r\n\r\n", largest.len());
    request("Transfer-Encoding: chunked", &chunked)
        .check_error(413, "body is larger than 262144 bytes");
    // What has many lines grows as it is encoded.
    assert_eq!(served.post("/publish", "", &"\n".repeat(limits::BODY_BYTES_MAX / 2)).status, 413);
}

#[test]
fn a_large_body_that_is_asked_for_first_is_refused_before_it_is_sent() {
    let served = Served::new();
    let head = "POST /publish HTTP/1.1\r\nHost: h\r\nContent-Length: 99999999\r\n\
                Expect: 100-continue\r\n\r\n";
    assert_eq!(served.exchange(head).status, 413);
}

#[test]
fn lines_are_published_as_they_arrive() {
    let served = Served::new();
    let mut subscription = BufReader::new(served.connect(GET_EVENTS));
    read_head(&mut subscription);
    let mut publisher = served.connect(
        "POST /publish?topic=a HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\
         Content-Type: application/x-ndjson\r\nTransfer-Encoding: chunked\r\n\r\n",
    );
    let mut send = |text: &str| {
        publisher.write_all(format!("{:x}\r\n{text}\r\n", text.len()).as_bytes()).unwrap();
    };
    send("{\"data\":\"1\"}\n{\"da");
    assert!(read_until(&mut subscription, "\n\n").ends_with("data: 1\n\n"));
    send("ta\":\"2\"}\r\n\n");
    assert!(read_until(&mut subscription, "\n\n").ends_with("data: 2\n\n"));
    send("{\"data\":\"3\",\"id\":\"three\"}");
    publisher.write_all(b"0\r\n\r\n").unwrap();
    let reply = Reply::read(&mut publisher);
    reply.check(202, r#"{"id":"three","published":3}"#);
    assert!(read_until(&mut subscription, "\n\n").ends_with("data: 3\n\n"));
}

#[test]
fn a_fault_in_a_line_says_where_and_how_many_came_before() {
    let served = Served::new();
    let lines = |body: &str| {
        served.post("/publish?topic=a", "Content-Type: application/x-ndjson\r\n", body)
    };
    lines("{\"data\":\"1\"}\n\n{\"data\":\"2\"}\n{\"data\":\"3\",\"event\":\"fanfare.x\"}\n{\"data\":\"4\"}\n")
        .check_problem(
            400,
            r#""detail":"event types that begin with \"fanfare.\" are reserved","line":4,"published":2}"#,
        );
    assert_eq!(served.provider.log().head().number(), 3);
    let reply = lines("{\"data\":\"1\"}\nnonsense");
    assert_eq!(reply.status, 400);
    assert!(reply.body.ends_with(r#""line":2,"published":1}"#), "{reply:?}");
    lines("").check(202, r#"{"published":0}"#);
    let long = "x".repeat(limits::BODY_BYTES_MAX);
    lines(&format!("{{\"data\":\"1\"}}\n{{\"data\":\"{long}\"}}\n")).check_problem(
        413,
        r#""detail":"line is larger than 262144 bytes","line":2,"published":1}"#,
    );
}

#[test]
fn subscribers_are_counted_by_topic() {
    let served = Served::new();
    served.get("/subscribers?topic=a").check(200, r#"{"topic":"a","subscribers":0}"#);
    let mut subscription = BufReader::new(served.connect(GET_EVENTS));
    read_head(&mut subscription);
    served.get("/subscribers?topic=a").check(200, r#"{"topic":"a","subscribers":1}"#);
    served.get("/subscribers").check(200, r#"{"topic":"","subscribers":0}"#);
    served.get("/subscribers?topic=a&topic=b").check_error(400, "more than one topic");
}

#[test]
fn unknown_paths_and_wrong_methods_are_told_in_json() {
    let served = Served::new();
    served.get("/nowhere").check_error(404, "no such path");
    let reply = served.get("/publish");
    reply.check_error(405, "method GET is not allowed here");
    assert!(reply.head.contains("allow: post"), "{}", reply.head);
    let reply = served.post("/events", "", "");
    reply.check_error(405, "method POST is not allowed here");
    assert!(reply.head.contains("allow: get,head"), "{}", reply.head);
}

#[test]
fn faulty_subscriptions_are_refused_as_on_the_cores() {
    let served = Served::new();
    served.get("/events?topic=").check_error(400, "topic is empty");
    let request = |headers: &str| {
        served.exchange(&format!(
            "GET /events HTTP/1.1\r\nHost: h\r\nConnection: close\r\n{headers}\r\n"
        ))
    };
    request("Last-Event-ID: a\r\nLast-Event-ID: a\r\n")
        .check_error(400, "last event id is given twice");
    request("Content-Length: 1\r\n").check_error(400, "a subscription has no body");
    served.provider.shutdown().unwrap();
    served.get("/events").check_error(503, "the server is shutting down");
}

#[test]
fn health_ready_page_and_metrics_answer() {
    let served = Served::new();
    served.get("/health").check(200, "ok");
    served.get("/ready").check(200, "ready");
    let page = served.get("/");
    assert!(page.head.contains("content-type: text/html; charset=utf-8"), "{}", page.head);
    assert!(page.body.starts_with("<!doctype html>"), "{}", page.body);
    served.post("/publish", "", "x");
    let metrics = served.get("/metrics").body;
    for line in [
        "fanfare_info{version=\"0.1.0\",driver=\"epoll\",why=\"a \\\"test\\\"\"} 1",
        "# TYPE fanfare_connections_accepted counter",
        "fanfare_connections_accepted_total{core=\"1\"} 0",
        "fanfare_connections_ended_total{core=\"0\",reason=\"stalled\"} 0",
        "fanfare_messages_published_total 1",
        "fanfare_http_messages_published_total 1",
        "fanfare_subscribers 0",
        "fanfare_log_head_sequence 2",
        "# TYPE fanfare_control_connections gauge",
        "# EOF",
    ] {
        assert!(metrics.lines().any(|this| this == line), "no {line} in\n{metrics}");
    }
    served.provider.shutdown().unwrap();
    served.get("/ready").check_error(503, "the server is shutting down");
}

#[test]
fn a_connection_without_a_place_is_refused() {
    let served = Served::with_places(0);
    let mut client = served.connect(GET_EVENTS);
    Reply::read(&mut client).check_error(503, "too many connections");
}

#[test]
fn a_malformed_head_on_a_kept_alive_connection_is_refused() {
    let served = Served::new();
    assert_eq!(served.exchange("nonsense\r\n\r\n").status, 400);
    let many = "X: y\r\n".repeat(limits::HEADERS_MAX + 1);
    assert_eq!(served.exchange(&format!("GET / HTTP/1.1\r\n{many}\r\n")).status, 431);
    let long = "y".repeat(limits::HEAD_BYTES_MAX);
    assert_eq!(served.exchange(&format!("GET / HTTP/1.1\r\nX: {long}\r\n\r\n")).status, 431);
}

#[test]
fn one_port_serves_everything_on_both_drivers() {
    for driver in [DriverChoice::Auto, DriverChoice::Epoll] {
        let server =
            Server::builder().listen("127.0.0.1:0").cores(2).driver(driver).start().unwrap();
        let connect = |request: &str| {
            let mut client = TcpStream::connect(server.local_addr()).unwrap();
            client.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
            client.write_all(request.as_bytes()).unwrap();
            BufReader::new(client)
        };
        // On a core, and on a connection that has become the control runtime's.
        let mut on_core = connect(GET_EVENTS);
        read_head(&mut on_core);
        let mut in_control = connect("GET /health HTTP/1.1\r\nHost: h\r\n\r\n");
        read_head(&mut in_control);
        in_control.read_exact(&mut [0; 2]).unwrap();
        in_control.get_mut().write_all(GET_EVENTS.as_bytes()).unwrap();
        read_head(&mut in_control);
        let mut publisher = connect(
            "POST /publish?topic=a HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\
             Content-Length: 2\r\n\r\nhi",
        );
        let reply = Reply::read(publisher.get_mut());
        assert_eq!(reply.status, 202, "{reply:?}");
        assert!(reply.body.contains("\"subscribers\":2}"), "{reply:?}");
        let refused = Reply::read(connect("GET /events?topic= HTTP/1.0\r\n\r\n").get_mut());
        refused.check_error(400, "topic is empty");
        server.shutdown();
        for mut subscription in [on_core, in_control] {
            let mut text = String::new();
            subscription.read_to_string(&mut text).unwrap();
            assert!(text.contains("data: hi\n\n"), "{text:?}");
            assert!(text.ends_with("\r\n0\r\n\r\n"), "{text:?}");
        }
        server.wait();
    }
}

#[test]
fn a_server_that_cannot_start_says_why() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let fault = Server::builder().listen(taken.local_addr().unwrap()).start().unwrap_err();
    assert!(fault.to_string().contains("cannot listen on 127.0.0.1:"), "{fault}");
    let fault = Server::builder().listen("nonsense").start().unwrap_err();
    assert_eq!(fault.to_string(), "cannot resolve the address to listen on");
}
