//! What the service refuses, and how it ends.

use serde_json::{Value, json};

use crate::harness::{Service, eventually};
use crate::scripted::{Reply, ScriptedServer};

#[test]
fn it_says_what_it_can() {
    let service = Service::start();
    let (status, _, body) = service.ask("GET", &service.url, "");
    let body: Value = serde_json::from_str(&body).expect("JSON");
    let capabilities = body["capabilities"].as_array().expect("a list");
    assert_eq!((status, capabilities.len()), (200, 9));
    assert!(!capabilities.contains(&json!("event-type-listeners")));
}

#[test]
fn a_wish_that_makes_no_sense_is_refused_by_name() {
    let service = Service::start();
    let with = |wanted: Value| wanted.to_string();
    for (body, fault) in [
        ("{".to_owned(), "EOF"),
        (with(json!({"callbackUrl": "http://x"})), "streamUrl"),
        (with(json!({"streamUrl": "http://x"})), "callbackUrl"),
        (with(json!({"streamUrl": "ftp://x", "callbackUrl": "http://x"})), "scheme is ftp"),
        (with(json!({"streamUrl": "x", "callbackUrl": "http://x"})), "not an absolute URL"),
        (
            with(json!({"streamUrl": "http://x", "callbackUrl": "http://x", "method": "A B"})),
            "method",
        ),
        (
            with(
                json!({"streamUrl": "http://x", "callbackUrl": "http://x", "headers": {"a b": "c"}}),
            ),
            "header",
        ),
        (
            with(
                json!({"streamUrl": "http://x", "callbackUrl": "http://x", "lastEventId": "a\nb"}),
            ),
            "header",
        ),
        (
            with(json!({"streamUrl": "http://x", "callbackUrl": "http://x", "readTimeoutMs": -1})),
            "readTimeoutMs",
        ),
    ] {
        let (status, _, text) = service.ask("POST", &service.url, &body);
        assert_eq!(status, 400, "{body}");
        assert!(text.contains(fault), "{body}: {text}");
    }
}

#[test]
fn an_unknown_client_is_not_found() {
    let service = Service::start();
    for id in ["7", "18446744073709551615"] {
        let url = format!("{}/clients/{id}", service.url);
        assert_eq!(service.ask("POST", &url, r#"{"command":"restart"}"#).0, 404);
        assert_eq!(service.ask("DELETE", &url, "").0, 404);
    }
    let url = format!("{}/clients/x", service.url);
    assert_eq!(service.ask("DELETE", &url, "").0, 400);
}

#[test]
fn it_ends_when_asked_to_with_its_clients() {
    let mut service = Service::start();
    let server = ScriptedServer::once(Reply::stream("data: 1\n\n"));
    service.client(&server, json!({})).expect_event(["message", "1", ""]);
    let url = service.url.clone();
    assert_eq!(service.ask("DELETE", &url, "").0, 204);
    assert!(service.wait().success());
    eventually("the end of the connection", || server.open_connections() == 0);
}
