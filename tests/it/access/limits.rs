//! Bounds for each address, token and publisher: one below, at it, and one above.

use std::net::{Ipv4Addr, SocketAddr, TcpStream};

use socket2::{Domain, Socket, Type};

use super::*;
use crate::harness::eventually;

both_drivers!(
    an_address_has_so_many_streams,
    a_trusted_proxy_s_word_counts,
    a_token_has_so_many_streams,
    a_publisher_has_its_rate,
);

const SUBSCRIBE: &str = "GET /events?topic=a HTTP/1.1\r\nHost: test\r\n\r\n";

/// A connection from another address of this machine.
fn connect_from(last: u8, server: &Server) -> Connection {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
    let own = SocketAddr::from((Ipv4Addr::new(127, 0, 0, last), 0));
    socket.bind(&own.into()).expect("all of 127.0.0.0/8 is this machine");
    socket.connect(&server.address().into()).expect("the server accepts");
    Connection::over(TcpStream::from(socket))
}

fn an_address_has_so_many_streams(driver: Driver) {
    let server = Options::new(driver).argument("--connections-per-ip=3").start();
    let come = |last| ask_on(connect_from(last, &server), SUBSCRIBE);
    let mut streams: Vec<_> = (0..2).map(|_| come(2).expect("below it")).collect();
    // On a kept connection, so that the control runtime counts the same.
    let mut kept = connect_from(2, &server);
    assert_eq!(kept.get("/health").status, 200);
    streams.push(ask_on(kept, SUBSCRIBE).expect("at it"));
    for _ in 0..3 {
        let refusal = come(2).expect_err("above it");
        assert_eq!((refusal.status, refusal.header("retry-after")), (429, Some("10")));
    }
    let other = come(3).expect("another address");
    for _ in 0..3 {
        drop(streams.remove(0));
        streams.push(eventually("the place of who has left", || come(2).ok()));
        assert_eq!(come(2).expect_err("above it again").status, 429);
    }
    server.publish(&["a"], "to all");
    for mut stream in streams.into_iter().chain([other]) {
        assert_eq!(stream.next().data(), "to all");
    }
}

fn a_trusted_proxy_s_word_counts(driver: Driver) {
    let options = Options::new(driver).argument("--connections-per-ip=1");
    let server = options.argument("--trusted-proxy=127.0.0.8/31,::1").start();
    let come = |last, forwarded: &str| {
        let headers = format!("X-Forwarded-For: {forwarded}\r\nForwarded: for=9.9.9.9\r\n\r\n");
        let request =
            format!("{}{headers}", SUBSCRIBE.trim_end_matches("\r\n").to_owned() + "\r\n");
        ask_on(connect_from(last, &server), &request).map_err(|refusal| refusal.status)
    };
    let _one = come(8, "192.0.2.1").expect("the first of its address");
    assert_eq!(come(9, "192.0.2.1").unwrap_err(), 429, "through whichever proxy");
    let _two = come(8, "192.0.2.1, 192.0.2.2").expect("only the last is the proxy's word");
    assert_eq!(come(8, "192.0.2.3, 192.0.2.2").unwrap_err(), 429);
    // Who is no proxy can say what it likes.
    let _own = come(2, "192.0.2.4").expect("the first of its address");
    assert_eq!(come(2, "192.0.2.5").unwrap_err(), 429);
}

fn a_token_has_so_many_streams(driver: Driver) {
    let server = protected(driver).argument("--connections-per-token=2").start();
    let of = |subject: &str| {
        let claims = json!({"sub": subject, "exp": now() + 60, "fanfare": {"subscribe": ["a"]}});
        let key = EncodingKey::from_secret(SECRET.as_bytes());
        bearer(&sign(&Header::new(Algorithm::HS256), &claims, &key))
    };
    for token in [of("17"), bearer(ADMIN)] {
        let streams = ask(&server, "topic=a", &token).map(|answer| answer.expect("up to it"));
        assert_eq!(statuses(&server, "topic=a", &token), [429, 429]);
        assert_eq!(statuses(&server, "topic=a", &of("18")), [200, 200], "another has its own");
        drop(streams);
        eventually("the places of who has left", || {
            (statuses(&server, "topic=a", &token) == [200, 200]).then_some(())
        });
    }
}

fn a_publisher_has_its_rate(driver: Driver) {
    // So slow that nothing comes back during the test.
    let options = protected(driver).argument("--publish-rate=0.001").argument("--publish-burst=3");
    let server = options.start();
    let claims = |subject: &str| {
        let claims = json!({"sub": subject, "exp": now() + 60, "fanfare": {"publish": ["a"]}});
        let key = EncodingKey::from_secret(SECRET.as_bytes());
        bearer(&sign(&Header::new(Algorithm::HS256), &claims, &key))
    };
    let token = claims("17");
    let mut connection = server.connect();
    for _ in 0..3 {
        publish_on(&mut connection, "a", &token, "x").expect_json(202);
    }
    let refusal = publish_on(&mut connection, "a", &token, "x");
    let seconds: u64 = refusal.header("retry-after").and_then(|it| it.parse().ok()).expect("when");
    assert!(refusal.status == 429 && (1..=1000).contains(&seconds), "{refusal:?}");

    // Every line counts, and those before the bound stay published.
    let token = claims("18");
    let body = "{\"data\":\"x\"}\n".repeat(5);
    let length = body.len();
    connection.send(
        format!(
            "POST /publish?topic=a HTTP/1.1\r\nHost: test\r\nContent-Length: {length}\r\n{token}\
             Content-Type: application/x-ndjson\r\n\r\n{body}"
        )
        .as_bytes(),
    );
    let answer = connection.response().expect_problem(429);
    assert_eq!((&answer["line"], &answer["published"]), (&json!(4), &json!(3)), "{answer}");

    let by_address = Options::new(driver).argument("--publish-rate=0.001").start();
    let publish_from = |last| publish_on(&mut connect_from(last, &by_address), "a", "", "x").status;
    assert_eq!([publish_from(2), publish_from(2), publish_from(3)], [202, 429, 202]);
}
