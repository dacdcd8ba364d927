//! Peers that hold connections, drip, or send what nobody asked for: they are cut or ignored, and those
//! beside them are unharmed.

use std::io::Write;
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Resource, getrlimit};
use socket2::{Domain, SockRef, Socket, Type};

use crate::harness::{
    Connection, Driver, End, PATIENCE, Publisher, Server, Subscriber, alone, eventually, skip,
};

both_drivers!(
    ten_thousand_heads_that_drip_are_cut_and_harm_nobody,
    junk_on_a_stream_is_never_read_and_harms_nobody,
    a_request_behind_a_subscription_is_never_executed,
    a_publish_that_drips_is_given_up_and_not_published,
    a_publisher_that_never_reads_is_cut_and_counted_right,
);

/// What every head is granted.
const HEAD_DEADLINE: Duration = Duration::from_secs(10);

/// What a pending connection may cost the process.
const PENDING_BYTES_MAX: u64 = 1024;

/// Publishes numbers, and checks that each of these subscribers gets each of them in order.
struct Healthy {
    publisher: Publisher,
    subscribers: Vec<Subscriber>,
    published: u64,
}

impl Healthy {
    const TOPIC: &str = "healthy";

    fn start(server: &Server, count: usize) -> Self {
        let subscribers = (0..count).map(|_| Subscriber::open(server, &[Self::TOPIC])).collect();
        Self { publisher: Publisher::open(server), subscribers, published: 0 }
    }

    /// Publishes one more and audits every delivery of it.
    fn go_on(&mut self) {
        let text = self.published.to_string();
        let receipt = self.publisher.text(&[Self::TOPIC], &text);
        assert_eq!(receipt.subscribers, self.subscribers.len() as u64);
        for subscriber in &mut self.subscribers {
            assert_eq!(subscriber.next().number(), self.published);
        }
        self.published += 1;
    }
}

fn ten_thousand_heads_that_drip_are_cut_and_harm_nobody(driver: Driver) {
    const PENDING: usize = 10_000;
    const SPARE_FILES: u64 = 1_000;
    const DRIP: Duration = Duration::from_secs(5);
    let _turn = alone();
    let server = Server::start(driver);
    let files = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
    if files < PENDING as u64 + SPARE_FILES {
        return skip(&format!("10,000 sockets need more than the {files} files allowed here"));
    }
    let mut healthy = Healthy::start(&server, 100);
    healthy.go_on();
    let before = server.resident_bytes();
    let head = b"GET /events HTTP/1.1\r\n";

    let began = Instant::now();
    let mut pending: Vec<_> = (0..PENDING).map(|_| drip_one(server.address(), head[0])).collect();
    let ends = |reason| {
        server.metrics().labelled("fanfare_connections_ended_total", "reason", reason) as usize
    };
    eventually("all of them are in", || {
        (server.metrics().sum("fanfare_connections_accepted_total") as usize >= PENDING)
            .then_some(())
    });
    let grown = server.resident_bytes().saturating_sub(before);
    let late = ends("head_deadline");
    assert!(late < PENDING, "they are there while their memory is looked at");
    assert!(
        grown < PENDING_BYTES_MAX * (PENDING - late) as u64,
        "{} bytes for each of {} pending connections",
        grown / (PENDING - late) as u64,
        PENDING - late
    );

    for byte in &head[1..] {
        let next = Instant::now() + DRIP;
        while Instant::now() < next && ends("head_deadline") < PENDING {
            healthy.go_on();
            thread::sleep(Duration::from_millis(50));
        }
        if ends("head_deadline") == PENDING {
            break;
        }
        for connection in &mut pending {
            // It may have been cut.
            let _ = connection.try_send(&[*byte]);
        }
    }
    assert_eq!(ends("head_deadline"), PENDING, "after {:?}", began.elapsed());
    assert!(began.elapsed() >= HEAD_DEADLINE, "they are given time");
    for connection in &mut pending {
        assert_eq!(
            connection.rest_within(PATIENCE).as_deref(),
            Some(&b""[..]),
            "cut without a word"
        );
    }
    healthy.go_on();
}

fn drip_one(address: SocketAddr, byte: u8) -> Connection {
    let mut connection = Connection::open(address);
    connection.send(&[byte]);
    connection
}

fn junk_on_a_stream_is_never_read_and_harms_nobody(driver: Driver) {
    const JUNKIES: usize = 50;
    const JUNK_BYTES: usize = 8 << 20;
    const MESSAGES: u64 = 200;
    let server = Server::start(driver);
    let mut healthy = Healthy::start(&server, 20);
    let before = server.resident_bytes();
    let junk = b"POST /publish?topic=healthy HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\n\r\njunk"
        .repeat(JUNK_BYTES / 70);
    let junk = Arc::new(junk);
    let request = "GET /events?topic=healthy HTTP/1.1\r\nHost: h\r\n\r\n";
    let junkies: Vec<_> = (0..JUNKIES)
        .map(|_| {
            let stream = TcpStream::connect(server.address()).expect("the server accepts");
            let mut sender = stream.try_clone().expect("a second handle");
            SockRef::from(&sender).set_linger(Some(Duration::ZERO)).expect("it closes at once");
            healthy.subscribers.push(Subscriber::request(Connection::over(stream), request));
            let (handle, junk) = (sender.try_clone().expect("a third handle"), Arc::clone(&junk));
            // It gets stuck when nobody reads.
            (handle, thread::spawn(move || sender.write_all(&junk).is_err()))
        })
        .collect();
    for _ in 0..MESSAGES {
        healthy.go_on();
    }
    let grown = server.resident_bytes().saturating_sub(before);
    assert!(grown < (JUNKIES * JUNK_BYTES / 16) as u64, "grew by {grown} bytes");
    let stuck = junkies.iter().filter(|(_, sending)| !sending.is_finished()).count();
    assert_eq!(stuck, JUNKIES, "the server takes in what it does not read");
    for (handle, sending) in junkies {
        handle.shutdown(Shutdown::Both).expect("it is connected");
        assert!(sending.join().expect("it ends"), "it was stuck");
    }
    healthy.subscribers.truncate(20);
    server.await_subscribers(Healthy::TOPIC, 20);
    healthy.go_on();
}

fn a_request_behind_a_subscription_is_never_executed(driver: Driver) {
    let mut server = Server::start(driver);
    let mut witness = Subscriber::open(&server, &["w"]);
    let publish = "POST /publish?topic=w HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\n\r\nevil";
    let subscribe = "GET /events?topic=w HTTP/1.1\r\nHost: h\r\n\r\n";
    let health = "GET /health HTTP/1.1\r\nHost: h\r\n\r\n";
    // On a core, and in the control runtime.
    let on_core = Subscriber::request(server.connect(), &format!("{subscribe}{publish}"));
    let mut connection = server.connect();
    connection.send(format!("{health}{subscribe}{publish}").as_bytes());
    assert_eq!(connection.response().status, 200);
    let head = connection.head();
    assert_eq!(head.header("connection"), Some("close"));
    let mut streams = [on_core, Subscriber::after(head, connection)];

    let receipt = server.publish(&["w"], "last");
    assert_eq!(receipt.subscribers, 3);
    assert_eq!(witness.next().id(), receipt.id);
    for stream in &mut streams {
        assert_eq!(stream.next().id(), receipt.id);
    }
    // Neither is it when the streams have ended in order.
    assert!(server.terminate().success());
    assert_eq!(witness.until_end(), (vec![], End::InOrder));
    for mut stream in streams {
        assert_eq!(stream.until_end(), (vec![], End::InOrder));
    }
}

fn a_publish_that_drips_is_given_up_and_not_published(driver: Driver) {
    let server = Server::start(driver);
    let mut witness = Subscriber::open(&server, &["w"]);
    let began = Instant::now();
    let mut connection = server.connect();
    connection.send(b"POST /publish?topic=w HTTP/1.1\r\nHost: h\r\nContent-Length: 1000\r\n\r\n");
    let answer = loop {
        assert!(began.elapsed() < PATIENCE, "it drips for ever");
        let closed = connection.try_send(b"x").is_err();
        if closed || connection.fill(Instant::now() + Duration::from_secs(1)).is_ok() {
            break connection.response();
        }
    };
    answer.expect_fault(408);
    assert!(connection.rest().is_empty(), "it is closed");
    assert!(began.elapsed() >= HEAD_DEADLINE, "it is given time: {:?}", began.elapsed());
    let receipt = server.publish(&["w"], "whole");
    assert_eq!(witness.next().id(), receipt.id, "nothing of it is published");
}

fn a_publisher_that_never_reads_is_cut_and_counted_right(driver: Driver) {
    let server = Server::start(driver);
    let mut witness = Subscriber::open(&server, &["w"]);
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
    socket.set_recv_buffer_size(4 * 1024).expect("a small buffer");
    socket.connect(&server.address().into()).expect("the server accepts");
    let mut connection = Connection::over(socket.into());
    let publish =
        b"POST /publish?topic=w HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\n\r\nx".repeat(500);
    // Until the server, which cannot answer, takes no more and then cuts it.
    let began = Instant::now();
    while connection.try_send(&publish).is_ok() {
        assert!(began.elapsed() < PATIENCE, "it may publish for ever");
    }
    let last = server.publish(&["w"], "last").id;
    let mut sequences = Vec::new();
    loop {
        let event = witness.next();
        if event.id() == last {
            break;
        }
        assert_eq!(event.data(), "x");
        sequences.push(event.sequence());
    }
    assert!(sequences.is_sorted_by(|one, next| one < next), "each is published once");
    let published = server.metrics().sum("fanfare_messages_published_total") as usize;
    assert_eq!(sequences.len() + 1, published);
}
