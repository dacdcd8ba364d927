//! The scripted server itself: it must do what its script says, or the tests of the client mean nothing.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use serde_json::json;

use crate::harness::scripted::{Bytes, Origins, Reply, ScriptedServer, Then};
use crate::harness::{PATIENCE, eventually};

/// Sends a GET and returns the connection.
fn get(server: &ScriptedServer, headers: &str) -> TcpStream {
    let address = server.origins().first().replace("http://", "");
    let mut stream = TcpStream::connect(address).expect("it accepts");
    stream.set_read_timeout(Some(PATIENCE)).expect("a socket takes a time-out");
    let request = format!("GET /events HTTP/1.1\r\nHost: test\r\n{headers}\r\n");
    stream.write_all(request.as_bytes()).expect("it reads");
    stream
}

/// The answer to a GET, and how the connection ended.
fn answer(server: &ScriptedServer) -> (String, Option<ErrorKind>) {
    let mut answer = Vec::new();
    let end = get(server, "").read_to_end(&mut answer).err().map(|error| error.kind());
    (String::from_utf8_lossy(&answer).into_owned(), end)
}

fn step(origins: &Origins, step: serde_json::Value) -> Reply {
    Reply::of_step(&step, origins).expect("it is a step")
}

#[test]
fn steps_are_served_in_order_and_further_requests_are_held() {
    let server = ScriptedServer::start(|origins| {
        vec![
            step(
                origins,
                json!({"status": 302, "headers": {"Location": "{other-origin}/x"},
                "body": "", "then": "close"}),
            ),
            step(
                origins,
                json!({"status": 200, "headers": {"Transfer-Encoding": "chunked"},
                "body": "a\\nb", "chunks": [1, 2], "then": "close"}),
            ),
            step(
                origins,
                json!({"status": 200, "raw_headers": "X: \\R{61,3}", "body": "c",
                "then": "reset"}),
            ),
        ]
    });
    let redirect = format!(
        "HTTP/1.1 302 Scripted\r\nLocation: {}/x\r\nConnection: close\r\n\r\n",
        server.origins().second()
    );
    assert_eq!(answer(&server), (redirect, None));
    let (text, end) = answer(&server);
    assert!(text.ends_with("\r\n\r\n3\r\na\nb\r\n0\r\n\r\n"), "{text:?}");
    assert_eq!(end, None);
    let broken_off = "HTTP/1.1 200 Scripted\r\nX: aaa\r\n\r\nc".to_owned();
    assert_eq!(answer(&server), (broken_off, Some(ErrorKind::ConnectionReset)));

    let mut held = get(&server, "X-One: 1\r\nx-one: 2\r\n");
    eventually("the fourth request", || (server.requests().len() == 4).then_some(()));
    assert_eq!(server.open_connections(), 1);
    held.set_read_timeout(Some(Duration::from_millis(100))).expect("it takes a time-out");
    assert!(held.read(&mut [0]).is_err_and(|error| error.kind() == ErrorKind::WouldBlock));
    drop(held);
    eventually("it is counted out", || (server.open_connections() == 0).then_some(()));
    let requests = server.requests();
    assert_eq!(requests[3].headers("X-ONE"), ["1", "2"]);
    assert_eq!((requests[3].method.as_str(), requests[3].path.as_str()), ("GET", "/events"));
    assert!(requests[..3].iter().all(|request| request.ended.is_some()));
    assert!(requests[3].ended.is_none());
}

#[test]
fn what_is_too_long_to_hold_is_streamed() {
    let mut body = Bytes::from("data: ");
    body.push_repeated(b"x", u64::MAX / 2);
    let server = ScriptedServer::once(Reply::stream(body).then(Then::Close));
    let mut stream = get(&server, "");
    stream.read_exact(&mut vec![0; 4 << 20]).expect("it streams");
    drop(stream);
    eventually("it is counted out", || (server.open_connections() == 0).then_some(()));
}

#[test]
fn an_unknown_part_of_a_step_is_a_fault() {
    let server = ScriptedServer::once(Reply::silence());
    let fault = |step| Reply::of_step(&step, server.origins()).expect_err("it is not understood");
    let step = json!({"status": 200, "then": "keep", "trailers": {}});
    assert_eq!(fault(step), "unknown key of a step: trailers");
    assert!(fault(json!({"status": 200, "then": "explode"})).contains("explode"));
    assert!(fault(json!({"error": "dns"})).contains("dns"));
    assert!(fault(json!({"status": 200, "body": "\\q", "then": "keep"})).contains("escape"));
}
