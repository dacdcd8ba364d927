//! What a client sends, and what it does when a connection ends.

use std::time::Duration;

use serde_json::json;

use crate::harness::{Service, eventually};
use crate::scripted::{Reply, Request, ScriptedServer, Then};

fn event(data: &str) -> Reply {
    Reply::stream(&*format!("id: {data}\ndata: {data}\n\n"))
}

fn status(status: &str) -> Reply {
    Reply::raw(&*format!("HTTP/1.1 {status}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"))
        .then(Then::Close)
}

#[test]
fn the_request_is_as_it_was_wanted() {
    let service = Service::start();
    for (method, body) in [("GET", ""), ("POST", "a body"), ("REPORT", "{\"a\":1}")] {
        let server = ScriptedServer::once(event("1"));
        let wanted = json!({
            "method": method,
            "body": body,
            "headers": {"X-One": "1", "content-type": "application/json"},
            "lastEventId": "abc",
        });
        let mut client = service.client(&server, wanted);
        client.expect_event(["message", "1", "1"]);
        let request: Request = server.requests().remove(0);
        assert_eq!((&*request.method, &*request.body), (method, body.as_bytes()));
        for (name, value) in [
            ("X-One", "1"),
            ("Content-Type", "application/json"),
            ("Last-Event-ID", "abc"),
            ("Accept", "text/event-stream"),
        ] {
            assert_eq!(request.header(name).as_deref(), Some(value), "{name}");
        }
    }
}

#[test]
fn redirects_are_followed() {
    let service = Service::start();
    for code in ["301 Moved Permanently", "307 Temporary Redirect"] {
        let server = ScriptedServer::start(|origins| {
            let location = format!("{}/elsewhere", origins.second());
            let redirect = format!(
                "HTTP/1.1 {code}\r\nLocation: {location}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
            );
            vec![Reply::raw(&*redirect).then(Then::Close), event("1")]
        });
        service.client(&server, json!({})).expect_event(["message", "1", "1"]);
        assert_eq!(server.requests()[1].path, "/elsewhere");
    }
}

#[test]
fn a_server_that_has_no_content_ends_the_client() {
    let service = Service::start();
    let server =
        ScriptedServer::start(|_| vec![event("1").then(Then::Close), status("204 No Content")]);
    let mut client = service.client(&server, json!({"initialDelayMs": 1}));
    client.expect_event(["message", "1", "1"]);
    assert!(client.expect_error().contains("204"));
    client.expect_silence();
    assert_eq!(server.requests().len(), 2);
}

#[test]
fn what_is_no_stream_is_an_error() {
    let service = Service::start();
    for (reply, why) in [
        ("404 Not Found", "response status is 404"),
        ("500 Internal Server Error", "response status is 500"),
        ("200 OK", "not text/event-stream"),
    ] {
        let server = ScriptedServer::once(status(reply));
        let text = service.client(&server, json!({})).expect_error();
        assert!(text.starts_with("GET http://") && text.contains(why), "{text}");
    }
}

#[test]
fn it_comes_back_after_the_delay_with_the_last_id() {
    let service = Service::start();
    let script = || vec![event("1").then(Then::Close), event("2").then(Then::Reset), event("3")];
    let server = ScriptedServer::start(|_| script());
    let mut client = service.client(&server, json!({"initialDelayMs": 200, "lastEventId": "0"}));
    for id in ["1", "2", "3"] {
        client.expect_event(["message", id, id]);
    }
    let requests = server.requests();
    for (request, last) in requests.iter().zip(["0", "1", "2"]) {
        assert_eq!(request.header("Last-Event-ID").as_deref(), Some(last));
    }
    let ended = requests[0].ended.expect("the server closed it");
    assert!(requests[1].at - ended >= Duration::from_millis(190), "it waits for the delay");
}

#[test]
fn the_server_says_how_long_to_wait() {
    let service = Service::start();
    let first = Reply::stream("retry: 10\ndata: 1\n\n").then(Then::Close);
    let server = ScriptedServer::start(|_| vec![first, event("2")]);
    let mut client = service.client(&server, json!({"initialDelayMs": 3_600_000}));
    client.expect_event(["message", "1", ""]);
    client.expect_event(["message", "2", "2"]);
}

#[test]
fn a_silent_stream_is_given_up() {
    let service = Service::start();
    let server = ScriptedServer::start(|_| vec![event("1"), event("2")]);
    let wanted = json!({"initialDelayMs": 1, "readTimeoutMs": 100});
    let mut client = service.client(&server, wanted);
    client.expect_event(["message", "1", "1"]);
    client.expect_event(["message", "2", "2"]);
    assert_eq!(server.requests()[1].header("Last-Event-ID").as_deref(), Some("1"));
}

#[test]
fn a_restart_asks_anew_with_the_last_id() {
    let service = Service::start();
    let server = ScriptedServer::start(|_| vec![event("1"), event("2")]);
    let mut client = service.client(&server, json!({"initialDelayMs": 3_600_000}));
    client.expect_event(["message", "1", "1"]);
    assert_eq!(client.command("restart"), 202);
    client.expect_event(["message", "2", "2"]);
    assert_eq!(server.requests()[1].header("Last-Event-ID").as_deref(), Some("1"));
    eventually("the end of the first connection", || server.open_connections() == 1);
    assert_eq!(client.command("listen"), 400);
}

#[test]
fn an_end_closes_the_connection() {
    let service = Service::start();
    let server = ScriptedServer::once(event("1"));
    let mut client = service.client(&server, json!({}));
    client.expect_event(["message", "1", "1"]);
    assert_eq!(server.open_connections(), 1);
    assert_eq!(client.end(), 204);
    eventually("the end of the connection", || server.open_connections() == 0);
    assert_eq!(client.end(), 404);
}

#[test]
fn a_client_whose_reports_nobody_takes_ends() {
    let service = Service::start();
    let server = ScriptedServer::once(Reply::stream("data: 1\n\n: x\n\n".repeat(5_000).as_str()));
    let client = service.client(&server, json!({}));
    eventually("the connection", || server.open_connections() == 1);
    drop(client);
    eventually("the end of the connection", || server.open_connections() == 0);
}
