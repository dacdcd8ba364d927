//! Behind nginx, Caddy and HAProxy as Debian has them, with the very recipes of `packaging/`.
//!
//! That an event is not held back is shown without a clock: nothing is published after it, and the
//! server is silent, so that whatever waits for more bytes waits for ever.

mod proxy;
mod take_over;

use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::net::{IpAddr, TcpListener, TcpStream};
use std::process::Command;

use self::proxy::{Kind, Proxy};
use crate::doctor::{Report, STREAM_CHECKS};
use crate::harness::{Driver, Options, PATIENCE, Server, binary, eventually, free_address, skip};

both_drivers!(
    nginx_passes_everything,
    caddy_passes_everything,
    haproxy_passes_everything,
    the_doctor_finds_nothing_behind_nginx,
    the_doctor_finds_nothing_behind_caddy,
    the_doctor_finds_nothing_behind_haproxy,
    the_doctor_says_what_is_wrong_with_an_nginx,
);

const TOPIC: &str = "behind a proxy";

fn nginx_passes_everything(driver: Driver) {
    passes_everything(Kind::Nginx, driver);
}

fn caddy_passes_everything(driver: Driver) {
    passes_everything(Kind::Caddy, driver);
}

fn haproxy_passes_everything(driver: Driver) {
    passes_everything(Kind::Haproxy, driver);
}

fn passes_everything(kind: Kind, driver: Driver) {
    if let Some(missing) = kind.missing() {
        return skip(&missing);
    }
    let server = Options::new(driver).argument("--heartbeat=0").start();
    let proxy = in_front_of(&server, kind);
    each_event_comes_without_a_later_one(&proxy);
    each_line_comes_before_the_body_ends(&proxy);
    refusals_come_as_they_are(&proxy);
    its_own_page_may_publish_and_no_other(&proxy);
    what_was_missed_comes_first(&server, &proxy);
    cores_serve_whoever_subscribes(&server, &proxy);
}

fn in_front_of(server: &Server, kind: Kind) -> Proxy {
    Proxy::start(kind, [server.address(), free_address().parse().expect("an address")])
}

fn each_event_comes_without_a_later_one(proxy: &Proxy) {
    let mut subscriber = proxy.subscribe(TOPIC, None);
    assert_eq!(subscriber.head().header("cache-control"), Some("no-store"));
    let mut publisher = proxy.publisher();
    for number in 0..20 {
        let receipt = publisher.text(&[TOPIC], &number.to_string());
        assert_eq!(receipt.subscribers, 1);
        let event = subscriber.next();
        assert_eq!((event.number(), event.id()), (number, &*receipt.id));
    }
}

/// A body that goes on and on is published line by line.
fn each_line_comes_before_the_body_ends(proxy: &Proxy) {
    let mut subscriber = proxy.subscribe("lines", None);
    let mut connection = proxy.connect();
    connection.send(
        b"POST /publish?topic=lines HTTP/1.1\r\nHost: localhost\r\n\
          Content-Type: application/x-ndjson\r\nTransfer-Encoding: chunked\r\n\r\n",
    );
    for number in 0..5 {
        let line = format!("{{\"data\":\"{number}\"}}\n");
        connection.send(format!("{:x}\r\n{line}\r\n", line.len()).as_bytes());
        assert_eq!(subscriber.next().number(), number);
    }
    connection.send(b"0\r\n\r\n");
    assert_eq!(connection.response().expect_json(202)["published"], 5);
}

fn refusals_come_as_they_are(proxy: &Proxy) {
    assert_eq!(proxy.connect().get("/events?topic=").expect_fault(400), "topic is empty");
    let body = vec![b'x'; fanfare::limits::BODY_BYTES_MAX + 1];
    let fault = proxy.connect().post("/publish", "text/plain", &body).expect_fault(413);
    assert!(fault.contains("262144"), "{fault}");
    let largest = &body[1..];
    assert_eq!(proxy.connect().post("/publish", "text/plain", largest).status, 202);
    proxy.connect().get("/no/such/path").expect_fault(404);
}

/// The host that a browser asks for reaches the server, with its port.
fn its_own_page_may_publish_and_no_other(proxy: &Proxy) {
    let host = format!("localhost:{}", proxy.address().port());
    for (origin, status) in [(host.as_str(), 202), ("localhost:1", 403), ("localhost", 403)] {
        let mut connection = proxy.connect();
        connection.send(
            format!(
                "POST /publish?topic=page HTTP/1.1\r\nHost: {host}\r\nOrigin: http://{origin}\r\n\
                 Content-Length: 1\r\n\r\nx"
            )
            .as_bytes(),
        );
        assert_eq!(connection.response().status, status, "{origin}");
    }
}

/// And that a client has left is noticed although nothing is sent to it.
fn what_was_missed_comes_first(server: &Server, proxy: &Proxy) {
    let mut subscriber = proxy.subscribe("resumed", None);
    let mut publisher = proxy.publisher();
    publisher.text(&["resumed"], "0");
    let last = subscriber.next();
    drop(subscriber);
    server.await_subscribers("resumed", 0);
    for number in 1..=5 {
        publisher.text(&["resumed"], &number.to_string());
    }
    let mut subscriber = proxy.subscribe("resumed", Some(last.id()));
    let numbers = subscriber.take(5).iter().map(|event| event.number()).collect::<Vec<_>>();
    assert_eq!(numbers, [1, 2, 3, 4, 5]);
}

/// A connection that carried a publish could carry a subscription next, which no core would serve.
fn cores_serve_whoever_subscribes(server: &Server, proxy: &Proxy) {
    const SUBSCRIBERS: usize = 20;
    let mut publishers: Vec<_> = (0..4).map(|_| proxy.publisher()).collect();
    let subscribers: Vec<_> = (0..SUBSCRIBERS)
        .map(|number| {
            publishers[number % 4].text(&["kept"], "on a connection that is kept");
            proxy.subscribe("many", None)
        })
        .collect();
    server.await_subscribers("many", SUBSCRIBERS as u64);
    eventually("nobody else subscribes", || {
        let on_cores = server.metrics().sum("fanfare_core_subscribers");
        (on_cores == SUBSCRIBERS as f64).then_some(())
    });
    drop(subscribers);
    server.await_subscribers("many", 0);
}

fn the_doctor_finds_nothing_behind_nginx(driver: Driver) {
    the_doctor_finds_nothing_behind(Kind::Nginx, driver);
}

fn the_doctor_finds_nothing_behind_caddy(driver: Driver) {
    the_doctor_finds_nothing_behind(Kind::Caddy, driver);
}

fn the_doctor_finds_nothing_behind_haproxy(driver: Driver) {
    the_doctor_finds_nothing_behind(Kind::Haproxy, driver);
}

/// Over HTTP, and over TLS, where it is HTTP/2. Heartbeats pass among the rest.
fn the_doctor_finds_nothing_behind(kind: Kind, driver: Driver) {
    if let Some(missing) = kind.missing() {
        return skip(&missing);
    }
    let server = Options::new(driver).argument("--heartbeat=1").start();
    let proxy = in_front_of(&server, kind);
    for url in [proxy.url("/events"), proxy.tls_url("/events")] {
        let mut doctor = Command::new(binary());
        doctor.args(["doctor", "--json", "--heartbeat", "1", "--url", &url]);
        let report = Report::by(doctor.env("SSL_CERT_FILE", proxy.certificate()));
        for check in STREAM_CHECKS {
            assert_eq!(report.level(check), "ok", "{url}: {}", report.text(check));
        }
    }
}

fn the_doctor_says_what_is_wrong_with_an_nginx(driver: Driver) {
    if let Some(missing) = Kind::Nginx.missing() {
        return skip(&missing);
    }
    let server = Options::new(driver).argument("--heartbeat=2").start();
    let diagnose = |location: &str| {
        let pass = format!("proxy_pass http://{};", server.address());
        let proxy = Proxy::nginx_with(&format!("{pass} {location}"));
        Report::of(&["--url", &proxy.url("/events"), "--heartbeat", "2"])
    };
    // As nginx speaks to a server unless it is told otherwise, and with its buffers on.
    let report = diagnose("proxy_ignore_headers X-Accel-Buffering;");
    assert!(!report.succeeded);
    assert_eq!(report.level("delivery"), "problem");
    let text = report.text("delivery");
    assert!(text.contains("held back") && text.contains("proxy_buffering off"), "{text}");

    let report = diagnose(
        "proxy_http_version 1.1; proxy_hide_header Cache-Control; proxy_read_timeout 1s; \
         proxy_set_header Last-Event-ID ''; gzip on; gzip_proxied any; gzip_types text/event-stream;",
    );
    assert!(!report.succeeded);
    for (check, level, mend) in [
        ("delivery", "ok", ""),
        ("headers", "warning", "proxy_hide_header"),
        ("compression", "warning", "gzip off;"),
        ("resume", "problem", "Last-Event-ID"),
        ("heartbeat", "problem", "proxy_read_timeout"),
    ] {
        let text = report.text(check);
        assert_eq!(report.level(check), level, "{text}");
        assert!(text.contains(mend), "{text}");
    }
}

#[test]
fn the_clients_address_is_told_and_cannot_be_made_up() {
    for kind in [Kind::Nginx, Kind::Caddy, Kind::Haproxy] {
        if let Some(missing) = kind.missing() {
            skip(&missing);
            continue;
        }
        let upstream = TcpListener::bind(free_address()).expect("it is free");
        let address = upstream.local_addr().expect("it listens");
        let proxy = Proxy::start(kind, [address, address]);
        let mut client = proxy.connect();
        client.send(
            b"GET /events HTTP/1.1\r\nHost: localhost\r\nX-Forwarded-For: 192.0.2.1\r\n\
              Last-Event-ID: 7\r\n\r\n",
        );
        let (_, head) = accept(&upstream);
        let lines: Vec<_> = head.lines().map(str::to_ascii_lowercase).collect();
        let has = |line: &str| lines.iter().any(|other| other == line);
        assert!(
            has("x-forwarded-for: 127.0.0.1") && !head.contains("192.0.2.1"),
            "{kind:?} {head}"
        );
        assert!(has("last-event-id: 7") && has("x-forwarded-proto: http"), "{kind:?} {head}");
        let last = head.lines().next().unwrap_or_default();
        assert_eq!(last, "GET /events HTTP/1.1", "{kind:?}");
    }
}

/// More subscribers than one address has ports.
#[test]
fn subscribers_come_from_several_addresses() {
    const SUBSCRIBERS: usize = 40;
    for kind in [Kind::Nginx, Kind::Haproxy] {
        if let Some(missing) = kind.missing() {
            skip(&missing);
            continue;
        }
        let upstream = TcpListener::bind(free_address()).expect("it is free");
        let address = upstream.local_addr().expect("it listens");
        let proxy = Proxy::start(kind, [address, address]);
        let mut open = Vec::new();
        let mut sources: BTreeSet<IpAddr> = BTreeSet::new();
        for _ in 0..SUBSCRIBERS {
            let mut client = proxy.connect();
            client.send(b"GET /events HTTP/1.1\r\nHost: localhost\r\n\r\n");
            let (stream, _) = accept(&upstream);
            sources.insert(stream.peer_addr().expect("it is connected").ip());
            open.push((client, stream));
        }
        let wanted = (2..=5).map(|last| IpAddr::from([127, 0, 0, last])).collect();
        assert_eq!(sources, wanted, "{kind:?}");
    }
}

/// A connection of the proxy's, and the head that it sends. It is answered as a stream that begins.
fn accept(upstream: &TcpListener) -> (TcpStream, String) {
    let (mut stream, _) = upstream.accept().expect("the proxy connects");
    stream.set_read_timeout(Some(PATIENCE)).expect("a socket takes a time-out");
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte).expect("the proxy sends a head");
        head.push(byte[0]);
    }
    let answer = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n";
    stream.write_all(answer).expect("the proxy reads");
    (stream, String::from_utf8(head).expect("a head is ASCII"))
}
