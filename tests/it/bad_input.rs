//! What a peer may do wrong, and what it is told. Whatever it does, the server goes on serving.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::json;
use socket2::SockRef;

use crate::harness::{
    Connection, Driver, PATIENCE, Publisher, Random, Response, Server, Subscriber, query_of_topics,
};

both_drivers!(
    a_malformed_head_is_400,
    a_head_over_the_limit_is_431,
    a_body_over_the_limit_is_413,
    a_message_that_grows_over_the_limit_is_413,
    a_wrong_method_is_405_and_an_unknown_path_404,
    an_invalid_topic_is_400_and_named,
    an_invalid_message_is_400_and_named,
    an_odd_last_event_id_is_a_gap_or_400,
    what_comes_too_slowly_is_closed,
    bytes_after_a_subscription_are_not_read_as_requests,
    twenty_thousand_random_byte_strings_leave_it_serving,
);

const BODY_BYTES_MAX: usize = 256 * 1024;
const HEAD_BYTES_MAX: usize = 16 * 1024;

/// Sends the bytes, which the server may stop reading, and reads its answer.
fn answer_to(server: &Server, request: &[u8]) -> Response {
    let mut connection = server.connect();
    let _ = connection.try_send(request);
    connection.response()
}

/// As [`answer_to`], where the answer must be a refusal after which the server hangs up.
fn expect_refusal(server: &Server, request: &[u8], status: u16) {
    let shown = String::from_utf8_lossy(&request[..request.len().min(60)]).into_owned();
    let mut connection = server.connect();
    let _ = connection.try_send(request);
    let answer = connection.response();
    assert_eq!(answer.status, status, "to {shown:?}");
    answer.expect_fault(status);
    let rest = connection.rest();
    assert!(rest.is_empty(), "{:?} after the answer to {shown:?}", String::from_utf8_lossy(&rest));
}

fn expect_still_serving(server: &Server) {
    let mut subscriber = Subscriber::open(server, &["still serving"]);
    let receipt = server.publish(&["still serving"], "yes");
    assert_eq!(subscriber.next().id(), receipt.id);
}

fn a_malformed_head_is_400(driver: Driver) {
    let server = Server::start(driver);
    for request in [
        &b"GARBAGE\r\n\r\n"[..],
        b"GET\r\n\r\n",
        b"GET /events\r\n\r\n",
        b"GET /events HTTP/3.7\r\nHost: test\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"GET /events HTTP/1.1\r\n\r\n",
        b"GET /events HTTP/1.1\nHost: test\n\n",
        b"GET /events HTTP/1.1\r\nHost test\r\n\r\n",
        b"GET /events HTTP/1.1\r\nHo st: test\r\n\r\n",
        b"GET /events HTTP/1.1\r\nHost: te\0st\r\n\r\n",
        b"GET /eve\0nts HTTP/1.1\r\nHost: test\r\n\r\n",
        b"GET /events HTTP/1.1\r\n: nameless\r\n\r\n",
        b"\x16\x03\x01\x02\0\x01\0\x01\xfc\x03\x03 a TLS hello\r\n\r\n",
        b"\0\0\0\0\r\n\r\n",
        b"\xff\xfe\xfd\r\n\r\n",
    ] {
        expect_refusal(&server, request, 400);
    }
    expect_still_serving(&server);
}

fn a_head_over_the_limit_is_431(driver: Driver) {
    let server = Server::start(driver);
    let head = |path: &str, padding: usize| {
        let padding = "x".repeat(padding);
        format!("GET {path} HTTP/1.1\r\nHost: test\r\nX-Padding: {padding}\r\n\r\n").into_bytes()
    };
    let many = "X-Header: 1\r\n".repeat(64);
    let many = format!("GET /events HTTP/1.1\r\nHost: test\r\n{many}\r\n");
    let target = "x".repeat(2 * HEAD_BYTES_MAX);
    let target = format!("GET /events?topic={target} HTTP/1.1\r\nHost: test\r\n\r\n");
    expect_refusal(&server, &head("/events", HEAD_BYTES_MAX), 431);
    expect_refusal(&server, &head("/health", HEAD_BYTES_MAX), 431);
    expect_refusal(&server, many.as_bytes(), 431);
    expect_refusal(&server, target.as_bytes(), 431);
    // Endless, and never a line end: it is the size that ends it, not the time.
    expect_refusal(&server, &b"A".repeat(HEAD_BYTES_MAX + 1), 431);

    // What is just below the limits is served, by the core and behind it.
    let below = HEAD_BYTES_MAX - head("/health", 0).len();
    assert_eq!(answer_to(&server, &head("/health", below)).status, 200);
    let below = HEAD_BYTES_MAX - head("/events", 0).len();
    let request = String::from_utf8(head("/events", below)).expect("ASCII");
    let mut subscriber = Subscriber::request(server.connect(), &request);
    let full = "X-Header: 1\r\n".repeat(63);
    let full = format!("GET /events HTTP/1.1\r\nHost: test\r\n{full}\r\n");
    let mut other = Subscriber::request(server.connect(), &full);
    server.publish(&[], "long head");
    assert_eq!([subscriber.next().data(), other.next().data()], ["long head"; 2]);
}

fn a_body_over_the_limit_is_413(driver: Driver) {
    let server = Server::start(driver);
    let mut subscriber = Subscriber::open(&server, &["b"]);
    let over = "x".repeat(BODY_BYTES_MAX + 1);
    for content_type in ["text/plain", "application/json"] {
        let answer = server.post("/publish?topic=b", content_type, over.as_bytes());
        answer.expect_fault(413);

        // The length is enough to know, before a byte of the body has come.
        let announced = format!(
            "POST /publish?topic=b HTTP/1.1\r\nHost: test\r\nContent-Type: {content_type}\r\n\
             Content-Length: 99999999999\r\n\r\n"
        );
        answer_to(&server, announced.as_bytes()).expect_fault(413);

        let chunked = format!(
            "POST /publish?topic=b HTTP/1.1\r\nHost: test\r\nContent-Type: {content_type}\r\n\
             Transfer-Encoding: chunked\r\n\r\n"
        );
        let chunk = format!("{:x}\r\n{}\r\n", 10_000, "x".repeat(10_000));
        let endless = [chunked.as_bytes(), chunk.repeat(40).as_bytes()].concat();
        answer_to(&server, &endless).expect_fault(413);
    }
    let longest = "x".repeat(BODY_BYTES_MAX);
    server.publish(&["b"], &longest);
    assert!(subscriber.next().data() == longest, "a body at the limit is published");
}

fn a_message_that_grows_over_the_limit_is_413(driver: Driver) {
    let server = Server::start(driver);
    let mut subscriber = Subscriber::open(&server, &["b"]);
    // Every newline becomes a line of its own with a field name: six times as much and more.
    let newlines = "\n".repeat(BODY_BYTES_MAX);
    let answer = server.post("/publish?topic=b", "text/plain", newlines.as_bytes());
    answer.expect_fault(413);
    server.publish(&["b"], "next");
    assert_eq!(subscriber.next().data(), "next");
}

fn a_wrong_method_is_405_and_an_unknown_path_404(driver: Driver) {
    let server = Server::start(driver);
    for (path, allowed) in [
        ("/events", "GET"),
        ("/publish", "POST"),
        ("/subscribers", "GET"),
        ("/health", "GET"),
        ("/metrics", "GET"),
        ("/", "GET"),
    ] {
        for method in ["GET", "POST", "PUT", "DELETE", "PATCH", "BREW"] {
            if method == allowed {
                continue;
            }
            let request = format!(
                "{method} {path} HTTP/1.1\r\nHost: test\r\nContent-Length: 0\r\n\
                 Connection: close\r\n\r\n"
            );
            let answer = answer_to(&server, request.as_bytes());
            let allow = answer.header("allow").unwrap_or_default().to_owned();
            assert_eq!(answer.status, 405, "{method} {path}");
            assert!(allow.contains(allowed), "{method} {path} allows {allow:?}");
            answer.expect_fault(405);
        }
    }
    for path in ["/nothing", "/event", "/events/", "/publish/x", "//", "/../etc/passwd"] {
        server.get(path).expect_fault(404);
        server.post(path, "text/plain", b"x").expect_fault(404);
    }
    expect_still_serving(&server);
}

fn an_invalid_topic_is_400_and_named(driver: Driver) {
    let server = Server::start(driver);
    let long = format!("topic={}", "x".repeat(257));
    let many = (0..33).map(|number| number.to_string()).collect::<Vec<_>>();
    let many = query_of_topics(&many.iter().map(String::as_str).collect::<Vec<_>>());
    for query in
        ["topic=", "topic=a&topic=", "topic=a%0ab", "topic=%00", "topic=%7f", &long, &many[1..]]
    {
        let publish = format!("/publish?{query}");
        let fault = server.post(&publish, "text/plain", b"x").expect_fault(400);
        assert!(fault.contains("topic"), "{fault:?} of {query}");
        let batch = server.post(&publish, "application/x-ndjson", b"{\"data\":\"x\"}\n");
        assert!(batch.expect_fault(400).contains("topic"), "of {query}");
        let fault = server.get(&format!("/events?{query}")).expect_fault(400);
        assert!(fault.contains("topic"), "{fault:?} of {query}");
    }
    for topics in [json!([]), json!([""]), json!(["a", "a\nb"]), json!(["x".repeat(257)])] {
        let body = json!({"topics": topics, "data": "x"}).to_string();
        let answer = server.post("/publish", "application/json", body.as_bytes());
        let fault = answer.expect_fault(400);
        assert!(fault.contains("topic"), "{fault:?} of {topics}");
    }
    expect_still_serving(&server);
}

fn an_invalid_message_is_400_and_named(driver: Driver) {
    let server = Server::start(driver);
    let mut subscriber = Subscriber::open(&server, &["m"]);
    for (body, named) in [
        ("", ""),
        ("{", ""),
        ("[1]", ""),
        ("{}", ""),
        ("\"text\"", ""),
        ("{\"data\":1}", ""),
        ("{\"data\":\"x\"} trailing", ""),
        ("{\"data\":\"x\",\"event\":\"fanfare.gap\"}", "fanfare."),
        ("{\"data\":\"x\",\"event\":\"a\\nb\"}", "event"),
        ("{\"data\":\"x\",\"event\":\"a\\rb\"}", "event"),
        ("{\"data\":\"x\",\"id\":\"a\\nb\"}", "id"),
        ("{\"data\":\"x\",\"id\":\"a\\u0000b\"}", "id"),
        ("{\"data\":\"x\",\"retry\":-1}", ""),
        ("{\"data\":\"x\",\"retry\":\"1\"}", ""),
        ("{\"data\":\"x\",\"topics\":\"m\"}", ""),
        ("{\"data\":\"x\",\"topics\":[1]}", ""),
    ] {
        let answer = server.post("/publish?topic=m", "application/json", body.as_bytes());
        let fault = answer.expect_fault(400);
        assert!(fault.contains(named), "{fault:?} of {body}");
    }
    let latin = server.post("/publish?topic=m", "text/plain", b"caf\xe9");
    assert!(latin.expect_fault(400).contains("UTF-8"));
    server.post("/publish?topic=m", "application/json", b"{\"data\":\"\xff\"}").expect_fault(400);
    server.post("/publish?topic=m", "application/x-ndjson", b"\xff\n").expect_fault(400);

    server.publish(&["m"], "none of those");
    assert_eq!(subscriber.next().data(), "none of those");
}

fn an_odd_last_event_id_is_a_gap_or_400(driver: Driver) {
    let server = Server::start(driver);
    let known = server.publish(&["o"], "0").id;
    let (epoch, _) = known.split_once('-').expect("an automatic id");
    let long = "9".repeat(10_000);
    let odd = [
        "-1",
        "1-",
        "--",
        "ffffffff-",
        "-ffffffff",
        "%00",
        "0-0",
        "\u{1f3ba}",
        "a\tb",
        "'\"<>&",
        &long,
    ];
    let same_epoch = ["-", "18446744073709551615", "18446744073709551616", "+1", "1x", "01", " 1"]
        .map(|sequence| format!("{epoch}-{sequence}"));
    let odd = odd.into_iter().chain(same_epoch.iter().map(String::as_str));
    for (number, id) in (1..).zip(odd) {
        let mut connection = server.connect();
        let head = "GET /events?topic=o HTTP/1.1\r\nHost: test\r\n";
        connection.send(format!("{head}Last-Event-ID: {id}\r\n\r\n").as_bytes());
        let answer = connection.head();
        assert!(matches!(answer.status, 200 | 400), "{} to {id:?}", answer.status);

        let next = server.publish(&["o"], &number.to_string());
        // An id of this life from ahead of the head waits until the head has passed it.
        let ahead = format!("{epoch}-{}", u64::MAX);
        if answer.status == 200 && id != ahead {
            // Whatever it replays, it comes to the newest message.
            let marker = format!("id: {}\n", next.id);
            let deadline = Instant::now() + PATIENCE;
            while !String::from_utf8_lossy(connection.received()).contains(&marker) {
                assert!(connection.fill(deadline).expect("events") > 0, "closed after {id:?}");
            }
        }
    }
    expect_still_serving(&server);
}

fn what_comes_too_slowly_is_closed(driver: Driver) {
    // Ten seconds are granted; the rest is for a machine that has other things to do.
    const GRANTED: Duration = Duration::from_secs(10);
    let server = Server::start(driver);
    let mut subscriber = Subscriber::open(&server, &["slow"]);
    let began = Instant::now();
    let post = "POST /publish?topic=slow HTTP/1.1\r\nHost: test\r\nContent-Length: 10\r\n\r\nhalf";
    let half: Vec<_> = ["", "GET /events?topic=slow HTTP/1.1\r\nHost: te", "P", post]
        .into_iter()
        .map(|request| {
            let mut connection = server.connect();
            connection.send(request.as_bytes());
            connection
        })
        .collect();
    thread::scope(|scope| {
        scope.spawn(|| drip_until_closed(server.connect()));
        for mut connection in half {
            scope.spawn(move || connection.rest());
        }
    });
    assert!(began.elapsed() >= GRANTED / 2, "they are given time: {:?}", began.elapsed());
    // A complete head has no deadline: a subscription may be silent for ever.
    server.publish(&["slow"], "whole");
    assert_eq!(subscriber.next().data(), "whole");
}

/// Sends one byte of a head per second: progress does not help, the whole head has a deadline.
fn drip_until_closed(mut connection: Connection) {
    let head = "GET /events HTTP/1.1\r\nHost: test\r\nX-Endless: ".bytes();
    let endless = head.chain(std::iter::repeat(b'x'));
    for byte in endless.take(usize::try_from(PATIENCE.as_secs()).expect("a minute")) {
        let closed = connection.try_send(&[byte]).is_err();
        if closed || connection.rest_within(Duration::from_secs(1)).is_some() {
            return;
        }
    }
    panic!("a head that drips stands for {PATIENCE:?}");
}

fn bytes_after_a_subscription_are_not_read_as_requests(driver: Driver) {
    let server = Server::start(driver);
    let mut witness = Subscriber::open(&server, &["w"]);
    let publish = "POST /publish?topic=w HTTP/1.1\r\nHost: test\r\nContent-Length: 4\r\n\r\nevil";
    let request = format!("GET /events?topic=w HTTP/1.1\r\nHost: test\r\n\r\n{publish}");
    let mut connection = server.connect();
    connection.send(request.as_bytes());
    assert_eq!(connection.head().status, 200);
    let _ = connection.try_send(publish.as_bytes());
    let _ = connection.try_send(&b"junk".repeat(1_000));
    server.publish(&["w"], "end");
    assert_eq!(witness.next().data(), "end");
    drop(connection);
    server.await_subscribers("w", 1);
}

fn twenty_thousand_random_byte_strings_leave_it_serving(driver: Driver) {
    const THREADS: u64 = 8;
    const STRINGS: u64 = 20_000;
    const SEED: u64 = 0x5eed;
    let server = Server::start(driver);
    let mut witness = Subscriber::open(&server, &["witness"]);
    let done = thread::scope(|scope| {
        let throw = |thread| {
            let address = server.address();
            scope.spawn(move || {
                let mut random = Random::new(SEED + thread);
                for _ in 0..STRINGS / THREADS {
                    let stream = TcpStream::connect(address).expect("it still accepts");
                    throw_at(stream, &mut random);
                }
            })
        };
        let threads: Vec<_> = (0..THREADS).map(throw).collect();
        let mut publisher = Publisher::open(&server);
        let mut sent = 0;
        // Messages flow all the while.
        while !threads.iter().all(|thread| thread.is_finished()) {
            publisher.text(&["witness"], &sent.to_string());
            assert_eq!(witness.next().number(), sent, "with seed {SEED:#x}");
            sent += 1;
        }
        sent
    });
    server.publish(&["witness"], &done.to_string());
    assert_eq!(witness.next().number(), done, "with seed {SEED:#x}");
    expect_still_serving(&server);
    assert_eq!(server.get("/health").status, 200);
}

/// One connection's worth of noise, ended in one of the ways in which peers end.
fn throw_at(mut stream: TcpStream, random: &mut Random) {
    for _ in 0..1 + random.below(3) {
        // The server may have had enough at any time.
        let _ = stream.write_all(&noise(random));
    }
    match random.below(8) {
        0 => {
            let _ = SockRef::from(&stream).set_linger(Some(Duration::ZERO));
        }
        1 => {
            let _ = stream.shutdown(Shutdown::Write);
            let _ = stream.set_read_timeout(Some(Duration::from_millis(20)));
            let _ = stream.read(&mut [0; 512]);
        }
        _ => {}
    }
}

/// Random bytes, or a request of ours with some of its bytes made random.
fn noise(random: &mut Random) -> Vec<u8> {
    const REQUESTS: [&str; 5] = [
        "GET /events?topic=noise&topic=n HTTP/1.1\r\nHost: test\r\nLast-Event-ID: 0123abcd-1\r\n\r\n",
        "POST /publish?topic=noise HTTP/1.1\r\nHost: test\r\nContent-Length: 5\r\n\r\nnoise",
        "POST /publish?topic=noise HTTP/1.1\r\nHost: t\r\nContent-Type: application/json\r\n\
         Transfer-Encoding: chunked\r\n\r\n14\r\n{\"data\":\"0123456789\"}\r\n0\r\n\r\n",
        "POST /publish?topic=noise HTTP/1.1\r\nHost: t\r\nContent-Type: application/x-ndjson\r\n\
         Content-Length: 28\r\n\r\n{\"data\":\"\"}\n{\"data\":\"\\u0000\"}\n",
        "GET /subscribers?topic=noise HTTP/1.1\r\nHost: test\r\n\r\nGET / HTTP/1.0\r\n\r\n",
    ];
    if random.below(2) == 0 {
        let len = random.below(300);
        return (0..len).map(|_| random.byte()).collect();
    }
    let mut request = random.pick(&REQUESTS).as_bytes().to_vec();
    for _ in 0..random.below(4) {
        let at = random.below(request.len());
        request[at] = random.byte();
    }
    request.truncate(1 + random.below(2 * request.len()));
    request
}
